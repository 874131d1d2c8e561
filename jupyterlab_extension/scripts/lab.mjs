/** Compile the plugin and build the federated JupyterLab extension. */

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./widgets.mjs";

function run(script, ...args) {
  const done = spawnSync(process.execPath, [join(root, "node_modules", script), ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
  });
  if (done.status !== 0) {
    process.stderr.write(done.stdout ?? "");
    throw new Error(`${script} failed`);
  }
}

/** @param outputDir folder of the built extension, relative to the project */
export async function buildLab(outputDir) {
  rmSync(join(root, "lib"), { recursive: true, force: true });
  rmSync(join(root, outputDir), { recursive: true, force: true });
  run("typescript/bin/tsc", "-p", "tsconfig.lab.json");
  const packageFile = join(root, "package.json");
  const original = readFileSync(packageFile, "utf8");
  try {
    // The builder reads its target folder from package.json only.
    if (outputDir !== JSON.parse(original).jupyterlab.outputDir) {
      const changed = JSON.parse(original);
      changed.jupyterlab.outputDir = outputDir;
      writeFileSync(packageFile, JSON.stringify(changed, null, 2));
    }
    run(
      "@jupyter/builder/lib/build-labextension.js",
      "--core-package-file",
      "node_modules/@jupyterlab/core-meta/core.package.json",
      ".",
    );
  } finally {
    writeFileSync(packageFile, original);
  }
  copyFileSync(join(root, "install.json"), join(root, outputDir, "install.json"));
  const log = join(root, outputDir, "build_log.json");
  if (existsSync(log)) rmSync(log);
  const built = readdirSync(join(root, outputDir));
  if (!built.includes("package.json")) throw new Error("the extension was not built");
}

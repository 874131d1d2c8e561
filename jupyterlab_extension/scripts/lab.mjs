/** Compile the plugin and build the federated JupyterLab extension. */

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "./widgets.mjs";

export const labDir = join(root, "labextension");

function run(script, ...args) {
  const done = spawnSync(process.execPath, [join(root, "node_modules", script), ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
  });
  if (done.status !== 0) throw new Error(`${script} failed\n${done.stdout}${done.stderr}`);
}

export async function buildLab() {
  // Stale output would be picked up: the compiler does not delete, the builder adds new hashes.
  rmSync(join(root, "lib"), { recursive: true, force: true });
  rmSync(labDir, { recursive: true, force: true });
  run("typescript/bin/tsc", "-p", "tsconfig.lab.json");
  run(
    "@jupyter/builder/lib/build-labextension.js",
    "--core-package-file",
    "node_modules/@jupyterlab/core-meta/core.package.json",
    ".",
  );
  // The log holds paths of this machine.
  rmSync(join(labDir, "build_log.json"), { force: true });
  copyFileSync(join(root, "install.json"), join(labDir, "install.json"));
  if (!existsSync(join(labDir, "package.json"))) throw new Error("the extension was not built");
}

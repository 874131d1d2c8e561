/** Rebuild everything that is committed and compare it byte for byte. */

import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { buildLab, labDir } from "./lab.mjs";
import { buildWidgets, staticDir, widgetNames } from "./widgets.mjs";

function files(dir) {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

function compare(committed, rebuilt, names) {
  return names.flatMap((name) => {
    const [was, is] = [join(committed, name), join(rebuilt, name)];
    if (!existsSync(was)) return [`${name}: not committed`];
    if (!existsSync(is)) return [`${name}: no longer built`];
    return readFileSync(was).equals(readFileSync(is)) ? [] : [`${name}: differs`];
  });
}

const temporary = mkdtempSync(join(tmpdir(), "icechunk-front-"));
let problems = [];
try {
  const widgets = join(temporary, "widgets");
  await buildWidgets(widgets);
  problems = compare(staticDir, widgets, widgetNames.flatMap((name) => [`${name}.js`, `${name}.css`]));
  // The extension's builder writes to one place only; what was there is put back afterwards.
  const kept = join(temporary, "labextension");
  if (!existsSync(labDir)) problems.push("labextension: not built yet");
  else {
    cpSync(labDir, kept, { recursive: true });
    try {
      await buildLab();
      const names = [...new Set([...files(kept), ...files(labDir)])];
      problems.push(...compare(kept, labDir, names));
    } finally {
      rmSync(labDir, { recursive: true, force: true });
      cpSync(kept, labDir, { recursive: true });
    }
  }
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
if (problems.length) {
  console.error(`Committed bundles do not match their sources; run "npm run build".\n  ${problems.join("\n  ")}`);
  process.exitCode = 1;
} else console.log("Committed bundles match their sources.");

/** Build the development page; open dev/index.html through any local web server. */

import { build } from "esbuild";
import { root } from "./widgets.mjs";

await build({
  absWorkingDir: root,
  entryPoints: ["dev/main.ts", "dev/page.css"],
  bundle: true,
  format: "esm",
  target: "es2022",
  outdir: "dev/out",
  logLevel: "warning",
});

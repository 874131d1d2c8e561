/** Bundle the notebook widgets. The output depends on the sources only. */

import { build } from "esbuild";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const widgetNames = ["history", "diff", "resolver"];

export async function buildWidgets(outdir) {
  await build({
    absWorkingDir: root,
    entryPoints: widgetNames.flatMap((name) => [`src/widgets/${name}.ts`, `src/widgets/${name}.css`]),
    bundle: true,
    format: "esm",
    minify: true,
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    outdir,
    logLevel: "warning",
  });
}

export const staticDir = join(dirname(root), "icechunk_widgets", "static");

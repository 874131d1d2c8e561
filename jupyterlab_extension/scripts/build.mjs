/** Build everything that is committed: widget bundles and, unless told otherwise, the JupyterLab extension. */

import { buildLab } from "./lab.mjs";
import { buildWidgets, staticDir } from "./widgets.mjs";

const only = process.argv[2];
if (only !== "lab") await buildWidgets(staticDir);
if (only !== "widgets") await buildLab();

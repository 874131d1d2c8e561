/** anywidget entry point of the history view. */

import { renderer } from "./afm";
import { mount } from "../views/history/history";

export default renderer(mount);

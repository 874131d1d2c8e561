/** anywidget entry point of the diff view. */

import { renderer } from "./afm";
import { mount } from "../views/diff/diff";

export default renderer(mount);

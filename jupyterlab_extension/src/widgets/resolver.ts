/** anywidget entry point of the resolver view. */

import { renderer } from "./afm";
import { mount } from "../views/resolver/resolver";

export default renderer(mount);

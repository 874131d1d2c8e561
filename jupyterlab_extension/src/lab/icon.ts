/** The side panel's icon: a block of ice made of chunks, one of them marked. */

import { LabIcon } from "@jupyterlab/ui-components";

// The theme recolours elements of class jp-icon3 by the attributes they carry; the unfilled lines
// therefore take `fill="none"` from their parent.
const svgstr = `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g fill="none" stroke-linejoin="round" stroke-linecap="round">
    <path class="jp-icon3" stroke="#616161" stroke-width="1.7" d="M12 2.4 20.4 7.1V16.9L12 21.6 3.6 16.9V7.1ZM3.6 7.1 12 11.8 20.4 7.1M12 11.8V21.6"/>
    <path class="jp-icon3" stroke="#616161" stroke-width="1" d="M7.8 4.8 16.2 9.5V19.2M16.2 4.8 7.8 9.5V19.2M3.6 12 12 16.7 20.4 12"/>
  </g>
  <path class="jp-icon3" fill="#616161" d="M12 16.7 16.2 14.4V19.2L12 21.6Z"/>
</svg>`;

export const icechunkIcon = new LabIcon({ name: "@icechunk/jupyterlab:icon", svgstr });

/** What a view tells its chunk grid. */

import type { StateStyle } from "../common/states";

export interface ChunkGridOptions {
  styles: StateStyle[];
  /** States that can be selected; without it the grid is for looking only. */
  selectable?: (state: number) => boolean;
  /** States worth going to: where the first slice is opened and what the strips count. */
  wanted: (state: number) => boolean;
  onCursor: (flat: number) => void;
  onSelect?: () => void;
  /** Further controls beside the grid. */
  tools?: HTMLElement;
  /** Words after the state of a chunk. */
  note?: (flat: number) => string;
  /** How strongly a chunk is coloured, 0 to 1; NaN for the plain colour of its state. */
  strength?: (flat: number) => number;
  /** Told the chunks on screen after every drawing. */
  onView?: (flats: () => number[]) => void;
  /** Keys the grid does not use itself; true when handled. */
  onKey?: (event: KeyboardEvent) => boolean;
}

/** What a view passes to its chunk grid. */

import type { StateStyle } from "../common/states";

export interface ChunkGridOptions {
  styles: StateStyle[];
  /** States that can be selected; without it nothing can. */
  selectable?: (state: number) => boolean;
  /** States that N goes to, that the first slice shows and that the bars count. */
  wanted: (state: number) => boolean;
  onCursor: (flat: number) => void;
  onSelect?: () => void;
  /** Further controls beside the grid. */
  tools?: HTMLElement;
  /** Text after the state of a chunk. */
  note?: (flat: number) => string;
  /** How strongly a chunk is coloured, 0 to 1; NaN for the plain colour of its state. */
  strength?: (flat: number) => number;
  /** Called after every drawing with a function that lists the chunks on screen. */
  onView?: (flats: () => number[]) => void;
  /** Called for keys that the grid does not use; returns whether it handled the key. */
  onKey?: (event: KeyboardEvent) => boolean;
}

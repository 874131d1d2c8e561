/** The selected chunks of a grid, as a mask. */

import { packMaskOver, type Runs } from "./runs";

export class Selection {
  mask = new Uint8Array(0);
  count = 0;
  /** How many chunks can be selected. */
  most = 0;
  private touchable = new Uint8Array(0);

  /** @param can whether chunks of a state can be selected */
  constructor(private readonly can: (state: number) => boolean) {}

  /** Select nothing, for a grid of `size` chunks. */
  reset(size: number): void {
    this.mask = new Uint8Array(size);
    this.count = 0;
  }

  /** Take the states of all chunks; the selection stays. */
  over(states: Uint8Array): void {
    const open = Uint8Array.from({ length: 256 }, (_, state) => Number(this.can(state)));
    this.touchable = new Uint8Array(states.length);
    this.most = 0;
    for (let i = 0; i < states.length; i++) this.most += this.touchable[i] = open[states[i]!]!;
  }

  apply(runs: Runs, how: "replace" | "add" | "remove"): void {
    const { mask, touchable } = this;
    if (how === "replace") {
      mask.fill(0);
      this.count = 0;
    }
    let count = this.count;
    for (let k = 0; k + 1 < runs.length; k += 2) {
      const end = Math.min(mask.length, runs[k]! + runs[k + 1]!);
      for (let i = Math.max(0, runs[k]!); i < end; i++) {
        const before = mask[i]!;
        const after = how === "remove" ? 0 : before | touchable[i]!;
        count += after - before;
        mask[i] = after;
      }
    }
    this.count = count;
  }

  invert(): void {
    const { mask, touchable } = this;
    let count = 0;
    for (let i = 0; i < mask.length; i++) count += mask[i] = touchable[i]! & ~mask[i]!;
    this.count = count;
  }

  /** The selected chunks as runs, which may cross chunks that cannot be selected. */
  target(): { runs: Runs; count: number; all: boolean } {
    return {
      runs: packMaskOver(this.mask, this.touchable),
      count: this.count,
      all: this.count === this.most,
    };
  }
}

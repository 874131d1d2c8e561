/** Which chunks of a grid are selected. */

import { eachIndex, packMaskOver, type Runs } from "./runs";

export class Selection {
  mask = new Uint8Array(0);
  count = 0;

  /** @param can which chunks may be selected at all */
  constructor(private readonly can: (flat: number) => boolean) {}

  reset(size: number): void {
    this.mask = new Uint8Array(size);
    this.count = 0;
  }

  apply(runs: Runs, how: "replace" | "add" | "remove"): void {
    if (how === "replace") this.mask.fill(0);
    eachIndex(runs, this.mask.length, (i) => {
      if (how === "remove") this.mask[i] = 0;
      else if (this.can(i)) this.mask[i] = 1;
    });
    this.recount();
  }

  invert(): void {
    for (let i = 0; i < this.mask.length; i++) this.mask[i] = this.can(i) && !this.mask[i] ? 1 : 0;
    this.recount();
  }

  /** The selected chunks as runs, which may cross chunks that nobody can select. */
  target(): { runs: Runs; count: number; all: boolean } {
    const touchable = Uint8Array.from(this.mask, (_, i) => (this.can(i) ? 1 : 0));
    let total = 0;
    for (const bit of touchable) total += bit;
    return { runs: packMaskOver(this.mask, touchable), count: this.count, all: total === this.count };
  }

  private recount(): void {
    let count = 0;
    for (const bit of this.mask) count += bit;
    this.count = count;
  }
}

/** What the sides of a conflict are called: mine and theirs in a rebase, source and target in a merge. */

import type { Host } from "../../core/host";
import type { Choice } from "../../core/protocol";
import { RESOLVER_STATES, type StateStyle } from "../common/states";

export interface Words extends Record<Choice, string> {
  /** Who changed something. */
  byOurs: string;
  byTheirs: string;
  /** Before the name of the branch. */
  onto: string;
  complete: string;
  completed: string;
  failed: string;
  nothing: string;
}

const REBASE: Words = {
  ours: "mine",
  theirs: "theirs",
  base: "base",
  byOurs: "me",
  byTheirs: "them",
  onto: "rebase onto ",
  complete: "Complete rebase and commit",
  completed: "Rebased and committed.",
  failed: "The rebase did not complete.",
  nothing: "No conflicts: the session can be rebased and committed as it is.",
};

const MERGE: Words = {
  ours: "source",
  theirs: "target",
  base: "base",
  byOurs: "the source",
  byTheirs: "the target",
  onto: "merge into ",
  complete: "Complete merge and commit",
  completed: "Merged and committed.",
  failed: "The merge did not complete.",
  nothing: "No conflicts: the merge can be committed as it is.",
};

export const wordsOf = (host: Host): Words => (host.get("merging") === true ? MERGE : REBASE);

/** The states of chunks, with the sides as they are called. */
export function statesOf(words: Words): StateStyle[] {
  const label: Record<number, string> = {
    2: `keep ${words.ours}`,
    3: `keep ${words.theirs}`,
    5: `changed only by ${words.byOurs}`,
    6: `changed only by ${words.byTheirs}`,
    7: `merge elements, ${words.ours} where both`,
    8: `merge elements, ${words.theirs} where both`,
  };
  return RESOLVER_STATES.map((style, state) => ({ ...style, label: label[state] ?? style.label }));
}

export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

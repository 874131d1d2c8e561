"""Three-way merges of states: merge, cherry-pick, revert, restore, squash, stash."""

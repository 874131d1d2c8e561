"""The `repo` object of spec 2: branches, tags, commits, settings and the operations log."""

"""Floor 2: the facts of a repository as immutable values; numpy only, no bytes on disk, no I/O."""

"""Floor 4: typed, cached access to the immutable files of a repository."""

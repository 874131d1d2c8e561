"""Read, write and cache the immutable files of a repository (layer 4)."""

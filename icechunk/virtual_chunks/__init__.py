"""Virtual chunks: byte ranges of objects outside the repository (layer 4)."""

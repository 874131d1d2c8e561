"""Floor 4: virtual chunks: byte ranges of objects that lie outside the repository."""

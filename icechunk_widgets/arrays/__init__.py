"""Arrays of a session: geometry, axis labels, chunks, and values as pictures."""

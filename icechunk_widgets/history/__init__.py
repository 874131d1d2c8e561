"""The branch graph, and what can be done from it."""

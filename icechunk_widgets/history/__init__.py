"""The branch graph, and actions on its commits."""

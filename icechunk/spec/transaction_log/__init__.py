"""Transaction logs: what a commit changed."""

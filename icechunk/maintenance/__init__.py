"""Floor 7: long-running work on whole repositories."""

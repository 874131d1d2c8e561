"""Floor 3: what a session has changed and not yet committed; no I/O."""

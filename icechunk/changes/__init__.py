"""Uncommitted changes of a session, and the merge of forks (layer 3); no I/O."""

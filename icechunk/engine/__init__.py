"""Transactions: read, write, flush, commit, amend, rebase, diff (layer 6)."""

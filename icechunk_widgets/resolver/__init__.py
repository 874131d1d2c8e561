"""The conflicts of a rebase, decided by a person."""

"""Commits: many as columns, one with its changes and its hierarchy."""

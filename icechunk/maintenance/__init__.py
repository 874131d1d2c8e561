"""Garbage collection, expiration, migration, rewriting and statistics (layer 7)."""

"""Garbage collection, expiration, migration, rewriting and statistics (layer 8)."""

"""Errors, ids, paths, time, threads and locks (layer 0); nothing specific to Icechunk's data."""

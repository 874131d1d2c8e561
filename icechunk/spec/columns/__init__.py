"""Columns of texts and ids, shared by several files of the format."""

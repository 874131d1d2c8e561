"""Bytes of Icechunk metadata files to model values and back; no I/O happens here."""

"""Drawings of a repository's history as text and SVG (layer 3), without I/O."""

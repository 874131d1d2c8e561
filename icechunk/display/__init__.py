"""Histories and other contents as text and as SVG (layer 3); no I/O."""

"""``python -m icechunk.cli``."""

from __future__ import annotations

from icechunk.cli import main

main()

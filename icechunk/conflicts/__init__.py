"""Conflicts that a rebase meets, and solvers that resolve them; this package does no I/O."""

from icechunk.core.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)

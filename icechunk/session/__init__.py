"""`Session`, the public handle on uncommitted changes, and what its methods return."""

from icechunk.core.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)

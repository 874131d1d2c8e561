"""`Repository`, the public handle on one repository, and what its methods return."""

from icechunk.core.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)

"""Storages: where the objects of a repository are kept; they know nothing of its format.

This is also the public module `icechunk.storage`. A name is imported when it is first used, so that
opening a local repository loads no object store. Type checkers read ``__init__.pyi``.
"""

from icechunk.core.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)

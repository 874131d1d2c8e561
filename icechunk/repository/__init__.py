"""Floor 9: `Repository`, the handle on one repository in one storage."""

from icechunk.repository.repository import Repository

__all__ = ["Repository"]

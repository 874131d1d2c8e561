"""Floor 9: `Repository`, the handle on one repository in one storage."""

from icechunk.repository.repository import Repository
from icechunk.repository.upgrade import upgrade_icechunk_repository

__all__ = ["Repository", "upgrade_icechunk_repository"]

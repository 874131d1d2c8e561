"""`Repository`, the handle on one repository in one storage (layer 9)."""

from icechunk.repository.commit_table import CommitTable
from icechunk.repository.repository import Repository
from icechunk.repository.transaction_log import TransactionLogInfo
from icechunk.repository.upgrade import upgrade_icechunk_repository

__all__ = ["CommitTable", "Repository", "TransactionLogInfo", "upgrade_icechunk_repository"]

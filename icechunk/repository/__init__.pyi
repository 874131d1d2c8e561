"""Public names of `icechunk.repository`."""

from icechunk.repository.commit_table import CommitTable as CommitTable
from icechunk.repository.repository import Repository as Repository
from icechunk.repository.transaction_log import TransactionLogInfo as TransactionLogInfo
from icechunk.repository.upgrade import upgrade_icechunk_repository as upgrade_icechunk_repository

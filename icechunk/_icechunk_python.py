"""Names of the native module of the reference library, for programs that import from it.

Everything here is public elsewhere; import it from `icechunk` and its public modules instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icechunk.core.lazy import attach

if TYPE_CHECKING:
    from icechunk.repository import Repository

__getattr__, __dir__, __all__ = attach(__name__)
__all__ += ["_all_error_kinds", "_upgrade_icechunk_repository", "cli_entrypoint"]


def _all_error_kinds() -> list[str]:
    """Every stable error code."""
    from icechunk.core.errors import ErrorKind

    return [kind.value for kind in ErrorKind]


def _upgrade_icechunk_repository(
    repo: Repository,
    *,
    dry_run: bool = True,
    delete_unused_v1_files: bool = True,
    prefetch_concurrency: int | None = None,
) -> Repository:
    """Upgrade a repository; see `icechunk.upgrade_icechunk_repository`."""
    from icechunk.repository.upgrade import upgrade_icechunk_repository

    return upgrade_icechunk_repository(
        repo,
        dry_run=dry_run,
        delete_unused_v1_files=delete_unused_v1_files,
        prefetch_concurrency=prefetch_concurrency,
    )


def cli_entrypoint() -> Any:
    """Run the command line program ``icechunk``."""
    from icechunk.cli import main

    return main()

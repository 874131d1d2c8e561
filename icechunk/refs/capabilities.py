"""Features that only some spec versions have."""

from __future__ import annotations

from enum import StrEnum
from typing import NoReturn

from icechunk.core.errors import ErrorKind, FormatError


class Capability(StrEnum):
    """A feature that not every spec version has."""

    AMEND = "amending a commit"
    MOVE_NODES = "moving nodes"
    RECTILINEAR_GRIDS = "chunks of different sizes"
    REPO_OBJECT = "operations log, status, metadata and feature flags of the repository"
    """Everything that spec 2 keeps in the repo object besides refs and configuration."""


def refuse(capability: Capability) -> NoReturn:
    """Raise the error for a feature that the repository's spec version lacks.

    Raises
    ------
    FormatError
        Kind ``unsupported-spec-version``.
    """
    raise FormatError(
        "repository version error, this operation requires a repository that is at least version "
        "2.0, please upgrade your on-disk format before executing this operation: "
        f"`icechunk.upgrade_icechunk_repository` does it ({capability.value})",
        ErrorKind.UNSUPPORTED_SPEC_VERSION,
    )

"""The one handle that the engine passes down: a repository's storage, files, truth and settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from icechunk.assets.assets import Assets
from icechunk.config.repository import RepositoryConfig
from icechunk.config.resolve import Settings
from icechunk.ledger.base import Ledger
from icechunk.storage.base import Storage


@dataclass(frozen=True, slots=True)
class RepoContext:
    """Everything that the sessions of one repository handle share.

    Attributes
    ----------
    config : RepositoryConfig
        Effective configuration of the handle (stored one overlaid by the caller's).
    settings : Settings
        The same with every default filled in.
    default_metadata : dict
        Merged under the metadata of every commit made through this handle.
    authorized : dict
        Credentials of the virtual chunk containers that may be read, by URL prefix.
    """

    storage: Storage
    config: RepositoryConfig
    settings: Settings
    assets: Assets
    ledger: Ledger
    default_metadata: dict[str, Any] = field(default_factory=dict)
    authorized: dict[str, Any] = field(default_factory=dict)

"""What a repository says of itself: metadata, status, feature flags, and the log of operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icechunk.config.flags import FeatureFlag, feature_flags
from icechunk.core.runtime import twin
from icechunk.core.streams import AsyncCloseableIterator
from icechunk.engine.context import RepoContext
from icechunk.spec.metadata import json_object
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.status import RepoStatus

if TYPE_CHECKING:
    from icechunk.spec.repo.operations import Update


class Administration:
    """Facts about the repository as a whole; only repositories of spec version 2 keep them."""

    _ctx: RepoContext

    # -- metadata --------------------------------------------------------------------------------

    def get_metadata(self) -> dict[str, Any]:
        """The repository's own metadata, JSON values."""
        return json_object(self._ctx.ref_store.state().metadata)

    @property
    def metadata(self) -> dict[str, Any]:
        """The repository's own metadata, JSON values; a copy."""
        return self.get_metadata()

    def set_metadata(self, metadata: dict[str, Any]) -> None:
        """Replace the repository's own metadata.

        Parameters
        ----------
        metadata : dict
            JSON values.
        """
        given = json_object(metadata)
        self._ctx.ref_store.update(lambda state, stamp: state.with_metadata(given, stamp))

    def update_metadata(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Set some keys of the repository's own metadata, leaving the others.

        Parameters
        ----------
        metadata : dict
            JSON values; nested dicts are replaced, not merged.

        Returns
        -------
        dict
            The whole metadata.
        """
        given = json_object(metadata)
        state = self._ctx.ref_store.update(
            lambda state, stamp: state.with_metadata({**state.metadata, **given}, stamp)
        )
        return json_object(state.metadata)

    # -- status ----------------------------------------------------------------------------------

    def get_status(self) -> RepoStatus:
        """Whether the repository takes changes."""
        return RepoStatus.of(self._ctx.ref_store.state().status)

    @property
    def status(self) -> RepoStatus:
        """Whether the repository takes changes."""
        return self.get_status()

    def set_status(self, status: RepoStatus) -> None:
        """Allow or forbid changes, for every writer.

        Parameters
        ----------
        status : RepoStatus
            E.g. ``RepoStatus(RepoAvailability.read_only, limited_availability_reason="audit")``.
        """
        if not isinstance(status, RepoStatus):
            raise TypeError(f"'{type(status).__name__}' object is not an instance of 'RepoStatus'")
        stored = status.stored()
        self._ctx.ref_store.update(lambda state, stamp: state.with_status(stored, stamp))

    # -- feature flags ---------------------------------------------------------------------------

    def feature_flags(self) -> list[FeatureFlag]:
        """All features that can be switched off, by name."""
        return _flags(self._ctx.ref_store.state())

    def enabled_feature_flags(self) -> list[FeatureFlag]:
        """Features that are on."""
        return [flag for flag in self.feature_flags() if flag.enabled]

    def disabled_feature_flags(self) -> list[FeatureFlag]:
        """Features that are off."""
        return [flag for flag in self.feature_flags() if not flag.enabled]

    def set_feature_flag(self, name: str, setting: bool | None) -> None:
        """Switch a feature on or off for every user of the repository.

        Parameters
        ----------
        name : str
            ``move_node``, ``create_tag`` or ``delete_tag``.
        setting : bool or None
            None returns to the default.

        Raises
        ------
        InvalidInputError
            Kind ``invalid-feature-flag``.
        """
        if setting is not None and not isinstance(setting, bool):
            raise TypeError(f"'{type(setting).__name__}' object is not an instance of 'bool'")
        self._ctx.ref_store.update(lambda state, stamp: state.with_flag(name, setting, stamp))

    # -- operations ------------------------------------------------------------------------------

    def ops_log(self) -> AsyncCloseableIterator[Update]:
        """Every change of the repository, newest first.

        Returns
        -------
        AsyncCloseableIterator of Update
            For ``for`` and ``async for``.
        """
        # Loaded when asked for: imports cost everybody.
        from icechunk.engine.operations import operations
        from icechunk.spec.repo.operations import Update

        return AsyncCloseableIterator(map(Update.of, operations(self._ctx)))

    def ops_log_async(self) -> AsyncCloseableIterator[Update]:
        """Every change of the repository, newest first, for ``async for``."""
        return self.ops_log()

    get_metadata_async = twin(get_metadata)
    set_metadata_async = twin(set_metadata)
    update_metadata_async = twin(update_metadata)
    get_status_async = twin(get_status)
    set_status_async = twin(set_status)
    feature_flags_async = twin(feature_flags)
    enabled_feature_flags_async = twin(enabled_feature_flags)
    disabled_feature_flags_async = twin(disabled_feature_flags)
    set_feature_flag_async = twin(set_feature_flag)


def _flags(state: RepoState) -> list[FeatureFlag]:
    flags = feature_flags(state.flags_enabled, state.flags_disabled)
    return sorted(flags, key=lambda flag: flag.name)

"""The `repo` object of spec 2: bytes to `RepoState` and back.

Icechunk spec 2, repo info, table ``Repo``: 0 spec_version, 1 tags, 2 branches, 3 deleted_tags, 4
snapshots, 5 status, 6 metadata, 7 latest_updates, 8 repo_before_updates, 9 config, 10
enabled_feature_flags, 11 disabled_feature_flags, 12 extra.

`extra` is carried along as bytes, fields that a later minor version adds to ``Repo`` by
`flatbuffers/unknown_fields.py`, unknown feature flags by their numbers, updates of unknown kinds in
the copy of the object that the operations log goes on in.  What a later version adds to the tables
below (refs, snapshots, updates, status) is dropped when the object is written again, as the
reference library does, and a warning is logged: whether four unknown bytes are a number or the way
to something cannot be known, and tables that move cannot reach back to where they were, as the
root table does (a vtable spans 64 KiB).  Metadata values are FlexBuffers whatever the version of
the snapshot files.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.core.errors import ErrorKind, FormatError
from icechunk.spec.columns.text_pool import TextPool
from icechunk.spec.envelope import FileType, pack, unpack
from icechunk.spec.flatbuffers import flex
from icechunk.spec.flatbuffers.columns import TableColumn
from icechunk.spec.flatbuffers.read import Body
from icechunk.spec.flatbuffers.unknown_fields import read_unknown, root_with_unknown
from icechunk.spec.flatbuffers.write import Builder, ref, u8, u64
from icechunk.spec.repo.refs import RefNames, Refs
from icechunk.spec.repo.snapshot_rows import offset_vector, read_rows, write_rows
from icechunk.spec.repo.snapshot_table import LATEST_US
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import check_decreasing, read_updates, write_updates
from icechunk.spec.repo.updates import RepoStatusValue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.spec.flatbuffers.read import Table
    from icechunk.spec.flatbuffers.write import Field
    from icechunk.spec.repo.snapshot_table import SnapshotTable

SPEC_VERSION = 2

_KNOWN_BELOW = {"tags": 2, "branches": 2, "snapshots": 6, "updates": 4, "status": 3}
"""Fields of the tables below the root in spec 2.1."""

_log = logging.getLogger(__name__)

KNOWN_SLOTS = 13
"""Fields of the ``Repo`` table in spec 2.1."""


def decode_repo(data: bytes, *, name: str = "repo") -> RepoState:
    """State of a repository from its `repo` object.

    Parameters
    ----------
    data : bytes
        The whole object.
    name : str
        Its name, for error messages.

    Raises
    ------
    FormatError
        When the bytes are damaged, of another file type or of a newer spec version.
    """
    body = Body(unpack(data, FileType.REPO_INFO, name=name).body, name)
    root = body.root()
    version = root.u8(0)
    if version > SPEC_VERSION:
        raise FormatError(
            f"this repository uses Icechunk format version {version}, but this library only "
            f"supports up to version {SPEC_VERSION}. Please upgrade the icechunk library",
            ErrorKind.UNSUPPORTED_SPEC_VERSION,
        )
    slots = {"tags": 1, "branches": 2, "snapshots": 4, "updates": 7}
    tables = {what: TableColumn.of_vector(root, slot) for what, slot in slots.items()}
    snapshots = read_rows(tables["snapshots"])
    updates = read_updates(tables["updates"])
    if not check_decreasing(updates.times):
        body.fail("the times of the operations log do not decrease")
    config = root.opt_bytes_vector(9)
    _warn_of_unknown(tables, root, name)
    return RepoState(
        branches=_read_refs(root, tables, "branches", snapshots),
        tags=_read_refs(root, tables, "tags", snapshots),
        deleted_tags=frozenset(root.string_vector(3)),
        snapshots=snapshots,
        status=_read_status(root.table(5)),
        updates=updates,
        metadata=_read_metadata(root),
        updates_before=root.opt_string(8),
        config=None if config is None else _as_dict(body, flex.decode(config, name=name)),
        flags_enabled=_read_flags(root, 10),
        flags_disabled=_read_flags(root, 11),
        extra=root.opt_bytes_vector(12),
        spec_version=version,
        unknown=read_unknown(root, KNOWN_SLOTS),
    )


def _warn_of_unknown(tables: Mapping[str, TableColumn], root: Table, name: str) -> None:
    """Log which tables below the root have fields that the next change will drop."""
    found = [what for what, rows in tables.items() if rows.has_beyond(_KNOWN_BELOW[what])]
    if root.table(5).fields_from(_KNOWN_BELOW["status"]):
        found.append("status")
    if found:
        _log.warning(
            "`%s` holds fields of %s that a newer version of Icechunk wrote: the next change made "
            "by this library drops them; update it before you change the repository",
            name,
            ", ".join(found),
        )


def _read_refs(
    root: Table, tables: Mapping[str, TableColumn], what: str, snapshots: SnapshotTable
) -> Refs:
    """Names and targets of branches or tags."""
    rows = tables[what]
    rows.require(0)
    index = rows.u32(1)
    if len(index) and int(index.max()) >= len(snapshots):
        root.fail(f"one of the {what} points to a snapshot that does not exist")
    names = [root.body.string_at(at) for at in rows.targets(0).tolist()]
    if len(set(names)) != len(names):
        root.fail(f"two of the {what} have one name")
    order = sorted(range(len(names)), key=names.__getitem__)
    return Refs.of_columns(RefNames([names[row] for row in order]), snapshots.ids[index[order]])


def _read_status(table: Table) -> RepoStatusValue:
    set_at = table.u64(1)
    if set_at > LATEST_US:
        table.fail("invalid timestamp in file")
    return RepoStatusValue(table.u8(0), set_at, table.opt_string(2))


def _read_metadata(root: Table) -> dict[str, Any]:
    items = root.opt_vector_of_tables(6) or []
    name = root.body.name
    return {item.string(0): flex.decode(item.bytes_vector(1), name=name) for item in items}


def _read_flags(root: Table, slot: int) -> frozenset[int]:
    raw = root.opt_struct_vector(slot, 2)
    return frozenset() if raw is None else frozenset(np.frombuffer(raw, "<u2").tolist())


def _as_dict(body: Body, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        body.fail("the configuration is not a map")
    return value


def encode_repo(state: RepoState, *, level: int = 3) -> bytes:
    """Bytes of the `repo` object of a state.

    Parameters
    ----------
    state : RepoState
        What to write.
    level : int
        zstd compression level.

    Raises
    ------
    FormatError
        When the state cannot be written: beyond 2 GiB, or with updates of unknown kinds.
    """
    builder = Builder()
    fields = repo_fields(builder, state)
    root = root_with_unknown(builder, fields, state.unknown, "repo")
    body = builder.finish_parts(root)
    return pack(FileType.REPO_INFO, state.spec_version, body, level, records=True)


def repo_fields(builder: Builder, state: RepoState) -> dict[int, Field]:
    """Fields of the ``Repo`` table by slot; what they refer to is added to the builder."""
    snapshots = builder.block(*write_rows(state.snapshots))
    updates = builder.block(*write_updates(state.updates))
    config = None if state.config is None else builder.bytes_vector(flex.encode(state.config))
    before = None if state.updates_before is None else builder.string(state.updates_before)
    extra = None if state.extra is None else builder.bytes_vector(state.extra)
    return {
        0: u8(state.spec_version),
        1: ref(_write_refs(builder, state.tags, state.snapshots)),
        2: ref(_write_refs(builder, state.branches, state.snapshots)),
        3: ref(_write_names(builder, state.deleted_tags)),
        4: ref(snapshots),
        5: ref(_write_status(builder, state.status)),
        6: ref(_write_metadata(builder, state.metadata)),
        7: ref(updates),
        8: ref(before),
        9: ref(config),
        10: ref(_write_flags(builder, state.flags_enabled)),
        11: ref(_write_flags(builder, state.flags_disabled)),
        12: ref(extra),
    }


_REF = np.dtype([("soffset", "<i4"), ("name", "<u4"), ("snapshot", "<u4")])
_REF_VTABLE = np.array([8, _REF.itemsize, 4, 8], "<u2").view(np.uint8)


def _write_refs(builder: Builder, refs: Refs, snapshots: SnapshotTable) -> int:
    """Vector of branches or tags, sorted by name.

    When the names are unchanged, their block is copied and only the snapshots' rows are written.
    """
    names, count = refs.names, len(refs)
    if not count:
        return builder.offset_vector([])
    index = snapshots.find_all(refs.ids)
    if (index < 0).any():
        missing = names.listed[int(np.flatnonzero(index < 0)[0])]
        raise FormatError(
            f"ref `{missing}` points to a snapshot that the repository does not list. "
            "Point it elsewhere.",
            ErrorKind.SERIALIZATION,
        )
    if names.encoded is None:
        names.encoded = _encoded_names(names.listed)
    block, first = names.encoded
    block = block.copy()
    block[first : first + _REF.itemsize * count].view(_REF)["snapshot"] = index
    return builder.block(block.data, len(_REF_VTABLE))


def _encoded_names(names: list[str]) -> tuple[NDArray[np.uint8], int]:
    """Block with a table for each name, and the position of the first of them."""
    texts = TextPool.from_raw(name.encode() for name in names)
    at = len(_REF_VTABLE)
    first = at + (4 + 4 * len(names) + 7) // 8 * 8
    row_at = first + _REF.itemsize * np.arange(len(names))
    texts_at = first + _REF.itemsize * len(names)
    records = np.zeros(len(names), _REF)
    records["soffset"] = row_at
    records["name"] = texts.start + (texts_at - 4 - 4) - row_at
    pieces = (_REF_VTABLE, offset_vector(at, row_at), records.view(np.uint8), texts.data)
    return np.concatenate([np.frombuffer(piece, np.uint8) for piece in pieces]), first


def _write_names(builder: Builder, names: Iterable[str]) -> int:
    ordered = sorted(names, key=str.encode)
    return builder.offset_vector([builder.string(name) for name in ordered])


def _write_status(builder: Builder, status: RepoStatusValue) -> int:
    reason = None if status.reason is None else builder.string(status.reason)
    return builder.table({0: u8(status.availability), 1: u64(status.set_at), 2: ref(reason)})


def _write_metadata(builder: Builder, metadata: Mapping[str, Any]) -> int | None:
    if not metadata:
        return None
    return builder.offset_vector(
        [
            builder.table(
                {
                    0: ref(builder.string(name)),
                    1: ref(builder.bytes_vector(flex.encode(metadata[name]))),
                }
            )
            for name in sorted(metadata, key=str.encode)
        ]
    )


def _write_flags(builder: Builder, flags: frozenset[int]) -> int | None:
    if not flags:
        return None
    return builder.struct_vector(np.array(sorted(flags), "<u2").tobytes(), len(flags), 2)

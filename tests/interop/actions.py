"""What the interop tests do to a repository; runs with our library and with the reference.

Both sides execute this very file, so that a difference in an outcome is one of the libraries.  It
imports nothing of this project.  Commands and results are JSON values; every command opens the
repository again unless it names a session that an earlier one left open.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import Any

from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

import icechunk as ic

_PROTOTYPE = default_buffer_prototype()
_sessions: dict[str, Any] = {}


def _open(root: str) -> Any:
    return ic.Repository.open(ic.local_filesystem_storage(root))


def _open_with_files(root: str, folder: str) -> Any:
    """Open so that virtual chunks in the files of a folder can be read."""
    prefix = f"file://{folder}/"
    config = ic.RepositoryConfig.default()
    container = ic.VirtualChunkContainer(prefix, ic.local_filesystem_store(folder))
    config.set_virtual_chunk_container(container)
    access = ic.containers_credentials({prefix: None})
    return ic.Repository.open(ic.local_filesystem_storage(root), config, access)


def _buffer(payload: bytes) -> Any:
    return _PROTOTYPE.buffer.from_bytes(payload)


# -- documents -----------------------------------------------------------------------------------


def group_doc(**attributes: Any) -> str:
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    return json.dumps(document)


def array_doc(
    shape: list[int], chunks: list[Any], *, rectilinear: bool = False, **extra: Any
) -> str:
    regular = {"name": "regular", "configuration": {"chunk_shape": chunks}}
    uneven = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": chunks}}
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": "uint8",
        "chunk_grid": uneven if rectilinear else regular,
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
        "attributes": {},
        **extra,
    }
    return json.dumps(document)


# -- content -------------------------------------------------------------------------------------


async def _apply(store: Any, drops: list[str], puts: dict[str, str], wipes: list[str]) -> None:
    for path in wipes:
        await store.delete_dir(path)
    for key in drops:
        await store.delete(key)
    for key, text in puts.items():
        await store.set(key, _buffer(text.encode("latin-1")))


def content_digest(content: dict[str, bytes], count: int | None = None) -> dict[str, Any]:
    """Digest of keys and bytes, one per node so that a failure says where."""
    nodes: dict[str, Any] = {}
    for key in sorted(content):
        node = key.rpartition("zarr.json")[0] if key.endswith("zarr.json") else _node_of(key)
        entry = nodes.setdefault(node.strip("/"), hashlib.sha256())
        entry.update(key.encode() + b"\0" + content[key] + b"\0")
    return {"count": len(content) if count is None else count} | {
        node: entry.hexdigest()[:16] for node, entry in nodes.items()
    }


def _node_of(key: str) -> str:
    parts = key.split("/")
    return "/".join(parts[: len(parts) - 1 - parts[::-1].index("c")])


async def _content(store: Any, sample: int) -> tuple[int, dict[str, bytes]]:
    keys = sorted([key async for key in store.list()])
    chunks = [key for key in keys if not key.endswith("zarr.json")]
    step = max(1, len(chunks) // sample)
    wanted = [key for key in keys if key.endswith("zarr.json")] + chunks[::step]
    found = {}
    for key in wanted:
        value = await store.get(key, _PROTOTYPE)
        found[key] = b"<missing>" if value is None else value.to_bytes()
    return len(keys), found


def digest(
    root: str, snapshot: str, sample: int = 10**9, folder: str | None = None
) -> dict[str, Any]:
    """Digest of what a snapshot holds; of at most about `sample` of its chunks."""
    repo = _open(root) if folder is None else _open_with_files(root, folder)
    store = repo.readonly_session(snapshot_id=snapshot).store
    count, content = sync(_content(store, sample))
    return content_digest(content, count)


def facts(root: str) -> dict[str, Any]:
    """Refs and histories."""
    repo = _open(root)
    branches = {name: repo.lookup_branch(name) for name in repo.list_branches()}
    tags = {name: repo.lookup_tag(name) for name in repo.list_tags()}
    histories = {}
    for target in sorted({*branches.values(), *tags.values()}):
        histories[target] = [
            [info.id, info.parent_id, info.written_at.isoformat(), info.message, info.metadata]
            for info in repo.ancestry(snapshot_id=target)
        ]
    return {"branches": branches, "tags": tags, "histories": histories}


def difference(root: str, before: str, after: str) -> dict[str, Any]:
    """A diff, in plain values."""
    found = _open(root).diff(from_snapshot_id=before, to_snapshot_id=after)
    names = "new_groups", "new_arrays", "deleted_groups", "deleted_arrays"
    names += "updated_groups", "updated_arrays"
    plain: dict[str, Any] = {name: sorted(getattr(found, name)) for name in names}
    plain["chunks"] = {
        path: sorted(map(list, indices)) for path, indices in found.updated_chunks.items()
    }
    return plain


# -- changes -------------------------------------------------------------------------------------


def create(
    root: str,
    spec: int,
    threshold: int | None = None,
    split: int | None = None,
    updates: int | None = None,
) -> None:
    """Make a repository, perhaps with manifests of at most `split` chunks along each axis.

    `updates` is how many operations its list holds before the older ones stay in former lists.
    """
    config = ic.RepositoryConfig(inline_chunk_threshold_bytes=threshold)
    if updates is not None:
        config.num_updates_per_repo_info_file = updates
    if split is not None:
        sizes = {ic.ManifestSplitCondition.AnyArray(): {ic.ManifestSplitDimCondition.Any(): split}}
        config.manifest = ic.ManifestConfig(splitting=ic.ManifestSplittingConfig.from_dict(sizes))
    extra = {} if ic.__version__.startswith("1.") else {"spec_version": spec}
    ic.Repository.create(ic.local_filesystem_storage(root), config, **extra)


def begin(root: str, branch: str, name: str, **changes: Any) -> None:
    """Open a session, change things in it, and leave it open under a name."""
    session = _open(root).writable_session(branch)
    _sessions[name] = session
    change(name, **changes)


def change(
    name: str,
    puts: dict[str, str] | None = None,
    drops: list[str] | None = None,
    wipes: list[str] | None = None,
) -> None:
    """Change things in an open session: wipe nodes, then drop keys, then put texts (Latin-1)."""
    sync(_apply(_sessions[name].store, drops or [], puts or {}, wipes or []))


def finish(name: str, message: str, metadata: Any = None, how: str = "commit") -> str:
    """Commit an open session: plainly, rebasing, amending, empty or without a branch."""
    session = _sessions.pop(name)
    if how == "rebase":
        solver = ic.BasicConflictSolver()
        return str(session.commit(message, metadata, rebase_with=solver))
    if how == "amend":
        return str(session.amend(message, metadata=metadata))
    if how == "flush":
        return str(session.flush(message, metadata=metadata))
    if how == "empty":
        return str(session.commit(message, metadata, allow_empty=True))
    return str(session.commit(message, metadata))


def commit(root: str, branch: str, message: str, metadata: Any = None, **changes: Any) -> str:
    how = changes.pop("how", "commit")
    begin(root, branch, "only", **changes)
    return finish("only", message, metadata, how)


def refer(name: str, path: str, rows: list[list[Any]]) -> None:
    """Let chunks be ranges of files: rows of index, URL, offset, length and perhaps an ETag."""
    spec = getattr(ic, "VirtualChunkSpec", None)
    if spec is None:
        from icechunk.virtual import VirtualChunkSpec as spec
    specs = [spec(*row) for row in rows]
    options = {"validate_containers": False}
    assert _sessions[name].store.set_virtual_refs(path, specs, **options) is None


def refer_many(name: str, path: str, url: str, length: int, count: int) -> None:
    """Let the first chunks of a one-dimensional array be consecutive ranges of a file."""
    refer(name, path, [[[n], url, n * length, length] for n in range(count)])


def move(root: str, branch: str, moves: list[list[str]], message: str) -> str:
    session = _open(root).rearrange_session(branch)
    for source, target in moves:
        session.move(source, target)
    return str(session.commit(message))


def ref(root: str, act: str, name: str, target: str | None = None) -> None:
    """create_branch, delete_branch, reset_branch, create_tag or delete_tag."""
    arguments = [name] if target is None else [name, target]
    getattr(_open(root), act)(*arguments)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def expire(root: str) -> list[str]:
    return sorted(_open(root).expire_snapshots(_now()))


def collect(root: str) -> None:
    _open(root).garbage_collect(_now())


def upgrade(root: str) -> None:
    ic.upgrade_icechunk_repository(_open(root), dry_run=False)


def save_config(root: str, threshold: int) -> None:
    config = ic.RepositoryConfig(inline_chunk_threshold_bytes=threshold)
    ic.Repository.open(ic.local_filesystem_storage(root), config).save_config()


def threshold(root: str) -> int | None:
    config = ic.Repository.fetch_config(ic.local_filesystem_storage(root))
    return None if config is None else config.inline_chunk_threshold_bytes


def administer(root: str, act: str, arguments: list[Any]) -> None:
    """set_metadata, update_metadata, set_feature_flag, or set_status by the name of a status."""
    if act == "set_status":
        availability = getattr(ic.RepoAvailability, arguments[0])
        arguments = [ic.RepoStatus(availability, limited_availability_reason=arguments[1])]
    getattr(_open(root), act)(*arguments)


def rewrite(root: str, branch: str, message: str) -> str:
    return str(_open(root).rewrite_manifests(message, branch=branch))


_ENTRY = "name", "branch", "previous_snap_id", "new_snap_id", "id", "new_value", "is_set"


def log(root: str) -> list[Any]:
    """The operations log: time, kind, fields and backup of every entry."""
    return [
        [
            entry.updated_at.isoformat(),
            type(entry.kind).__name__.split("_")[-1],
            {name: getattr(entry.kind, name) for name in _ENTRY if hasattr(entry.kind, name)},
            entry.backup_path,
        ]
        for entry in _open(root).ops_log()
    ]


def says(root: str) -> dict[str, Any]:
    """What a repository of spec 2 says of itself."""
    repo = _open(root)
    return {
        "metadata": repo.metadata,
        "status": [int(repo.status.availability), repo.status.limited_availability_reason],
        "flags": {flag.name: flag.setting for flag in repo.feature_flags()},
    }


def abilities() -> dict[str, bool]:
    """What this library's interface offers beyond the common part."""
    return {
        "amend": hasattr(ic.Session, "amend"),
        "move": hasattr(ic.Repository, "rearrange_session"),
        "expire": hasattr(ic.Repository, "expire_snapshots"),
        "collect": hasattr(ic.Repository, "garbage_collect"),
        "upgrade": hasattr(ic, "upgrade_icechunk_repository"),
        "log": hasattr(ic.Repository, "ops_log"),
        "rewrite": hasattr(ic.Repository, "rewrite_manifests"),
    }


def run(command: dict[str, Any]) -> Any:
    """Carry out ``{"do": name, arguments...}``."""
    arguments = dict(command)
    return globals()[arguments.pop("do")](**arguments)

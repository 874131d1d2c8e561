"""Repo objects and snapshots exchanged with the reference library, in both directions."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from icechunk.core.clock import now_us, to_datetime
from icechunk.core.ids import ObjectId, id_text, parse_object_id
from icechunk.spec.dialect import V1
from icechunk.spec.refs_v1 import branch_key, decode_ref, encode_ref, tombstone_key
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.codec import decode_repo, encode_repo
from icechunk.spec.repo.feature_flags import FLAG_IDS
from icechunk.spec.repo.refs import Refs
from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp, UpdateLog
from icechunk.spec.repo.updates import RepoStatusValue, Update
from icechunk.spec.snapshot.codec import decode_snapshot, encode_snapshot, initial_snapshot
from icechunk.spec.transaction_log.codec import encode_transaction_log
from icechunk.spec.transaction_log.log import TransactionLog
from tests.oracle import run_reference

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.oracle

#: metadata that the reference stores in every FlexBuffers form it has
VALUES: dict[str, Any] = {
    "null": None,
    "ints": [1, -300, 70_000, -(2**40), 2**64 - 1],
    "bytes": [1, 2, 255],
    "negative": [-1, -2, -3, -4, -5],
    "wide": [2**40, 1],
    "two": [1, 2],
    "four": [0.5, 1.5, 2.5, 3.5],
    "floats": [0.5, 0.1, 1e300, -0.0, 2.5],
    "exact": 0.5,
    "inexact": 0.1,
    "bools": [True, False, True],
    "bool": True,
    "texts": ["a", "", "ü" * 300],
    "empty": {},
    "nothing": [],
    "mixed": [None, 1, "x", 2.5, [True], {"k": [1, {"é": None}]}],
    "map": {"b": 1, "a": {"z": [1.5, None]}, "": 0},
    "long": list(range(-200, 200)),
}

#: what the reference can tell about a repository
TELL = """
import datetime
import icechunk as ic

def micros(when):
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (when - epoch) // datetime.timedelta(microseconds=1)

def tell(repo):
    def snapshot(info):
        return [info.id, info.parent_id, micros(info.written_at), info.message, info.metadata]

    def update(entry):
        kind = entry.kind
        fields = {}
        for name in ("name", "branch", "previous_snap_id", "new_snap_id", "id", "new_value",
                     "from_version", "to_version"):
            if hasattr(kind, name):
                value = getattr(kind, name)
                fields[name] = str(value) if name.endswith("version") else value
        name = type(kind).__name__.split("_")[-1]
        return [name, fields, micros(entry.updated_at), entry.backup_path]

    branches = {name: repo.lookup_branch(name) for name in repo.list_branches()}
    tags = {name: repo.lookup_tag(name) for name in repo.list_tags()}
    history = {}
    for tip in (*branches.values(), *tags.values()):
        for info in repo.ancestry(snapshot_id=tip):
            history[info.id] = snapshot(info)
    status = repo.status
    return {
        "branches": branches,
        "tags": tags,
        "history": history,
        "log": [update(entry) for entry in repo.ops_log()],
        "metadata": repo.metadata,
        "flags": {flag.name: flag.setting for flag in repo.feature_flags()},
        "status": [int(status.availability), status.limited_availability_reason],
    }

def opened(path):
    return ic.Repository.open(ic.local_filesystem_storage(path))
"""

WORK = """
import datetime, zarr

def commit(repo, branch, message, metadata=None, amend=False, value=1):
    session = repo.writable_session(branch)
    zarr.open_array(session.store, path="a", mode="r+")[0, 0] = value
    return (session.amend if amend else session.commit)(message, metadata=metadata)

repo = opened(args[0])
session = repo.writable_session("main")
group = zarr.group(session.store)
names = ["x", None]
group.create_array("a", shape=(10, 4), chunks=(3, 2), dtype="i4", dimension_names=names)[:] = 1
group.create_array("scalar", shape=(), dtype="f8")
group.create_group("g/h")
first = session.commit("first", metadata=args[1])
second = commit(repo, "main", "wörld \\n" * 20, value=2)
repo.create_branch("dev", first)
repo.create_branch("a/ü", first)
repo.create_branch("doomed", first)
repo.reset_branch("dev", second)
repo.delete_branch("doomed")
repo.create_tag("v1", first)
repo.create_tag("gone", first)
repo.delete_tag("gone")
commit(repo, "dev", "amended", amend=True, value=3)
session = repo.writable_session("dev")
zarr.open_array(session.store, path="a", mode="r+")[0, 0] = 5
session.flush("detached")
repo.set_metadata(args[1])
repo.set_feature_flag("move_node", True)
repo.set_feature_flag("create_tag", False)
repo.set_feature_flag("delete_tag", None)
repo.save_config()
repo.set_status(ic.RepoStatus(ic.RepoAvailability.read_only, limited_availability_reason="weil ü"))
repo.set_status(ic.RepoStatus(ic.RepoAvailability.online))
long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
repo.expire_snapshots(long_ago)
repo.garbage_collect(long_ago)
result = tell(opened(args[0]))
"""


def make_repository(root: Path) -> None:
    """Repository made of bytes alone: first snapshot, its log, and the repo object."""
    for folder in ("snapshots", "transactions"):
        (root / folder).mkdir(parents=True)
    snapshot = initial_snapshot(now_us())
    name = id_text(snapshot.id)
    (root / "snapshots" / name).write_bytes(encode_snapshot(snapshot))
    log = encode_transaction_log(TransactionLog(snapshot.id))
    (root / "transactions" / name).write_bytes(log)
    record = SnapshotRecord(
        snapshot.id, None, snapshot.flushed_at, snapshot.message, snapshot.metadata
    )
    state = RepoState.initial(record, None, snapshot.flushed_at + 1)
    (root / "repo").write_bytes(encode_repo(state))


def load(root: Path) -> RepoState:
    return decode_repo((root / "repo").read_bytes())


def told(state: RepoState) -> dict[str, Any]:
    """Our view of a state, in the words of `TELL`."""

    def snapshot(record: SnapshotRecord) -> list[Any]:
        parent = None if record.parent_id is None else id_text(record.parent_id)
        return [id_text(record.id), parent, record.flushed_at, record.message, record.metadata]

    def update(entry: Update) -> list[Any]:
        kind = entry.kind
        content: dict[str, Any] = {}
        for name in kind.__match_args__:
            value = getattr(kind, name)
            if isinstance(value, RepoStatusValue):
                continue
            if name.endswith("version"):
                value = str(value)
            content[name] = id_text(value) if isinstance(value, bytes) else value
        return [type(kind).__name__, content, entry.updated_at, entry.backup_path]

    tips = [*state.branches.values(), *state.tags.values()]
    return {
        "branches": {name: id_text(tip) for name, tip in state.branches.items()},
        "tags": {name: id_text(target) for name, target in state.tags.items()},
        "history": {id_text(r.id): snapshot(r) for tip in tips for r in state.ancestry(tip)},
        "log": [update(entry) for entry in state.updates],
        "metadata": state.metadata,
        "flags": {
            name: True
            if number in state.flags_enabled
            else False
            if number in state.flags_disabled
            else None
            for name, number in FLAG_IDS.items()
        },
        "status": [state.status.availability, state.status.reason],
    }


@pytest.fixture(scope="module")
def worked_on(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Repository we made and the reference worked on; what the reference says of it."""
    root = tmp_path_factory.mktemp("worked")
    make_repository(root)
    return root, run_reference(TELL + WORK, root, VALUES)


def test_the_reference_works_on_a_repository_we_made(
    worked_on: tuple[Path, dict[str, Any]],
) -> None:
    root, theirs = worked_on
    state = load(root)
    assert told(state) == theirs
    kinds = {type(update.kind).TAG for update in state.updates}
    assert kinds == set(range(1, 17)) - {2}
    assert state.deleted_tags == {"gone"}
    assert state.config is not None
    assert state.snapshot(state.tag_target("v1")).metadata == VALUES  # type: ignore[union-attr]


def test_the_reference_goes_on_from_what_we_wrote(
    worked_on: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    root, theirs = worked_on
    (tmp_path / "snapshots").symlink_to(root / "snapshots")
    (tmp_path / "transactions").symlink_to(root / "transactions")
    (tmp_path / "manifests").symlink_to(root / "manifests")
    (tmp_path / "repo").write_bytes(encode_repo(load(root)))
    code = """
    repo = opened(args[0])
    before = tell(repo)
    repo.writable_session("dev").commit("later", allow_empty=True, metadata={"n": 1})
    repo.reset_branch("main", before["tags"]["v1"])
    result = [before, tell(opened(args[0]))]
    """

    before, after = run_reference(TELL + textwrap.dedent(code), tmp_path)
    assert before == theirs
    state = load(tmp_path)
    assert told(state) == after
    assert state.branch_tip("main") == state.tag_target("v1")


def test_snapshots_of_the_reference(worked_on: tuple[Path, dict[str, Any]]) -> None:
    root, _ = worked_on
    state = load(root)
    for record in state.ancestry(state.branch_tip("dev")):
        name = id_text(record.id)
        data = (root / "snapshots" / name).read_bytes()
        snapshot = decode_snapshot(data, name=name)
        assert (snapshot.id, snapshot.flushed_at, snapshot.message, snapshot.metadata) == (
            record.id,
            record.flushed_at,
            record.message,
            record.metadata,
        )
        assert decode_snapshot(encode_snapshot(snapshot), name=name) == snapshot
    tagged = id_text(state.tag_target("v1"))
    data = (root / "snapshots" / tagged).read_bytes()
    nodes = decode_snapshot(data, name=tagged).nodes
    assert [node.path for node in nodes] == ["/", "/a", "/g", "/g/h", "/scalar"]
    node = nodes.get("/a")
    assert node is not None
    assert node.array is not None
    assert (node.array.shape, node.array.num_chunks) == ((10, 4), (4, 2))
    assert node.array.dimension_names == ("x", None)
    assert node.array.manifests[0].extents == ((0, 4), (0, 2))
    scalar = nodes.get("/scalar")
    assert scalar is not None
    assert scalar.array is not None
    assert (scalar.array.shape, scalar.array.dimension_names) == ((), None)


def test_the_reference_reads_every_kind_of_update(tmp_path: Path) -> None:
    make_repository(tmp_path)
    state = load(tmp_path)
    tip = state.branch_tip("main")
    other = ObjectId(b"a snapshot..")
    kinds: list[u.UpdateKind] = [
        u.ExpirationRan(),
        u.RepoStatusChanged(RepoStatusValue(u.READ_ONLY, 1_600_000_000_000_000, "weil ü")),
        u.RepoStatusChanged(RepoStatusValue(u.ONLINE, 1_600_000_000_000_000)),
        u.FeatureFlagChanged(3, True),
        u.FeatureFlagChanged(4, False),
        u.FeatureFlagChanged(5, None),
        u.GCRan(),
        u.NewDetachedSnapshot(other),
        u.CommitAmended("main", other, tip),
        u.NewCommit("a/ü", tip),
        u.BranchReset("", other),
        u.BranchDeleted("x" * 300, other),
        u.BranchCreated("b"),
        u.TagDeleted("t", other),
        u.TagCreated("t"),
        u.MetadataChanged(),
        u.ConfigChanged(),
        u.RepoMigrated(1, 2),
        u.RepoInitialized(),
    ]
    now = now_us()
    updates = [Update(kind, now - k, f"repo.{k}" if k else None) for k, kind in enumerate(kinds)]
    log = UpdateLog.from_updates(updates)
    (tmp_path / "repo").write_bytes(encode_repo(replace(state, updates=log)))
    code = """
    repo = opened(args[0])
    result = [tell(repo)["log"], [str(entry.kind) for entry in repo.ops_log()]]
    """
    theirs, texts = run_reference(TELL + textwrap.dedent(code), tmp_path)
    assert theirs == told(replace(state, updates=log))["log"]
    when = to_datetime(1_600_000_000_000_000).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert f'set_at={when}, limited_availability_reason=Some("weil ü")' in texts[1]
    assert "availability=ReadOnly" in texts[1]
    assert "availability=Online" in texts[2]


def test_the_reference_follows_the_log_into_our_backups(tmp_path: Path) -> None:
    make_repository(tmp_path)
    (tmp_path / "overwritten").mkdir()
    state = load(tmp_path)
    for k in range(9):
        backup = f"repo.{10**13 - k:014}.{'0' * 19}{k}"
        (tmp_path / "overwritten" / backup).write_bytes(encode_repo(state))
        at = state.updates[0].updated_at + 1
        state = state.with_metadata({"k": k}, Stamp(at, backup, 3))
    (tmp_path / "repo").write_bytes(encode_repo(state))
    log = run_reference(TELL + "result = tell(opened(args[0]))['log']", tmp_path)
    assert [entry[0] for entry in log] == ["MetadataChanged"] * 9 + ["RepoInitialized"]


def test_the_log_of_the_reference_is_followed_the_same_way(tmp_path: Path) -> None:
    code = """
    config = ic.RepositoryConfig(num_updates_per_repo_info_file=3)
    repo = ic.Repository.create(ic.local_filesystem_storage(args[0]), config=config)
    for k in range(9):
        repo.set_metadata({"k": k})
    result = tell(repo)["log"]
    """

    theirs = run_reference(TELL + textwrap.dedent(code), tmp_path)
    entries: list[Any] = []
    state = load(tmp_path)
    while True:
        entries += told(state)["log"]
        if state.updates_before is None:
            break
        backup = tmp_path / "overwritten" / state.updates_before
        state = decode_repo(backup.read_bytes())
    assert [entry[:3] for entry in entries] == [entry[:3] for entry in theirs]


def test_an_expired_history_and_its_pruned_logs(tmp_path: Path) -> None:
    code = """
    import datetime, time
    repo = ic.Repository.create(ic.local_filesystem_storage(args[0]))
    ids = []
    for k in range(6):
        ids.append(repo.writable_session("main").commit(f"s{k}", allow_empty=True))
    repo.create_tag("t1", ids[1])
    repo.create_branch("old", ids[2])
    cutoff = repo.lookup_snapshot(ids[4]).written_at
    expired = sorted(repo.expire_snapshots(cutoff))
    result = [ids, expired, tell(repo)]
    """

    ids, expired, theirs = run_reference(TELL + textwrap.dedent(code), tmp_path)
    state = load(tmp_path)
    assert told(state) == theirs
    s = [parse_object_id(text) for text in ids]
    assert expired == sorted([ids[0], ids[3]])
    assert state.snapshot(s[4]).pruned == (s[0], s[1], s[2], s[3])  # type: ignore[union-attr]
    assert state.snapshot(s[1]).pruned == (s[0],)  # type: ignore[union-attr]
    assert state.snapshot(s[2]).pruned == ()  # type: ignore[union-attr]

    # The same cut, by our own transition, from the state before.
    backup = tmp_path / "overwritten" / str(state.updates[1].backup_path)
    before = decode_repo(backup.read_bytes())
    initial = before.snapshot(s[0]).parent_id  # type: ignore[union-attr]
    ours = before.with_history_cut(
        u.ExpirationRan(),
        [s[0], s[3]],
        {s[1]: (initial, (s[0],)), s[4]: (initial, (s[0], s[1], s[2], s[3]))},
        Stamp(state.updates[0].updated_at, str(state.updates[1].backup_path), 1000),
    )
    assert ours == replace(state, config=ours.config)


def test_a_long_history_of_ours_is_read_by_the_reference(tmp_path: Path) -> None:
    make_repository(tmp_path)
    state = load(tmp_path)
    tip = state.branch_tip("main")
    start = int(state.snapshots.flushed_at[0])
    records = list(state.snapshots)
    for k in range(3000):
        raw = (k * 2654435761 % 2**32).to_bytes(4, "big") + k.to_bytes(8, "big")
        records.append(
            SnapshotRecord(
                ObjectId(raw), tip, start + k + 1, f"commit {k}", {"k": k} if k % 2 else {}
            )
        )
        tip = ObjectId(raw)
    state = replace(
        state, snapshots=SnapshotTable.from_records(records), branches=Refs({"main": tip})
    )
    (tmp_path / "repo").write_bytes(encode_repo(state))
    theirs = run_reference(TELL + "result = tell(opened(args[0]))", tmp_path)
    assert theirs == told(state)
    assert len(theirs["history"]) == 3001


def test_spec_1_snapshots_and_refs(tmp_path: Path) -> None:
    snapshot = initial_snapshot(now_us())
    (tmp_path / "snapshots").mkdir()
    data = encode_snapshot(snapshot, dialect=V1)
    (tmp_path / "snapshots" / id_text(snapshot.id)).write_bytes(data)
    main = tmp_path / branch_key("main")
    main.parent.mkdir(parents=True)
    main.write_bytes(encode_ref(snapshot.id))
    code = """
    import zarr
    repo = opened(args[0])
    session = repo.writable_session("main")
    array = zarr.group(session.store).create_array(
        "a", shape=(4, 6), chunks=(3, 4), dtype="i4", dimension_names=["x", "y"])
    array[:] = 1
    result = session.commit("first", metadata=args[1])
    repo.create_tag("t", result)
    repo.delete_tag("t")
    """

    values = {key: value for key, value in VALUES.items() if key != "texts"}
    first = run_reference(TELL + textwrap.dedent(code), tmp_path, values)
    assert id_text(decode_ref(main.read_bytes(), name="main")) == first
    assert (tmp_path / tombstone_key("t")).read_bytes() == b""
    again = decode_snapshot((tmp_path / "snapshots" / first).read_bytes(), name=first)
    assert again.parent_id == snapshot.id
    assert again.metadata == values
    node = again.nodes.get("/a")
    assert node is not None
    assert node.array is not None
    assert (node.array.shape, node.array.num_chunks) == ((4, 6), (2, 2))
    rewritten = encode_snapshot(again, dialect=V1)
    assert decode_snapshot(rewritten, name=first) == again
    (tmp_path / "snapshots" / first).write_bytes(rewritten)
    code = """
    import zarr
    repo = opened(args[0])
    session = repo.readonly_session("main")
    array = zarr.open_array(session.store, path="a", mode="r")
    info = repo.lookup_snapshot(repo.lookup_branch("main"))
    result = [int(array[:].sum()), info.metadata, info.parent_id]
    """
    total, metadata, parent = run_reference(TELL + textwrap.dedent(code), tmp_path)
    assert (total, metadata, parent) == (24, values, id_text(snapshot.id))

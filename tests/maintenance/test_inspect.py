"""Metadata files as dictionaries, compared key by key with the reference library's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import icechunk
from icechunk.core.errors import ErrorKind
from icechunk.maintenance.inspect import _time
from tests.maintenance.histories import ROOT, amend, commit, flush, start
from tests.oracle import run_reference

NOWHERE = "0" * 20

BUILD = """
import icechunk as ic, zarr
folder, spec = args
repo = ic.Repository.create(
    ic.local_filesystem_storage(folder),
    config=ic.RepositoryConfig(inline_chunk_threshold_bytes=8, num_updates_per_repo_info_file=14),
    spec_version=spec,
)
def edit(branch="main"):
    return repo.writable_session(branch)
s = edit()
g = zarr.group(s.store)
a = g.create_array("a", shape=(6, 4), chunks=(2, 2), dtype="i4", dimension_names=("x", None),
                   fill_value=-1, attributes={"u": 1})
a[:] = 1
b = g.create_array("b", shape=(3,), chunks=(1,), dtype="i1", fill_value=9, compressors=None)
b[:] = 1
c = g.create_array("scalar", shape=(), dtype="i1", fill_value=9)
c[...] = 1
g.create_group("sub")
s.store.set_virtual_ref("b/c/1", "file:///tmp/x", offset=3, length=10, validate_container=False)
one = s.commit("one", {"k": [1, 2.5, None, {"a": True}], "é": "ü"})
s = edit()
g = zarr.open_group(s.store)
g["a"][0, 0] = 5
g["b"].attrs["n"] = 1
del g["sub"]
s.commit("two")
s = edit()
many = zarr.create_array(s.store, name="many", shape=(1200,), chunks=(1,), dtype="i4")
for i in range(1200):
    s.store.set_virtual_ref(f"many/c/{i}", f"file:///tmp/some/long/prefix/{i % 40}", offset=i + 1,
                            length=10, validate_container=False)
s.commit("virtual")
repo.create_tag("t", one)
repo.create_branch("br", one)
repo.create_tag("t2", one)
repo.delete_tag("t2")
s = edit("br")
zarr.open_group(s.store)["a"][0, 0] = 7
s.flush("loose")
repo.rewrite_manifests("rewritten", branch="main")
if spec == 2:
    s = repo.rearrange_session("main")
    s.move("/b", "/bb")
    s.commit("moved")
    s = edit()
    zarr.open_group(s.store)["a"][1, 1] = 6
    s.commit("to be amended")
    s = edit()
    zarr.open_group(s.store)["a"][2, 1] = 6
    s.amend("amended")
    repo.reset_branch("br", "1CECHNKREP0F1RSTCMT0")
    repo.delete_branch("br")
    repo.save_config()
    repo.set_metadata({"zz": 1, "aa": {"b": [1]}})
    repo.set_feature_flag("move_node", False)
    repo.set_feature_flag("move_node", None)
    repo.set_status(ic.RepoStatus(ic.RepoAvailability.read_only, limited_availability_reason="r"))
    repo.set_status(ic.RepoStatus(ic.RepoAvailability.online))
import datetime, os
long_ago = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)
repo.expire_snapshots(long_ago)
repo.garbage_collect(long_ago)
"""

LOOK = """
import icechunk as ic, os
folder, = args
repo = ic.Repository.open(ic.local_filesystem_storage(folder))
def ids(kind):
    return sorted(os.listdir(f"{folder}/{kind}"))
result = {
    "snapshots": {i: repo.inspect_snapshot(i) for i in ids("snapshots")},
    "manifests": {i: repo.inspect_manifest(i) for i in ids("manifests")},
    "logs": {i: repo.inspect_transaction_log(i) for i in ids("transactions")},
    "files": {i: [[m.id, m.size_bytes, m.num_chunk_refs] for m in repo.list_manifest_files(i)]
              for i in ids("snapshots")},
    "repo": repo.inspect_repo_info() if os.path.exists(f"{folder}/repo") else None,
}
"""


def look(repo: icechunk.Repository, folder: Path) -> dict[str, Any]:
    """The same with this library."""

    def ids(kind: str) -> list[str]:
        return sorted(path.name for path in (folder / kind).iterdir())

    return {
        "snapshots": {i: repo.inspect_snapshot(i) for i in ids("snapshots")},
        "manifests": {i: repo.inspect_manifest(i) for i in ids("manifests")},
        "logs": {i: repo.inspect_transaction_log(i) for i in ids("transactions")},
        "files": {
            i: [[m.id, m.size_bytes, m.num_chunk_refs] for m in repo.list_manifest_files(i)]
            for i in ids("snapshots")
        },
        "repo": repo.inspect_repo_info() if (folder / "repo").exists() else None,
    }


@pytest.mark.oracle
@pytest.mark.parametrize("spec_version", [1, 2])
def test_what_the_reference_wrote_looks_the_same(tmp_path: Path, spec_version: int) -> None:
    run_reference(BUILD, tmp_path / "repo", spec_version)
    theirs = run_reference(LOOK, tmp_path / "repo")
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(tmp_path / "repo"))
    ours = json.loads(json.dumps(look(repo, tmp_path / "repo")))
    assert ours.keys() == theirs.keys()
    for kind in ours:
        assert ours[kind] == theirs[kind], kind
    compressed = [m["compression"]["num_compressed_refs"] for m in ours["manifests"].values()]
    assert (max(compressed) > 0) is (spec_version == 2)


@pytest.mark.oracle
@pytest.mark.parametrize("spec_version", [1, 2])
def test_what_we_wrote_looks_the_same_to_the_reference(tmp_path: Path, spec_version: int) -> None:
    repo = start("local", tmp_path, spec_version=spec_version)
    commit(repo, 2)
    flush(repo, 5)
    # A name outside of ASCII is refused in spec 1: the reference could not collect any more.
    repo.create_tag("e" if spec_version == 1 else "é", repo.lookup_branch("main"))
    repo.rewrite_manifests("again", branch="main", metadata={"a": [1.5, None]})
    if spec_version == 2:
        amend(repo, 3)
    theirs = run_reference(LOOK, tmp_path / "repo")
    ours = json.loads(json.dumps(look(repo, tmp_path / "repo")))
    for kind in ours:
        assert ours[kind] == theirs[kind], kind


@pytest.fixture
def repo() -> icechunk.Repository:
    return start()


def test_the_older_form_gives_text(repo: icechunk.Repository) -> None:
    tip = repo.lookup_branch("main")
    plain = repo.inspect_snapshot(tip)
    assert plain["commit_message"] == "c0"
    for pretty in (True, False):
        text = repo.inspect_snapshot(tip, pretty=pretty)
        assert json.loads(text) == plain
        assert ("\n" in text) is pretty


def test_unknown_and_malformed_ids(repo: icechunk.Repository) -> None:
    for method in (
        repo.inspect_snapshot,
        repo.inspect_manifest,
        repo.inspect_transaction_log,
        repo.list_manifest_files,
    ):
        with pytest.raises(icechunk.StorageError) as missing:
            method(NOWHERE)
        assert missing.value.kind == ErrorKind.OBJECT_NOT_FOUND
        with pytest.raises(icechunk.IcechunkError):
            method("xx")


def test_spec_1_has_no_repo_object() -> None:
    with pytest.raises(icechunk.FormatError) as refusal:
        start(spec_version=1).inspect_repo_info()
    assert refusal.value.kind == ErrorKind.UNSUPPORTED_SPEC_VERSION


def test_manifests_of_a_snapshot(repo: icechunk.Repository) -> None:
    (info,) = repo.list_manifest_files(repo.lookup_branch("main"))
    assert repo.manifest_files(repo.lookup_branch("main")) == [info]
    assert repo.storage.head(f"manifests/{info.id}").size == info.size_bytes  # type: ignore[union-attr]
    assert str(info) == (
        f"<icechunk.snapshots.ManifestFileInfo>\nid: {info.id}\nsize_bytes: {info.size_bytes}\n"
        "num_chunk_refs: 4\n"
    )
    assert repr(info) == str(info)
    assert repo.list_manifest_files(ROOT) == []


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_000_000, "1970-01-01T00:00:01Z"),
        (1_500_000, "1970-01-01T00:00:01.500Z"),
        (1_000_001, "1970-01-01T00:00:01.000001Z"),
        (1_000_100, "1970-01-01T00:00:01.000100Z"),
    ],
)
def test_times_have_the_decimals_they_need(us: int, text: str) -> None:
    assert _time(us) == text


async def test_asynchronous_twins(repo: icechunk.Repository) -> None:
    tip = repo.lookup_branch("main")
    (info,) = await repo.list_manifest_files_async(tip)
    assert await repo.inspect_snapshot_async(tip) == repo.inspect_snapshot(tip)
    assert await repo.inspect_manifest_async(info.id) == repo.inspect_manifest(info.id)
    assert await repo.inspect_transaction_log_async(tip) == repo.inspect_transaction_log(tip)
    assert await repo.inspect_repo_info_async() == repo.inspect_repo_info()


EXPIRE = """
import datetime, icechunk as ic, zarr
folder, = args
repo = ic.Repository.create(ic.local_filesystem_storage(folder))
def commit(message, change):
    session = repo.writable_session("main")
    change(session.store)
    return session.commit(message)
layout = {"shape": (4,), "chunks": (1,), "dtype": "i1"}
commit("0", lambda store: zarr.create_group(store).create_array("a", **layout))
def write(*places):
    def change(store):
        array = zarr.open_array(store, path="a")
        for place in places:
            array[place] = 1 + place
    return change
commit("1", write(3, 1))
commit("2", lambda store: zarr.open_group(store).create_group("g"))
session = repo.rearrange_session("main")
session.move("/g", "/h")
session.commit("3")
commit("4", write(1, 0))
session = repo.rearrange_session("main")
session.move("/h", "/i")
session.commit("5")
repo.create_tag("kept", repo.lookup_branch("main"))
repo.expire_snapshots(datetime.datetime.now(datetime.timezone.utc))
"""


@pytest.mark.oracle
@pytest.mark.parametrize("collected", [False, True])
def test_logs_of_expired_ancestors_are_merged_as_the_reference_does(
    tmp_path: Path, collected: bool, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "repo"
    run_reference(EXPIRE, folder)
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(folder))
    tip = repo.lookup_branch("main")
    if collected:
        for log in (folder / "transactions").iterdir():
            if log.name != tip:
                log.unlink()
    theirs = run_reference(
        """
        import icechunk as ic
        repo = ic.Repository.open(ic.local_filesystem_storage(args[0]))
        result = repo.inspect_transaction_log(args[1])
        """,
        folder,
        tip,
    )
    ours = repo.inspect_transaction_log(tip)
    assert theirs["synthetic_composite"].pop("note")
    assert ours["synthetic_composite"].pop("note")
    assert ours == theirs
    composite = ours["synthetic_composite"]
    assert len(composite["missing_tx_logs" if collected else "merged_pruned_ancestor_tx_logs"]) == 5
    assert ("are gone" in caplog.text) is collected
    json.dumps(ours)
    # A snapshot in no history, and one with all its ancestors, show their own log only.
    if not collected:
        expired = composite["merged_pruned_ancestor_tx_logs"][0]
        assert "synthetic_composite" not in repo.inspect_transaction_log(expired)

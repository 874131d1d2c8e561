"""Displays of public values: three forms with the same content, and all text escaped."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import icechunk
from icechunk._icechunk_python import ChunkStorageStats, StorageObjectInfo
from tests.repositories import with_grid

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=y>"


def _stored_info(text: str) -> Any:
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    commit = repo.writable_session("main").commit(text, {text: [text]}, allow_empty=True)
    return repo.lookup_snapshot(commit)


def _session(text: str, *, read_only: bool = False) -> Any:
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    if text != "main":
        repo.create_branch(text, repo.lookup_branch("main"))
    return repo.readonly_session(text) if read_only else repo.writable_session(text)


MAKERS: dict[str, Callable[[str], Any]] = {
    "SnapshotInfo": _stored_info,
    "Diff": lambda text: icechunk.Diff(
        new_groups={text},
        updated_arrays={text},
        chunk_coordinates={text: np.array([[0, 1]], np.uint32)},
        moved_nodes=[(text, text)],
    ),
    "Conflict": lambda text: icechunk.Conflict(
        icechunk.ConflictType.ChunkDoubleUpdate, text, [[0, 1]]
    ),
    "ConflictReport": lambda text: icechunk.conflicts.ConflictReport(
        text, text, text, text, [icechunk.Conflict(icechunk.ConflictType.ChunkDoubleUpdate, text)]
    ),
    "RepoStatus": lambda text: icechunk.RepoStatus(icechunk.RepoAvailability.read_only, AT, text),
    "Update": lambda text: icechunk.Update(icechunk.UpdateType.BranchDeleted(text, text), AT, text),
    "UpdateType": lambda text: icechunk.UpdateType.RepoStatusChanged(
        icechunk.RepoStatus(icechunk.RepoAvailability.online, AT, text)
    ),
    "GCSummary": lambda text: icechunk.GCSummary(delete_errors=[text], skipped_phases=[text]),
    "ManifestFileInfo": lambda text: icechunk.ManifestFileInfo(text, 1, 2),
    "Session": _session,
    "read-only Session": lambda text: _session(text, read_only=True),
    "ForkSession": lambda text: _session(text).fork(),
    "IcechunkStore": lambda text: _session(text).store,
    "FeatureFlag": lambda text: icechunk.FeatureFlag(id=9, name=text),
    "VirtualChunkContainer": lambda text: icechunk.VirtualChunkContainer(
        text, icechunk.local_filesystem_store("/data/" + text.replace("\0", "")), text
    ),
    "RepositoryConfig": lambda text: icechunk.RepositoryConfig(
        virtual_chunk_containers={
            text: icechunk.VirtualChunkContainer(text, icechunk.http_store({text: text}))
        }
    ),
    "Storage": lambda text: icechunk.local_filesystem_storage("/nowhere/" + text.replace("\0", "")),
    "Repository": lambda text: icechunk.Repository.create(
        icechunk.in_memory_storage(),
        icechunk.RepositoryConfig(
            virtual_chunk_containers={
                "s3://b/": icechunk.VirtualChunkContainer("s3://b/", icechunk.s3_store(region=text))
            }
        ),
    ),
    "ChunkStorageStats": lambda text: ChunkStorageStats(1, 2, 3),
}


class _Tags(HTMLParser):
    """What a browser would see: tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def seen_by_a_browser(html: str) -> _Tags:
    tags = _Tags()
    tags.feed(html)
    tags.close()
    return tags


PLAIN = {"style", "div", "span", "details", "summary"}
TEXTS = st.one_of(
    st.just(EVIL),
    st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("<>&\"'/=")), max_size=30),
)


@pytest.mark.parametrize("name", MAKERS)
@given(text=TEXTS)
def test_html_escapes_all_text(name, text):
    tags = seen_by_a_browser(MAKERS[name](text)._repr_html_())
    assert tags.tags <= PLAIN
    assert tags.attributes <= {"class"}


@pytest.mark.parametrize("name", MAKERS)
def test_three_forms_show_the_same_values(name):
    value = MAKERS[name]("some-text")
    shown = repr(value), str(value), seen_by_a_browser(value._repr_html_()).text
    assert all(text.strip() for text in shown)
    if name not in ("ChunkStorageStats", "read-only Session", "ForkSession", "Repository"):
        assert all("some-text" in text for text in shown[:2]), shown
        if name != "IcechunkStore":
            assert "some-text" in shown[2]
    assert "icechunk." in value._repr_html_()


@pytest.mark.parametrize("name", sorted(MAKERS.keys() - {"Session", "IcechunkStore"}))
def test_values_survive_pickling(name):
    value = MAKERS[name]("some-text")
    if name in ("Repository", "read-only Session", "ForkSession", "Storage"):
        return  # their tests are with the things themselves
    again = pickle.loads(pickle.dumps(value))
    assert again == value
    assert repr(again) == repr(value)


def test_text_of_a_commit():
    repo, first = with_grid(icechunk.in_memory_storage())
    info = repo.lookup_snapshot(first)
    assert str(info).splitlines() == [
        "<icechunk.snapshots.SnapshotInfo>",
        f"id: {first}",
        "parent_id: 1CECHNKREP0F1RSTCMT0",
        f"written_at: {info.written_at!r}",
        "message: a grid",
        "metadata: {}",
    ]
    (manifest,) = info.manifests
    assert manifest == repo.list_manifest_files(first)[0]
    assert pickle.loads(pickle.dumps(info)).manifests == []


def test_metadata_is_shown_as_it_is():
    info = icechunk.SnapshotInfo("A", None, AT, "m", {"monkey": "visible", "n": [1, None]})
    line = str(info).splitlines()[-1]
    assert json.loads(line.removeprefix("metadata: ")) == {"monkey": "visible", "n": [1, None]}


def test_text_of_sessions_and_repositories():
    repo, first = with_grid(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    zarr.create_group(session.store, path="g")
    assert repr(session).splitlines() == [
        "<icechunk.session.Session>",
        "read_only: False",
        f"snapshot_id: {first}",
        "branch: main",
        "has_uncommitted_changes: True",
    ]
    assert repr(repo.readonly_session("main")).splitlines() == [
        "<icechunk.session.Session>",
        "read_only: True",
        f"snapshot_id: {first}",
    ]
    assert repr(session.store).splitlines() == [
        "<icechunk.IcechunkStore>",
        "read_only: False",
        f"snapshot_id: {first}",
        "branch: main",
    ]
    # Zarr shows this one within the line of a group or array.
    assert str(session.store) == f"<icechunk.IcechunkStore main @ {first}>"
    assert repr(repo).splitlines()[:2] == ["<icechunk.Repository (v2)>", "storage:"]


def test_text_of_a_diff():
    coords = np.array([[n, 0] for n in range(12)], np.uint32)
    diff = icechunk.Diff(new_groups={"/b", "/a"}, chunk_coordinates={"/x": coords})
    assert str(diff) == (
        "Groups created:\n    /a\n    /b\n\nChunks updated:\n    /x:\n"
        + "".join(f"        [{n}, 0]\n" for n in range(10))
        + "        ... 2 more\n"
    )
    assert str(icechunk.Diff()) == ""


def test_text_of_listed_objects():
    assert "StorageObjectInfo" in repr(StorageObjectInfo("k", 1, AT))

"""Local files: only those below an authorised folder, and always in their current state."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from tests.virtual_chunks.places import Place, local_place, new_array, values

SECRET = np.full(10, 666, "f4")
GOOD = np.arange(10, dtype="f4")

posix = pytest.mark.skipif(sys.platform == "win32", reason="symbolic links, FIFOs, descriptors")


@pytest.fixture
def place(folder: Path) -> Place:
    found = local_place(folder)
    found.put("good", GOOD.tobytes())
    (folder.parent / "secret").write_bytes(SECRET.tobytes())
    (folder.parent / "archive-2").mkdir()
    (folder.parent / "archive-2/secret").write_bytes(SECRET.tobytes())
    return found


def referring(
    repo: icechunk.Repository, location: str, *, validate: bool = False
) -> icechunk.Session:
    session = repo.writable_session("main")
    new_array(session, 1, 10)
    session.store.set_virtual_ref(
        "a/c/0", location, offset=0, length=40, validate_container=validate
    )
    return session


def kind_of(session: icechunk.Session) -> str:
    with pytest.raises(icechunk.IcechunkError) as caught:
        values(session)
    return caught.value.kind


@pytest.mark.parametrize(
    "way",
    [
        "../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "x/..%2F..%2Fsecret",
        "%2e%2e%2Fsecret",
        "../archive-2/secret",
        "good%00",
        "/../secret",
        "..%5csecret",
    ],
)
@pytest.mark.parametrize("start", ["prefix", "named"])
def test_no_spelling_leads_out_of_the_prefix(place: Place, way: str, start: str) -> None:
    location = (place.prefix if start == "prefix" else "vcc://named/") + way
    session = referring(place.repository(name="named"), location)
    assert kind_of(session) in (
        "unauthorized-virtual-chunk-container",
        "no-container-for-virtual-chunk",
        "virtual-chunk-fetch",
    )


def test_a_location_stored_unnormalised_by_another_program_is_refused(place: Place) -> None:
    from icechunk.spec.manifest.chunk_table import VIRTUAL, ChunkTable, TextColumn

    session = place.repository().writable_session("main")
    new_array(session, 1, 10)
    transaction = session._transaction  # the public methods normalise locations
    table = ChunkTable.from_columns(
        np.zeros((1, 1), np.uint32),
        np.full(1, VIRTUAL, np.uint8),
        None,
        np.zeros(1, np.uint64),
        np.full(1, 40, np.uint64),
        text=TextColumn.from_strings([place.prefix + "../secret"]),
    )
    transaction.set_references(transaction.array_reader("/a").node, table)
    assert kind_of(session) == "unauthorized-virtual-chunk-container"


@posix
@pytest.mark.parametrize("to", ["../secret", "absolute"])
def test_symbolic_links_do_not_lead_out(place: Place, folder: Path, to: str) -> None:
    (folder / "link").symlink_to(folder.parent / "secret" if to == "absolute" else to)
    (folder / "up").symlink_to("..")
    repo = place.repository()
    for location in ("link", "up/secret", "up/archive-2/secret"):
        session = referring(repo, place.prefix + location)
        with pytest.raises(icechunk.InvalidInputError) as caught:
            values(session)
        assert caught.value.kind == "unauthorized-virtual-chunk-container"
        assert "secret" in str(caught.value)
        session.discard_changes()


@posix
def test_symbolic_links_between_authorised_folders_are_followed(place: Place, folder: Path) -> None:
    other = local_place(folder.parent / "archive-2")
    (folder / "link").symlink_to("../archive-2/secret")
    (folder / "inside").symlink_to("good")
    config = place.config()
    config.set_virtual_chunk_container(other.container())
    for access, outcome in (({**place.access, **other.access}, SECRET), (place.access, None)):
        repo = icechunk.Repository.create(icechunk.in_memory_storage(), config, access)
        session = referring(repo, place.prefix + "link")
        if outcome is None:
            assert kind_of(session) == "unauthorized-virtual-chunk-container"
        else:
            np.testing.assert_array_equal(values(session), outcome)
        inside = referring(place.repository(), place.prefix + "inside")
        np.testing.assert_array_equal(values(inside), GOOD)


@posix
def test_an_authorised_folder_may_itself_be_a_link(folder: Path) -> None:
    (folder / "x").write_bytes(GOOD.tobytes())
    link = folder.parent / "link"
    link.symlink_to(folder)
    place = local_place(link)
    np.testing.assert_array_equal(values(referring(place.repository(), place.prefix + "x")), GOOD)


@posix
def test_a_link_that_is_bent_later_is_noticed(place: Place, folder: Path) -> None:
    (folder / "link").symlink_to("good")
    session = referring(place.repository(), place.prefix + "link")
    np.testing.assert_array_equal(values(session), GOOD)
    (folder / "link").unlink()
    (folder / "link").symlink_to("../secret")
    assert kind_of(session) == "unauthorized-virtual-chunk-container"


def test_a_file_that_was_replaced_is_read_anew(place: Place, folder: Path) -> None:
    session = referring(place.repository(), place.prefix + "good")
    np.testing.assert_array_equal(values(session), GOOD)
    (folder / "fresh").write_bytes((GOOD * 2).tobytes())
    os.replace(folder / "fresh", folder / "good")
    np.testing.assert_array_equal(values(session), GOOD * 2)
    (folder / "good").write_bytes((GOOD * 3).tobytes())
    np.testing.assert_array_equal(values(session), GOOD * 3)
    (folder / "good").unlink()
    assert kind_of(session) == "virtual-chunk-fetch"
    (folder / "good").write_bytes((GOOD * 4).tobytes())
    np.testing.assert_array_equal(values(session), GOOD * 4)


@posix
def test_what_is_no_regular_file_is_refused_without_waiting(place: Place, folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    repo = place.repository()
    for name in ("fifo", "folder"):
        session = referring(repo, place.prefix + name)
        with pytest.raises(icechunk.StorageError, match="not a regular file"):
            values(session)
        session.discard_changes()


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_file_without_permission_is_named(place: Place, folder: Path) -> None:
    (folder / "good").chmod(0)
    session = referring(place.repository(), place.prefix + "good")
    with pytest.raises(icechunk.StorageError, match="may read the file"):
        values(session)


@posix
def test_another_machine_is_not_asked(place: Place) -> None:
    location = place.prefix.replace("file://", "file://elsewhere") + "good"
    repo = place.repository()
    assert kind_of(referring(repo, location)) == "no-container-for-virtual-chunk"


def test_queries_and_fragments_are_no_part_of_the_path(place: Place) -> None:
    for tail in ("?version=3", "#part", "?a#b"):
        session = referring(place.repository(), place.prefix + "good" + tail)
        np.testing.assert_array_equal(values(session), GOOD)


@posix
def test_few_files_stay_open(place: Place, folder: Path) -> None:
    count = 600
    session = place.repository().writable_session("main")
    new_array(session, count, 10)
    locations = [place.put(f"many/{k}", (GOOD + k).tobytes()) for k in range(count)]
    zeros, forties = np.zeros(count, np.uint64), np.full(count, 40, np.uint64)
    session.store.set_virtual_refs_arr("a", (count,), locations, zeros, forties)
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc") else 0
    for fast in (False, True):
        with icechunk.fast_pipeline(fast):
            read = values(session).reshape(count, 10)
            np.testing.assert_array_equal(read[:, 0], np.arange(count))
    after = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc") else 0
    assert after - before < 300


def test_a_large_chunk_is_read_whole(place: Place) -> None:
    big = np.random.default_rng(3).random(3 * 2**20, "f4")
    location = place.put("big", b"xyz" + big.tobytes())
    for fast in (False, True):
        with icechunk.fast_pipeline(fast):
            session = place.repository().writable_session("main")
            new_array(session, 1, big.size)
            session.store.set_virtual_ref("a/c/0", location, offset=3, length=big.nbytes)
            np.testing.assert_array_equal(values(session), big)


@posix
def test_a_folder_that_moved_away_is_an_error_and_comes_back(place: Place, folder: Path) -> None:
    session = referring(place.repository(), place.prefix + "good")
    values(session)
    shutil.move(folder, folder.parent / "gone")
    assert kind_of(session) == "virtual-chunk-fetch"
    shutil.move(folder.parent / "gone", folder)
    np.testing.assert_array_equal(values(session), GOOD)


def test_writing_over_a_virtual_chunk_leaves_the_file_alone(place: Place, folder: Path) -> None:
    session = referring(place.repository(), place.prefix + "good")
    array: Any = zarr.open_array(session.store, path="a")
    array[:3] = -5
    np.testing.assert_array_equal(values(session)[:4], [-5, -5, -5, 3])
    assert (folder / "good").read_bytes() == GOOD.tobytes()


@pytest.mark.parametrize("name", ["a folder", "é", "50%", "a#b"])
@pytest.mark.parametrize("form", ["encoded", "plain", "dots", "FILE", "no slash"])
def test_prefixes_compare_as_locations_do(tmp_path: Path, name: str, form: str) -> None:
    """A folder with a space is one folder, however its URL is spelled."""
    if form in ("plain", "dots") and ("#" in name or "%" in name):
        pytest.skip("these have another meaning unless they are encoded")
    odd = tmp_path / name
    odd.mkdir()
    (odd / "good").write_bytes(GOOD.tobytes())
    encoded = odd.as_uri() + "/"
    prefix = {
        "encoded": encoded,
        "plain": f"file://{odd}/",
        "dots": f"file://{tmp_path}/x/../{name}/",
        "FILE": encoded.replace("file:", "FILE:"),
        "no slash": encoded,
    }[form]
    config = icechunk.RepositoryConfig()
    store = icechunk.local_filesystem_store(str(odd))
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, store, "named"))
    access: Any = {
        prefix.rstrip("/") if form == "no slash" else prefix: (
            icechunk.credentials.LocalFileSystemAccess
        )
    }
    for location in (prefix + "good", encoded + "good", "vcc://named/good"):
        repo = icechunk.Repository.create(icechunk.in_memory_storage(), config, access)
        session = referring(repo, location, validate=True)
        np.testing.assert_array_equal(values(session), GOOD)
        assert session.all_virtual_chunk_locations() == [encoded + "good"]


def dated(path: Path, nanoseconds: int) -> datetime:
    """Give a file a time, and return it as a user would find it."""
    os.utime(path, ns=(nanoseconds, nanoseconds))
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


SECOND = 1_700_000_000 * 10**9
WAYS = ["one", "named", "specs", "columns"]


def refer_by_time(session: icechunk.Session, way: str, location: str, when: datetime) -> None:
    if way == "specs":
        spec = icechunk.VirtualChunkSpec([0], location, 0, 40, last_updated_at_checksum=when)
        session.store.set_virtual_refs("a", [spec])
    elif way == "columns":
        session.store.set_virtual_refs_arr(
            "a", (1,), [location], np.zeros(1, "u8"), np.full(1, 40, "u8"), checksum=when
        )
    else:
        session.store.set_virtual_ref("a/c/0", location, offset=0, length=40, checksum=when)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("later", [1_000, 4_000_000, 600_000_000, 1_000_000_000])
def test_a_file_rewritten_within_the_second_of_its_time_is_noticed(
    place: Place, folder: Path, way: str, later: int
) -> None:
    repo = place.repository(name="files")
    written = SECOND + 300_000_000
    when = dated(folder / "good", written)
    session = repo.writable_session("main")
    new_array(session, 1, 10)
    location = "vcc://files/good" if way == "named" else place.prefix + "good"
    refer_by_time(session, way, location, when)
    session.commit("references")
    session = repo.readonly_session("main")
    np.testing.assert_array_equal(values(session), GOOD)
    (folder / "good").write_bytes(GOOD[::-1].tobytes())
    dated(folder / "good", written + later)
    assert kind_of(repo.readonly_session("main")) == "virtual-chunk-modified"
    assert kind_of(session) == "virtual-chunk-modified"


@pytest.mark.parametrize("way", WAYS)
def test_a_time_after_the_second_of_the_last_change_stays_a_time(
    place: Place, folder: Path, way: str
) -> None:
    repo = place.repository()
    dated(folder / "good", SECOND - 1)
    session = repo.writable_session("main")
    new_array(session, 1, 10)
    when = datetime.fromtimestamp(SECOND / 1e9 + 0.25, UTC)
    refer_by_time(session, way, place.prefix + "good", when)
    table = session._transaction.array_reader("/a").table()
    assert table.location(0).modified == SECOND // 10**9
    assert table.location(0).etag is None
    np.testing.assert_array_equal(values(session), GOOD)
    dated(folder / "good", SECOND)
    np.testing.assert_array_equal(values(session), GOOD)
    dated(folder / "good", SECOND + 1_000)
    with pytest.raises(icechunk.StorageError, match="within the second") as caught:
        values(session)
    assert caught.value.kind == "virtual-chunk-modified"

"""Virtual references exchanged with the reference library: written by one, read by the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import icechunk
from tests.oracle import LAST_V1, LATEST, run_reference
from tests.virtual_chunks.places import BUCKET, Place, new_array, values

GOOD = np.arange(60, dtype="f4")
NAMES = ["plain.bin", "a b.bin", "100%.bin", "a#b?c.bin", "é/ü.bin", "deep/er/x.bin"]

SIDES = [
    pytest.param(LATEST, 2, marks=pytest.mark.oracle, id="2.3.0"),
    pytest.param(LATEST, 1, marks=pytest.mark.oracle, id="2.3.0-spec1"),
    pytest.param(LAST_V1, 1, marks=pytest.mark.oracle_v1, id="1.1.21"),
]

#: What both scripts need: the container of a place, and what authorises it, in the reference.
_PLACE = """
import asyncio, warnings
import icechunk, zarr
import numpy as np
warnings.simplefilter("ignore")
kind, prefix, endpoint, folder, root = args[:5]
new = hasattr(icechunk.credentials, "LocalFileSystemAccess")
if kind == "file":
    place = icechunk.local_filesystem_store(folder)
    access = icechunk.credentials.LocalFileSystemAccess if new else None
elif kind == "http":
    place = icechunk.http_store() if new else icechunk.http_store({})
    access = icechunk.credentials.HttpAccess if new else None
else:
    place = icechunk.s3_store(
        region="us-east-1", endpoint_url=endpoint, allow_http=True, s3_compatible=True,
        force_path_style=True,
    )
    access = icechunk.Credentials.S3(
        icechunk.s3_credentials(access_key_id="a", secret_access_key="b")
    )
storage = icechunk.local_filesystem_storage(root)
"""

_WRITE = (
    _PLACE
    + """
config = icechunk.RepositoryConfig.default()
if new:
    container = icechunk.VirtualChunkContainer(prefix, place, "named")
else:
    container = icechunk.VirtualChunkContainer(prefix, place)
config.set_virtual_chunk_container(container)
repo = icechunk.Repository.create(storage, config, {prefix: access}, **args[7])
session = repo.writable_session("main")
zarr.create_array(
    session.store, name="a", shape=(60,), chunks=(10,), dtype="f4", compressors=None,
    fill_value=-1,
)
for chunk, (location, checksum) in enumerate(zip(args[5], args[6])):
    if isinstance(checksum, float):
        import datetime
        checksum = datetime.datetime.fromtimestamp(checksum, datetime.timezone.utc)
    session.store.set_virtual_ref(
        f"a/c/{chunk}", location, offset=8 + 40 * chunk, length=40, checksum=checksum
    )
session.commit("references")
result = [list(repo.config.virtual_chunk_containers), session.all_virtual_chunk_locations()]
"""
)

_READ = (
    _PLACE
    + """
repo = icechunk.Repository.open(storage, authorize_virtual_chunk_access={prefix: access})
session = repo.readonly_session("main")
array = zarr.open_array(session.store, path="a", mode="r")
result = []
for chunk in range(6):
    try:
        result.append(array[10 * chunk : 10 * chunk + 10].tolist())
    except Exception as error:
        result.append(getattr(error, "kind", None) or str(error).splitlines()[0])
try:
    result.append(session.all_virtual_chunk_locations())
except icechunk.IcechunkError:  # one of them is relative to a container that does not exist
    result.append(None)
"""
)


def given(place: Place, root: Path) -> list[Any]:
    endpoint = place.s3.endpoint if place.s3 else ""
    return [place.name, place.prefix, endpoint, str(place.folder or ""), str(root)]


def locations_of(place: Place) -> list[str]:
    return [place.put(name, b"8 bytes." + GOOD.tobytes()) for name in NAMES]


def supported(place: Place, library: str) -> None:
    if place.name == "http" and library == LAST_V1:
        pytest.skip("1.1.21 has no virtual chunks on web servers")


@pytest.mark.parametrize(("library", "spec"), SIDES)
def test_references_of_the_reference_are_read(
    place: Place, tmp_path: Path, library: str, spec: int
) -> None:
    supported(place, library)
    locations, root = locations_of(place), tmp_path / "repo"
    version = {"spec_version": spec} if library == LATEST else {}
    prefixes, _ = run_reference(
        _WRITE, *given(place, root), locations, [None] * 6, version, library=library
    )
    assert prefixes == [place.prefix]
    storage = icechunk.local_filesystem_storage(root, durable=False)
    repo = icechunk.Repository.open(storage, authorize_virtual_chunk_access=place.access)
    containers = repo.config.virtual_chunk_containers or {}
    assert containers[place.prefix] == place.container("named" if library == LATEST else None)
    session = repo.readonly_session("main")
    np.testing.assert_array_equal(values(session), GOOD)
    assert sorted(session.all_virtual_chunk_locations()) == sorted(locations)


@pytest.mark.parametrize(("library", "spec"), SIDES)
def test_our_references_are_read_by_the_reference(
    place: Place, tmp_path: Path, library: str, spec: int
) -> None:
    supported(place, library)
    locations, root = locations_of(place), tmp_path / "repo"
    storage = icechunk.local_filesystem_storage(root, durable=False)
    repo = icechunk.Repository.create(storage, place.config(), place.access, spec_version=spec)
    session = repo.writable_session("main")
    new_array(session, 6, 10)
    session.store.set_virtual_refs_arr(
        "a",
        (6,),
        locations,
        (8 + np.arange(6) * 40).astype(np.uint64),
        np.full(6, 40, np.uint64),
    )
    session.commit("references")
    *chunks, named = run_reference(_READ, *given(place, root), library=library)
    assert chunks == GOOD.reshape(6, 10).tolist()
    assert sorted(named) == sorted(locations)


@pytest.mark.oracle
def test_named_containers_are_understood_both_ways(place: Place, tmp_path: Path) -> None:
    place.put("deep/er/x.bin", b"8 bytes." + GOOD.tobytes())
    relative = ["vcc://named/deep/er/x.bin"] * 6
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    _, shown = run_reference(_WRITE, *given(place, theirs), relative, [None] * 6, {})
    storage = icechunk.local_filesystem_storage(theirs, durable=False)
    repo = icechunk.Repository.open(storage, authorize_virtual_chunk_access=place.access)
    np.testing.assert_array_equal(values(repo.readonly_session("main")), GOOD)
    assert repo.readonly_session("main").all_virtual_chunk_locations() == shown
    repo = place.repository(icechunk.local_filesystem_storage(ours, durable=False), "named")
    session = repo.writable_session("main")
    new_array(session, 6, 10)
    specs = [icechunk.VirtualChunkSpec([k], relative[k], 8 + 40 * k, 40) for k in range(6)]
    assert session.store.set_virtual_refs("a", specs) is None
    session.commit("references")
    *chunks, named = run_reference(_READ, *given(place, ours))
    assert chunks == GOOD.reshape(6, 10).tolist()
    assert named == shown


@pytest.mark.oracle
@pytest.mark.parametrize("author", ["ours", "theirs"])
def test_checksums_mean_the_same(bucket: Any, tmp_path: Path, author: str) -> None:
    """ETags with and without quotes, and times; the last two are those of another object."""
    from tests.virtual_chunks.places import s3_place

    place = s3_place(bucket)
    location = place.put("x.bin", b"8 bytes." + GOOD.tobytes())
    head = bucket.client().head_object(Bucket=BUCKET, Key="data/x.bin")
    etag, time = head["ETag"], head["LastModified"]
    checks: list[Any] = [
        None,
        etag,
        etag.strip('"'),
        time + timedelta(seconds=1),
        '"other"',
        time - timedelta(seconds=10),
    ]
    root = tmp_path / "repo"
    if author == "theirs":
        plain = [one.timestamp() if isinstance(one, datetime) else one for one in checks]
        run_reference(_WRITE, *given(place, root), [location] * 6, plain, {})
    else:
        repo = place.repository(icechunk.local_filesystem_storage(root, durable=False))
        session = repo.writable_session("main")
        new_array(session, 6, 10)
        for chunk, checksum in enumerate(checks):
            session.store.set_virtual_ref(
                f"a/c/{chunk}", location, offset=8 + 40 * chunk, length=40, checksum=checksum
            )
        session.commit("references")
    *theirs, _ = run_reference(_READ, *given(place, root))
    storage = icechunk.local_filesystem_storage(root, durable=False)
    repo = icechunk.Repository.open(storage, authorize_virtual_chunk_access=place.access)
    import zarr

    array: Any = zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")
    found: list[Any] = []
    for chunk in range(6):
        try:
            found.append(array[10 * chunk : 10 * chunk + 10].tolist())
        except icechunk.StorageError as error:
            found.append(error.kind)
    good = GOOD.reshape(6, 10).tolist()
    assert found == [*good[:4], "virtual-chunk-modified", "virtual-chunk-modified"]
    assert theirs == found
    assert time.tzinfo is not None
    assert datetime.now(UTC) > time


@pytest.mark.oracle
def test_refusals_have_the_same_kinds(tmp_path: Path, folder: Path) -> None:
    from tests.virtual_chunks.places import local_place

    place = local_place(folder)
    locations = [
        place.prefix + "gone.bin",
        place.prefix + "short.bin",
        "s3://elsewhere/x",
        "vcc://unknown/x",
        place.prefix + "plain.bin",
        place.prefix + "plain.bin",
    ]
    place.put("short.bin", b"x" * 8)
    place.put("plain.bin", b"8 bytes." + GOOD.tobytes())
    root = tmp_path / "repo"
    repo = place.repository(icechunk.local_filesystem_storage(root, durable=False))
    session = repo.writable_session("main")
    array: Any = new_array(session, 6, 10)
    for chunk, location in enumerate(locations):
        session.store.set_virtual_ref(
            f"a/c/{chunk}",
            location,
            offset=8 + 40 * chunk,
            length=40,
            validate_container=False,
        )
    ours: list[Any] = []
    for chunk in range(6):
        try:
            ours.append(array[10 * chunk : 10 * chunk + 10].tolist())
        except icechunk.IcechunkError as error:
            ours.append(error.kind)
    session.commit("references")
    *theirs, _ = run_reference(_READ, *given(place, root))
    assert ours == theirs
    assert ours[0] == ours[1] == "virtual-chunk-fetch"

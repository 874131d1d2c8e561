"""Damaged files, wrong credentials and wrong arguments raise clear errors at once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import zarr

import icechunk
from icechunk.core.ids import parse_object_id
from icechunk.files.layout import snapshot_key
from icechunk.spec.dialect import dialect_for
from icechunk.spec.snapshot.codec import decode_snapshot, encode_snapshot
from tests.repositories import edit, put, with_grid
from tests.servers import proxy as proxy_server
from tests.servers.places import S3Place
from tests.servers.proxy import Proxy

DAMAGE = [
    b"",
    b"{",
    b"\xff\xfe{}",
    b"[]",
    b"null",
    b'{"zarr_format": 3}',
    b'{"zarr_format": 3, "node_type": "group"}',
    b'{"zarr_format": 2, "node_type": "array"}',
    b"[" * 100_000,
]


def damaged(document: bytes) -> tuple[icechunk.Storage, str]:
    """A repository with an intact snapshot file that contains a damaged ``zarr.json``."""
    storage = icechunk.in_memory_storage()
    _, tip = with_grid(storage)
    key = snapshot_key(parse_object_id(tip))
    snapshot = decode_snapshot(storage.get(key).data, name=key)
    node = snapshot.nodes.get("/a")
    assert node is not None
    nodes = snapshot.nodes.edited([replace(node, user_data=document)])
    data = encode_snapshot(replace(snapshot, nodes=nodes), dialect=dialect_for(2), level=3)
    storage.put(key, data)
    return storage, key


@pytest.mark.parametrize("document", DAMAGE, ids=lambda document: repr(document[:40]))
def test_damaged_metadata_names_the_node_and_the_snapshot(document: bytes) -> None:
    storage, key = damaged(document)
    repo = icechunk.Repository.open(storage)
    session = repo.readonly_session("main")
    writable = repo.writable_session("main")
    root = zarr.open_group(session.store, mode="r")
    for ask in (
        lambda: root["a"],
        lambda: dict(root.members()),
        lambda: zarr.open_array(session.store, path="a", mode="r"),
        lambda: writable.shift_array("/a", (1, 0)),
    ):
        with pytest.raises(icechunk.FormatError) as caught:
            ask()
        assert caught.value.kind == icechunk.ErrorKind.DESERIALIZATION
        assert "node `/a`" in str(caught.value)
        assert key in str(caught.value)
    # The error is resolved by writing the metadata again.
    zarr.create_array(writable.store, name="a", shape=(1,), dtype="i1", overwrite=True)
    writable.commit("mended")
    assert zarr.open_array(repo.readonly_session("main").store, path="a", mode="r").shape == (1,)


def test_a_conflict_over_damaged_metadata_names_them_too() -> None:
    storage, key = damaged(json.dumps({"zarr_format": 3}).encode())
    repo = icechunk.Repository.open(storage)
    sessions = [repo.writable_session("main") for _ in range(2)]
    document = {
        "zarr_format": 3, "node_type": "array", "shape": [6, 8], "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 4]}},
        "chunk_key_encoding": {"name": "default"}, "fill_value": -1, "codecs": [{"name": "bytes"}],
    }  # fmt: skip
    for number, session in enumerate(sessions):
        document["attributes"] = {"n": number}
        put(session, "a/zarr.json", json.dumps(document).encode())
    sessions[0].commit("first")
    decisions = icechunk.DecisionSolver(
        [{"type": "ZarrMetadataDoubleUpdate", "path": "/a", "choice": "merge", "keys": {}}]
    )
    with pytest.raises(icechunk.FormatError, match=r"node `/a` in the snapshot file"):
        sessions[1].rebase(decisions)
    assert sessions[1].has_uncommitted_changes
    assert key


CODES = ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "AccessDenied"]


@pytest.mark.parametrize("code", CODES)
def test_every_question_tells_what_the_server_has_against_the_credentials(
    moto: S3Place, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(proxy_server._CODES, 403, code)
    with Proxy(moto.url) as proxy:
        storage = moto.through(proxy.url).storage()
        with_grid(storage)
        for method in ("GET", "HEAD"):
            proxy.spoil(403, method, times=10**6)
        said = set()
        for ask in (
            icechunk.Repository.open,
            icechunk.Repository.exists,
            icechunk.Repository.fetch_config,
            icechunk.Repository.fetch_spec_version,
            icechunk.Repository.open_or_create,
        ):
            with pytest.raises(icechunk.StorageError, match=code) as caught:
                ask(storage)  # type: ignore[operator]
            said.add(str(caught.value))
        assert len(said) == 1


HEADERS: list[tuple[Any, str]] = [
    ({"a b": "c"}, 'invalid HTTP header name "a b"'),
    ({"": "c"}, 'invalid HTTP header name ""'),
    ({"é": "c"}, 'invalid HTTP header name "é"'),
    ({"x:": "c"}, 'invalid HTTP header name "x:"'),
    ({"x": "secret\r\ny: z"}, 'invalid HTTP header value for "x"'),
    ({"x": "secret\0"}, 'invalid HTTP header value for "x"'),
]


@pytest.mark.parametrize("option", ["headers", "read_headers", "write_headers"])
@pytest.mark.parametrize(("headers", "says"), HEADERS)
def test_headers_that_no_request_can_carry_are_refused_at_once(
    option: str, headers: dict[str, str], says: str
) -> None:
    given: dict[str, Any] = {option: headers}
    made = [
        lambda: icechunk.s3_storage(bucket="b", prefix="p", from_env=True, **given),
        lambda: icechunk.gcs_storage(bucket="b", prefix="p", from_env=True, **given),
        lambda: icechunk.r2_storage(bucket="b", prefix="p", account_id="a", **given),
    ]
    if option == "headers":
        made += [
            lambda: icechunk.http_storage("https://host/path", headers=headers),
            lambda: icechunk.http_store(headers=headers),
        ]
    for make in made:
        with pytest.raises(ValueError, match=says) as caught:
            make()
        assert "secret" not in str(caught.value)
    with pytest.raises(TypeError):
        icechunk.s3_storage(bucket="b", prefix="p", from_env=True, **{option: {"x": 3}})


def test_sound_headers_pass() -> None:
    icechunk.s3_storage(
        bucket="b", prefix="p", from_env=True, headers={"X-A!#$%&'*+.^_`|~1": "a\té ü", "y": ""}
    )


@pytest.mark.parametrize("prefix", ["p", "/p/", "a/b"])
def test_rooted_keys_are_refused_below_a_prefix(prefix: str) -> None:
    for make in (
        lambda: icechunk.s3_storage(
            bucket="b", prefix=prefix, from_env=True, legacy_rooted_keys=True
        ),
        lambda: icechunk.r2_storage(
            bucket="b", prefix=prefix, account_id="a", from_env=True, legacy_rooted_keys=True
        ),
        lambda: icechunk.tigris_storage(
            bucket="b", prefix=prefix, region="iad", from_env=True, legacy_rooted_keys=True
        ),
    ):
        with pytest.raises(icechunk.StorageError, match="only valid with an empty prefix"):
            make()


def test_a_clock_an_hour_behind_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    from icechunk.core.clock import now_us
    from icechunk.engine import flush
    from icechunk.refs import v2

    storage = icechunk.in_memory_storage()
    repo, tip = with_grid(storage)
    session = repo.writable_session("main")
    edit(session, 0, 3)
    for module in (flush, v2):
        monkeypatch.setattr(module, "now_us", lambda: now_us() - 3_600_000_000)
    for change in (
        lambda: session.commit("behind"),
        lambda: session.flush("behind"),
        lambda: repo.create_branch("b", tip),
        lambda: repo.set_metadata({"x": 1}),
    ):
        with pytest.raises(icechunk.SessionStateError, match="clock") as caught:
            change()
        assert caught.value.kind == icechunk.ErrorKind.CLOCK_SKEW
    monkeypatch.undo()
    session.commit("right again")

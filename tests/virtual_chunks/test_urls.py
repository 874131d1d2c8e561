"""No location, however it is spelled, crashes the resolver or is read without authorisation."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import icechunk
from icechunk.config.resolve import resolve
from icechunk.core.errors import IcechunkError, InvalidInputError
from icechunk.spec.manifest.chunk_table import VIRTUAL, Location
from icechunk.spec.manifest.virtual_urls import escaped, normalise, resolved
from icechunk.virtual_chunks.access import VirtualChunks
from icechunk.virtual_chunks.object_store import bucket_and_key
from icechunk.virtual_chunks.source import shown
from tests.virtual_chunks.places import local_place, web_place
from tests.virtual_chunks.web import serving

SECRET = b"secret" * 10

pieces = st.sampled_from(
    [
        *["..", ".", "/", "//", "\\", "%2e", "%2E%2e", "%2f", "%5c", "%00", "%", "%25", "%zz"],
        *["?", "#", "@", ":", ";", "&", "=", " ", "\t", "\r\n", "\0", "\x7f", "é", "\u202e", "~"],
        *["good", "secret", "archive", "archive-2", "link", "up", "localhost", "127.0.0.1", "x"],
    ]
)
tails = st.lists(pieces, max_size=12).map("".join)
anything = st.one_of(st.text(max_size=40), tails)


def place_of(url: str) -> Location:
    return Location(VIRTUAL, None, 0, 60, None, url, None, 0)


def readers(containers: list[Any], access: dict[str, Any]) -> VirtualChunks:
    config = icechunk.RepositoryConfig(
        virtual_chunk_containers={one.url_prefix: one for one in containers}
    )
    tuned = resolve(config)
    return VirtualChunks(tuned.containers, access, tuned.storage)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An archive with links, between files that must not be read."""
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "good").write_bytes(b"good bytes" * 6)
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "archive-2").mkdir()
    (tmp_path / "archive-2/secret").write_bytes(SECRET)
    (archive / "link").symlink_to("../secret")
    (archive / "up").symlink_to("..")
    return archive


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(start=st.sampled_from(["prefix", "vcc://named/", "file://", "FILE:///", ""]), tail=tails)
@example("prefix", "..%2fsecret")
@example("vcc://named/", "%2e%2e/secret")
@example("prefix", "up/secret")
@example("prefix", "x/../../secret")
def test_no_local_location_leads_to_a_secret(tree: Path, start: str, tail: str) -> None:
    place = local_place(tree)
    virtual = readers([place.container("named")], place.access)
    raw = (place.prefix if start == "prefix" else start) + tail
    spellings = {raw}
    with contextlib.suppress(InvalidInputError):
        spellings.add(normalise(raw))
    for url in spellings:
        outcome: Any = None
        try:
            outcome = bytes(virtual.object(url).read(place_of(url), 0, 60))
        except IcechunkError as error:
            outcome = error.kind
        assert outcome in (
            b"good bytes" * 6,
            "no-container-for-virtual-chunk",
            "unauthorized-virtual-chunk-container",
            "virtual-chunk-fetch",
        )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(tail=anything)
@example("x\r\nX-Evil: yes")
@example("x HTTP/1.1\r\nHost: evil\r\n\r\n")
@example("../private")
@example("..%2fprivate")
def test_no_web_location_smuggles_or_climbs(web_and_place: Any, tail: str) -> None:
    web, virtual, prefix = web_and_place
    web.asked.clear()
    url = prefix + tail
    with contextlib.suppress(IcechunkError):
        virtual.object(url).read(place_of(url), 0, 4)
    for asked in web.asked:
        assert asked.target.startswith("/data/")
        assert asked.target.isascii()
        assert asked.target.isprintable()
        assert "x-evil" not in asked.headers
        assert asked.headers["host"] == f"127.0.0.1:{web.port}"


@pytest.fixture(scope="module")
def web_and_place() -> Any:
    with serving() as web:
        place = web_place(web)
        yield web, readers([place.container()], place.access), place.prefix


@given(url=st.one_of(anything, st.text(st.characters(), max_size=20).map("file:///".__add__)))
@example("file:///\udc80")
@example("s3://bucket/\ud800")
def test_the_parser_accepts_or_refuses(url: str) -> None:
    try:
        stored = normalise(url)
    except InvalidInputError:
        return
    assert normalise(stored) == stored
    assert stored.partition(":")[0] == stored.partition(":")[0].lower()
    assert resolved(stored, {}) == stored


@given(
    scheme=st.sampled_from(["s3", "gs", "az", "http", "https"]),
    host=st.sampled_from(["bucket", "b.c", "host:8080", "user@host", "[::1]:9"]),
    path=tails,
    query=st.sampled_from(["", "?a=b", "?a=b&c=%20#x", "#x"]),
)
def test_stored_locations_are_verbatim(scheme: str, host: str, path: str, query: str) -> None:
    """Spaces, percent signs, ports, users, queries, double slashes: all kept."""
    url = f"{scheme}://{host}/{path}{query}"
    assert normalise(url) == url
    assert normalise(f"{scheme.upper()}://{host}/{path}{query}") == url


@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_every_key_has_a_location(name: str) -> None:
    from urllib.parse import quote

    assert bucket_and_key("s3://bucket/" + quote(name)) == ("bucket", name)


@given(url=anything)
def test_escaping_is_stable_and_sendable(url: str) -> None:
    try:
        sent = escaped(url)
    except UnicodeEncodeError:
        return
    assert escaped(sent) == sent
    assert sent.isascii()
    assert " " not in sent
    assert sent.isprintable()


@given(
    user=st.text(st.characters(categories=["L", "N"]), min_size=6, max_size=12),
    rest=st.sampled_from(["", "/a", "/a?x", "/a#b"]),
)
def test_messages_show_neither_users_nor_queries(user: str, rest: str) -> None:
    url = f"https://{user}QQ:{user}QQ@host{rest}"
    assert f"{user}QQ" not in shown(url)
    assert f"{user}QQ" not in shown(f"https://host/a?signature={user}QQ#part")


@given(
    prefixes=st.lists(
        st.sampled_from(["a/", "a/b/", "a/b/c/", "ab/", ""]), unique=True, min_size=1
    ),
    authorised=st.sets(st.sampled_from(["a/", "a/b/", "a/b/c/", "ab/", ""])),
    path=st.lists(st.sampled_from(["a", "b", "c", "ab"]), min_size=1, max_size=4).map("/".join),
)
def test_the_longest_prefix_alone_decides(
    prefixes: list[str], authorised: set[str], path: str
) -> None:
    base = "https://host/"
    containers = [
        icechunk.VirtualChunkContainer(base + prefix, icechunk.http_store()) for prefix in prefixes
    ]
    access = {base + prefix: icechunk.credentials.HttpAccess for prefix in authorised}
    virtual = readers(containers, access)
    fitting = [prefix for prefix in prefixes if (path + "/").startswith(prefix) and path != prefix]
    fitting = [prefix for prefix in fitting if path.startswith(prefix)]
    url = base + path
    if not fitting:
        with pytest.raises(InvalidInputError) as caught:
            virtual.object(url)
        assert caught.value.kind == "no-container-for-virtual-chunk"
    elif max(fitting, key=len) not in authorised:
        with pytest.raises(InvalidInputError) as caught:
            virtual.object(url)
        assert caught.value.kind == "unauthorized-virtual-chunk-container"
        assert base + max(fitting, key=len) in str(caught.value)
    else:
        assert virtual.object(url).url == url


def test_many_locations_are_not_remembered_for_ever(tmp_path: Path) -> None:
    place = local_place(tmp_path)
    virtual = readers([place.container()], place.access)
    for number in range(10_000):
        virtual.object(f"{place.prefix}{number}")
    assert len(virtual._objects.get()) <= 4096

"""Web servers: redirects, secrets, faults, and servers that lack features of HTTP."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np
import pytest

import icechunk
from tests.virtual_chunks.places import Place, new_array, values, web_place
from tests.virtual_chunks.web import Served, WebServer, serving

GOOD = np.arange(40, dtype="f4")
SECRET = "a-very-secret-value"


def referring(place: Place, location: str, **settings: Any) -> icechunk.Session:
    config = place.config()
    if settings:
        config.storage = icechunk.StorageSettings(
            retries=icechunk.StorageRetriesSettings(**settings)
        )
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), config, place.access)
    session = repo.writable_session("main")
    new_array(session, 4, 10)
    session.store.set_virtual_refs(
        "a", [icechunk.VirtualChunkSpec([k], location, 40 * k, 40) for k in range(4)]
    )
    return session


def failure(session: icechunk.Session) -> str:
    with pytest.raises(icechunk.StorageError) as caught:
        values(session)
    assert caught.value.kind == "virtual-chunk-fetch"
    return str(caught.value)


@pytest.fixture
def place(web: WebServer) -> Place:
    found = web_place(web, headers={"X-Api-Key": SECRET, "Authorization": "Bearer " + SECRET})
    found.put("x", GOOD.tobytes())
    return found


def test_headers_of_the_container_are_sent_to_its_host(place: Place, web: WebServer) -> None:
    np.testing.assert_array_equal(values(referring(place, place.prefix + "x")), GOOD)
    assert web.asked[0].headers["x-api-key"] == SECRET
    assert web.asked[0].headers["user-agent"].startswith("icechunk/")


def test_redirects_to_another_host_carry_no_secrets(place: Place, web: WebServer) -> None:
    with serving() as other:
        other.objects["/moved"] = Served(GOOD.tobytes())
        web.redirects["/data/x"] = other.url + "moved"
        np.testing.assert_array_equal(values(referring(place, place.prefix + "x")), GOOD)
        assert other.asked
        for asked in other.asked:
            assert SECRET not in str(asked.headers)
            assert "authorization" not in asked.headers
            assert asked.headers["range"].startswith("bytes=")


def test_redirects_back_to_the_host_carry_them_again(place: Place, web: WebServer) -> None:
    with serving() as other:
        web.objects["/final"] = Served(GOOD.tobytes())
        web.redirects["/data/x"] = other.url + "hop"
        other.redirects["/hop"] = web.url + "final"
        np.testing.assert_array_equal(values(referring(place, place.prefix + "x")), GOOD)
        assert SECRET not in str(other.asked)
        assert web.asked[-1].headers["x-api-key"] == SECRET


def test_names_and_passwords_of_a_url_stay_with_its_host(web: WebServer) -> None:
    place = web_place(web)
    place.prefix = place.prefix.replace("://", f"://user:{SECRET}@")
    with serving() as other:
        web.redirects["/data/x"] = other.url + "moved"
        other.objects["/moved"] = Served(GOOD.tobytes())
        session = referring(place, place.prefix + "x")
        np.testing.assert_array_equal(values(session), GOOD)
        assert web.asked[0].headers["authorization"].startswith("Basic ")
        assert "authorization" not in other.asked[0].headers
        del web.redirects["/data/x"]
        assert SECRET not in failure(session)


def test_redirects_without_end_or_to_elsewhere_are_errors(place: Place, web: WebServer) -> None:
    web.redirects["/data/x"] = "/data/x"
    assert "too many redirects" in failure(referring(place, place.prefix + "x"))
    for goal in (
        "file:///etc/passwd",
        "ftp://host/x",
        "http://host:99999/x",
        "http://[::1/x",
    ):
        web.redirects["/data/x"] = goal
        assert "redirects to" in failure(referring(place, place.prefix + "x"))


def test_queries_are_sent_and_do_not_show_in_errors(place: Place, web: WebServer) -> None:
    web.objects[f"/data/x?signature={SECRET}&b=c%20d"] = Served(GOOD.tobytes())
    location = place.prefix + f"x?signature={SECRET}&b=c%20d"
    session = referring(place, location)
    np.testing.assert_array_equal(values(session), GOOD)
    web.objects.clear()
    text = failure(session)
    assert SECRET not in text
    assert place.prefix + "x?…" in text
    assert set(session.all_virtual_chunk_locations()) == {location}


def test_locations_are_sent_as_they_are_given(place: Place, web: WebServer) -> None:
    for raw, sent in (
        ("a%2Fb//c/./d", "a%2Fb//c/./d"),
        ("sp ace", "sp%20ace"),
        ("ü", "%C3%BC"),
        ("a+b;c=d", "a+b;c=d"),
        ("x#fragment", "x"),
        ("~!$&'()*,:@", "~!$&'()*,:@"),
        ("[]", "%5B%5D"),  # not allowed in a path (RFC 3986, 3.3)
    ):
        web.objects["/data/" + sent] = Served(GOOD.tobytes())
        session = referring(place, place.prefix + raw)
        np.testing.assert_array_equal(values(session), GOOD)
        assert set(session.all_virtual_chunk_locations()) == {place.prefix + raw}


def test_a_server_that_ignores_ranges_is_understood(place: Place, web: WebServer) -> None:
    web.ranges = False
    np.testing.assert_array_equal(values(referring(place, place.prefix + "x")), GOOD)


@pytest.mark.parametrize("fault", ["reset", "half", 408, 429, 500, 502, 503, 504])
def test_failures_that_pass_are_tried_again(place: Place, web: WebServer, fault: int | str) -> None:
    web.faults = lambda number: fault if number in (1, 3) else None
    session = referring(
        place, place.prefix + "x", max_tries=4, initial_backoff_ms=1, max_backoff_ms=5
    )
    np.testing.assert_array_equal(values(session), GOOD)
    assert len(web.asked) > 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (500, "500"),
        ("reset", "connection failed"),
        ("half", "ended early"),
        (403, "refuses access"),
        (401, "http_credentials(headers=...)"),
        (410, "not found"),
        (418, "418"),
    ],
)
def test_failures_that_persist_are_raised_after_the_retries(
    place: Place, web: WebServer, fault: int | str, says: str
) -> None:
    web.faults = lambda number: fault
    session = referring(
        place, place.prefix + "x", max_tries=3, initial_backoff_ms=1, max_backoff_ms=5
    )
    text = failure(session)
    assert says in text
    assert SECRET not in text
    assert len(web.asked) <= 3 * 5  # together once, then each of four by itself


def test_a_host_that_refuses_connections_fails_after_short_waits(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("icechunk.virtual_chunks.http.time.sleep", waits.append)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = web_place(web)
    place.prefix = f"http://127.0.0.1:{port}/"
    text = failure(referring(place, place.prefix + "x"))
    assert "connection failed" in text
    assert f"127.0.0.1:{port}" in text
    assert 0 < sum(waits) < 20


def test_a_silent_host_is_given_up_after_the_time_limit(web: WebServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        place = web_place(web)
        place.prefix = f"http://127.0.0.1:{mute.getsockname()[1]}/"
        config = place.config()
        config.storage = icechunk.StorageSettings(
            retries=icechunk.StorageRetriesSettings(2, 1, 1),
            timeouts=icechunk.StorageTimeoutSettings(read_timeout_ms=100),
        )
        repo = icechunk.Repository.create(icechunk.in_memory_storage(), config, place.access)
        session = repo.writable_session("main")
        new_array(session, 1, 10)
        session.store.set_virtual_ref("a/c/0", place.prefix + "x", offset=0, length=40)
        assert "time limit" in failure(session)


def test_connections_are_kept(place: Place, web: WebServer) -> None:
    session = referring(place, place.prefix + "x")
    for _ in range(5):
        values(session)
    assert len(web.asked) == 5
    assert web.connections == 1


def test_a_connection_that_died_meanwhile_is_replaced(web: WebServer) -> None:
    place = web_place(web)
    place.put("x", GOOD.tobytes())
    session = referring(place, place.prefix + "x", max_tries=1)
    values(session)
    web.faults = lambda number: "reset" if number == 2 else None
    np.testing.assert_array_equal(values(session), GOOD)


def test_a_proxy_is_used(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    place = web_place(web)
    place.prefix = "http://data.example/files/"
    monkeypatch.setenv("http_proxy", web.url)
    web.objects["http://data.example/files/x"] = Served(GOOD.tobytes())
    np.testing.assert_array_equal(values(referring(place, place.prefix + "x")), GOOD)


def test_headers_given_at_opening_are_sent_and_never_stored(web: WebServer) -> None:
    from icechunk.config.serde import to_plain

    place = web_place(web, headers={"X-Public": "stored"})
    place.put("x", GOOD.tobytes())
    place.credentials = icechunk.http_credentials(headers={"X-Api-Key": SECRET})
    session = referring(place, place.prefix + "x")
    np.testing.assert_array_equal(values(session), GOOD)
    assert web.asked[0].headers["x-api-key"] == SECRET
    assert web.asked[0].headers["x-public"] == "stored"
    assert SECRET not in str(to_plain(session.config))
    assert SECRET not in f"{place.credentials!r} {place.credentials}"


def test_headers_of_a_container_that_look_like_secrets_are_not_shown(place: Place) -> None:
    assert SECRET not in f"{place.store!r} {place.store} {place.config()!r} {place.config()}"

"""Wrong credentials, buckets, regions, endpoints: errors name the cause and the remedy."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import pytest

import icechunk
from icechunk import InvalidInputError, Repository, StorageError
from icechunk.config.resolve import storage_tuning
from icechunk.storage.base import Storage
from icechunk.storage.failures import error_details, translated
from tests.servers.places import AzurePlace, S3Place, fresh
from tests.servers.proxy import Proxy

RETRIES = icechunk.StorageRetriesSettings(3, 10, 50)
FEW_TRIES = storage_tuning(icechunk.StorageSettings(retries=RETRIES))
SHORT = storage_tuning(
    icechunk.StorageSettings(
        retries=RETRIES,
        timeouts=icechunk.StorageTimeoutSettings(
            connect_timeout_ms=500, operation_attempt_timeout_ms=500
        ),
    )
)
"""For servers that never answer. One that answers may need longer on a busy machine."""

VERBS: list[Callable[[Storage], object]] = [
    lambda storage: storage.get("repo"),
    lambda storage: storage.head("repo"),
    lambda storage: storage.read_range("repo", 0, 1),
    lambda storage: storage.list_objects(),
    lambda storage: storage.put("chunks/A", b"x"),
    lambda storage: storage.create("repo", b"x"),
    lambda storage: storage.replace("repo", b"x", "tag"),
    lambda storage: storage.delete(["chunks/A"]),
    lambda storage: Repository.create(storage),
    lambda storage: Repository.open(storage),
    lambda storage: Repository.exists(storage),
]


def refusals(storage: Storage, match: str, kind: str, verbs: list[int] | None = None) -> None:
    """Every method fails with the same error."""
    for n, verb in enumerate(VERBS):
        if verbs is not None and n not in verbs:
            continue
        with pytest.raises(StorageError, match=match) as caught:
            verb(storage)
        assert caught.value.kind == kind, n
        assert "testsecret" not in str(caught.value)


def connections_waiting(server: socket.socket) -> int:
    """Number of connections that a server has not accepted yet."""
    server.setblocking(False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


class TestPlaces:
    def test_no_such_bucket(self, moto: S3Place) -> None:
        storage = moto.storage(bucket="no-such-bucket").tuned(FEW_TRIES)
        # the answer to HEAD has no body: an object that is missing looks the same
        refusals(storage, "does not exist .*Check its name", "storage-config", [0, 2, 3, 4, 5, 8])

    def test_opening_in_no_such_bucket(self, moto: S3Place) -> None:
        storage = moto.storage(bucket="no-such-bucket").tuned(FEW_TRIES)
        with pytest.raises(StorageError, match=r"does not exist .*Check its name"):
            Repository.open(storage)

    def test_no_such_container(self, azurite: AzurePlace) -> None:
        storage = azurite.storage(container="nosuchcontainer").tuned(FEW_TRIES)
        refusals(storage, "does not exist", "storage-config", [0, 3, 4, 5])

    def test_empty_prefix(self, moto: S3Place) -> None:
        for prefix in ("", "/"):
            with pytest.raises(InvalidInputError, match="empty prefix") as caught:
                Repository.create(moto.storage(prefix))
            assert caught.value.kind == "empty-prefix-creation"
            with pytest.raises(InvalidInputError):
                Repository.create(moto.storage(prefix), check_clean_root=False)

    def test_a_prefix_with_other_data(self, moto: S3Place) -> None:
        prefix = fresh()
        moto.storage(prefix).put("other/data.csv", b"1,2")
        storage = moto.storage(prefix)
        with pytest.raises(InvalidInputError, match=r"holds `other/data.csv`") as caught:
            Repository.create(storage)
        assert caught.value.kind == "parent-directory-not-clean"
        assert storage.list_objects() == [("other/data.csv", 3)]
        Repository.create(storage, check_clean_root=False)
        assert Repository.exists(storage)

    def test_a_prefix_that_begins_another(self, moto: S3Place) -> None:
        prefix = fresh()
        moto.storage(prefix + "-more").put("a", b"x")
        Repository.create(moto.storage(prefix))

    def test_a_listing_that_is_denied_is_not_an_empty_place(self, moto: S3Place) -> None:
        with Proxy(moto.url) as proxy:
            storage = moto.through(proxy.url).storage()
            proxy.spoil(403, "GET", "list-type=2", times=10)
            with pytest.raises(StorageError, match="permission denied"):
                Repository.create(storage)


class TestEndpoints:
    def test_no_server(self, moto: S3Place) -> None:
        storage = moto.through("http://127.0.0.1:9").storage().tuned(FEW_TRIES)
        refusals(storage, "cannot be reached.*Check the endpoint", "object-store")

    def test_a_host_that_does_not_exist(self, moto: S3Place) -> None:
        storage = moto.through("http://no-such-host.invalid").storage().tuned(FEW_TRIES)
        refusals(storage, "cannot be reached|in time", "object-store", [0, 4])

    def test_a_host_that_never_answers(self, moto: S3Place) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(50)
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            storage = moto.through(url).storage().tuned(SHORT)
            refusals(storage, "did not answer in time", "object-store", [0, 4, 5])
            assert 3 <= connections_waiting(silent) <= 3 * 3 * RETRIES.max_tries

    @pytest.mark.parametrize("url", ["nonsense", "127.0.0.1:80", "http://", "://x"])
    def test_what_is_no_address(self, moto: S3Place, url: str) -> None:
        storage = moto.through(url).storage()
        refusals(storage, "is not a URL", "storage-config", [0, 4, 8, 9])

    def test_a_server_of_something_else(self, moto: S3Place) -> None:
        with Proxy(moto.url) as proxy:
            for method in ("GET", "HEAD", "PUT"):
                proxy.spoil(405, method, times=100)
            storage = moto.through(proxy.url).storage().tuned(FEW_TRIES)
            refusals(storage, "405", "object-store", [0, 4, 5])


class TestWords:
    """Errors of the client, and the errors they are translated to."""

    LINE = "Generic S3 error: Error performing GET http://h/b/k?X-Amz-Signature=hidden in 1ms - "

    def error(self, status: str, code: str, more: str = "") -> Exception:
        body = f"<?xml ?><Error><Code>{code}</Code><Message>m hidden</Message>{more}</Error>"
        said = f"{self.LINE}Server returned non-2xx status code: {status}: {body}"
        return RuntimeError(f"{said}\n\nDebug source:\nhidden")

    @pytest.mark.parametrize(
        ("status", "code", "more", "match"),
        [
            ("403 Forbidden", "SignatureDoesNotMatch", "", "secret key does not belong"),
            ("403 Forbidden", "InvalidAccessKeyId", "", "access key id is not known"),
            ("403 Forbidden", "RequestTimeTooSkewed", "", "clock"),
            ("400 Bad Request", "ExpiredToken", "", "expired"),
            ("403 Forbidden", "AccessDenied", "", "lack the permission"),
            ("301 Moved Permanently", "PermanentRedirect", "", "wrong region"),
            (
                "400 Bad Request",
                "AuthorizationHeaderMalformed",
                "<Region>eu-west-1</Region>",
                "server says eu-west-1",
            ),
            ("404 Not Found", "NoSuchBucket", "", "does not exist"),
            ("503 Slow Down", "SlowDown", "", "fewer requests"),
            ("501 Not Implemented", "NotImplemented", "", "501 NotImplemented"),
        ],
    )
    def test_advice(self, status: str, code: str, more: str, match: str) -> None:
        found = translated(self.error(status, code, more), "k", "s3://b")
        assert isinstance(found, StorageError)
        assert match in str(found)
        assert "hidden" not in str(found)

    def test_lines_are_cleaned(self) -> None:
        text = "Error GET http://me:hidden@h/x?sig=hidden&b=hidden failed"
        assert error_details(RuntimeError(text)).line == "Error GET http://h/x failed"
        assert error_details(RuntimeError("")).line == "RuntimeError"


@pytest.mark.slow
class TestASigningServer:
    def test_wrong_secret(self, radosgw: S3Place) -> None:
        storage = radosgw.storage(secret_access_key="wrong")
        refusals(storage, "permission denied.*check the credentials", "object-store", [0, 3, 4, 5])
        refusals(storage, "permission denied", "object-store")

    def test_wrong_key(self, radosgw: S3Place) -> None:
        storage = radosgw.storage(access_key_id="unknown")
        refusals(storage, "permission denied", "object-store")

    def test_anonymous_in_a_private_bucket(self, radosgw: S3Place) -> None:
        keyless = {"access_key_id": None, "secret_access_key": None, "anonymous": True}
        refusals(radosgw.storage(**keyless), "permission denied", "object-store")

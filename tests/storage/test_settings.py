"""Every setting of an object store changes the requests; no secret is shown."""

from __future__ import annotations

import asyncio
import logging
import pickle
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import icechunk
from icechunk import StorageError, StorageSettings
from icechunk.config.resolve import storage_tuning
from icechunk.storage import ChecksumAlgorithm
from icechunk.storage.base import Storage
from tests.servers.places import AzurePlace, GcsPlace, S3Place
from tests.servers.proxy import Proxy, Request

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")


@pytest.fixture
def proxy(moto: S3Place) -> Iterator[Proxy]:
    with Proxy(moto.url) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*KEYS, "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


Use = Callable[..., Storage]


@pytest.fixture
def use(moto: S3Place, proxy: Proxy) -> Use:
    """Make a storage behind the proxy, by arguments of `s3_storage` and settings."""

    def make(settings: StorageSettings | None = None, **kwargs: Any) -> Storage:
        made = moto.through(proxy.url).storage(**kwargs)
        return made if settings is None else made.tuned(storage_tuning(settings))

    return make


def sent(proxy: Proxy, method: str) -> Request:
    """The last request of a method."""
    return next(each for each in reversed(proxy.requests) if each.method == method)


def exercise(storage: Storage) -> None:
    """One write and one read."""
    storage.put("chunks/A", b"0123456789")
    storage.get("chunks/A")


class TestRequests:
    def test_headers_by_direction(self, use: Use, proxy: Proxy) -> None:
        exercise(
            use(
                read_headers={"X-Reads": "r", "X-Both": "over"},
                write_headers={"X-Writes": "w"},
                headers={"X-Both": "b"},
            )
        )
        put, get = sent(proxy, "PUT").headers, sent(proxy, "GET").headers
        assert (put.get("x-writes"), put.get("x-reads"), put["x-both"]) == ("w", None, "b")
        assert (get.get("x-writes"), get.get("x-reads"), get["x-both"]) == (None, "r", "over")
        assert get["user-agent"] == "icechunk/2.3.0"

    def test_requester_pays(self, use: Use, proxy: Proxy) -> None:
        exercise(use(requester_pays=True))
        for method in ("PUT", "GET"):
            assert sent(proxy, method).headers["x-amz-request-payer"] == "requester"
        exercise(use())
        assert "x-amz-request-payer" not in sent(proxy, "GET").headers

    @pytest.mark.parametrize(
        ("algorithm", "header"),
        [(ChecksumAlgorithm.Sha256, "sha256"), (ChecksumAlgorithm.Crc64Nvme, "crc64nvme")],
    )
    def test_checksums(self, use: Use, proxy: Proxy, algorithm: Any, header: str) -> None:
        exercise(use(checksum_algorithm=algorithm))
        assert f"x-amz-checksum-{header}" in sent(proxy, "PUT").headers

    @pytest.mark.parametrize(
        "algorithm", [ChecksumAlgorithm.Crc32, ChecksumAlgorithm.Crc32c, ChecksumAlgorithm.Sha1]
    )
    def test_checksums_that_cannot_be_made(self, use: Use, algorithm: Any) -> None:
        with pytest.raises(StorageError, match=r"use ChecksumAlgorithm.Sha256"):
            exercise(use(checksum_algorithm=algorithm))

    def test_path_style(self, moto: S3Place, proxy: Proxy, use: Use) -> None:
        exercise(use(force_path_style=True))
        assert sent(proxy, "GET").path.startswith(f"/{moto.bucket}/t/")
        with Proxy(moto.url) as named:
            port = named.url.rpartition(":")[2]
            storage = icechunk.s3_storage(
                **moto.arguments(
                    endpoint_url=f"http://s3.localhost:{port}", force_path_style=False, prefix="p"
                )
            ).tuned(storage_tuning(StorageSettings(retries=icechunk.StorageRetriesSettings(1))))
            try:
                storage.get("a")
            except StorageError as error:
                # the host may not resolve here; what counts is which one was asked for
                asked = str(error) + str([each.headers["host"] for each in named.requests])
            assert f"{moto.bucket}.s3.localhost:{port}" in asked

    def test_an_endpoint_with_a_path(self, use: Use, proxy: Proxy, moto: S3Place) -> None:
        storage = use(endpoint_url=f"{proxy.url}/gateway/")
        with pytest.raises(StorageError):
            storage.get("a")
        assert sent(proxy, "GET").path.startswith(f"/gateway/{moto.bucket}/t/")

    def test_region_is_signed(self, use: Use, proxy: Proxy) -> None:
        exercise(use(region="eu-central-1"))
        assert "/eu-central-1/s3/" in sent(proxy, "GET").headers["authorization"]

    def test_session_token(self, use: Use, proxy: Proxy) -> None:
        exercise(use(session_token="token"))
        assert sent(proxy, "GET").headers["x-amz-security-token"] == "token"

    def test_tigris_asks_for_the_latest(self, moto: S3Place, proxy: Proxy) -> None:
        arguments = moto.arguments(endpoint_url=proxy.url)
        del arguments["force_path_style"]
        exercise(icechunk.tigris_storage(**arguments))
        for method in ("PUT", "GET"):
            assert sent(proxy, method).headers["x-tigris-consistent"] == "true"
        weak = icechunk.tigris_storage(**arguments, use_weak_consistency=True)
        with pytest.raises(icechunk.ReadOnlyError):
            weak.put("a", b"x")
        weak.head("a")
        assert "x-tigris-consistent" not in sent(proxy, "HEAD").headers

    def test_no_encryption_has_to_be_allowed(self, moto: S3Place) -> None:
        with pytest.raises(StorageError, match="allow_http=True"):
            exercise(moto.storage(allow_http=False))


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "chunk", "metadata"),
        [
            ({"storage_class": "STANDARD_IA"}, "STANDARD_IA", "STANDARD_IA"),
            ({"chunks_storage_class": "GLACIER_IR"}, "GLACIER_IR", None),
            (
                {"storage_class": "STANDARD_IA", "metadata_storage_class": "STANDARD"},
                "STANDARD_IA",
                "STANDARD",
            ),
        ],
    )
    def test_storage_classes(
        self, use: Use, proxy: Proxy, given: dict[str, str], chunk: str, metadata: str | None
    ) -> None:
        storage = use(StorageSettings(**given))  # type: ignore[arg-type]
        for key, wanted in (("chunks/A", chunk), ("snapshots/A", metadata)):
            storage.put(key, b"x")
            assert sent(proxy, "PUT").headers.get("x-amz-storage-class") == wanted
        storage.create("repo", b"x")
        assert sent(proxy, "PUT").headers.get("x-amz-storage-class") == metadata

    def test_big_uploads_go_in_parts(self, use: Use, proxy: Proxy) -> None:
        data = bytes(range(256)) * 4096 * 20  # 20 MiB
        storage = use(StorageSettings(minimum_size_for_multipart_upload=17 * 2**20))
        storage.put("chunks/A", data)
        assert [each.method for each in proxy.requests].count("PUT") == 2
        assert "uploads" in proxy.requests[0].path
        assert storage.get("chunks/A").data == data
        proxy.clear()
        use().put("chunks/A", data)
        assert proxy.methods() == ["PUT"]

    def test_big_reads_go_in_parts(self, use: Use, proxy: Proxy) -> None:
        data = bytes(range(256)) * 4096
        parts = icechunk.StorageConcurrencySettings(3, 300_000)
        storage = use(StorageSettings(concurrency=parts))
        storage.put("chunks/A", data)
        proxy.clear()
        assert storage.read_range("chunks/A", 5, 1_000_000) == data[5:1_000_005]
        assert proxy.methods() == ["GET"] * 4
        proxy.clear()
        assert asyncio.run(storage.read_range_async("chunks/A", 5, 1_000_000)) == data[5:1_000_005]
        assert sorted(each.headers["range"] for each in proxy.requests) == [
            "bytes=300005-600004",
            "bytes=5-300004",
            "bytes=600005-900004",
            "bytes=900005-1000004",
        ]

    def test_conditions_are_sent_and_can_be_given_up(self, use: Use, proxy: Proxy) -> None:
        storage = use()
        version = storage.create("repo", b"x")
        assert version is not None
        assert sent(proxy, "PUT").headers["if-none-match"] == "*"
        assert storage.replace("repo", b"y", version) is not None
        assert sent(proxy, "PUT").headers["if-match"] == version
        assert '"' not in version
        weak = use(
            StorageSettings(
                unsafe_use_conditional_create=False, unsafe_use_conditional_update=False
            )
        )
        version = weak.create("repo", b"x")
        assert version is not None
        assert "if-none-match" not in sent(proxy, "PUT").headers
        assert weak.create("repo", b"z") is None
        assert weak.replace("repo", b"y", version) is not None
        assert "if-match" not in sent(proxy, "PUT").headers
        assert weak.replace("repo", b"z", version) is None

    def test_write_ids_can_be_given_up(self, use: Use, proxy: Proxy) -> None:
        use().create("repo", b"x")
        assert len(sent(proxy, "PUT").headers["x-amz-meta-icechunkwriteid"]) == 32
        use(StorageSettings(unsafe_use_metadata=False)).create("repo", b"x")
        assert "x-amz-meta-icechunkwriteid" not in sent(proxy, "PUT").headers

    def test_a_repository_passes_its_settings_on(self, use: Use, proxy: Proxy) -> None:
        config = icechunk.RepositoryConfig(
            storage=StorageSettings(metadata_storage_class="STANDARD_IA")
        )
        storage = use()
        repo = icechunk.Repository.create(storage, config)
        assert sent(proxy, "PUT").headers["x-amz-storage-class"] == "STANDARD_IA"
        for again in (icechunk.Repository.open(storage), pickle.loads(pickle.dumps(repo))):
            again.create_branch(f"b{id(again)}", again.lookup_branch("main"))
            assert sent(proxy, "PUT").headers["x-amz-storage-class"] == "STANDARD_IA"


class Counter:
    """A function for refreshable credentials that counts its calls in a file."""

    def __init__(self, path: Path, seconds: float | None) -> None:
        self.path, self.seconds = path, seconds

    def __call__(self) -> icechunk.S3StaticCredentials:
        calls = self.count() + 1
        self.path.write_text(str(calls))
        end = None if self.seconds is None else datetime.now(UTC) + timedelta(seconds=self.seconds)
        return icechunk.S3StaticCredentials(f"key{calls}", "hidden", "hidden", end)

    def count(self) -> int:
        return int(self.path.read_text()) if self.path.exists() else 0


def who(proxy: Proxy) -> str:
    """The key that signed the last request."""
    text = proxy.requests[-1].headers.get("authorization", "Credential=none/")
    return text.partition("Credential=")[2].partition("/")[0]


class TestCredentials:
    @pytest.fixture
    def refreshing(self, moto: S3Place, proxy: Proxy) -> Use:
        def make(get: Counter, **kwargs: Any) -> Storage:
            place = moto.through(proxy.url)
            keyless = {"access_key_id": None, "secret_access_key": None}
            return place.storage(get_credentials=get, **keyless, **kwargs)

        return make

    def test_static(self, use: Use, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SESSION_TOKEN", "of another user")
        exercise(use(access_key_id="me"))
        assert who(proxy) == "me"
        assert "x-amz-security-token" not in proxy.requests[-1].headers

    def test_anonymous(self, use: Use, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in KEYS[:3]:
            monkeypatch.setenv(name, "mine")
        storage = use(access_key_id=None, secret_access_key=None, anonymous=True)
        storage.put("chunks/A", b"x")
        assert "authorization" not in proxy.requests[-1].headers

    def test_environment(self, use: Use, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-env")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
        monkeypatch.setenv("AWS_REGION", "eu-north-1")
        for extra in ({}, {"from_env": True}):
            exercise(use(access_key_id=None, secret_access_key=None, region=None, **extra))
            assert who(proxy) == "from-env"
            assert "/eu-north-1/" in proxy.requests[-1].headers["authorization"]

    def test_profile(
        self, use: Use, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "credentials").write_text(
            "[work]\naws_access_key_id = of-work\naws_secret_access_key = hidden\n"
        )
        (tmp_path / "config").write_text("[profile work]\nregion = ap-south-1\n")
        monkeypatch.setenv("AWS_PROFILE", "work")
        exercise(use(access_key_id=None, secret_access_key=None, region=None))
        assert who(proxy) == "of-work"
        assert "/ap-south-1/" in proxy.requests[-1].headers["authorization"]

    def test_none_to_be_found(self, use: Use) -> None:
        with pytest.raises(StorageError, match="anonymous=True"):
            exercise(use(access_key_id=None, secret_access_key=None))

    def test_refreshed_only_when_due(self, refreshing: Use, proxy: Proxy, tmp_path: Path) -> None:
        for seconds, calls in ((None, 1), (3600, 1), (0.5, 2)):
            get = Counter(tmp_path / f"calls{seconds}", seconds)
            storage = refreshing(get)
            assert get.count() == 0, "nothing is fetched before it is needed"
            storage.put("a", b"x")
            for _ in range(5):
                storage.get("a")
            first = get.count()
            if seconds == 0.5:
                time.sleep(0.4)  # past half of its life, before its end
                storage.get("a")
                assert get.count() == first + 1, "renewed early"
            else:
                assert get.count() <= calls + 1, "one client reads, one writes"
            assert who(proxy) == f"key{get.count()}" or first > 1

    def test_scattered_or_not(self, refreshing: Use, proxy: Proxy, tmp_path: Path) -> None:
        get = Counter(tmp_path / "calls", 3600)
        storage = refreshing(get)
        exercise(storage)
        assert b"hidden" not in pickle.dumps(storage), "what was fetched stays here"
        before = get.count()
        scattered = refreshing(get, scatter_initial_credentials=True)
        assert get.count() == before + 1
        copy = pickle.loads(pickle.dumps(scattered))
        exercise(copy)
        assert get.count() == before + 1, "the copy brought them along"

    def test_a_function_that_returns_nonsense(self, refreshing: Use) -> None:
        storage = refreshing(_returns_nonsense)
        with pytest.raises(StorageError) as caught:
            storage.get("a")
        assert "hidden" not in str(caught.value)

    def test_secrets_stay_inside(
        self, use: Use, proxy: Proxy, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        storage = use(access_key_id="public", secret_access_key="hidden1", session_token="hidden2")
        exercise(storage)
        seen = [repr(storage), str(storage), storage._repr_html_(), storage.identity]
        for status in (403, 500):
            proxy.spoil(status, "GET", times=20)
            try:
                storage.tuned(
                    storage_tuning(StorageSettings(retries=icechunk.StorageRetriesSettings(1)))
                ).get("chunks/A")
            except StorageError as error:
                seen.append("".join(traceback.format_exception(error)))
        assert len(seen) == 6
        assert not [text for text in [*seen, caplog.text] if "hidden" in text]


def _google_token() -> Any:
    return icechunk.GcsBearerCredential("hidden-g", expires_after=None)


def _azure_token() -> Any:
    end = datetime.now(UTC) + timedelta(hours=1)
    return icechunk.AzureRefreshableCredential.BearerToken(bearer="hidden-a", expires_after=end)


def _azure_signature() -> Any:
    end = datetime.now(UTC) + timedelta(hours=1)
    return icechunk.AzureRefreshableCredential.SasToken(token="sig=hidden-s", expires_after=end)


class TestOtherFamilies:
    def test_google(self, gcs_xml: GcsPlace) -> None:
        with Proxy(gcs_xml.url) as proxy:
            place = gcs_xml.through(proxy.url)
            storage = place.storage(bearer_token=None, get_credentials=_google_token)
            exercise(pickle.loads(pickle.dumps(storage)))
            assert sent(proxy, "PUT").headers["authorization"] == "Bearer hidden-g"
            assert b"hidden-g" not in pickle.dumps(storage)
            config = {"base_url": proxy.url, "allow_http": "true", "user_agent": "me/1"}
            exercise(place.storage(config=config, read_headers={"X-Reads": "r"}))
            assert sent(proxy, "GET").headers["user-agent"] == "me/1"
            assert sent(proxy, "GET").headers["x-reads"] == "r"
            assert "x-reads" not in sent(proxy, "PUT").headers

    @pytest.mark.parametrize(
        ("get", "where"), [(_azure_token, "header"), (_azure_signature, "url")]
    )
    def test_azure(self, get: Callable[[], Any], where: str) -> None:
        credentials = icechunk.azure_refreshable_credentials(get)
        with Proxy("http://127.0.0.1:9") as proxy:
            proxy.spoil(403, "GET", times=100)
            storage = Storage.new_azure_blob(
                "devstoreaccount1",
                "container",
                "prefix",
                credentials,
                config={
                    "azure_storage_endpoint": f"{proxy.url}/devstoreaccount1",
                    "allow_http": "true",
                },
            )
            with pytest.raises(StorageError, match="permission denied") as caught:
                storage.get("a")
            request = proxy.requests[0]
        assert "hidden" not in str(caught.value)
        if where == "header":
            assert request.headers["authorization"] == "Bearer hidden-a"
        else:
            assert "sig=hidden-s" in request.path

    def test_options_that_nobody_knows(self, gcs_xml: GcsPlace) -> None:
        storage = gcs_xml.storage(config={"nonsense": "hidden"})
        with pytest.raises(StorageError, match="nonsense") as caught:
            storage.get("a")
        assert caught.value.kind == "storage-config"
        assert "hidden" not in str(caught.value)

    def test_credentials_of_another_family(self) -> None:
        wrong = icechunk.s3_credentials(anonymous=True)
        for make in (
            lambda: Storage.new_gcs("b", "p", wrong),
            lambda: Storage.new_azure_blob("a", "c", "p", wrong),
        ):
            with pytest.raises(icechunk.InvalidInputError, match="S3") as caught:
                make()
            assert caught.value.kind == "invalid-credentials"


def _returns_nonsense() -> Any:
    return {"access_key_id": "hidden"}


class TestAzure:
    def test_signatures_in_addresses_stay_inside(self, azurite: AzurePlace) -> None:
        with Proxy(azurite.url.rpartition("/")[0]) as proxy:
            signature = "sv=2021-08-06&sp=r&sig=hiddensignature%3D"
            storage = azurite.through(proxy.url).storage(access_key=None, sas_token=signature)
            with pytest.raises(StorageError, match="permission denied") as caught:
                storage.get("a")
            assert "sig=" in proxy.requests[0].path
            assert "hiddensignature" not in "".join(traceback.format_exception(caught.value))

    def test_bearer_and_anonymous(self, azurite: AzurePlace) -> None:
        with Proxy(azurite.url.rpartition("/")[0]) as proxy:
            place = azurite.through(proxy.url)
            for given, wanted in (
                ({"bearer_token": "hidden"}, "Bearer hidden"),
                ({"anonymous": True}, None),
            ):
                proxy.clear()
                with pytest.raises(StorageError):
                    place.storage(access_key=None, **given).get("a")
                assert proxy.requests[0].headers.get("authorization") == wanted

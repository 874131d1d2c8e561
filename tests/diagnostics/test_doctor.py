"""What the examination finds in good storages, in ill ones, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import icechunk
from icechunk import InvalidInputError, StorageReport
from icechunk.diagnostics import Outcome
from icechunk.storage import fsspec_storage
from icechunk.storage.base import Data, ObjectInfo, Storage, Version
from icechunk.storage.memory import MemoryStorage
from icechunk.storage.objects import ObjectStorage
from icechunk.testing.storages import RecordingStorage
from tests.servers.places import AzurePlace, GcsPlace, S3Place, WebPlace, fresh
from tests.servers.proxy import LOST, STALL, Proxy
from tests.servers.running import request

CONDITIONS = ("create", "update", "stale-update", "missing-update")
WRITES = ("write", *CONDITIONS, "delete")


def states(report: StorageReport, *names: str) -> set[str]:
    """How some checks ended."""
    return {report[name].outcome.value for name in names}


def all_well(report: StorageReport) -> None:
    """Everything was tried and nothing is wrong."""
    assert report.ok, report
    assert report.can_commit is True, report
    assert report.verdict == "commits are safe here"
    assert {check.outcome for check in report} == {Outcome.PASSED}, report
    assert set(report.latency_ms) == {"put", "get", "list"}
    assert report.clock_skew_s is not None
    assert abs(report.clock_skew_s) < 5


class TestGoodStorages:
    def test_memory(self) -> None:
        storage = icechunk.in_memory_storage()
        all_well(icechunk.doctor(storage))
        assert storage.list_objects() == []

    def test_a_folder_that_is_not_there_yet(self, tmp_path: Path) -> None:
        report = icechunk.doctor(icechunk.local_filesystem_storage(tmp_path / "a" / "b"))
        all_well(report)
        assert os.listdir(tmp_path) == []
        assert states(report, "filesystem", "rename", "flush", "lock") <= {"passed"}

    def test_a_folder_with_a_repository(self, tmp_path: Path) -> None:
        storage = icechunk.local_filesystem_storage(tmp_path)
        icechunk.Repository.create(storage)
        before = tree(tmp_path)
        report = icechunk.doctor(storage)
        all_well(report)
        assert tree(tmp_path) == before
        assert report["repository"].found == "a repository: format 2, 1 branch, 0 tags"

    def test_a_repository_of_format_1(self, tmp_path: Path) -> None:
        storage = icechunk.local_filesystem_storage(tmp_path)
        icechunk.Repository.create(storage, spec_version=1)
        assert "format 1, 1 branch" in icechunk.doctor(storage)["repository"].found

    def test_scratch_data(self, tmp_path: Path) -> None:
        report = icechunk.doctor(icechunk.local_filesystem_storage(tmp_path, durable=False))
        assert report.can_commit is True
        assert report["flush"].outcome is Outcome.NOT_APPLICABLE

    def test_s3(self, moto: S3Place) -> None:
        storage = moto.storage()
        all_well(icechunk.doctor(storage))
        assert storage.list_objects() == []

    def test_azure(self, azurite: AzurePlace) -> None:
        storage = azurite.storage()
        all_well(icechunk.doctor(storage))
        assert storage.list_objects() == []

    def test_google(self, gcs_xml: GcsPlace) -> None:
        storage = gcs_xml.storage()
        all_well(icechunk.doctor(storage))
        assert storage.list_objects() == []

    @pytest.mark.slow
    def test_ceph(self, radosgw: S3Place) -> None:
        all_well(icechunk.doctor(radosgw.storage()))

    def test_memory_of_fsspec(self) -> None:
        storage = fsspec_storage(f"memory://{uuid.uuid4().hex}/x")
        all_well(icechunk.doctor(storage))
        assert storage.list_objects() == []

    def test_what_others_keep_there_is_not_touched(self, moto: S3Place) -> None:
        prefix = fresh()
        moto.storage(prefix).put("probes/of-others", b"x")
        with Proxy(moto.url) as proxy:
            report = icechunk.doctor(moto.through(proxy.url).storage(prefix))
            written = {r.path.partition("?")[0] for r in proxy.requests if r.method == "PUT"}
        assert report.can_commit is True
        assert "other data: `probes/of-others`" in report["repository"].found
        assert report["repository"].failed
        assert report.verdict == "commits are safe here; look at: existing content"
        assert moto.storage(prefix).list_objects() == [("probes/of-others", 1)]
        assert all("/probes/" in path for path in written)
        assert len({path.split("/probes/")[1].split("/")[0] for path in written}) == 1


def tree(root: Path) -> list[tuple[str, int]]:
    """All files and folders with the time of their last change."""
    return sorted(
        (str(path.relative_to(root)), path.stat().st_mtime_ns if path.is_file() else 0)
        for path in root.rglob("*")
    )


class TestReadOnly:
    def test_nothing_is_written(self, moto: S3Place) -> None:
        prefix = fresh()
        icechunk.Repository.create(moto.storage(prefix))
        with Proxy(moto.url) as proxy:
            report = icechunk.doctor(moto.through(proxy.url).storage(prefix), read_only=True)
            assert {r.method for r in proxy.requests} <= {"GET", "HEAD"}
        assert report.ok
        assert report.can_commit is None
        assert "was not tried" in report.verdict
        assert states(report, *WRITES) == {"not applicable"}
        assert states(report, "connection", "read", "range", "list", "clock") == {"passed"}

    def test_not_even_a_folder(self, tmp_path: Path) -> None:
        storage = icechunk.local_filesystem_storage(tmp_path / "x")
        assert icechunk.doctor(storage, read_only=True).ok
        assert os.listdir(tmp_path) == []

    def test_a_web_server(self, web_server: WebPlace) -> None:
        name = uuid.uuid4().hex
        icechunk.Repository.create(icechunk.local_filesystem_storage(web_server.root / name))
        before = tree(web_server.root / name)
        report = icechunk.doctor(icechunk.http_storage(f"{web_server.url}/{name}"))
        assert report.ok, report
        assert states(report, *WRITES, "list") == {"not applicable"}
        assert states(report, "repository", "read", "range", "clock") == {"passed"}
        assert tree(web_server.root / name) == before

    def test_a_web_server_without_a_repository(self, web_server: WebPlace) -> None:
        report = icechunk.doctor(icechunk.http_storage(f"{web_server.url}/nothing"))
        assert not report.ok
        assert report["repository"].failed
        assert "the file `repo`" in report["repository"].advice


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder that this process may read and not write."""
    if os.name == "nt":
        pytest.skip("no permission bits")
    folder = Path(tempfile.mkdtemp())
    (folder / "inner").mkdir()
    folder.chmod(0o755)
    (folder / "inner").chmod(0o555)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield folder / "inner"
    finally:
        os.seteuid(was)
        (folder / "inner").rmdir()
        folder.rmdir()


class TestIllStorages:
    def test_a_store_that_ignores_conditions(self, rclone: S3Place) -> None:
        storage = rclone.storage()
        report = icechunk.doctor(storage)
        assert not report.ok
        assert report.can_commit is False
        assert states(report, "create", "stale-update", "missing-update") == {"failed"}
        assert states(report, "update", "write", "read", "list", "delete") == {"passed"}
        assert "would be lost" in report["stale-update"].found
        assert "conditional writes" in report["stale-update"].advice
        assert report.verdict.startswith("do not commit here: ")
        assert storage.list_objects() == []

    def test_wrong_credentials(self, rclone: S3Place) -> None:
        report = icechunk.doctor(rclone.storage(secret_access_key="wrong-secret"))
        assert states(report, "credentials") == {"failed"}
        assert "secret key does not belong" in report["credentials"].found
        assert report["clock"].passed, "the date of an answer needs no credentials"
        assert states(report, *WRITES) == {"not applicable"}
        assert "wrong-secret" not in json.dumps(report.to_dict())
        assert report.verdict == "cannot be used as it is: credentials"

    def test_no_such_bucket(self, moto: S3Place) -> None:
        report = icechunk.doctor(moto.storage(bucket="no-such-bucket"))
        assert states(report, "place") == {"failed"}
        assert states(report, "connection") == {"passed"}
        assert "create the bucket" in report["place"].advice

    def test_nobody_listens(self, moto: S3Place) -> None:
        began = time.monotonic()
        report = icechunk.doctor(moto.through("http://127.0.0.1:9").storage(), timeout=3)
        assert time.monotonic() - began < 10
        assert states(report, "connection") == {"failed"}
        assert "cannot be reached" in report["connection"].found
        assert len([check for check in report if check.failed]) == 1

    def test_a_host_that_never_answers(self, moto: S3Place) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(50)
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            began = time.monotonic()
            report = icechunk.doctor(moto.through(url).storage(), timeout=1)
            assert time.monotonic() - began < 10
        assert states(report, "connection") == {"failed"}

    def test_a_store_that_stops_answering(self, moto: S3Place) -> None:
        with Proxy(moto.url) as proxy:
            proxy.spoil(STALL, "PUT", times=100, after=2)
            began = time.monotonic()
            report = icechunk.doctor(moto.through(proxy.url).storage(), timeout=1)
            assert time.monotonic() - began < 20
            assert not report.ok
            assert report["write"].passed

    def test_a_lost_answer_is_no_failure(self, moto: S3Place) -> None:
        with Proxy(moto.url) as proxy:
            proxy.spoil(LOST, "PUT", "/condition", times=1)
            assert icechunk.doctor(moto.through(proxy.url).storage()).ok

    def test_writing_is_denied(self, moto: S3Place) -> None:
        with Proxy(moto.url) as proxy:
            proxy.spoil(403, "PUT", times=100)
            report = icechunk.doctor(moto.through(proxy.url).storage())
        assert states(report, "write") == {"failed"}
        assert "permission denied" in report["write"].found
        assert states(report, *CONDITIONS) == {"not applicable"}
        assert report.can_commit is False

    def test_deleting_is_denied(self, moto: S3Place) -> None:
        with Proxy(moto.url) as proxy:
            proxy.spoil(403, "POST", times=100)
            proxy.spoil(403, "DELETE", times=100)
            report = icechunk.doctor(moto.through(proxy.url).storage())
        assert report["delete"].failed
        assert "by hand" in report["delete"].advice
        assert report.ok, "commits do not delete"

    def test_a_folder_that_cannot_be_written_to(self, nobody: Path) -> None:
        report = icechunk.doctor(icechunk.local_filesystem_storage(nobody))
        assert report["write"].failed, report
        assert report["connection"].passed
        assert not report.ok
        assert "ermission" in report["write"].found

    def test_a_file_where_a_folder_should_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        report = icechunk.doctor(icechunk.local_filesystem_storage(tmp_path / "file" / "x"))
        assert not report.ok
        assert (tmp_path / "file").read_text() == "x"

    def test_a_damaged_repository(self, tmp_path: Path) -> None:
        storage = icechunk.local_filesystem_storage(tmp_path)
        icechunk.Repository.create(storage)
        (tmp_path / "repo").write_bytes((tmp_path / "repo").read_bytes()[:60])
        report = icechunk.doctor(storage)
        assert report["repository"].failed
        assert not report.ok
        assert "backup" in report["repository"].advice

    def test_a_file_system_without_conditions(self, tmp_path: Path) -> None:
        (tmp_path / "store").mkdir()
        storage = fsspec_storage("store", fs=_plain(tmp_path))
        report = icechunk.doctor(storage)
        assert states(report, "write", "read", "range", "list", "delete") == {"passed"}, report
        assert states(report, "create", "update") == {"failed"}
        assert tree(tmp_path) == [("store", 0)]


def _plain(root: Path) -> object:
    """A file system of fsspec with real folders and no conditions."""
    from fsspec.implementations.dirfs import DirFileSystem
    from fsspec.implementations.local import LocalFileSystem

    return DirFileSystem(str(root), LocalFileSystem())


class Odd(MemoryStorage):
    """A memory that does one thing wrong."""

    def __init__(self, wrong: str) -> None:
        super().__init__()
        self.wrong = wrong

    def replace(self, key: str, data: Data, expected: Version) -> Version | None:
        if self.wrong == "refuses":
            return None
        if self.wrong == "explodes":
            raise RuntimeError("a secret")
        return super().replace(key, data, expected)

    def read_range(self, key: str, offset: int, length: int) -> bytes | memoryview:
        if self.wrong == "short ranges":
            return self.get(key).data[offset : offset + length]
        if self.wrong == "whole":
            return self.get(key).data
        return super().read_range(key, offset, length)

    def put(self, key: str, data: Data) -> None:
        super().put(key, bytes(data)[:100] if self.wrong == "cuts" else data)

    def head(self, key: str) -> ObjectInfo | None:
        found = super().head(key)
        if found is None or self.wrong != "an hour ahead":
            return found
        return found._replace(modified=found.modified + 3600 * 1_000_000)


class TestOddStorages:
    @pytest.mark.parametrize(
        ("wrong", "failed"),
        [
            ("refuses", {"update"}),
            ("explodes", {"update", "missing-update"}),
            ("short ranges", {"range"}),
            ("whole", {"range"}),
            ("cuts", {"read", "range", "list"}),
            ("an hour ahead", {"clock"}),
        ],
    )
    def test_what_is_wrong_is_named(self, wrong: str, failed: set[str]) -> None:
        storage = Odd(wrong)
        report = icechunk.doctor(storage)
        assert {check.name for check in report if check.failed} == failed
        assert report.ok == (failed == {"clock"})
        assert all(report[name].advice for name in failed)
        assert "a secret" not in repr(report)
        assert storage.list_objects() == []

    def test_skew_is_measured(self) -> None:
        assert icechunk.doctor(Odd("an hour ahead")).clock_skew_s == pytest.approx(3600, abs=2)

    def test_a_wrapper_keeps_its_storage(self, moto: S3Place) -> None:
        inner = moto.storage()
        wrapper = RecordingStorage(inner)
        assert icechunk.doctor(wrapper).can_commit is True
        assert wrapper.inner is inner
        assert isinstance(inner, ObjectStorage)


@pytest.fixture(scope="module")
def report() -> StorageReport:
    """What was found out about a storage that refuses every update."""
    return icechunk.doctor(Odd("refuses"))


class TestReport:
    def test_as_text(self, report: StorageReport) -> None:
        text = repr(report)
        assert "FAILED" in text
        assert "->" in text
        assert text.splitlines()[-1] == report.verdict

    def test_as_html(self, report: StorageReport) -> None:
        page = report._repr_html_()
        assert page.count("<tr>") == page.count("</tr>") > 10
        assert "conditional update" in page

    def test_names_are_escaped(self) -> None:
        storage = icechunk.in_memory_storage()
        storage.put("<b>x", b"")
        page = icechunk.doctor(storage)._repr_html_()
        assert "<b>x" not in page
        assert "&lt;b&gt;x" in page

    def test_as_json(self, report: StorageReport) -> None:
        told = json.loads(json.dumps(report.to_dict()))
        assert told["ok"] is False
        assert {check["name"] for check in told["checks"]} == {check.name for check in report}
        assert all(check["meaning"] for check in told["checks"])

    def test_unknown_checks(self, report: StorageReport) -> None:
        with pytest.raises(KeyError):
            report["nothing"]
        assert len(report) == len(list(report))


@pytest.mark.parametrize("given", ["s3://bucket/x", None, 7])
def test_only_storages_are_examined(given: object) -> None:
    with pytest.raises(InvalidInputError, match="takes a storage"):
        icechunk.doctor(given)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_time_is_positive(seconds: float) -> None:
    storage: Storage = icechunk.in_memory_storage()
    with pytest.raises(InvalidInputError, match="positive"):
        icechunk.doctor(storage, timeout=seconds)


class Forgetful(MemoryStorage):
    """A memory whose listings are behind."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return iter(())


def test_listings_that_are_behind_are_told() -> None:
    report = icechunk.doctor(Forgetful())
    assert [check.name for check in report if check.failed] == ["list"]
    assert report.can_commit is True
    assert "0 objects were listed right after 1" in report["list"].found


def test_the_top_of_a_bucket(moto: S3Place) -> None:
    request(f"{moto.url}/all-ours", "PUT")
    storage = moto.storage("", bucket="all-ours")
    report = icechunk.doctor(storage)
    assert report["repository"].found.startswith("the root of a bucket")
    assert report.can_commit is True
    assert storage.list_objects() == []


def test_the_same_advice_is_given_once(rclone: S3Place) -> None:
    report = icechunk.doctor(rclone.storage())
    for text in (repr(report), report._repr_html_()):
        assert text.count("unsafe_use_conditional_create=False") == 1
    assert "the whole object was sent" in report["range"].found

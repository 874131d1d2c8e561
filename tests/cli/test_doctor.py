"""`icechunk doctor`: its text, its JSON, and its exit status."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import icechunk
from icechunk.cli.aliases import Aliases
from tests.cli.commands import Commands, run_script
from tests.servers.places import AZURE_ACCOUNT, AZURE_KEY, AzurePlace, S3Place, fresh


def url_of(place: S3Place, prefix: str) -> str:
    return f"s3://{place.bucket}/{prefix}?endpoint_url={place.url}&region=us-east-1"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of the test servers in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", S3Place.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3Place.secret_access_key)


def test_a_folder(icechunk_command: Commands, tmp_path: Path) -> None:
    done = icechunk_command("doctor", str(tmp_path / "x"))
    assert done.status == 0
    assert done.out.splitlines()[-1] == "commits are safe here"
    assert "FAILED" not in done.out
    assert not (tmp_path / "x").exists()


def test_for_programs(icechunk_command: Commands, place: str) -> None:
    told = icechunk_command("doctor", place, "--json").json
    assert told["ok"] is told["can_commit"] is True
    assert {check["outcome"] for check in told["checks"]} == {"passed"}
    assert set(told["latency_ms"]) == {"put", "get", "list"}


def test_read_only(icechunk_command: Commands, place: str) -> None:
    told = icechunk_command("doctor", place, "--read-only", "--json").json
    assert (told["ok"], told["can_commit"]) == (True, None)


@pytest.mark.parametrize("place", ["memory://", "memory://doctor/x"])
def test_memory(icechunk_command: Commands, place: str) -> None:
    assert icechunk_command("doctor", place, "--json").json["can_commit"] is True


@pytest.mark.usefixtures("keys")
def test_a_bucket(icechunk_command: Commands, moto: S3Place) -> None:
    url = url_of(moto, fresh())
    assert icechunk_command("doctor", url).status == 0
    assert icechunk_command("init", url).status == 0
    assert "Repository initialized" in icechunk_command("log", url).out
    assert "format 2, 1 branch" in icechunk_command("doctor", url).out


@pytest.mark.usefixtures("keys")
def test_the_endpoint_may_be_in_the_environment(
    icechunk_command: Commands, moto: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    url = f"s3://{moto.bucket}/{fresh()}"
    assert icechunk_command("init", url).status == 0
    assert icechunk_command("config", "add", "there", url).status == 0
    assert icechunk_command("log", "there").status == 0


def test_a_container_of_azure(
    icechunk_command: Commands, azurite: AzurePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEY)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", AZURE_ACCOUNT)
    url = f"az://{azurite.container}/{fresh()}?endpoint={azurite.url}"
    assert icechunk_command("init", url).status == 0
    assert "Repository initialized" in icechunk_command("log", url).out
    assert icechunk_command("doctor", url, "--json").json["can_commit"] is True


@pytest.mark.usefixtures("keys")
def test_a_store_that_loses_commits(icechunk_command: Commands, rclone: S3Place) -> None:
    done = icechunk_command("doctor", url_of(rclone, fresh()))
    assert done.status == 1
    assert "FAILED  stale update refused" in done.out
    assert "would be lost" in done.out
    assert done.err == ""
    as_json = icechunk_command("doctor", url_of(rclone, fresh()), "--json")
    assert as_json.status == 1
    assert json.loads(as_json.out)["ok"] is False


def test_the_exit_status_of_the_program() -> None:
    done = run_script("doctor", "http://127.0.0.1:9/x", "--timeout", "2")
    assert done.status == 1
    assert "cannot be reached" in done.out
    assert done.out.splitlines()[-1] == "cannot be used as it is: connection"


def test_what_cannot_be_asked(icechunk_command: Commands) -> None:
    assert icechunk_command("doctor").status == 2
    assert icechunk_command("doctor", "memory://", "--timeout", "0").status == 2
    for place, said in (
        ("gopher://x", "of a kind that this command cannot open"),
        ("s3://", "followed by no bucket"),
        ("s3://user:hush@bucket/x", "followed by no bucket"),
        ("s3://b/x?secret_access_key=hush", "credentials belong into the environment"),
        ("s3://b/x?anonymous=maybe", "on or off"),
    ):
        done = icechunk_command("doctor", place)
        assert (done.status, done.err.count("\n"), done.out) == (1, 1, "")
        assert said in done.err
        assert "(cannot-parse-url)" in done.err
        assert "hush" not in done.err


class TestPlaces:
    """The storage of a URL; no request is sent."""

    @pytest.mark.parametrize(
        ("url", "kind", "shown"),
        [
            ("s3://b/p/q?region=eu-west-1", "S3", ["bucket: b", "prefix: p/q", "eu-west-1"]),
            ("s3://b?anonymous", "S3", ["anonymous: True"]),
            ("s3://b/p?endpoint_url=http://h:1&force_path_style=1", "S3",
             ["http://h:1", "allow_http: True", "force_path_style: True"]),
            ("gs://b/p", "GCS", ["bucket: b"]),
            ("az://box/p?account=acc", "Azure", ["account: acc", "container: box"]),
            ("r2://b/p?account_id=acc", "S3", ["https://acc.r2.cloudflarestorage.com"]),
            ("tigris://b/p?region=iad", "S3", ["https://t3.storage.dev"]),
            ("https://host/p?x=1", "HTTP", ["url: https://host/p"]),
            ("memory://m/p", "fsspec", ["protocol: memory"]),
        ],
    )  # fmt: skip
    def test_urls(self, url: str, kind: str, shown: list[str]) -> None:
        from icechunk.cli.addresses import locate

        storage, config = locate(url)
        assert config is None
        text = str(storage)
        assert f"type: {kind}" in text
        for each in shown:
            assert each in text

    @pytest.mark.parametrize(
        "url",
        [
            "s3://b/p?region=r&anonymous",
            "s3://b/p?endpoint_url=http://h:1",
            "gs://b/p",
            "az://box/p?account=acc",
            "tigris://b/p?region=iad",
        ],
    )
    def test_an_alias_means_the_same(self, icechunk_command: Commands, url: str) -> None:
        from icechunk.cli.addresses import locate

        assert icechunk_command("config", "add", "there", url).status == 0
        assert len(Aliases()) == 1
        assert str(locate("there")[0]) == str(locate(url)[0])

    def test_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from icechunk.cli.addresses import locate

        monkeypatch.chdir(tmp_path)
        same = {locate(place)[0].identity for place in ("x", f"file://{tmp_path}/x", "./x")}
        assert same == {icechunk.local_filesystem_storage(os.path.join(tmp_path, "x")).identity}

    def test_a_tigris_entry_of_an_earlier_file(self, icechunk_command: Commands) -> None:
        from icechunk.cli.addresses import locate

        answers = "t\nTigris\nbuck\npre\niad\n"
        assert run_script("config", "init", stdin=answers).status == 0
        assert "https://t3.storage.dev" in str(locate("t")[0])

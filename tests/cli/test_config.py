"""The file of aliases, which the reference command reads and writes too."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import icechunk
from icechunk.cli.aliases import Aliases, Entry, config_path
from icechunk.config import RepositoryConfig
from tests.cli.commands import Commands, run_script
from tests.oracle import ORACLE_PYTHON, clean_environment

CLOUD = """\
repos:
  bucket: !S3
    location: {bucket: b, prefix: p/q}
    object_store_config: {region: us-east-1, endpoint_url: null}
    credentials: {s3_credential_type: static, access_key_id: AKIA, secret_access_key: hush}
    config: {inline_chunk_threshold_bytes: 12}
  future: !Carrier {pigeon: 7}
"""


def test_the_path_follows_xdg(config_home: Path) -> None:
    assert config_path() == config_home / "icechunk" / "cli-config.yaml"


def test_an_alias_stands_for_a_folder(icechunk_command: Commands, place: str) -> None:
    assert icechunk_command("config", "list").out.startswith("no aliases in")
    added = icechunk_command("config", "add", "mine", place, "--json").json
    assert added["type"] == "LocalFileSystem"
    assert icechunk_command("config", "list", "--json").json == {
        "repos": {"mine": {"type": "LocalFileSystem", "path": place}}
    }
    assert icechunk_command("log", "mine").out == icechunk_command("log", place).out


def test_an_alias_is_not_overwritten_unasked(icechunk_command: Commands, place: str) -> None:
    icechunk_command("config", "add", "mine", place)
    again = icechunk_command("config", "add", "mine", "/elsewhere")
    assert again.status == 1
    assert "already exists" in again.err
    assert icechunk_command("config", "add", "mine", "/elsewhere", "--force").status == 0
    assert Aliases()["mine"].fields == {"path": "/elsewhere"}


def test_aliases_are_asked_for(config_home: Path) -> None:
    done = run_script("config", "init", stdin="mine\nLocal\n/data/repo\n")
    assert (done.status, done.err) == (0, "")
    assert Aliases()["mine"] == Entry("LocalFileSystem", {"path": "/data/repo"}, RepositoryConfig())
    again = run_script("config", "init", stdin="")
    assert again.status == 1
    assert "Config already exists and contains repositories" in again.err
    assert run_script("config", "add", "s", stdin="S3\nbuck\npre\nus-east-1\n").status == 0
    assert Aliases()["s"].fields["location"] == {"bucket": "buck", "prefix": "pre"}
    assert run_script("config", "init", "--force", stdin="\n").status == 0
    assert list(Aliases()) == []


@pytest.mark.skipif(os.name == "nt", reason="no permission bits")
def test_only_the_owner_may_read_the_file(icechunk_command: Commands, place: str) -> None:
    icechunk_command("config", "add", "mine", place)
    assert stat.S_IMODE(config_path().stat().st_mode) == 0o600
    assert os.listdir(config_path().parent) == ["cli-config.yaml"]


def test_entries_of_others_survive_and_secrets_do_not_show(
    icechunk_command: Commands, place: str
) -> None:
    path = config_path()
    path.parent.mkdir(parents=True)
    path.write_text(CLOUD)
    before = yaml.compose(CLOUD)
    assert icechunk_command("config", "add", "mine", place).status == 0
    after = yaml.compose(path.read_text())
    assert isinstance(before, yaml.MappingNode)
    assert isinstance(after, yaml.MappingNode)
    kept = after.value[0][1].value[:2]
    assert yaml.serialize(kept[1][1]) == yaml.serialize(before.value[0][1].value[1][1])
    bucket = Aliases()["bucket"]
    assert bucket.config.inline_chunk_threshold_bytes == 12
    assert bucket.public()["credentials"]["secret_access_key"] == "***"
    assert "hush" in path.read_text()
    listed = icechunk_command("config", "list")
    assert listed.status == 1
    assert "`Carrier` is not one of" in listed.err
    assert "hush" not in listed.err


@pytest.mark.parametrize("text", ["repos: [1, 2]", "a: b: c", "repos: {x: !S3 {config: 7}}"])
def test_a_damaged_file_is_one_line(icechunk_command: Commands, text: str) -> None:
    config_path().parent.mkdir(parents=True)
    config_path().write_text(text)
    done = icechunk_command("config", "list")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "(config-deserialization)" in done.err


def test_unknown_places_are_refused_in_one_line(icechunk_command: Commands) -> None:
    done = icechunk_command("log", "gopher://host/x")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "of a kind that this command cannot open" in done.err


@pytest.mark.oracle
def test_the_reference_command_reads_the_file_and_the_repository(
    icechunk_command: Commands, place: str, config_home: Path
) -> None:
    icechunk_command("config", "add", "mine", place)
    assert ORACLE_PYTHON is not None

    def reference(*words: str) -> str:
        done = subprocess.run(
            [str(ORACLE_PYTHON.with_name("icechunk")), *words],
            capture_output=True,
            text=True,
            check=True,
            env={**clean_environment(), "XDG_CONFIG_HOME": str(config_home)},
        )
        return done.stdout

    branches = icechunk_command("branch", "list", "mine", "--json").json["branches"]
    listed = dict(
        reversed(line.split()) for line in reference("branch", "list", "mine").split("\n") if line
    )
    assert listed == branches
    reference("branch", "create", "mine", "theirs", "v1")
    assert "theirs" in icechunk_command("branch", "list", "mine").out


@pytest.fixture
def _logs_as_before() -> Iterator[None]:
    yield
    icechunk.set_logs_filter(None)


@pytest.mark.usefixtures("_logs_as_before")
def test_logs_are_asked_for_by_a_setting_and_for_one_command(
    icechunk_command: Commands, place: str, config_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ICECHUNK_LOG", raising=False)
    assert "key=repo" not in icechunk_command("branch", "list", place).err
    once = icechunk_command("--log", "icechunk.storage=debug", "branch", "list", place, "--json")
    assert "icechunk.storage.requests: get key=repo" in once.err
    assert "main" in once.json["branches"], "log lines are not part of the answer"
    icechunk.set_logs_filter(None)
    assert icechunk_command("config", "log", "debug").out == "log is debug\n"
    icechunk.set_logs_filter(None)  # as in a later process
    assert "get key=repo" in icechunk_command("branch", "list", place).err
    icechunk_command("config", "--unset", "log")
    assert "get key=repo" not in icechunk_command("branch", "list", place).err
    for words in (("config", "log", "debgu"), ("--log", "debgu", "branch", "list", place)):
        wrong = icechunk_command(*words)
        assert wrong.status != 0
        assert "did you mean `debug`?" in wrong.err
    assert icechunk_command("config", "log", "--json").json == {"log": None}
    (config_home / "icechunk" / "settings.yaml").write_text("a: [")
    assert icechunk_command("branch", "list", place).status == 0


def test_settings(icechunk_command: Commands, config_home: Path) -> None:
    shown = icechunk_command("config", "--json").json
    assert shown == {
        "user.name": None,
        "user.email": None,
        "provenance": True,
        "solve": False,
        "log": None,
    }
    assert icechunk_command("config", "user.name", "Ana Añez").out == "user.name is Ana Añez\n"
    assert icechunk_command("config", "user.name").out == "Ana Añez\n"
    icechunk_command("config", "provenance", "off")
    assert "provenance  off" in icechunk_command("config").out
    wrong = icechunk_command("config", "provenance", "maybe")
    assert (wrong.status, "write on or off" in wrong.err) == (1, True)
    assert "did you mean `user.name`?" in icechunk_command("config", "user.nam", "x").err
    icechunk_command("config", "--unset", "provenance")
    assert icechunk_command("config", "provenance", "--json").json == {"provenance": True}
    file = config_home / "icechunk" / "settings.yaml"
    assert "Ana" in file.read_text(encoding="utf-8")
    file.write_text("a: [")
    assert icechunk_command("config").err.count("\n") == 1

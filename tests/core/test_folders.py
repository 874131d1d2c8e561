"""Conversion of user input to local paths."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import zarr

import icechunk
from icechunk.cli.addresses import locate
from icechunk.core.folders import local_path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, and a working directory in it."""
    home = tmp_path / "home"
    (home / "here").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(home / "here")
    return home


GIVEN = [
    ("~/repo", "repo"),
    ("~", ""),
    (Path("~/repo"), "repo"),
    ("file://~/repo", "repo"),
    ("repo", "here/repo"),
    ("./repo", "here/repo"),
    (Path("../repo"), "repo"),
    (b"repo", "here/repo"),
    ("file://./repo", "here/repo"),
    ("C:", "here/C:"),
    ("a:b//c", "here/a:b/c"),
    ("./~repo", "here/~repo"),
    ("50%20off", "here/50%20off"),
]


@pytest.mark.skipif(os.name == "nt", reason="paths of POSIX")
@pytest.mark.parametrize(("given", "meant"), GIVEN, ids=str)
def test_paths(home: Path, given: Any, meant: str) -> None:
    assert local_path(given) == os.path.join(home, meant).rstrip("/")


@pytest.mark.parametrize("form", ["{}", "file:{}", "FILE://{}", "file://localhost{}"])
def test_file_urls_are_paths(home: Path, form: str) -> None:
    folder = home / "a b" / "é"
    url = form.format(folder.as_uri().removeprefix("file://"))
    assert local_path(folder if form == "{}" else url) == str(folder)
    assert local_path(Path("file:///x/y")) == os.path.abspath("/x/y")


REFUSED = [
    ("s3://bucket/a/b/", r"s3_storage\(bucket='bucket', prefix='a/b', from_env=True\)"),
    (Path("s3://bucket/a"), r"s3_storage\(bucket='bucket', prefix='a', from_env=True\)"),
    ("gs://bucket", r"gcs_storage\(bucket='bucket', prefix='', from_env=True\)"),
    ("az://box/a", r"azure_storage\(account=..., container='box', prefix='a', from_env=True\)"),
    ("https://host/a?b", r"http_storage\('https://host/a\?b'\)"),
    ("memory://", r"in_memory_storage\(\)"),
    ("sftp://host/a", r"fsspec_storage\('sftp://host/a'\)"),
    ("file://server/share", "names the machine `server`"),
    ("file:folder", "`folder` alone for a relative path"),
    ("file:", "file:///folder"),
    ("file:///a?durable=false", "%3F"),
    ("file:///a#b", "%23"),
    ("~no-such-user-here/x", r"give `\./~no-such-user-here/x`"),
    ("", "give `.`"),
]


@pytest.mark.skipif(os.name == "nt", reason="paths of POSIX")
@pytest.mark.parametrize(("given", "says"), REFUSED, ids=str)
def test_urls_that_are_not_paths_are_refused_with_the_right_function(
    home: Path, given: Any, says: str
) -> None:
    for attempt in (
        icechunk.local_filesystem_storage,
        icechunk.Storage.new_local_filesystem,
        icechunk.local_filesystem_store,
    ):
        another = attempt is icechunk.local_filesystem_store and "_storage" in says
        advice = "icechunk.s3_store, gcs_store" if another else says
        with pytest.raises(icechunk.InvalidInputError, match=advice) as caught:
            attempt(given)
        assert caught.value.kind == icechunk.ErrorKind.CANNOT_PARSE_URL
    assert [str(path.relative_to(home)) for path in home.rglob("*")] == ["here"]


def test_repositories_are_created_at_the_expanded_path(home: Path) -> None:
    for given in ("~/one", (home / "two").as_uri(), "three", Path("~/four")):
        repo = icechunk.Repository.create(icechunk.local_filesystem_storage(given, durable=False))
        with repo.transaction("main", message="a group") as store:
            zarr.create_group(store)
    found = sorted(str(path.parent.relative_to(home)) for path in home.rglob("repo"))
    assert found == ["four", "here/three", "one", "two"]


def test_the_command_and_the_library_use_the_same_folder(home: Path) -> None:
    for given in ("~/x", (home / "x y").as_uri(), "x", "file://~/x"):
        known = icechunk.local_filesystem_storage(given).identity
        assert locate(given)[0].identity == known


def test_prefixes_of_local_containers_say_how_they_are_written(home: Path) -> None:
    (home / "da ta").mkdir()
    store = icechunk.local_filesystem_store("~/da ta")
    assert store[0] == home / "da ta"
    meant = f"{(home / 'da ta').as_uri()}/"
    for given in ("~/da ta/", f"{home}/da ta/", "../da ta/", "file://~/da ta/"):
        with pytest.raises(ValueError, match="relative URL without a base") as caught:
            icechunk.RepositoryConfig().set_virtual_chunk_container(
                icechunk.VirtualChunkContainer(given, store)
            )
        assert repr(meant) in str(caught.value)
    icechunk.RepositoryConfig().set_virtual_chunk_container(
        icechunk.VirtualChunkContainer(meant, store)
    )


def test_decisions_are_saved_in_the_home_folder(home: Path) -> None:
    icechunk.DecisionSolver([]).save("~/decisions.json")
    assert (home / "decisions.json").exists()
    assert icechunk.DecisionSolver.load("~/decisions.json") == icechunk.DecisionSolver([])

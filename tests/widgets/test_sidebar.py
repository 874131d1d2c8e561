from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import icechunk
from icechunk_widgets.sidebar import repositories_json
from tests.widgets.scenes import array, climate


def ask(namespace: dict[str, Any]) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(repositories_json(namespace))
    return held


def test_nothing_open() -> None:
    assert ask({"x": 1}) == {"repositories": [], "version": icechunk.__version__}


def test_a_repository_with_refs_and_a_session(tmp_path: Path) -> None:
    repo = climate(icechunk.local_filesystem_storage(str(tmp_path / "store")))
    base = repo.lookup_branch("main")
    repo.create_branch("dev", base)
    repo.create_tag("v1", base)
    session = repo.writable_session("dev")
    array(session)[0] = 1
    again = icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path / "store")))
    (row,) = ask({"repo": repo, "again": again, "_hidden": repo, "session": session, "_": session})[
        "repositories"
    ]
    assert row["name"] == "repo, again"
    assert str(tmp_path) in row["location"]
    assert row["spec_version"] == 2
    assert [(branch["name"], branch["current"]) for branch in row["branches"]] == [
        ("main", False),
        ("dev", True),
    ]
    assert row["branches"][0]["message"] == "base"
    assert row["branches"][0]["time"].endswith("Z")
    assert row["tags"] == [{"name": "v1", "id": base}]
    assert row["session"] == {"branch": "dev", "dirty": True, "changes": 4}


def test_repositories_in_memory_are_kept_apart() -> None:
    first, second = climate(), climate()
    rows = ask({"a": first, "b": second, "s": second.readonly_session("main")})["repositories"]
    assert [row["name"] for row in rows] == ["a", "b"]
    assert [row["location"] for row in rows] == ["memory", "memory"]
    assert [row["session"] for row in rows] == [None, None]


def test_odd_variables_are_left_alone() -> None:
    class Lazy:
        @property
        def __class__(self) -> Any:
            raise RuntimeError("woken")

    assert ask({"lazy": Lazy(), "repo": climate()})["repositories"][0]["name"] == "repo"


def test_a_repository_that_is_gone_is_listed_with_its_error(tmp_path: Path) -> None:
    import shutil

    repo = climate(icechunk.local_filesystem_storage(str(tmp_path / "store")))
    other = climate()
    shutil.rmtree(tmp_path / "store")
    rows = ask({"gone": repo, "fine": other})["repositories"]
    assert rows[0]["branches"] == []
    assert rows[0]["error"]
    assert rows[1]["branches"]


def test_malicious_names_are_only_text() -> None:
    repo = climate()
    repo.create_branch("</script><script>alert(1)</script>", repo.lookup_branch("main"))
    names = [branch["name"] for branch in ask({"repo": repo})["repositories"][0]["branches"]]
    assert "</script><script>alert(1)</script>" in names

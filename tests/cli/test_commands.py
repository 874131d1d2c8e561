"""Every command, on a repository with two branches and a tag."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import icechunk
from icechunk.cli import upkeep_commands
from icechunk.cli.addresses import At
from icechunk_widgets.magic import run
from tests.cli.commands import Commands
from tests.maintenance.histories import FAR
from tests.maintenance.test_collect_failures import stubborn
from tests.repositories import edit, read


def test_create_and_init_make_repositories(icechunk_command: Commands, tmp_path: Path) -> None:
    folder = str(tmp_path / "fresh")
    assert icechunk_command("repo", "create", folder, "--json").json["spec_version"] == 2
    again = icechunk_command("init", folder)
    assert again.status == 1
    assert "clean prefixes" in again.err
    old = icechunk_command("init", str(tmp_path / "old"), "--spec-version", "1", "--json").json
    assert old["spec_version"] == 1


def test_ancestry_is_what_the_repository_says(
    icechunk_command: Commands, place: str, repo: icechunk.Repository
) -> None:
    infos = list(repo.ancestry(branch="main"))
    told = icechunk_command("ancestry", place, "--json").json
    assert [row["id"] for row in told] == [info.id for info in infos]
    assert told[0]["metadata"] == {"by": "me"}
    assert datetime.fromisoformat(told[0]["written_at"]) == infos[0].written_at
    text = icechunk_command("ancestry", place, "v1", "-n", "1").out
    assert text.startswith(f"Snapshot: {repo.lookup_tag('v1')}\n")
    assert "  a grid\n" in text
    assert icechunk_command("snapshot", "list", place, "-b", "dev", "-n", "2", "--json").json == (
        icechunk_command("ancestry", place, "dev", "-n", "2", "--json").json
    )


def test_log_shows_all_branches_and_their_names(
    icechunk_command: Commands, place: str, repo: icechunk.Repository
) -> None:
    told = icechunk_command("log", place, "--json").json
    assert {row["id"] for row in told} == {info.id for info in repo.history()["commits"]}
    names = {row["id"]: (row["branches"], row["tags"]) for row in told}
    assert names[repo.lookup_branch("dev")] == (["dev"], [])
    assert names[repo.lookup_tag("v1")] == ([], ["v1"])
    lines = icechunk_command("log", place, "main").out.splitlines()
    assert len(lines) == 3
    assert "(main)" in lines[0]
    assert lines[0].endswith("  second")
    assert "(tag: v1)" in lines[1]
    assert len(icechunk_command("log", place, "-n", "1").out.splitlines()) == 1


def test_log_draws_a_graph(icechunk_command: Commands, place: str) -> None:
    drawn = icechunk_command("log", place, "--graph").out
    for word in ("main", "dev", "v1", "on dev", "second", "●"):
        assert word in drawn
    assert "on dev" not in icechunk_command("log", place, "main", "--graph").out


@pytest.mark.parametrize("states", [("v1..main",), ("v1", "main"), ("main~1", "main")])
def test_diff(icechunk_command: Commands, place: str, states: tuple[str, ...]) -> None:
    told = icechunk_command("diff", place, *states, "--json").json
    assert told["new_groups"] == ["/g", "/g/inner"]
    assert told["updated_chunks"] == {"/a": [[0, 0]]}
    text = icechunk_command("diff", place, *states).out
    assert "Groups created:\n    /g\n    /g/inner\n" in text
    assert "/a: 1 chunk\n        (0, 0)\n" in text


def test_diff_of_siblings_and_of_equals(icechunk_command: Commands, place: str) -> None:
    told = icechunk_command("diff", place, "main..dev", "--json").json
    assert told["deleted_groups"] == ["/g", "/g/inner"]
    assert icechunk_command("diff", place, "dev", "dev").out == "no differences\n"
    assert icechunk_command("diff", place, "dev").status == 2


def test_status(icechunk_command: Commands, place: str, repo: icechunk.Repository) -> None:
    told = icechunk_command("status", place, "--json").json
    assert told["spec_version"] == 2
    assert told["branches"]["main"] == repo.lookup_branch("main")
    assert told["reachable_snapshots"] == 4
    assert told["status"]["availability"] == "online"
    assert "2 branches" in icechunk_command("status", place).out


def test_branches(icechunk_command: Commands, place: str, repo: icechunk.Repository) -> None:
    tagged = repo.lookup_tag("v1")
    assert icechunk_command("branch", "create", place, "new", "v1").status == 0
    assert repo.lookup_branch("new") == tagged
    assert icechunk_command("branch", place, "short", "main~1").status == 0
    assert repo.lookup_branch("short") == tagged
    lines = icechunk_command("branch", "list", place).out.splitlines()
    assert [line.split()[1] for line in lines] == ["main", "dev", "new", "short"]
    assert icechunk_command("branch", place).out.splitlines() == lines
    assert icechunk_command("branch", "delete", place, "new").status == 0
    assert icechunk_command("branch", place, "-d", "short").status == 0
    assert repo.list_branches() == {"main", "dev"}
    refused = icechunk_command("branch", "delete", place, "main")
    assert refused.status == 1
    assert refused.err.endswith("(cannot-delete-main)\n")
    assert icechunk_command("branch", "create", place, "dev", "main").status == 1


def test_tags(icechunk_command: Commands, place: str, repo: icechunk.Repository) -> None:
    assert icechunk_command("tag", "create", place, "v2", "main").status == 0
    assert icechunk_command("tag", place, "v3").status == 0
    assert repo.lookup_tag("v3") == repo.lookup_tag("v2") == repo.lookup_branch("main")
    assert set(icechunk_command("tag", "list", place, "--json").json["tags"]) == {"v1", "v2", "v3"}
    refused = icechunk_command("tag", place, "-d", "v3")
    assert (refused.status, "can never be used again" in refused.out) == (1, True)
    assert icechunk_command("tag", place, "-d", "v3", "--yes").status == 0
    burnt = icechunk_command("tag", "create", place, "v3", "main")
    assert burnt.status == 1
    assert "(tag-previously-deleted)" in burnt.err


def test_reset_guards_against_a_moved_branch(
    icechunk_command: Commands, place: str, repo: icechunk.Repository
) -> None:
    former = repo.lookup_branch("dev")
    refused = icechunk_command("reset", place, "dev", "v1", "--from", "main")
    assert refused.status == 1
    assert repo.lookup_branch("dev") == former
    asked = icechunk_command("reset", place, "dev", "v1")
    assert asked.status == 1
    assert "leave 1 commit in no branch or tag" in asked.out
    assert "on dev" in asked.out
    assert "--yes" in asked.err
    assert icechunk_command("reset", place, "dev", "v1", "--dry-run").status == 0
    assert repo.lookup_branch("dev") == former
    told = icechunk_command("reset", place, "dev", "v1", "--yes", "--json").json
    assert told["former"] == former
    assert repo.lookup_branch("dev") == repo.lookup_tag("v1")


def test_states_have_many_names(
    icechunk_command: Commands, place: str, repo: icechunk.Repository
) -> None:
    tip = repo.lookup_branch("main")
    for name in (tip, tip.lower(), tip[:8], "main"):
        assert icechunk_command("ancestry", place, name, "-n1", "--json").json[0]["id"] == tip
    for name in ("nothing", "main~9", "", tip[:2]):
        done = icechunk_command("ancestry", place, name)
        assert (done.status, done.err.count("\n")) == (1, 1)
        assert "is not a valid snapshot id, branch, or tag" in done.err


def test_ls_and_tree(icechunk_command: Commands, place: str) -> None:
    told = icechunk_command("ls", place, "--json").json
    assert [item["path"] for item in told] == ["/a", "/g"]
    assert told[0] == {
        "path": "/a", "type": "array", "shape": [6, 8], "chunks": [2, 4],
        "data_type": "float32", "dimension_names": None,
    }  # fmt: skip
    assert icechunk_command("ls", place, "g").out.split() == ["group", "inner"]
    assert "float32 6×8 in chunks of 2×4" in icechunk_command("ls", place, "/a").out
    assert icechunk_command("tree", place).out.splitlines() == [
        "/",
        "├── a  float32 6×8 in chunks of 2×4",
        "└── g",
        "    └── inner",
    ]
    assert "inner" not in icechunk_command("tree", place, "--depth", "1").out
    assert "g" not in icechunk_command("tree", place, "--ref", "v1").out.split()
    assert icechunk_command("ls", place, "/nope").status == 1


def test_an_empty_repository_has_an_empty_tree(icechunk_command: Commands, tmp_path: Path) -> None:
    folder = str(tmp_path / "fresh")
    icechunk_command("init", folder)
    assert icechunk_command("tree", folder).out == "/\n"
    assert icechunk_command("ls", folder).out == ""


def test_gc_and_expire(icechunk_command: Commands, place: str, repo: icechunk.Repository) -> None:
    icechunk_command("branch", "delete", place, "dev")
    now = datetime.now(UTC).isoformat()
    dry = icechunk_command("gc", place, "--older-than", now, "--dry-run", "--json").json
    assert dry["snapshots_deleted"] == 1
    kept = icechunk_command("gc", place, "--older-than", "7d", "--json").json
    assert kept["snapshots_deleted"] == 0
    asked = icechunk_command("gc", place, "--older-than", now)
    assert asked.status == 1
    assert "would be deleted" in asked.out
    assert "nothing was done" in asked.err
    assert icechunk_command("gc", place, "--older-than", now, "--dry-run", "--json").json == dry
    done = icechunk_command("gc", place, "--older-than", now, "--yes", "--json").json
    assert (done["snapshots_deleted"], done["dry_run"]) == (1, False)
    gone = icechunk_command("expire", place, "--older-than", now, "--json").json
    assert gone["expired"] == []
    words = ("expire", place, "--older-than", now, "--delete-expired-tags")
    foreseen = icechunk_command(*words, "--dry-run", "--json").json
    assert icechunk_command(*words).status == 1
    assert repo.list_tags() == {"v1"}
    told = icechunk_command(*words, "--yes", "--json").json
    assert {name: told[name] for name in ("expired", "deleted_tags")} == {
        name: foreseen[name] for name in ("expired", "deleted_tags")
    }
    assert told["deleted_tags"] == ["v1"]
    assert len(told["expired"]) == 1
    assert read(repo.readonly_session("main"))[0, 0] == 5


@pytest.mark.parametrize("when", ["soon", "7y", "2025-13-01", "99999999999w"])
def test_a_cutoff_must_be_a_time(icechunk_command: Commands, place: str, when: str) -> None:
    done = icechunk_command("gc", place, "--older-than", when)
    assert done.status == 2
    assert "write 7d" in done.err


def test_stats_and_rewrite(
    icechunk_command: Commands, place: str, repo: icechunk.Repository
) -> None:
    told = icechunk_command("stats", place, "--json").json
    assert told["total_bytes"] == told["inlined_bytes"] > 0
    assert "inlined" in icechunk_command("stats", place).out
    new = icechunk_command("rewrite", place, "-m", "again", "--json").json["snapshot_id"]
    assert repo.lookup_branch("main") == new


def test_inspect(icechunk_command: Commands, place: str, repo: icechunk.Repository) -> None:
    tip = repo.lookup_branch("main")
    assert icechunk_command("inspect", place, "--json").json
    assert tip in icechunk_command("inspect", place, "snapshot").out
    manifests = icechunk_command("inspect", place, "manifests", "main", "--json").json
    assert sum(one["num_chunk_refs"] for one in manifests) == 6
    assert icechunk_command("inspect", place, "manifest", manifests[0]["id"], "--json").json
    assert icechunk_command("inspect", place, "transaction-log", "main", "--json").json
    assert icechunk_command("inspect", place, "manifest").status == 2
    assert icechunk_command("inspect", place, "repo", "main").status == 2


def test_ops_lists_what_happened(icechunk_command: Commands, place: str) -> None:
    told = icechunk_command("ops", place, "--json").json
    assert [row["kind"] for row in told] == [
        "NewCommit", "NewCommit", "TagCreated", "BranchCreated", "NewCommit", "RepoInitialized",
    ]  # fmt: skip
    assert told[0]["branch"] == "dev"
    assert "TagCreated  name=v1" in icechunk_command("ops", place).out
    assert len(icechunk_command("ops", place, "-n", "2").out.splitlines()) == 2


def test_upgrade(icechunk_command: Commands, tmp_path: Path) -> None:
    folder = str(tmp_path / "old")
    icechunk_command("init", folder, "--spec-version", "1")
    assert "format" in icechunk_command("status", folder).out
    assert icechunk_command("ops", folder).status == 1
    assert icechunk_command("upgrade", folder, "--dry-run").out == "can be upgraded\n"
    told = icechunk_command("upgrade", folder, "--json").json
    assert (told["from_version"], told["to_version"]) == (1, 2)
    assert icechunk_command("status", folder, "--json").json["spec_version"] == 2
    assert icechunk_command("upgrade", folder).status == 1


def test_show(icechunk_command: Commands, place: str, repo: icechunk.Repository) -> None:
    told = icechunk_command("show", place, "--json").json
    assert told["id"] == repo.lookup_branch("main")
    assert told["metadata"] == {"by": "me"}
    assert told["changes"]["updated_chunks"] == {"/a": [[0, 0]]}
    text = icechunk_command("show", place, "main").out
    for words in ("  with details", '"by": "me"', "/g/inner", "(0, 0)"):
        assert words in text
    first = icechunk_command("show", place, "HEAD~2")
    assert "the first snapshot" in first.out
    assert icechunk_command("show", place, "v1", "--json").json["id"] == repo.lookup_tag("v1")


def test_du(icechunk_command: Commands, place: str) -> None:
    told = icechunk_command("du", place, "--json").json
    assert told["arrays"] == [
        {"path": "/a", "chunks": 6, "grid": 6, "bytes": 192, "virtual_bytes": 0}
    ]
    assert told["bytes"] == 192
    assert "192 bytes  /a        6 chunks of 6\n" in icechunk_command("du", place).out
    assert icechunk_command("du", place, "g", "--json").json["bytes"] == 0
    assert icechunk_command("du", place, "/a", "--ref", "main~2").status == 1


def test_a_branch_with_commits_of_its_own_needs_a_yes(
    icechunk_command: Commands, place: str, repo: icechunk.Repository
) -> None:
    refused = icechunk_command("branch", place, "-d", "dev")
    assert refused.status == 1
    assert "1 commit of dev in no other branch or tag" in refused.out
    assert "nothing was done; add --yes to delete branch dev" in refused.err
    assert "dev" in repo.list_branches()
    assert icechunk_command("branch", place, "-d", "dev", "-y").status == 0
    icechunk_command("branch", place, "other", "v1")
    icechunk_command("branch", place, "-D", "other")
    assert repo.list_branches() == {"main"}


def test_verbs_of_a_session_are_explained(icechunk_command: Commands) -> None:
    for name in ("commit", "checkout", "rebase", "solve", "discard", "amend", "open"):
        done = icechunk_command(name, "x")
        assert done.status == 2
        assert f"type %icechunk {name} there" in done.err
        assert icechunk_command("help", name).out.startswith(f"%icechunk {name}, in notebooks: ")
    assert "nothing to push" in icechunk_command("push").err


NOT_DONE = (
    "init {place}", "repo create {place}", "branch {place} dev", "branch create {place} dev main",
    "branch {place} new nowhere", "branch {place} -d dev", "branch {place} -d main",
    "branch delete {place} nowhere", "tag {place} v1", "tag {place} -d v1",
    "tag {place} -d nowhere", "tag delete {place} nowhere", "reset {place} main v1",
    "reset {place} main nowhere",
    "reset {place} main v1 --yes --from v1", "upgrade {place}", "gc {place} --older-than {now}",
    "expire {place} --older-than {now} --delete-expired-tags", "config add {place}x/y {place}",
    "config nothing on", "show {place} nowhere", "open {place}", "commit {place} message",
)  # fmt: skip


@pytest.mark.parametrize("line", NOT_DONE)
def test_what_did_not_happen_has_an_exit_status(
    icechunk_command: Commands, place: str, repo: icechunk.Repository, line: str
) -> None:
    session = repo.writable_session("main")  # flushed, and never committed: for gc to find
    edit(session, (0, 0), 7.0)
    session.flush("unreferenced")
    before = repo.list_branches(), repo.list_tags(), len(list(repo.ancestry(branch="main")))
    if line.startswith("config add"):
        icechunk_command("config", "add", f"{place}x/y", place)
    now = datetime.now(UTC).isoformat()
    done = icechunk_command(*line.format(place=place, now=now).split())
    assert done.status in (1, 2)
    assert done.err
    after = repo.list_branches(), repo.list_tags(), len(list(repo.ancestry(branch="main")))
    assert after == before


def test_objects_that_stay_are_a_failure_of_gc() -> None:
    storage, repo, gone = stubborn(2)
    storage.stays = {f"snapshots/{gone[1]}"}
    assert not upkeep_commands.gc(At(repo), FAR, dry_run=True, yes=False).bad
    answer = upkeep_commands.gc(At(repo), FAR, dry_run=False, yes=True)
    assert answer.bad  # which is exit status 1
    names: dict[str, object] = {"repo": repo}
    shown: list[object] = []
    with pytest.raises(icechunk.IcechunkError, match="not all of it was done"):
        run("gc --older-than 2100-01-01 --yes", names, show=shown.append)
    assert "error: 1 of 1 objects not deleted" in repr(shown)

"""The verbs of the magic."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import ConflictError, ErrorKind, Repository
from icechunk.cli.app import app
from icechunk.cli.grammar import VERBS, Needs
from icechunk_widgets.magic.parser import command_of, split
from icechunk_widgets.magic.results import Log, Note, Report, Status
from icechunk_widgets.magic.verbs import VERB
from icechunk_widgets.resolver.widget import ConflictResolver
from tests.widgets.magic_line import Cell
from tests.widgets.scenes import array, climate, commit_value, values


def test_from_nothing_to_a_commit(cell: Cell, tmp_path: Path) -> None:
    place = tmp_path / "with space"
    made = cell(f"init '{place}'")
    assert "created" in repr(made)
    group = zarr.group(cell.names["store"])
    group.create_array("a", shape=(4,), chunks=(2,), dtype="i4")[:] = 1
    status = cell("status")
    assert isinstance(status, Status)
    assert not status.clean
    assert "/a" in repr(status)
    assert "/a" in status._repr_html_()
    first = cell.session
    note = cell('commit "one array" author=Ana n=3 tags=\'["x"]\'')
    repo: Repository = cell.names["repo"]
    assert repo.lookup_branch("main") == note.snapshot_id
    info = repo.lookup_snapshot(note.snapshot_id)
    assert info.message == "one array"
    assert {"author": "Ana", "n": 3, "tags": ["x"]}.items() <= info.metadata.items()
    assert cell.session != first
    assert not cell.session.read_only
    assert cell.names["store"].session == cell.session
    assert cell("status").clean
    cell.names.clear()
    assert "opened" in repr(cell(f"open '{place}'"))
    assert cell.session.snapshot_id == note.snapshot_id


def test_branches_and_tags(with_data: Cell) -> None:
    cell = with_data
    base = cell.names["repo"].lookup_branch("main")
    cell("branch dev")
    cell(f"branch old {base}")
    listing = cell("branch")
    assert isinstance(listing, Report)
    assert list(listing.branches) == ["main", "dev", "old"]
    cell("branch -d old")
    assert set(cell("branch").branches) == {"main", "dev"}
    assert "main" in listing._repr_html_()
    assert "cannot be deleted" in cell.fails("branch -d main")
    cell("tag v1")
    cell("tag 'a tag' dev")
    assert list(cell("tag").tags) == ["a tag", "v1"]
    assert "add --yes to delete tag v1" in cell.fails("tag -d v1")
    assert "v1" in cell("tag").tags
    cell("tag -d v1 -y")
    assert "(tag-previously-deleted)" in cell.fails("tag v1")
    assert "(usage)" in cell.fails("tag v2 main -d v3")


def test_checkout(with_data: Cell) -> None:
    cell = with_data
    base = cell.names["repo"].lookup_branch("main")
    cell("checkout -b dev")
    assert cell.session.branch == "dev"
    array(cell.session)[0] = 1
    line = cell.fails("checkout main")
    assert "uncommitted" in line
    assert "--discard" in line
    cell("checkout main --discard")
    assert cell.session.branch == "main"
    cell("tag v1")
    assert "read-only" in repr(cell("checkout v1"))
    assert cell.session.read_only
    assert "(read-only-session)" in cell.fails("commit x")
    cell(f"checkout {base}")
    assert cell.session.snapshot_id == base
    assert "(ref-not-found)" in cell.fails("checkout nowhere")
    assert "-b" in cell.fails("checkout main dev")


def test_a_new_branch_takes_the_changes_along(with_data: Cell) -> None:
    cell = with_data
    cell("status")
    held, session = array(cell.session), cell.session
    held[0] = 1
    assert "with the uncommitted changes" in repr(cell("checkout -b dev"))
    assert cell.session is session
    assert cell.names["store"].session == session
    held[1] = 2  # arrays that are open go on
    cell("commit 'on dev'")
    repo = cell.names["repo"]
    assert (values(repo, branch="dev")[:2].max(axis=(1, 2)) == [1, 2]).all()
    assert len(cell("log main")) == 2
    array(cell.session)[0] = 1
    assert "uncommitted" in cell.fails("checkout -b other main")
    cell("checkout -b other main --discard")
    assert not cell.session.has_uncommitted_changes
    assert "(" in cell.fails("checkout -b dev")
    assert cell.session.branch == "other"


def test_commit_with_rebase(with_data: Cell) -> None:
    cell = with_data
    cell("status")
    array(cell.session)[2:] = -2
    commit_value(cell.names["repo"], np.s_[:2], -1, "theirs")
    assert cell("commit mine --rebase").snapshot_id == cell.names["repo"].lookup_branch("main")
    assert cell.said == ""
    moved(cell)
    assert "(rebase-failed)" in cell.fails("commit mine --rebase")
    assert isinstance(cell.below[0], ConflictResolver)


def test_one_grammar_serves_the_shell_and_notebooks() -> None:
    for name, verb in VERBS.items():
        assert name in VERB
        notebook = command_of(name)
        if verb.needs is Needs.SESSION:
            # A shell has no session to stash, but it lists, shows and drops stashes.
            assert (name in app.commands) == (name == "stash")
            continue
        shell: Any = app.commands[name]
        bare = getattr(shell, "bare", "")
        words = (shell.commands[bare] if bare else shell).params
        if name != "help":
            assert set(verb.words) <= set(words)
        assert set(verb.words) <= set(notebook.params)
        words: dict[str, Any] = {param.name: None for param in notebook.params if param.name}
        inspect.signature(VERB[name]).bind(None, **words)


def test_log_and_diff_are_widgets(with_data: Cell) -> None:
    cell = with_data
    base = cell.names["repo"].lookup_branch("main")
    cell("branch dev")
    commit_value(cell.names["repo"], 0, 1, "next")
    assert cell("log dev")[0].message == "base"
    assert cell("log")[0].message == "next"
    for line in ("diff dev..main", "diff dev main", f"diff {base}..", "diff dev.."):
        assert cell(line).summary()["counts"]["chunks"] == 4
    assert cell("diff").summary()["nodes"] == []
    array(cell.session)[2:] = 0
    assert cell("diff").summary()["counts"]["chunks"] == 4
    assert cell("diff dev").summary()["counts"]["chunks"] == 8
    assert "more than two" in cell.fails("diff a b c")
    assert "nope" in cell.fails("log nope")


def moved(cell: Cell) -> None:
    """Both sides write the first half in time; the cell's session is behind."""
    cell("status")
    array(cell.session)[:2] = -2
    commit_value(cell.names["repo"], np.s_[:2], -1, "theirs")


def test_a_commit_that_conflicts_is_an_error_with_the_resolver_below(with_data: Cell) -> None:
    cell = with_data
    moved(cell)
    error = cell.raises("commit mine")
    assert isinstance(error, ConflictError)
    assert error.kind == ErrorKind.COMMIT_CONFLICT
    assert error.expected_parent == cell.session.snapshot_id
    assert error.actual_parent == cell.names["repo"].lookup_branch("main")
    for part in ("nothing is committed", "main moved on", "4 decisions", "--ours"):
        assert part in str(error)
    (resolver,) = cell.below
    assert isinstance(resolver, ConflictResolver)
    resolver.decide("/SST", "ours")
    resolver.complete()
    assert (values(cell.names["repo"])[:2] == -2).all()
    assert cell.session.snapshot_id == resolver.snapshot_id
    assert not cell.session.read_only
    assert cell("status").clean


def test_without_conflicts_the_resolver_says_so(with_data: Cell) -> None:
    cell = with_data
    cell("status")
    array(cell.session)[2:] = -2
    commit_value(cell.names["repo"], np.s_[:2], -1, "theirs")
    assert "nothing conflicts; complete the resolver," in (line := cell.fails("commit mine"))
    assert "--rebase" in line
    cell.fails(
        "commit again"
    )  # no decision is pending: the commit is tried again with the new message
    (resolver,) = cell.below
    assert resolver.payload()["message"] == "again"
    assert resolver.complete() == cell.names["repo"].lookup_branch("main")


@pytest.mark.parametrize(("side", "value"), [("ours", -2), ("theirs", -1)])
def test_one_side_for_all(with_data: Cell, side: str, value: int) -> None:
    cell = with_data
    moved(cell)
    array(cell.session)[2:] = -3
    note = cell(f"commit mine --{side}")
    assert note.snapshot_id == cell.names["repo"].lookup_branch("main")
    assert (values(cell.names["repo"])[:2] == value).all()
    assert (values(cell.names["repo"])[2:] == -3).all()


def test_what_one_side_for_all_cannot_settle(with_data: Cell) -> None:
    cell = with_data
    moved(cell)
    array(cell.session).attrs["note"] = "mine"
    other = cell.names["repo"].writable_session("main")
    array(other).attrs["note"] = "theirs"
    other.commit("attributes")
    line = cell.fails("commit mine --ours")
    (resolver,) = cell.below
    assert "conflicts remain" in line
    assert "with --ours" not in line
    assert "ZarrMetadataDoubleUpdate" in {item["type"] for item in resolver.conflicts}


def test_rebase_and_solve(with_data: Cell) -> None:
    cell = with_data
    cell("status")
    assert "nothing to do" in repr(cell("rebase"))
    moved(cell)
    error = cell.raises("rebase")
    assert isinstance(error, ConflictError)
    assert "1 conflict with" in str(error)
    assert "solve" in str(error)
    (resolver,) = cell.below
    assert cell("solve") is resolver
    assert resolver.undecided == 4
    assert "rebased onto main" in repr(cell("rebase --theirs"))
    assert "(usage)" in cell.fails("rebase --ours --theirs")


def test_discard_and_reset(with_data: Cell) -> None:
    cell = with_data
    repo = cell.names["repo"]
    base = repo.lookup_branch("main")
    tip = commit_value(repo, 0, 1, "next")
    cell("checkout main")
    assert "nothing to discard" in repr(cell("discard"))
    array(cell.session)[0] = 3
    assert "uncommitted" in cell.fails(f"reset {base}")
    cell("discard")
    assert not cell.session.has_uncommitted_changes
    assert "add --yes to move main" in cell.fails(f"reset {base}")
    assert "leave 1 commit in no branch or tag" in repr(cell.below[0])
    assert repo.lookup_branch("main") == tip
    assert "1 commit" in repr(cell(f"reset {base} --dry-run"))
    array(cell.session)[0] = 3
    note = cell(f"reset --hard {base} --yes")
    assert note.former == tip
    assert repo.lookup_branch("main") == base
    assert cell.session.snapshot_id == base


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("chekout main", "did you mean `checkout`?"),
        ("frobnicate", "`%icechunk help`"),
        ("push", "there is nothing to push"),
        ("commit", "message is missing; usage: %icechunk commit"),
        ("commit 'open", "quotation"),
        ("commit two words", "key=value"),
        ("commit m --wrong", "--wrong"),
        ("commit m --ours --theirs", "exclude each other"),
        ("help nope", "no command"),
        ("log a b", "unexpected extra argument"),
        ("open gopher://x", "kind that this command cannot open"),
        ("open /no/such/place", "repository doesn't exist"),
        ("commit m", "cannot commit, no changes"),
        ("init memory x", "unexpected extra argument"),
    ],
)
def test_errors_are_one_line(with_data: Cell, line: str, says: str) -> None:
    assert says in with_data.fails(line)


def test_without_a_repository(cell: Cell) -> None:
    assert "no repository is open" in cell.fails("status")
    cell.names.update(one=climate(), two=climate())
    assert "several repositories" in cell.fails("log")
    del cell.names["two"]
    assert len(cell("log")) == 2
    assert "created" in repr(cell("init memory"))


def test_repositories_and_storages_by_variable(cell: Cell) -> None:
    cell.names["place"] = icechunk.in_memory_storage()
    cell("init place")
    cell.names["mine"] = climate()
    cell("open mine")
    assert cell.names["repo"] is cell.names["mine"]
    array(cell.session)[0] = 1
    assert "uncommitted" in cell.fails("open place")
    cell("open place --discard")
    assert "(parent-directory-not-clean)" in cell.fails("init place")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("log main # the graph", ["log", "main"]),
        ("# nothing", []),
        ("commit 'a # b' k=v # c", ["commit", "a # b", "k=v"]),
        ("commit issue#5 x=#7", ["commit", "issue#5", "x=#7"]),
        (r'commit "a \" # b" # c', ["commit", 'a " # b']),
        ('commit "don\'t # x"', ["commit", "don't # x"]),
    ],
)
def test_comments_end_a_line(line: str, words: list[str]) -> None:
    assert split(line) == words


def test_help(cell: Cell) -> None:
    for line in ("", "help", "-h", "--help"):
        assert "checkout" in repr(cell(line))
    for line in ("help commit", "commit -h"):
        assert "--theirs" in repr(cell(line))


def test_results() -> None:
    note = Note("done <b>", snapshot_id="x")
    assert note.snapshot_id == "x"
    assert "<b>" not in note._repr_html_()
    with pytest.raises(AttributeError, match="snapshot_id"):
        _ = note.other


def test_a_log_is_a_sequence_of_commits(with_data: Cell) -> None:
    cell = with_data
    commit_value(cell.names["repo"], 0, 1, "next")
    log = cell("log -n 2")
    assert isinstance(log, Log)
    assert [info.message for info in log] == ["next", "base"]
    assert repr(log).count("\n") == 1
    bundle = log._repr_mimebundle_()
    assert "next" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" not in bundle
    assert "next" in repr(cell("log"))
    assert "application/vnd.jupyter.widget-view+json" in cell("log")._repr_mimebundle_()[0]
    assert next(iter(cell("log main~1").to_pandas()["message"])) == "base"
    assert "main" in str(cell("log --graph"))


def test_show(with_data: Cell) -> None:
    cell = with_data
    tip = commit_value(cell.names["repo"], 0, 1, "next <b>")
    shown = cell("show")
    assert shown.id == tip
    assert shown.changes["updated_chunks"]["/SST"]
    assert "/SST: 4 chunks" in repr(shown)
    assert "<b>" not in shown._repr_html_()
    assert "Ana" in cell("show HEAD~1")._repr_html_()
    assert "the first snapshot" in repr(cell("show main~2"))
    assert "(ref-not-found)" in cell.fails("show nope")


def test_what_the_shell_command_has_too(with_data: Cell) -> None:
    cell = with_data
    used = cell("du")
    assert used.bytes == sum(row["bytes"] for row in used.arrays) > 0
    assert used.arrays[0]["path"] == "/SST"
    assert next(iter(used.to_pandas()["path"])) == "/SST"
    array(cell("status") and cell.session)[:] = 5
    zarr.create_group(cell.session.store, path="new")
    assert {row["path"] for row in cell("ls")} == {"/SST", "/TIME", "/X", "/Y", "/new"}
    assert "new" not in repr(cell("ls --ref main"))
    assert "SST" in repr(cell("tree"))
    assert cell("stats").total_bytes > 0
    assert cell("ops")[0]["kind"] == "NewCommit"
    assert cell("inspect").data
    assert cell("diff main~1..main --chunks").updated_chunks
    assert "(usage)" in cell.fails("diff --chunks")


def test_commands_that_discard_data_need_yes(with_data: Cell) -> None:
    cell = with_data
    repo = cell.names["repo"]
    cell("checkout -b dev")
    array(cell.session)[0] = 1
    cell("commit 'on dev'")
    cell("checkout main")
    assert "nothing was done; add --yes to delete branch dev" in cell.fails("branch -d dev")
    assert "on dev" in repr(cell.below[0])
    assert "dev" in repo.list_branches()
    assert cell("branch -d dev --yes").branch == "dev"
    assert repo.list_branches() == {"main"}
    for line in ("gc --older-than 0s", "expire --older-than 0s"):
        assert "(not-allowed)" in cell.fails(line)
        dry = cell(f"{line} --dry-run")
        assert (cell.below, dry.data["dry_run"]) == ([], True)
    array(cell.session)[0] = 2
    assert "might be collected" in cell.fails("gc --older-than 0s --yes")
    cell("discard")
    assert cell("gc --older-than 0s --yes").snapshots_deleted == 1
    assert cell("gc --older-than 0s").snapshots_deleted == 0
    assert "write 7d" in cell.fails("gc --older-than soon")


def test_commit_as_git_has_it(with_data: Cell) -> None:
    cell = with_data
    cell("status")
    array(cell.session)[0] = 1
    cell("commit -am 'the message' run=7")
    first = cell("show")
    assert (first.message, first.metadata["run"]) == ("the message", 7)
    array(cell.session)[1] = 2
    amended = cell("amend checked=true")
    assert amended.former == first.id
    shown = cell("show")
    assert shown.id == amended.snapshot_id
    assert (shown.message, shown.metadata["run"], shown.metadata["checked"]) == (
        "the message", 7, True,
    )  # fmt: skip
    assert len(cell("log main")) == 3
    cell("commit --amend 'another message'")
    assert cell("show").message == "another message"
    assert "no changes" in cell.fails("amend")
    commit_value(cell.names["repo"], 0, 1, "theirs")
    array(cell.session)[1] = 3
    assert "moved on" in cell.fails("amend")
    assert cell("status").moved


def test_rebase_of_a_part(with_data: Cell) -> None:
    cell = with_data
    repo = cell.names["repo"]
    cell("status")
    array(cell.session)[:2] = -2
    array(cell.session, "X")[:] = -2
    other = repo.writable_session("main")
    array(other)[:2] = -1
    array(other, "X")[:] = -1
    other.commit("theirs")
    plan = cell("rebase --dry-run")
    assert plan.left == 2
    assert {row["path"] for row in plan.conflicts} == {"/SST", "/X"}
    plan = cell("rebase --theirs --where /X --dry-run")
    assert (plan.left, plan.branch) == (1, "main")
    assert "settled: theirs" in repr(plan)
    assert "would rebase with --ours" in repr(cell("rebase --ours --dry-run"))
    assert "(usage)" in cell.fails("rebase --where /X")
    assert "1 conflict with" in cell.fails("rebase --theirs --where /X")
    assert "rebased" in repr(cell("rebase --ours --where /SST --where X"))
    cell("commit both")
    assert (values(repo)[:2] == -2).all()
    assert "nothing to do" in repr(cell("rebase --dry-run"))


def test_logs_are_switched_by_a_setting(
    cell: Cell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ICECHUNK_LOG", raising=False)
    cell.names["repo"] = climate()
    cell("status")
    try:
        cell("config log debug")
        cell.names["repo"].list_branches()
        assert "icechunk.storage.requests: get key=repo" in capsys.readouterr().err
        assert "did you mean `info`" in cell.fails("config log inf")
        cell("config --unset log")
        cell.names["repo"].list_branches()
        assert capsys.readouterr().err == ""
    finally:
        icechunk.set_logs_filter(None)


def test_settings(cell: Cell) -> None:
    assert cell("config").data == {
        "user.name": None,
        "user.email": None,
        "provenance": True,
        "solve": False,
        "log": None,
    }
    cell("config user.name 'Ana Añez'")
    cell("config provenance off")
    assert cell("config")["user.name"] == "Ana Añez"
    assert "did you mean" in cell.fails("config user.nam x")
    assert "on or off" in cell.fails("config provenance perhaps")
    cell.names["repo"] = climate()
    cell("status")
    array(cell.session)[0] = 1
    cell("commit mine")
    assert cell("show").metadata == {"author_name": "Ana Añez"}
    assert cell("log").widget.commits[0]["author"] == "Ana Añez"
    array(cell.session)[0] = 2
    cell("commit 'for Bo' author=Bo")
    assert cell("show").metadata == {"author": "Bo"}

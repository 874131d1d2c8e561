"""Metadata, status, feature flags and the operations log of a repository."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import icechunk
from icechunk import UpdateType
from tests.oracle import run_reference
from tests.repositories import storage_of

ROOT = "1CECHNKREP0F1RSTCMT0"


@pytest.fixture
def repo() -> icechunk.Repository:
    return icechunk.Repository.create(icechunk.in_memory_storage())


async def test_metadata_is_replaced_or_updated_key_by_key(repo):
    assert repo.get_metadata() == {}
    repo.set_metadata({"a": 1, "b": {"c": 1}})
    assert repo.update_metadata({"b": {"d": (2, 3)}}) == {"a": 1, "b": {"d": [2, 3]}}
    assert repo.metadata == {"a": 1, "b": {"d": [2, 3]}}
    repo.metadata["a"] = 2
    assert repo.metadata["a"] == 1
    await repo.set_metadata_async({})
    assert await repo.update_metadata_async({"x": None}) == {"x": None}
    assert await repo.get_metadata_async() == {"x": None}
    with pytest.raises(TypeError, match="'object' object is not an instance of 'dict'"):
        repo.set_metadata({"a": object()})


async def test_a_read_only_repository_takes_nothing_but_a_status(repo):
    assert repo.status.availability == icechunk.RepoAvailability.online
    session = repo.writable_session("main")
    repo.set_status(
        icechunk.RepoStatus(
            icechunk.RepoAvailability.read_only, limited_availability_reason="an audit"
        )
    )
    assert repo.get_status().limited_availability_reason == "an audit"
    for attempt in (
        lambda: repo.writable_session("main"),
        lambda: repo.rearrange_session("main"),
        lambda: session.commit("late", allow_empty=True),
        lambda: repo.create_branch("b", ROOT),
        lambda: repo.set_metadata({}),
        lambda: repo.set_feature_flag("create_tag", False),
        lambda: repo.save_config(),
    ):
        with pytest.raises(icechunk.ReadOnlyError, match=r"an audit") as caught:
            attempt()
        assert caught.value.kind == "read-only-repository"
    assert repo.readonly_session("main").read_only
    await repo.set_status_async(icechunk.RepoStatus(icechunk.RepoAvailability.online))
    assert (await repo.get_status_async()).availability == 0
    assert repo.writable_session("main").branch == "main"
    with pytest.raises(TypeError, match="RepoStatus"):
        repo.set_status("online")  # type: ignore[arg-type]


def test_a_status_is_set_now_unless_told_otherwise():
    before = datetime.now(UTC)
    status = icechunk.RepoStatus(icechunk.RepoAvailability.online)
    assert status.set_at is not None
    assert before - timedelta(milliseconds=1) <= status.set_at <= datetime.now(UTC)
    then = datetime(2020, 1, 1, tzinfo=UTC)
    assert icechunk.RepoStatus(icechunk.RepoAvailability.read_only, then, "x") == (
        icechunk.RepoStatus(icechunk.RepoAvailability.read_only, then, "x")
    )
    with pytest.raises(TypeError, match="tzinfo"):
        icechunk.RepoStatus(icechunk.RepoAvailability.online, datetime(2020, 1, 1))
    with pytest.raises(TypeError):
        icechunk.RepoStatus(0)  # type: ignore[arg-type]


async def test_feature_flags(repo):
    assert [flag.name for flag in repo.feature_flags()] == ["create_tag", "delete_tag", "move_node"]
    repo.set_feature_flag("create_tag", False)
    with pytest.raises(icechunk.SessionStateError, match="tag creation is disabled") as caught:
        repo.create_tag("t", ROOT)
    assert caught.value.kind == "feature-flag-disabled"
    assert [flag.name for flag in repo.disabled_feature_flags()] == ["create_tag"]
    assert [flag.name for flag in await repo.enabled_feature_flags_async()] == [
        "delete_tag",
        "move_node",
    ]
    await repo.set_feature_flag_async("create_tag", None)
    repo.create_tag("t", ROOT)
    kinds = [update.kind for update in repo.ops_log()]
    flags = [kind for kind in kinds if isinstance(kind, UpdateType.FeatureFlagChanged)]
    assert [flag.new_value for flag in flags] == [None, False]
    with pytest.raises(icechunk.InvalidInputError) as bad:
        repo.set_feature_flag("nope", True)
    assert bad.value.kind == "invalid-feature-flag"
    with pytest.raises(TypeError):
        repo.set_feature_flag("create_tag", 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["memory", "local"])
@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_the_log_is_whole_however_many_files_hold_it(kind, limit, tmp_path):
    config = icechunk.RepositoryConfig(num_updates_per_repo_info_file=limit)
    repo = icechunk.Repository.create(storage_of(kind, tmp_path), config)
    for number in range(8):
        repo.create_branch(f"b{number}", ROOT)
    expected = [UpdateType.BranchCreated(f"b{number}") for number in reversed(range(8))]
    updates = list(repo.ops_log())
    assert [u.kind for u in updates] == [*expected, UpdateType.RepoInitialized()]
    assert updates[0].backup_path is None
    assert len({u.backup_path for u in updates}) == len(updates)
    held = {key for key, _ in repo.storage.list_objects(prefix="overwritten")}
    assert {u.backup_path for u in updates[1:]} == held
    assert [u async for u in repo.ops_log_async()] == updates
    times = [u.updated_at for u in updates]
    assert times == sorted(times, reverse=True)


async def test_the_log_is_one_iterator_for_both_kinds_of_loops(repo):
    repo.set_metadata({"a": 1})
    log = repo.ops_log()
    assert next(log).kind == UpdateType.MetadataChanged()
    assert [u.kind async for u in log] == [UpdateType.RepoInitialized()]
    assert list(log) == []
    other = repo.ops_log()
    await other.aclose()
    assert list(other) == []


def test_every_kind_of_update_can_be_matched(repo):
    repo.create_branch("b", ROOT)
    repo.reset_branch("b", ROOT)
    repo.delete_branch("b")
    repo.create_tag("t", ROOT)
    repo.delete_tag("t")
    repo.save_config()
    commit = repo.writable_session("main").commit("c", allow_empty=True)
    seen = []
    for update in repo.ops_log():
        match update.kind:
            case UpdateType.NewCommit(branch, new_snap_id):
                seen.append(("commit", branch, new_snap_id))
            case UpdateType.BranchDeleted(name, previous) | UpdateType.BranchReset(name, previous):
                seen.append((type(update.kind).__name__, name, previous))
            case UpdateType.TagDeleted(name=name):
                seen.append(("tag", name))
            case _:
                seen.append(repr(update.kind))
    assert seen == [
        ("commit", "main", commit),
        "icechunk.ops.UpdateType.ConfigChanged()",
        ("tag", "t"),
        'icechunk.ops.UpdateType.TagCreated(name="t")',
        ("BranchDeleted", "b", ROOT),
        ("BranchReset", "b", ROOT),
        'icechunk.ops.UpdateType.BranchCreated(name="b")',
        "icechunk.ops.UpdateType.RepoInitialized()",
    ]


def test_spec_1_keeps_nothing_of_this():
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), spec_version=1)
    status = icechunk.RepoStatus(icechunk.RepoAvailability.online)
    for attempt in (
        repo.get_metadata,
        lambda: repo.set_metadata({}),
        lambda: repo.update_metadata({}),
        repo.get_status,
        lambda: repo.status,
        lambda: repo.set_status(status),
        repo.feature_flags,
        lambda: repo.set_feature_flag("create_tag", True),
        repo.ops_log,
    ):
        with pytest.raises(icechunk.FormatError) as caught:
            attempt()
        assert caught.value.kind == "unsupported-spec-version"


@pytest.mark.oracle
def test_the_reference_tells_the_same_of_a_repository(tmp_path):
    config = icechunk.RepositoryConfig(num_updates_per_repo_info_file=2)
    repo = icechunk.Repository.create(
        icechunk.local_filesystem_storage(tmp_path / "r", durable=False), config
    )
    repo.set_metadata({"a": [1, {"b": None}]})
    repo.set_feature_flag("delete_tag", False)
    then = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    repo.set_status(icechunk.RepoStatus(icechunk.RepoAvailability.read_only, then, "why"))
    told = run_reference(
        """
        import icechunk as ic
        repo = ic.Repository.open(ic.local_filesystem_storage(args[0]))
        status = repo.status
        result = [
            repo.metadata,
            sorted([f.name, f.setting, f.enabled] for f in repo.feature_flags()),
            [int(status.availability), status.set_at.isoformat(),
             status.limited_availability_reason],
            [[u.backup_path, u.updated_at.isoformat()] for u in repo.ops_log()],
            [repr(u.kind) for u in repo.ops_log()],
        ]
        """,
        tmp_path / "r",
    )
    status = repo.status
    assert status.set_at is not None
    kinds = [repr(u.kind) for u in repo.ops_log()]
    assert told[:4] == [
        repo.metadata,
        [[f.name, f.setting, f.enabled] for f in repo.feature_flags()],
        [int(status.availability), status.set_at.isoformat(), status.limited_availability_reason],
        [[u.backup_path, u.updated_at.isoformat()] for u in repo.ops_log()],
    ]
    assert told[4][1:] == kinds[1:]

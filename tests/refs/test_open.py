"""What is found in a storage, and what is refused."""

from __future__ import annotations

import pytest

import icechunk


@pytest.fixture
def storage() -> icechunk.Storage:
    return icechunk.in_memory_storage()


@pytest.mark.parametrize(("spec", "key"), [(2, "repo"), (1, "snapshots/1CECHNKREP0F1RSTCMT0")])
def test_files_of_a_future_version_are_refused_with_advice(
    storage: icechunk.Storage, spec: int, key: str
) -> None:
    icechunk.Repository.create(storage, spec_version=spec)
    data = bytearray(storage.get(key).data)
    assert data[36] == spec
    data[36] = 3
    storage.put(key, bytes(data))
    with pytest.raises(icechunk.FormatError) as caught:
        icechunk.Repository.open(storage).readonly_session("main").status()
    assert caught.value.kind == "unsupported-spec-version"
    assert "version 3" in str(caught.value)
    assert "upgrade the icechunk library" in str(caught.value)


@pytest.mark.parametrize("version", [0, 3, 7])
def test_only_known_versions_are_created(storage: icechunk.Storage, version: int) -> None:
    with pytest.raises(ValueError, match=f"Unsupported version {version}"):
        icechunk.Repository.create(storage, spec_version=version)
    assert not storage.list_objects()


@pytest.mark.parametrize("spec", [1, 2])
def test_open_or_create_makes_one_and_then_finds_it(storage: icechunk.Storage, spec: int) -> None:
    made = icechunk.Repository.open_or_create(storage, create_version=spec)
    found = icechunk.Repository.open_or_create(storage, create_version=3 - spec)
    assert made.spec_version == found.spec_version == spec


def test_an_empty_place_is_no_repository(storage: icechunk.Storage) -> None:
    assert not icechunk.Repository.exists(storage)
    assert icechunk.Repository.fetch_spec_version(storage) is None
    with pytest.raises(icechunk.RepositoryNotFoundError, match="the repository doesn't exist"):
        icechunk.Repository.open(storage)


def test_a_repo_object_counts_even_beside_refs(storage: icechunk.Storage) -> None:
    icechunk.Repository.create(storage, spec_version=1)
    other = icechunk.in_memory_storage()
    icechunk.Repository.create(other)
    for key, _ in other.list_objects():
        storage.put(key, other.get(key).data)
    assert icechunk.Repository.open(storage).spec_version == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"snapshot":"?"}', b"\xff"])
def test_a_damaged_ref_is_named(storage: icechunk.Storage, content: bytes) -> None:
    repo = icechunk.Repository.create(storage, spec_version=1)
    storage.put("refs/branch.bad/ref.json", content)
    for call in (lambda: repo.lookup_branch("bad"), lambda: repo.list_branches()):
        with pytest.raises(icechunk.FormatError, match=r"refs/branch\.bad/ref\.json"):
            call()


#: nine lists of nine lists of nine ...
_REPEATED = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (name, name, b", ".join([b"*%c" % (name - 1)] * 9))
    for name in b"bcdefghijklm"
)


@pytest.mark.parametrize(
    "content",
    [
        b"[1, 2]",
        b"a: [",
        b"inline_chunk_threshold_bytes: x",
        b"\xff",
        _REPEATED + b"manifest: *m\n",
        b"manifest: &x {preload: *x}",
        b"[" * 20_000,
        b"{a: " * 20_000,
        b"manifest: {preload: {preload_if: " + b"!or [" * 400 + b"]" * 400 + b"}}",
        b"inline_chunk_threshold_bytes: " + b"9" * 10_000,
        b"unknown: " + b"y" * 2_000_000,
        b"unknown: !!python/object/apply:os.system [true]",
    ],
    ids=range(12),
)
def test_a_damaged_configuration_is_named(storage: icechunk.Storage, content: bytes) -> None:
    icechunk.Repository.create(storage, spec_version=1)
    storage.put("config.yaml", content)
    with pytest.raises(icechunk.FormatError, match=r"config\.yaml|stored configuration") as caught:
        icechunk.Repository.open(storage)
    assert caught.value.kind == "config-deserialization"


class TestKilledCreation:
    """The process ended before the object was written that makes a repository."""

    @pytest.fixture(params=[1, 2])
    def spec(self, request: pytest.FixtureRequest) -> int:
        return int(request.param)

    @pytest.fixture
    def left(self, storage: icechunk.Storage, spec: int) -> icechunk.Storage:
        config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=7)
        icechunk.Repository.create(storage, config, spec_version=spec)
        storage.delete(["refs/branch.main/ref.json" if spec == 1 else "repo"])
        storage.put("probes/0123456789abcdef0123", b"first")
        return storage

    def test_open_says_what_happened_and_what_to_do(self, left: icechunk.Storage) -> None:
        with pytest.raises(icechunk.RepositoryNotFoundError) as caught:
            icechunk.Repository.open(left)
        assert "was interrupted and never finished; call `Repository.create`" in str(caught.value)
        assert not icechunk.Repository.exists(left)

    @pytest.mark.parametrize("version", [1, 2])
    @pytest.mark.parametrize("how", ["create", "open_or_create"])
    def test_it_is_finished(self, left: icechunk.Storage, how: str, version: int) -> None:
        given = {"spec_version" if how == "create" else "create_version": version}
        repo = getattr(icechunk.Repository, how)(left, **given)
        assert repo.spec_version == version
        assert len(list(repo.ancestry(branch="main"))) == 1
        stored = icechunk.Repository.fetch_config(left)
        assert stored is None or stored.inline_chunk_threshold_bytes is None, "that of the new one"
        assert icechunk.Repository.open(left).list_branches() == {"main"}

    def test_a_file_that_was_half_written_is_written_again(self, left: icechunk.Storage) -> None:
        left.put("snapshots/1CECHNKREP0F1RSTCMT0", b"ICE")
        repo = icechunk.Repository.create(left)
        assert repo.readonly_session("main").status().is_empty()
        assert repo.inspect_snapshot(repo.lookup_branch("main"))["nodes"] == []

    @pytest.mark.parametrize("key", ["chunks/1CECHNKREP0F1RSTCMT0", "notes.txt", "snapshots/X"])
    def test_anything_more_is_not_touched(self, left: icechunk.Storage, key: str) -> None:
        left.put(key, b"x")
        for how in (icechunk.Repository.create, icechunk.Repository.open_or_create):
            with pytest.raises(icechunk.InvalidInputError) as caught:
                how(left)
            assert caught.value.kind == "parent-directory-not-clean"
        with pytest.raises(icechunk.RepositoryNotFoundError, match="nothing of Icechunk"):
            icechunk.Repository.open(left)


def test_a_configuration_alone_belongs_to_somebody_else(storage: icechunk.Storage) -> None:
    storage.put("config.yaml", b"theirs: 1")
    with pytest.raises(icechunk.InvalidInputError, match=r"holds `config.yaml`"):
        icechunk.Repository.create(storage, spec_version=1)
    assert bytes(storage.get("config.yaml").data) == b"theirs: 1"

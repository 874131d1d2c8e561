"""Create a model and a repository with the same tree, and commit a session step by step."""

from __future__ import annotations

from collections.abc import Generator

from icechunk.repository import Repository
from icechunk.session import Session
from icechunk.storage import in_memory_storage
from icechunk.store import IcechunkStore
from icechunk.testing.models import GroupNode, ModelStore


def tree_to_model_and_icechunk(
    tree: GroupNode, add_hypothesis_note: bool = True
) -> tuple[ModelStore, Session, Repository]:
    """Create a tree in a model and in a new repository in memory.

    Parameters
    ----------
    tree : GroupNode
        The nodes.
    add_hypothesis_note : bool
        Print the tree with a failing example; only inside a Hypothesis test.

    Returns
    -------
    ModelStore, Session, Repository
        The session is writable and holds the tree uncommitted.
    """
    if add_hypothesis_note:
        from hypothesis import note

        note(f"tree: {tree}")
    model = ModelStore()
    tree.materialize(model)
    repo = Repository.create(in_memory_storage())
    session = repo.writable_session("main")
    tree.materialize(session.store)
    return model, session, repo


def precommit_postcommit_readonly(
    session: Session, repo: Repository, *, allow_empty: bool = False
) -> Generator[tuple[str, IcechunkStore], None, None]:
    """Stores of a session before its commit, after it, and of a session opened on the result.

    Parameters
    ----------
    session : Session
        A writable session; it is committed between the first and the second step.
    repo : Repository
        Its repository.
    allow_empty : bool
        Commit even if nothing changed.

    Yields
    ------
    str, IcechunkStore
        ``pre-commit``, ``post-commit`` and ``readonly``.
    """
    yield "pre-commit", session.store
    snapshot_id = session.commit("checked between the steps", allow_empty=allow_empty)
    yield "post-commit", session.store
    yield "readonly", repo.readonly_session(snapshot_id=snapshot_id).store


def update_paths_after_move(
    source: str, dest: str, arrays: set[str], groups: set[str]
) -> list[set[str]]:
    """Paths of arrays and of groups after a node moved with everything below it."""

    def moved(path: str) -> str:
        inside = path == source or path.startswith(f"{source}/")
        return dest + path[len(source) :] if inside else path

    return [{moved(path) for path in paths} for paths in (arrays, groups)]

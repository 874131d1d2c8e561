"""Hypothesis strategies for trees of nodes, and for valid and invalid moves in them.

Paths inside of these functions have no leading slash and the root is the empty string; moves, which
go to `icechunk.Session.move`, are made of absolute paths.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import hypothesis.strategies as st
import numpy as np
from zarr.testing.strategies import node_names

from icechunk.testing.models import ArrayNode, GroupNode
from icechunk.testing.utils import update_paths_after_move

ERR_SELF_OR_DESCENDANT = "into itself or its own descendant"
ERR_OVERWRITE = "overwrite existing node"
ERR_MISSING_PARENT = "destination's parent group"
ERR_SOURCE_MISSING = "node not found|could not create path"
ERR_PARENT_NOT_GROUP = "is an array, not a group"

MixedMove = tuple[str, str, str | None]
"""Source, target, and the pattern of the expected error, None for a valid move."""

InvalidMoveReason = Literal[
    "self", "descendant", "missing_parent", "parent_not_group", "overwrite", "source_missing"
]
"""Why a move is invalid."""

_PATTERNS: dict[InvalidMoveReason, str] = {
    "self": ERR_SELF_OR_DESCENDANT,
    "descendant": ERR_SELF_OR_DESCENDANT,
    "missing_parent": ERR_MISSING_PARENT,
    "parent_not_group": ERR_PARENT_NOT_GROUP,
    "overwrite": ERR_OVERWRITE,
    "source_missing": ERR_SOURCE_MISSING,
}
_AFFIX = st.text("0123456789_-.abcXYZ", min_size=1, max_size=3)
_ONE_TO_TEN = st.integers(1, 10)
_LEAF = ArrayNode((1,), np.dtype("i4"))


# -- names ------------------------------------------------------------------------------------


def similar_name(non_sibling_names: set[str], sibling_names: set[str]) -> st.SearchStrategy[str]:
    """A name that resembles an existing one.

    Parameters
    ----------
    non_sibling_names : set of str
        Names elsewhere in the tree, which may be drawn unchanged.
    sibling_names : set of str
        Names in the same group, which are drawn with a prefix or suffix.
    """
    ways: list[st.SearchStrategy[str]] = []
    if non_sibling_names:
        ways.append(st.sampled_from(sorted(non_sibling_names)))
    if sibling_names:
        name = st.sampled_from(sorted(sibling_names))
        joint = st.sampled_from(["-", "_", ".", ""])
        ways.append(st.builds(lambda name, by, tail: name + by + tail, name, joint, _AFFIX))
        ways.append(st.builds(lambda head, by, name: head + by + name, _AFFIX, joint, name))
    return st.one_of(*ways, node_names).filter(
        lambda name: _usable(name) and name not in sibling_names
    )


def _usable(name: str) -> bool:
    """Whether a name is valid for a node."""
    return name != "" and set(name) != {"."} and not name.startswith("__") and name != "c"


def fresh_name(pool: set[str], exclude: set[str]) -> st.SearchStrategy[str]:
    """A name that resembles those of a pool, and is not excluded."""
    if not pool and not exclude:
        return node_names.filter(_usable)
    return similar_name(pool - exclude, pool & exclude or exclude).filter(
        lambda name: name not in exclude
    )


@st.composite
def fresh_names(draw: st.DrawFn, pool: set[str], exclude: set[str], n: int) -> list[str]:
    """`n` names as of `fresh_name`, all different."""
    names: list[str] = []
    for _ in range(n):
        names.append(draw(fresh_name(pool | set(names), exclude | set(names))))
    return names


# -- trees ------------------------------------------------------------------------------------


def skeletons(*, max_leaves: int = 50, max_children: int = 4) -> st.SearchStrategy[GroupNode]:
    """Shapes of trees; the children of a group are called ``0``, ``1`` and so on."""

    def numbered(children: st.SearchStrategy[Any]) -> st.SearchStrategy[GroupNode]:
        lists = st.lists(children, min_size=1, max_size=max_children)
        return lists.map(lambda nodes: GroupNode({str(i): node for i, node in enumerate(nodes)}))

    leaf: st.SearchStrategy[Any] = st.one_of(st.just(_LEAF), st.builds(GroupNode))
    return numbered(st.recursive(leaf, numbered, max_leaves=max_leaves))


@st.composite
def trees(
    draw: st.DrawFn,
    *,
    max_leaves: st.SearchStrategy[int] = st.integers(5, 50),  # noqa: B008
    max_children: st.SearchStrategy[int] = st.integers(1, 4),  # noqa: B008
) -> GroupNode:
    """Trees whose names are beginnings, endings and repetitions of each other.

    Parameters
    ----------
    max_leaves : strategy of int
        Arrays and empty groups, about.
    max_children : strategy of int
        Nodes in one group.
    """
    skeleton = draw(skeletons(max_leaves=draw(max_leaves), max_children=draw(max_children)))
    seen: set[str] = set()

    def named(group: GroupNode) -> GroupNode:
        names = draw(fresh_names(set(seen), set(), len(group.children)))
        seen.update(names)
        return GroupNode(
            {
                name: named(child) if isinstance(child, GroupNode) else child
                for name, child in zip(names, group.children.values(), strict=True)
            }
        )

    return named(skeleton)


# -- paths ------------------------------------------------------------------------------------


def child_names_at(parent: str, all_paths: set[str]) -> set[str]:
    """Names of the direct children of a path, among paths that may be deeper.

    >>> sorted(child_names_at("a", {"a/x", "a/y/z", "b"}))
    ['x', 'y']
    """
    return {
        path[len(parent) :].strip("/").split("/")[0]
        for path in all_paths
        if path and is_below(path, parent)
    }


def is_below(path: str, ancestor: str) -> bool:
    """Whether a path lies below another or, for the root, anywhere."""
    return ancestor == "" or is_descendant(path, ancestor)


def is_descendant(path: str, ancestor: str) -> bool:
    """Whether a path lies below another, which is not the root."""
    return path.startswith(f"{ancestor}/")


def absolute(path: str) -> str:
    """The form with a leading slash."""
    return f"/{path}"


def wrap_tolerant(pattern: str) -> str:
    """A pattern that also matches where a report broke the line at a space."""
    return re.sub(r" +", r"\\s+\\|?\\s*", pattern)


# -- moves ------------------------------------------------------------------------------------


@st.composite
def valid_move(
    draw: st.DrawFn, all_nodes: set[str], all_groups: set[str], name_pool: set[str]
) -> tuple[str, str]:
    """A valid move.

    Parameters
    ----------
    all_nodes, all_groups : set of str
        The tree, without its root; at least one node.
    name_pool : set of str
        Names that new ones may resemble.
    """
    source = draw(st.sampled_from(sorted(all_nodes - {""})))
    parents = sorted(
        group for group in all_groups | {""} if group != source and not is_descendant(group, source)
    )
    parent = draw(st.sampled_from(parents))
    name = draw(fresh_name(name_pool, child_names_at(parent, all_nodes)))
    return absolute(source), absolute(_join(parent, name))


def _join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def _eligible(all_nodes: set[str], all_arrays: set[str]) -> list[InvalidMoveReason]:
    """Kinds of invalid moves that a tree allows."""
    nodes = all_nodes - {""}
    found: list[InvalidMoveReason] = ["source_missing"]
    if nodes:
        found += ["self", "descendant", "missing_parent"]
    if _occupied(nodes):
        found.append("overwrite")
    if _below_arrays(nodes, all_arrays):
        found.append("parent_not_group")
    return found


def _occupied(nodes: set[str]) -> list[tuple[str, str]]:
    """Moves onto an existing node outside the moved one."""
    return [
        (source, target)
        for source in sorted(nodes)
        for target in sorted(nodes)
        if source != target and not is_descendant(target, source)
    ]


def _below_arrays(nodes: set[str], arrays: set[str]) -> list[tuple[str, str]]:
    """Nodes, and arrays that are not the node itself or in it."""
    return [
        (source, array)
        for source in sorted(nodes)
        for array in sorted(arrays)
        if source != array and not is_descendant(array, source)
    ]


@st.composite
def invalid_move(
    draw: st.DrawFn,
    all_nodes: set[str],
    all_arrays: set[str],
    name_pool: set[str],
    *,
    eligible: list[InvalidMoveReason] | None = None,
) -> tuple[str, str, str]:
    """An invalid move: source, target, and a pattern of the error's text.

    Parameters
    ----------
    all_nodes, all_arrays : set of str
        The tree.
    name_pool : set of str
        Names that new ones may resemble.
    eligible : list, optional
        Reasons to choose from; those possible in this tree when absent.
    """
    reasons = _eligible(all_nodes, all_arrays) if eligible is None else eligible
    reason = draw(st.sampled_from(reasons))
    nodes = all_nodes - {""}
    names = fresh_name(name_pool, {name for path in nodes for name in path.split("/")})
    source, target = draw(_wrong_move(reason, nodes, all_arrays, names))
    return absolute(source), absolute(target), _PATTERNS[reason]


@st.composite
def _wrong_move(
    draw: st.DrawFn,
    reason: InvalidMoveReason,
    nodes: set[str],
    arrays: set[str],
    names: st.SearchStrategy[str],
) -> tuple[str, str]:
    name = draw(names)
    if reason == "source_missing":
        return name, draw(names)
    if reason == "overwrite":
        return draw(st.sampled_from(_occupied(nodes)))
    if reason == "parent_not_group":
        source, parent = draw(st.sampled_from(_below_arrays(nodes, arrays)))
        return source, _join(parent, name)
    source = draw(st.sampled_from(sorted(nodes)))
    if reason == "self":
        return source, source
    if reason == "descendant":
        return source, _join(source, name)
    return source, _join(name, draw(names))


@st.composite
def valid_and_invalid_moves(
    draw: st.DrawFn,
    tree: GroupNode,
    n_moves: st.SearchStrategy[int] = _ONE_TO_TEN,
    p_invalid: st.SearchStrategy[float] = st.floats(0.0, 1.0),  # noqa: B008
) -> list[MixedMove]:
    """Consecutive moves, each in the tree after the valid ones before it.

    Parameters
    ----------
    tree : GroupNode
        Where they begin.
    n_moves : strategy of int
        How many.
    p_invalid : strategy of float
        Share of those that must be refused; drawn once.
    """
    arrays, groups = set(tree.arrays()), set(tree.groups())
    share = draw(p_invalid)
    moves: list[MixedMove] = []
    for _ in range(draw(n_moves)):
        nodes = arrays | groups
        pool = {name for path in nodes for name in path.split("/")}
        # a draw of its own, that shrinks towards moves that work
        wrong = not nodes or share == 1 or draw(st.floats(0, 1, exclude_max=True)) >= 1 - share
        if wrong:
            moves.append(draw(invalid_move(nodes, arrays, pool)))
            continue
        source, target = draw(valid_move(nodes, groups, pool))
        arrays, groups = update_paths_after_move(source[1:], target[1:], arrays, groups)
        moves.append((source, target, None))
    return moves


@st.composite
def valid_moves(
    draw: st.DrawFn, tree: GroupNode, n_moves: st.SearchStrategy[int] = _ONE_TO_TEN
) -> list[tuple[str, str]]:
    """Consecutive valid moves; empty for an empty tree."""
    if not tree.children:
        return []
    moves = draw(valid_and_invalid_moves(tree, n_moves, st.just(0.0)))
    return [(source, target) for source, target, _ in moves]


@st.composite
def invalid_moves(
    draw: st.DrawFn, tree: GroupNode, n_moves: st.SearchStrategy[int] = _ONE_TO_TEN
) -> list[tuple[str, str, str]]:
    """Invalid moves."""
    moves = draw(valid_and_invalid_moves(tree, n_moves, st.just(1.0)))
    return [(source, target, pattern or "") for source, target, pattern in moves]


def _some_trees(
    max_leaves: st.SearchStrategy[int] | None, max_children: st.SearchStrategy[int] | None
) -> st.SearchStrategy[GroupNode]:
    given = {"max_leaves": max_leaves, "max_children": max_children}
    return trees(**{name: value for name, value in given.items() if value is not None})


@st.composite
def tree_and_valid_moves(
    draw: st.DrawFn,
    max_leaves: st.SearchStrategy[int] | None = None,
    max_children: st.SearchStrategy[int] | None = None,
    n_moves: st.SearchStrategy[int] = _ONE_TO_TEN,
) -> tuple[GroupNode, list[tuple[str, str]]]:
    """A tree, and valid moves in it."""
    tree = draw(_some_trees(max_leaves, max_children))
    return tree, draw(valid_moves(tree, n_moves))


@st.composite
def tree_and_invalid_moves(
    draw: st.DrawFn,
    max_leaves: st.SearchStrategy[int] | None = None,
    max_children: st.SearchStrategy[int] | None = None,
    n_moves: st.SearchStrategy[int] = _ONE_TO_TEN,
) -> tuple[GroupNode, list[tuple[str, str, str]]]:
    """A tree, and invalid moves in it."""
    tree = draw(_some_trees(max_leaves, max_children))
    return tree, draw(invalid_moves(tree, n_moves))


@st.composite
def tree_and_mixed_moves(
    draw: st.DrawFn,
    max_leaves: st.SearchStrategy[int] | None = None,
    max_children: st.SearchStrategy[int] | None = None,
    n_moves: st.SearchStrategy[int] = _ONE_TO_TEN,
    p_invalid: st.SearchStrategy[float] = st.floats(0.0, 1.0),  # noqa: B008
) -> tuple[GroupNode, list[MixedMove]]:
    """A tree, and valid and invalid moves in it."""
    tree = draw(_some_trees(max_leaves, max_children))
    return tree, draw(valid_and_invalid_moves(tree, n_moves, p_invalid))

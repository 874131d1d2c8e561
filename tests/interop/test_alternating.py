"""Two libraries take turns on one repository for 200 random operations.

After each, both must see the refs and histories that a model in this file says, and the data of
each snapshot that a ref points to: of a new one at once, of all after files were deleted and at
every tenth operation.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.interop.actions import array_doc, content_digest, group_doc
from tests.interop.sides import Ours, Side, Theirs
from tests.interop.zoo import payload

STEPS = 200
SHAPES = [([4, 6], [2, 3], 6), ([], [], 1), ([40, 60], [20, 30], 600), ([5], [1], 1)]
NAMES = ["a", "a-b", "g/a", "g/ü", "b!", "c d"]

Content = dict[str, bytes]


class Turns:
    """The repository, its two writers and what they should see.

    Parameters
    ----------
    root : str
        Where the repository is.
    spec : int
        Its version.
    sides : tuple of Side
        Who takes turns.
    seed : int
        Of all choices.
    """

    def __init__(self, root: str, spec: int, sides: tuple[Side, Side], seed: int) -> None:
        self.root, self.spec, self.sides = root, spec, sides
        self.random = random.Random(seed)
        self.can = {side.name: side("abilities") for side in sides}
        self.branches: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.used_tags: set[str] = set()
        self.contents: dict[str, Content] = {}
        self.parents: dict[str, str | None] = {}
        self.rearranged: set[str] = set()
        self.performed: dict[tuple[str, str], int] = {}
        self.verified: set[tuple[str, str]] = set()
        sides[0]("create", root=root, spec=spec, threshold=8)
        self.threshold = 8
        start = sides[0]("facts", root=root)["branches"]["main"]
        self.branches["main"], self.contents[start], self.parents[start] = start, {}, None
        self.root_id = start

    # -- what to do ------------------------------------------------------------------------------

    def step(self, number: int) -> str:
        """Do one random thing; returns what and who."""
        operations: list[tuple[Callable[[Side, int], bool], int]] = [
            (self.write, 30),
            (self.new_node, 14),
            (self.wipe, 5),
            (self.resize, 6),
            (self.attributes, 6),
            (self.nothing, 2),
            (self.rivals, 10),
            (self.flush, 3),
            (self.new_branch, 6),
            (self.drop_branch, 4),
            (self.reset_branch, 4),
            (self.new_tag, 5),
            (self.drop_tag, 3),
            (self.configure, 2),
            (self.amend, 4 if self.spec == 2 else 0),
            (self.move, 5 if self.spec == 2 else 0),
            (self.expire, 2),
            (self.collect, 2),
        ]
        chances = [weight for _, weight in operations]
        while True:
            operation = self.random.choices([o for o, _ in operations], chances)[0]
            side = self.random.choice(self.sides)
            if operation(side, number):
                key = operation.__name__, side.name
                self.performed[key] = self.performed.get(key, 0) + 1
                return f"{number}: {operation.__name__} by {side.name}"

    def branch(self) -> str:
        return self.random.choice(sorted(self.branches))

    def content(self, branch: str) -> Content:
        return dict(self.contents[self.branches[branch]])

    def arrays(self, content: Content) -> list[str]:
        nodes = [key.removesuffix("zarr.json") for key in content if key.endswith("zarr.json")]
        return sorted(node for node in nodes if b'"array"' in content[node + "zarr.json"])

    def made(self, branch: str | None, snapshot: str, content: Content, parent: str) -> None:
        self.contents[snapshot], self.parents[snapshot] = content, parent
        if branch is not None:
            self.branches[branch] = snapshot

    def commit(
        self, side: Side, number: int, branch: str, content: Content, **changes: Any
    ) -> bool:
        how = changes.pop("how", "commit")
        puts, drops, wipes = (changes.get(k) or {} for k in ("puts", "drops", "wipes"))
        for path in wipes:
            # an array takes its chunks with it, but not nodes that were put below it
            is_array = b'"array"' in content[f"{path}/zarr.json"]
            own = (f"{path}/c/", f"{path}/c\0") if is_array else (f"{path}/",)
            for key in [key for key in content if f"{key}\0".startswith(own)]:
                del content[key]
            content.pop(f"{path}/zarr.json", None)
        for key in drops:
            content.pop(key, None)
        content |= {key: text.encode("latin-1") for key, text in dict(puts).items()}
        base = self.branches[branch]
        message, metadata = f"{number} {how}", {"number": number, "by": side.name}
        arguments = {"root": self.root, "branch": branch, "message": message, "how": how}
        made = side("commit", metadata=metadata, **arguments, **changes)
        parent = self.parents[base] if how == "amend" else base
        assert parent is not None
        self.made(None if how == "flush" else branch, made, content, parent)
        return True

    def chunks(self, content: Content, number: int, count: int) -> dict[str, str]:
        """Chunks to write, in arrays that exist."""
        puts = {}
        for _ in range(count):
            node = self.random.choice(self.arrays(content))
            grid, size = grid_of(content[node + "zarr.json"])
            if 0 in grid:
                continue
            where = "".join(f"/{self.random.randrange(n)}" for n in grid)
            puts[f"{node}c{where}"] = payload(f"{node}{number}{where}", size)
        return puts

    # -- operations ------------------------------------------------------------------------------

    def write(self, side: Side, number: int, how: str = "commit") -> bool:
        branch = self.branch()
        content = self.content(branch)
        if not self.arrays(content):
            return False
        puts = self.chunks(content, number, self.random.randint(1, 6))
        drops = [k for k in content if "/c" in k and self.random.random() < 0.05 and k not in puts]
        if not puts:
            return False
        return self.commit(side, number, branch, content, puts=puts, drops=drops, how=how)

    def new_node(self, side: Side, number: int) -> bool:
        branch = self.branch()
        content = self.content(branch)
        name = self.random.choice(NAMES) + self.random.choice(["", "/x", "-y"])
        if f"{name}/zarr.json" in content:
            return False
        if self.random.random() < 0.3:
            puts = {f"{name}/zarr.json": group_doc(number=number)}
        else:
            shape, chunks, _ = self.random.choice(SHAPES)
            puts = {f"{name}/zarr.json": array_doc(shape, chunks)}
        return self.commit(side, number, branch, content, puts=puts)

    def wipe(self, side: Side, number: int) -> bool:
        branch = self.branch()
        content = self.content(branch)
        nodes = nodes_of(content)
        if not nodes:
            return False
        return self.commit(side, number, branch, content, wipes=[self.random.choice(nodes)])

    def resize(self, side: Side, number: int) -> bool:
        branch = self.branch()
        content = self.content(branch)
        wide = [node for node in self.arrays(content) if grid_of(content[node + "zarr.json"])[0]]
        if not wide:
            return False
        node = self.random.choice(wide)
        shape, chunks = shape_of(content[node + "zarr.json"])
        axis = self.random.randrange(len(shape))
        new = list(shape)
        new[axis] = max(0, shape[axis] + self.random.choice([-1, 1, 2]) * chunks[axis])
        if new == shape:
            return False
        document = array_doc(new, chunks)
        grid, _ = grid_of(document.encode())
        outside = [
            key
            for key in content
            if key.startswith(f"{node}c/")
            and any(int(n) >= g for n, g in zip(key[len(node) + 2 :].split("/"), grid, strict=True))
        ]
        puts = {f"{node}zarr.json": document}
        return self.commit(side, number, branch, content, puts=puts, drops=outside)

    def attributes(self, side: Side, number: int) -> bool:
        branch = self.branch()
        puts = {"zarr.json": group_doc(number=number)}
        return self.commit(side, number, branch, self.content(branch), puts=puts)

    def nothing(self, side: Side, number: int) -> bool:
        if side.name.endswith("1.1.21"):
            return False
        branch = self.branch()
        return self.commit(side, number, branch, self.content(branch), how="empty")

    def flush(self, side: Side, number: int) -> bool:
        return self.write(side, number, "flush")

    def amend(self, side: Side, number: int) -> bool:
        if not self.can[side.name]["amend"]:
            return False
        branch = self.branch()
        tip = self.branches[branch]
        if self.parents[tip] is None or tip in self.rearranged:
            return False
        puts = {"zarr.json": group_doc(amended=number)}
        return self.commit(side, number, branch, self.content(branch), puts=puts, how="amend")

    def rivals(self, side: Side, number: int) -> bool:
        """A session of one rebases over a commit of the other; its own chunks win."""
        branch = self.branch()
        content = self.content(branch)
        if not self.arrays(content):
            return False
        mine, theirs = self.chunks(content, number, 3), self.chunks(content, -number, 3)
        rival = self.sides[1] if side is self.sides[0] else self.sides[0]
        if not mine or not theirs:
            return False
        side("begin", root=self.root, branch=branch, name="open", puts=mine)
        self.commit(rival, number, branch, content, puts=theirs)
        between = self.branches[branch]
        content = content | {key: text.encode("latin-1") for key, text in mine.items()}
        made = side("finish", name="open", message=f"{number} rebased", how="rebase")
        self.made(branch, made, content, between)
        return True

    def move(self, side: Side, number: int) -> bool:
        if not self.can[side.name]["move"]:
            return False
        branch = self.branch()
        content = self.content(branch)
        nodes = sorted(
            key.removesuffix("/zarr.json") for key in content if key.endswith("/zarr.json")
        )
        groups = [n for n in nodes if b'"group"' in content[f"{n}/zarr.json"]]
        if not nodes:
            return False
        source = self.random.choice(nodes)
        parents = ["", *groups] if "zarr.json" in content else groups
        parents = [p for p in parents if p != source and not p.startswith(f"{source}/")]
        if not parents:
            return False
        target = f"{self.random.choice(parents)}/moved {number}".lstrip("/")
        moved = {
            (target + key[len(source) :] if key.startswith(f"{source}/") else key): data
            for key, data in content.items()
        }
        moves = [[f"/{source}", f"/{target}"]]
        made = side("move", root=self.root, branch=branch, moves=moves, message=f"{number} move")
        self.made(branch, made, moved, self.branches[branch])
        self.rearranged.add(made)
        return True

    def known(self) -> str:
        """Some snapshot that is still there."""
        facts = self.sides[0]("facts", root=self.root)
        there = {info[0] for history in facts["histories"].values() for info in history}
        return self.random.choice([snapshot for snapshot in self.contents if snapshot in there])

    def new_branch(self, side: Side, number: int) -> bool:
        if len(self.branches) > 4:
            return False
        name = self.random.choice([f"branch-{number}", f"b {number}"])
        self.branches[name] = target = self.known()
        side("ref", root=self.root, act="create_branch", name=name, target=target)
        return True

    def drop_branch(self, side: Side, number: int) -> bool:
        names = sorted(set(self.branches) - {"main"})
        if not names:
            return False
        name = self.random.choice(names)
        side("ref", root=self.root, act="delete_branch", name=name)
        del self.branches[name]
        return True

    def reset_branch(self, side: Side, number: int) -> bool:
        name = self.branch()
        self.branches[name] = target = self.known()
        side("ref", root=self.root, act="reset_branch", name=name, target=target)
        return True

    def new_tag(self, side: Side, number: int) -> bool:
        name = f"tag {number}"
        self.tags[name] = target = self.known()
        side("ref", root=self.root, act="create_tag", name=name, target=target)
        return True

    def drop_tag(self, side: Side, number: int) -> bool:
        if not self.tags:
            return False
        name = self.random.choice(sorted(self.tags))
        side("ref", root=self.root, act="delete_tag", name=name)
        del self.tags[name]
        return True

    def configure(self, side: Side, number: int) -> bool:
        self.threshold = self.random.choice([0, 4, 8, 512])
        side("save_config", root=self.root, threshold=self.threshold)
        return True

    def expire(self, side: Side, number: int) -> bool:
        if not self.can[side.name]["expire"] or number < STEPS // 3:
            return False
        side("expire", root=self.root)
        self.verified.clear()
        return True

    def collect(self, side: Side, number: int) -> bool:
        if not self.can[side.name]["collect"] or number < STEPS // 3:
            return False
        side("collect", root=self.root)
        self.verified.clear()
        return True

    # -- what must be true -----------------------------------------------------------------------

    def check(self, what: str) -> None:
        """Both sides see what the model says."""
        seen = [side("facts", root=self.root) for side in self.sides]
        assert seen[0] == seen[1], what
        assert seen[0]["branches"] == self.branches, what
        assert seen[0]["tags"] == self.tags, what
        for target in {*self.branches.values(), *self.tags.values()}:
            meant = content_digest(self.contents[target])
            for side in self.sides:
                if (side.name, target) not in self.verified:
                    seen_here = side("digest", root=self.root, snapshot=target)
                    assert seen_here == meant, (what, side.name)
                    self.verified.add((side.name, target))
        assert all(s("threshold", root=self.root) == self.threshold for s in self.sides), what


def nodes_of(content: Content) -> list[str]:
    """Paths of all nodes but the root."""
    return sorted(key.removesuffix("/zarr.json") for key in content if key.endswith("/zarr.json"))


def shape_of(document: bytes) -> tuple[list[int], list[int]]:
    import json

    parsed = json.loads(document)
    return parsed["shape"], parsed["chunk_grid"]["configuration"]["chunk_shape"]


def grid_of(document: bytes) -> tuple[list[int], int]:
    """Chunks along each axis, and bytes per chunk."""
    shape, chunks = shape_of(document)
    size = 1
    for length in chunks:
        size *= length
    return [-(-n // c) for n, c in zip(shape, chunks, strict=True)], size


def play(tmp_path: Path, spec: int, theirs: Theirs, seed: int) -> Turns:
    turns = Turns(str(tmp_path / "repo"), spec, (Ours(), theirs), seed)
    for number in range(1, STEPS + 1):
        what = turns.step(number)
        if number % 10 == 0:
            turns.verified.clear()
        turns.check(what)
    performed = {side.name: 0 for side in turns.sides}
    for (_, name), count in turns.performed.items():
        performed[name] += count
    assert sum(performed.values()) == STEPS
    assert min(performed.values()) > STEPS // 4
    return turns


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("spec", [1, 2])
def test_with_the_latest_release(tmp_path: Path, latest: Theirs, spec: int) -> None:
    play(tmp_path, spec, latest, seed=spec)


@pytest.mark.oracle_v1
@pytest.mark.slow
def test_with_the_last_release_of_spec_1(tmp_path: Path, last_v1: Theirs) -> None:
    play(tmp_path, 1, last_v1, seed=3)

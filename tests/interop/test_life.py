"""One repository through every operation there is, each done by either library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.interop.actions import array_doc, group_doc
from tests.interop.sides import Side
from tests.interop.test_zoo import PAIRS, agree, change, side
from tests.interop.zoo import animals, as_content, payload

__all__ = ["side"]

Content = dict[str, bytes]


class Life:
    """A repository and what it should hold.

    Parameters
    ----------
    root : str
        Where it is.
    sides : tuple of Side
        Who looks at it after every operation.
    """

    def __init__(self, root: str, *sides: Side) -> None:
        self.root, self.sides = root, sides
        self.content: Content = {}
        self.spec, self.number = 1, 0

    def check(self) -> None:
        """Everybody sees the same: content, refs, histories, operations, settings."""
        tip = self.tip("main")
        agree(self.root, tip, self.content, *self.sides)
        if self.spec == 2:
            for what in ("log", "says"):
                seen = [reader(what, root=self.root) for reader in self.sides]
                assert all(other == seen[0] for other in seen[1:]), what

    def tip(self, branch: str) -> str:
        return str(self.sides[0]("facts", root=self.root)["branches"][branch])

    def commit(self, who: Side, **options: Any) -> None:
        self.number += 1
        fresh = f"life-{self.number}"
        puts = {
            f"{fresh}/zarr.json": array_doc([4], [1]),
            f"{fresh}/c/1": payload(fresh, 2),
            f"{fresh}/c/2": payload(fresh, 600),
        }
        self.content |= as_content(puts)
        message = f"{self.number} by {who.name}"
        who("commit", root=self.root, branch="main", message=message, puts=puts, **options)
        self.check()

    def refs(self, who: Side) -> None:
        """Make, move and remove branches and tags."""
        name = f"{who.name} {self.number}"
        base = self.tip("main")
        self.commit(who)
        for act, target in (
            ("create_branch", self.tip("main")),
            ("reset_branch", base),
            ("delete_branch", None),
            ("create_tag", base),
            ("delete_tag", None),
        ):
            arguments = {} if target is None else {"target": target}
            who("ref", root=self.root, act=act, name=name, **arguments)
            self.check()
        who("ref", root=self.root, act="create_tag", name=f"kept {name}", target=self.tip("main"))
        who("save_config", root=self.root, threshold=200 + self.number)

    def spec_2(self, who: Side) -> None:
        """What only spec 2 offers."""
        name = who.name.replace(" ", "-").replace(".", "-")
        changed = {"zarr.json": group_doc(title=f"amended by {name}")}
        self.commit(who)
        who("commit", root=self.root, branch="main", message="again", puts=changed, how="amend")
        self.content |= as_content(changed)
        self.check()
        lost = {"zarr.json": group_doc(title="on no branch")}
        who("commit", root=self.root, branch="main", message="aside", puts=lost, how="flush")
        self.check()
        moves = [["/inline-and-native", f"/deep/{name}"], [f"/life-{self.number}", f"/l {name}"]]
        who("move", root=self.root, branch="main", moves=moves, message="moved")
        for source, target in moves:
            self.move(source[1:], target[1:])
        self.check()
        back = [[f"/deep/{name}", "/inline-and-native"]]
        who("move", root=self.root, branch="main", moves=back, message="back")
        self.move(f"deep/{name}", "inline-and-native")
        for act, *arguments in (
            ("set_metadata", {"by": name, "numbers": [1, 2.5, None, {"x": True}]}),
            ("update_metadata", {"more": self.number}),
            ("set_feature_flag", "create_tag", False),
            ("set_feature_flag", "create_tag", True),
            ("set_feature_flag", "create_tag", None),
            ("set_status", "read_only", "weil ü"),
        ):
            who("administer", root=self.root, act=act, arguments=arguments)
            self.check()
        who("administer", root=self.root, act="set_status", arguments=["online", None])

    def move(self, source: str, target: str) -> None:
        for key in [key for key in self.content if key.startswith(f"{source}/")]:
            self.content[target + key[len(source) :]] = self.content.pop(key)

    def upkeep(self, who: Side) -> None:
        """Rewrite, expire and collect."""
        if who("abilities")["rewrite"]:
            who("rewrite", root=self.root, branch="main", message="rewritten")
            self.check()
        for act in ("expire", "collect"):
            who(act, root=self.root)
            self.check()


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "first", "second"), PAIRS)
def test_every_operation_by_both(
    tmp_path: Path, side: Any, spec: int, first: str, second: str
) -> None:
    author, other = side(first), side(second)
    life = Life(str(tmp_path / "repo"), author, other)
    author("create", root=life.root, spec=spec, **({"updates": 7} if spec == 2 else {}))
    life.spec = spec
    puts = animals(rectilinear=spec == 2, many=10)
    life.content = as_content(puts)
    author("commit", root=life.root, branch="main", message="zoo", puts=puts)
    for number, who in enumerate((other, author)):
        changes = change(life.content, number)
        who("commit", root=life.root, branch="main", message="changed", **changes)
        life.refs(who)
        if spec == 2:
            life.spec_2(who)
        life.upkeep(who)
    if spec == 2:
        entries = author("log", root=life.root)
        assert len(entries) == 50, "the log goes on beyond the seven entries of one file"
        assert len({kind for _, kind, _, _ in entries}) == 15, "all kinds but an upgrade"
    if spec == 1 and "last_v1" not in (first, second):
        other("upgrade", root=life.root)
        life.spec = 2
        life.check()
        for who in (author, other):
            life.refs(who)
            life.spec_2(who)
            life.upkeep(who)

"""Upgrades from spec 1 that were killed half-way, by one library, and met by the other."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

import icechunk
from tests.interop.actions import content_digest
from tests.interop.sides import Ours
from tests.interop.test_zoo import side
from tests.interop.zoo import animals, as_content
from tests.maintenance.dying import Death, DyingStorage
from tests.oracle import ReferenceFailedError

pytestmark = pytest.mark.oracle
__all__ = ["side"]


def old_repository(root: str, author: Any) -> tuple[str, dict[str, Any]]:
    """Branches, tags, a deleted tag and a configuration; returns the tip and the content."""
    author("create", root=root, spec=1, threshold=100)
    puts = animals(rectilinear=False, many=5)
    tip = author("commit", root=root, branch="main", message="zoo", metadata={"n": 1}, puts=puts)
    for act, name in (("create_branch", "dev"), ("create_tag", "kept"), ("create_tag", "gone")):
        author("ref", root=root, act=act, name=name, target=tip)
    author("ref", root=root, act="delete_tag", name="gone")
    return tip, content_digest(as_content(puts))


def refs(root: Path) -> list[Path]:
    """Mutable files of spec 1 in the order in which upgrades remove them."""
    found = sorted(path for path in (root / "refs").rglob("*") if path.is_file())
    found.sort(key=lambda path: path.parent.name != "branch.main")
    config = root / "config.yaml"
    return [*found, config] if config.exists() else found


def test_left_by_the_reference(tmp_path: Path, side: Any, caplog: pytest.LogCaptureFixture) -> None:
    old = tmp_path / "old"
    theirs, ours = side("latest"), Ours()
    tip, content = old_repository(str(old), theirs)
    before = theirs("facts", root=str(old))
    new = tmp_path / "new"
    shutil.copytree(old, new)
    theirs("upgrade", root=str(new))
    assert not refs(new)
    for removed in range(len(refs(old)) + 1):
        root = tmp_path / f"killed-{removed}"
        shutil.copytree(new, root, ignore=shutil.ignore_patterns("refs"))
        for path in refs(old)[removed:]:
            there = root / path.relative_to(old)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, there)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert ours("facts", root=str(root)) == before
        told = "the upgrade was interrupted" in caplog.text and "to finish it" in caplog.text
        assert told == (removed == 0), "the branch `main` of spec 1 is what others would open"
        assert ours("digest", root=str(root), snapshot=tip) == content
        if removed < len(refs(old)):
            ours("upgrade", root=str(root))
        assert not refs(root)
        for reader in (ours, theirs):
            assert reader("facts", root=str(root)) == before
            assert reader("digest", root=str(root), snapshot=tip) == content


def test_left_by_us(tmp_path: Path, side: Any) -> None:
    old = tmp_path / "old"
    theirs, ours = side("latest"), Ours()
    tip, content = old_repository(str(old), ours)
    before = ours("facts", root=str(old))
    seen = set()
    for at in range(1000):
        root = tmp_path / f"killed-{at}"
        shutil.copytree(old, root)
        storage = DyingStorage(icechunk.local_filesystem_storage(root, durable=False), at)
        try:
            repo = icechunk.Repository.open(storage)
            icechunk.upgrade_icechunk_repository(repo, dry_run=False)
        except Death:
            pass
        else:
            break
        stage = ((root / "repo").exists(), len(refs(root)))
        if stage in seen:
            continue
        seen.add(stage)
        assert theirs("facts", root=str(root)) == before
        assert theirs("digest", root=str(root), snapshot=tip) == content
        if stage[0]:
            with pytest.raises(ReferenceFailedError):
                theirs("upgrade", root=str(root))
        else:
            theirs("upgrade", root=str(root))
        if refs(root):
            ours("upgrade", root=str(root))
        assert not refs(root)
        for reader in (ours, theirs):
            assert reader("facts", root=str(root)) == before
    assert len(seen) > len(refs(old))

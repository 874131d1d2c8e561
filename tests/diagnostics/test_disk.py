"""Which file systems are trusted, by the system's list of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from icechunk.diagnostics.disk import Mount, judged_mount, mount_of

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /mnt/data rw,relatime shared:2 - nfs4 host:/x rw,vers=4.2,local_lock=none
31 30 0:27 / /mnt/data/old\040one rw - nfs host:/y rw,nolock,local_lock=all
33 22 0:29 / /mnt/größe rw - xfs /dev/sdb rw
32 22 0:28 / /dev/shm rw - tmpfs tmpfs rw
nonsense
"""


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/mnt/data/repo/deep", "nfs4"),
        ("/mnt/data", "nfs4"),
        ("/mnt/database", "ext4"),
        ("/mnt/data/old one/x", "nfs"),
        ("/mnt/größe/x", "xfs"),
        ("/dev/shm/x", "tmpfs"),
        ("/", "ext4"),
    ],
)
def test_the_innermost_mount_counts(table: str, path: str, kind: str) -> None:
    found = mount_of(path, table)
    assert found is not None
    assert found.kind == kind


def test_systems_without_a_list(tmp_path: Path) -> None:
    assert mount_of("/x", str(tmp_path / "none")) is None


@pytest.mark.parametrize(
    ("mount", "failed", "said"),
    [
        (Mount("ext4", frozenset({"rw"})), False, "on this machine"),
        (Mount("nfs4", frozenset({"rw", "local_lock=none"})), False, "network file system"),
        (Mount("nfs", frozenset({"nolock"})), True, "do not reach other hosts"),
        (Mount("cifs", frozenset({"nobrl"})), True, "do not reach other hosts"),
        (Mount("fuse.gcsfuse", frozenset()), True, "a bucket mounted as a folder"),
        (Mount("tmpfs", frozenset()), False, "in memory"),
    ],
)
def test_what_kinds_mean(mount: Mount, failed: bool, said: str) -> None:
    check = judged_mount(mount)
    assert check.failed is failed
    assert said in check.found
    assert bool(check.advice) is failed
    assert check.needed is (mount.kind == "fuse.gcsfuse")

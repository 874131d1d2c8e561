"""The word list of `scripts/words.py` holds for every tracked file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def check(root: Path, *names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/words.py", *names]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_prose_uses_plain_words(root: Path) -> None:
    done = check(root)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("page.md", "A `told`.\n\n```\ntold\n```\nNobody reads this.\n", 6),
        ("module.py", 'told = 1\n\n"""One line.\n\nWhoever calls this.\n"""\n', 5),
        ("text.py", 'x = f"{told} {told(wish)!r} a wish"\n', 1),
        ("view.ts", 'const told = 1;\nconst label = "Somebody else wrote";\n', 2),
    ],
)
def test_a_word_of_the_list_is_found_in_prose_only(
    root: Path, tmp_path: Path, name: str, text: str, line: int
) -> None:
    (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", _CHECK, str(root / "scripts"), str(tmp_path / name)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = done.stdout.splitlines()
    assert len(found) == 1
    assert f"{name}:{line}: " in found[0]


_CHECK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import words
print(*words.findings(Path(sys.argv[2])), sep="\\n")
"""

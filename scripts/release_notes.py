"""Print the changelog section of a release: `python scripts/release_notes.py v0.2.0`.

Exits with a message when the tag, the version of the distribution and the changelog disagree, so
that a wrong tag publishes nothing.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def notes(tag: str) -> str:
    """Return the text of a tag's changelog section.

    Raises
    ------
    SystemExit
        The tag is not ``v`` and the version in `icechunk/_version.py`, or `CHANGELOG.md` has no
        section with that number and a date.
    """
    source = (ROOT / "icechunk/_version.py").read_text()
    found = re.search(r'DISTRIBUTION_VERSION = "([^"]+)"', source)
    version = found.group(1) if found else ""
    if tag != f"v{version}":
        raise SystemExit(f"the tag is {tag}, icechunk/_version.py says {version}: make them equal")
    changelog = (ROOT / "CHANGELOG.md").read_text()
    heading = re.compile(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", re.MULTILINE)
    start = heading.search(changelog)
    if start is None:
        raise SystemExit(
            f"CHANGELOG.md has no section '## {version} - YYYY-MM-DD': rename 'Unreleased'"
        )
    end = re.compile(r"^## ", re.MULTILINE).search(changelog, start.end())
    return changelog[start.end() : end.start() if end else None].strip() + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print(notes(sys.argv[1]), end="")

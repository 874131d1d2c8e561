"""Damage metadata files for as long as you like, and report what is not refused properly.

    python scripts/fuzz.py --seconds 600
    python scripts/fuzz.py --seed 12 --kind repo --repository path/to/a/repository

Files that make the library hang, crash or raise anything but an `IcechunkError` are kept in
``fuzz-failures/`` (or ``--keep``), with the traceback beside them. The exit status is 1 then.
``--repository`` adds the files of a repository on disk, for example one that another writer made.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import traceback
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from icechunk.core.errors import ErrorKind, IcechunkError
from icechunk.spec.envelope import FileType
from tests.corrupt_files import corpus
from tests.corrupt_files.corpus import Specimen, specimens
from tests.corrupt_files.mutations import Damage

SLOW = 10.0  # seconds
FOLDERS = {
    "snapshots": (FileType.SNAPSHOT, corpus.use_snapshot),
    "manifests": (FileType.MANIFEST, corpus.use_manifest),
    "transactions": (FileType.TRANSACTION_LOG, corpus.use_log),
}


def from_repository(root: Path) -> dict[str, Specimen]:
    """Metadata files of a repository on disk."""
    found = {}
    for folder, (kind, use) in FOLDERS.items():
        for path in sorted((root / folder).iterdir()):
            name = f"{folder}/{path.name}"
            found[name] = Specimen(name, kind, path.read_bytes(), use)
    if (root / "repo").exists():
        data = (root / "repo").read_bytes()
        found["repo on disk"] = Specimen("repo", FileType.REPO_INFO, data, corpus.use_repo)
    return found


def problem(specimen: Specimen, data: bytes) -> str | None:
    """Use one damaged file; return what went wrong, if anything did."""
    begin = time.perf_counter()
    try:
        specimen.use(data, specimen.name)
    except IcechunkError as error:
        about_bytes = error.kind in (ErrorKind.DESERIALIZATION, ErrorKind.INVALID_FILE_FORMAT)
        if about_bytes and specimen.name not in error.message:
            return f"the error does not name the object: {error.message}"
    except Exception:
        return traceback.format_exc()
    taken = time.perf_counter() - begin
    return f"it took {taken:.1f} seconds" if taken > SLOW else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kind", action="append", help="names of files to damage (default: all)")
    parser.add_argument("--repository", type=Path, help="also damage the files of this one")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--memory", type=int, default=2**31, help="bytes this process may use")
    given = parser.parse_args()

    files = dict(specimens())
    if given.repository is not None:
        files |= from_repository(given.repository)
    if given.kind:
        files = {name: file for name, file in files.items() if name in given.kind}
    resource.setrlimit(resource.RLIMIT_AS, (given.memory, given.memory))
    print(f"seed {given.seed}, {len(files)} files: {', '.join(files)}")
    deadline = time.monotonic() + given.seconds
    tried = failed = 0
    for turn in count():
        for name, specimen in files.items():
            damage = Damage(specimen.data, specimen.kind, given.seed + turn)
            for data in damage.some(2000 if turn == 0 else 500):
                if time.monotonic() > deadline:
                    print(f"{tried} damaged files, {failed} failures")
                    raise SystemExit(1 if failed else 0)
                tried += 1
                wrong = problem(specimen, data)
                if wrong is not None:
                    failed += 1
                    given.keep.mkdir(parents=True, exist_ok=True)
                    kept = given.keep / f"{name.replace('/', '-')}-{given.seed}-{tried}"
                    kept.write_bytes(data)
                    kept.with_suffix(".txt").write_text(wrong)
                    print(f"FAILED {kept}: {wrong.splitlines()[-1]}")


if __name__ == "__main__":
    main()

"""Mutation testing of the parts that must not lose data: `make mutation`.

Copies the tracked files to a temporary folder, changes one operator, constant or condition there at
a time (cosmic-ray), and runs the tests of that part. A mutant that no test notices is printed as a
diff: it is a missing test, or code without effect. `scripts/mutation.toml` names the parts and
`docs/mutation.md` keeps the results.

Options: `--target NAME` (repeatable; default all), `--mutants N` drawn per target with a fixed seed
(default 60, 0 for all), `--python PATH` of the environment with the project's test dependencies.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

ROOT = Path(__file__).resolve().parent.parent
SEED = 1
#: Operators that mostly make equivalent mutants: `|` in annotations, which are not evaluated, and
#: `is` between small integers.
SKIPPED_OPERATORS = (
    "core/ReplaceBinaryOperator_BitOr_",
    "core/ReplaceComparisonOperator_Eq_Is",
    "core/ReplaceComparisonOperator_NotEq_IsNot",
    "core/RemoveDecorator",
)


def copy_of_the_project(folder: Path) -> None:
    """Copy the tracked files, so that a killed run leaves no mutant in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def run_target(name: str, target: dict[str, Any], python: str, count: int) -> dict[str, Any]:
    """Run the mutants of one target; return numbers, and the diffs of the survivors."""
    with tempfile.TemporaryDirectory(prefix="icechunk-mutation-") as made:
        folder = Path(made)
        copy_of_the_project(folder)
        config, session = folder / "cosmic-ray.toml", str(folder / "session.sqlite")
        options = "-x -q -p no:cacheprovider -p no:randomly"
        command = f"{python} -m pytest {options} {target['tests']}"
        config.write_text(
            f"[cosmic-ray]\nmodule-path = {json.dumps(target['modules'])}\ntimeout = 300.0\n"
            f"excluded-modules = []\ntest-command = {json.dumps(command)}\n"
            '[cosmic-ray.distributor]\nname = "local"\n'
        )
        tool = [sys.executable, "-m", "cosmic_ray.cli"]
        surroundings = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}

        def call(*words: str) -> None:
            subprocess.run([*tool, *words], cwd=folder, check=True, env=surroundings)

        call("init", str(config), session)
        with use_db(session, WorkDB.Mode.open) as db:
            skip_all_but(db, count)
        call("baseline", str(config))
        call("exec", str(config), session)
        with use_db(session, WorkDB.Mode.open) as db:
            return summary(name, db)


def skip_all_but(db: WorkDB, count: int) -> None:
    """Leave `count` mutants, drawn with a fixed seed; 0 leaves all."""
    items = sorted(db.pending_work_items, key=lambda item: str(item.mutations))
    useful = [
        item
        for item in items
        if not any(m.operator_name.startswith(SKIPPED_OPERATORS) for m in item.mutations)
    ]
    drawn = useful if not count else random.Random(SEED).sample(useful, min(count, len(useful)))
    kept = {item.job_id for item in drawn}
    for item in items:
        if item.job_id not in kept:
            db.set_result(item.job_id, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))


def summary(name: str, db: WorkDB) -> dict[str, Any]:
    """Count what became of the mutants that ran."""
    ran = [r for _, r in db.completed_work_items if r.worker_outcome != WorkerOutcome.SKIPPED]
    survivors = [r.diff or "" for r in ran if r.test_outcome == TestOutcome.SURVIVED]
    return {"target": name, "ran": len(ran), "survived": len(survivors), "diffs": survivors}


def main() -> int:
    """Run the chosen targets and print a table and the survivors."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--target", action="append")
    options.add_argument("--mutants", type=int, default=60)
    options.add_argument("--python", default=str(ROOT / ".venv/bin/python"))
    given = options.parse_args()
    targets = tomllib.loads((ROOT / "scripts/mutation.toml").read_text())["targets"]
    chosen = given.target or list(targets)
    if unknown := set(chosen) - set(targets):
        options.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(targets)}")
    results = [run_target(name, targets[name], given.python, given.mutants) for name in chosen]
    for result in results:
        for diff in result["diffs"]:
            print(diff)
    versions = f"Python {platform.python_version()}, cosmic-ray {version('cosmic-ray')}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {versions}, seed {SEED}\n")
    print("| target | mutants | noticed | not noticed |\n|---|---|---|---|")
    for result in results:
        ran, survived = result["ran"], result["survived"]
        print(f"| `{result['target']}` | {ran} | {ran - survived} | {survived} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())

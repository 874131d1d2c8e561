"""Measure this project against the reference, zarr's LocalStore and a plain-file floor.

    make bench BENCH="--case get --rounds 5"

Every implementation runs in a process of its own, in rounds: each round runs all of them once, in
turning order, so that a machine that becomes slower is slower for everybody. Ratios are taken
within a round; the table shows medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from case import Case, Implementation, Sample  # noqa: E402
from cases import CASES  # noqa: E402
from report import document, table  # noqa: E402


class Machine:
    """The interpreters, and the folders on tmpfs and on a disk."""

    def __init__(self, ours: Path | None, reference: Path | None, memory: Path, disk: Path) -> None:
        self._ours, self._reference = ours, reference
        self._roots = {"memory": memory, "disk": disk}

    def python(self, implementation: Implementation) -> Path | None:
        """Return the interpreter for an implementation; None where there is none."""
        if implementation.startswith("ours"):
            return self._ours
        if implementation == "reference":
            return self._reference
        return self._ours or self._reference

    def folder(self, case: Case, implementation: Implementation) -> Path:
        """Return the folder of an implementation's data."""
        return self._roots[case.place] / f"{case.name}-{implementation}"

    def run(self, step: str, case: Case, implementation: Implementation, size: int) -> Any:
        """Run one step in a process of its own."""
        options = {
            "--case": case.name,
            "--implementation": implementation,
            "--folder": self.folder(case, implementation),
            "--size": size,
        }
        words = [word for option in options.items() for word in option]
        path = HERE.parent if implementation.startswith("ours") else None
        return json.loads(worker(self.python(implementation), step, *words, path=path))

    def versions(self) -> dict[str, dict[str, str]]:
        """Return what runs where, for the record."""
        found = {"ours": self._ours, "reference": self._reference}
        return {name: json.loads(worker(p, "versions")) for name, p in found.items() if p}


def worker(python: Path | None, *arguments: object, path: Path | None = None) -> str:
    """Run the worker script under an interpreter and return what it prints.

    Without `path` only what is installed beside that interpreter can be imported.
    """
    dropped = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    environment = {k: v for k, v in os.environ.items() if k not in dropped}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [str(python), str(HERE / "worker.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def measure(case: Case, machine: Machine, rounds: int, size: int) -> dict[str, list[Sample]]:
    """Return one sample per round for every implementation that can run here."""
    present = [name for name in case.implementations if machine.python(name) is not None]
    samples: dict[str, list[Sample]] = {name: [] for name in present}
    try:
        for name in present:
            machine.run("prepare", case, name, size)
        if case.seed is not None:
            machine.run("seed", case, "ours", size)
            for name in present:
                if name != "ours":
                    shutil.copytree(machine.folder(case, "ours"), machine.folder(case, name))
        for number in range(rounds):
            turn = number % len(present)
            for name in present[turn:] + present[:turn]:
                sample = Sample(**machine.run("measure", case, name, size))
                samples[name].append(sample)
                print(
                    f"  {case.name} round {number + 1}/{rounds} {name}: {sample.wall:.6f} s",
                    file=sys.stderr,
                )
    finally:
        for name in present:
            shutil.rmtree(machine.folder(case, name), ignore_errors=True)
    return samples


def _interpreter(text: str) -> Path | None:
    # not resolved: the path of an environment's interpreter is what names the environment
    path = Path(text).absolute()
    return path if path.exists() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", action="append", choices=list(CASES), help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the full size")
    parser.add_argument("--ours", type=_interpreter, default=_interpreter(sys.executable))
    parser.add_argument("--without-ours", action="store_true", help="the others alone")
    parser.add_argument("--reference", type=_interpreter, default=".oracle/bin/python")
    parser.add_argument("--memory", type=Path, default=Path("/dev/shm"), help="a tmpfs folder")
    parser.add_argument("--disk", type=Path, default=HERE / "results", help="a folder on a disk")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    given = parser.parse_args()

    given.output.mkdir(parents=True, exist_ok=True)
    given.disk.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="icechunk-bench-", dir=given.memory) as memory,
        tempfile.TemporaryDirectory(prefix="data-", dir=given.disk) as disk,
    ):
        machine = Machine(
            None if given.without_ours else given.ours, given.reference, Path(memory), Path(disk)
        )
        results = {}
        for name in given.case or list(CASES):
            case = CASES[name]
            if not any(map(machine.python, case.implementations)):
                continue
            if case.seed is not None and given.without_ours:
                continue
            size = max(3, round(case.size * given.scale)) if case.size > 1 else 1
            results[name] = (case, size, measure(case, machine, given.rounds, size))
            print(table(case, size, results[name][2]), flush=True)
        versions = machine.versions()

    text, record, missed = document(results, versions)
    (given.output / "report.md").write_text(text)
    (given.output / "report.json").write_text(json.dumps(record, indent=1))
    print(f"written: {given.output / 'report.md'} and report.json", file=sys.stderr)
    if given.check and missed:
        raise SystemExit("goals missed: " + ", ".join(missed))


if __name__ == "__main__":
    main()

"""Run one step of one case for one implementation; print the sample as JSON.

Run by path, never with ``-m``: the first entry of ``sys.path`` must be this folder and not the
project, whose ``icechunk`` would hide the reference's.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from case import peak_rss
from cases import CASES


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=["prepare", "seed", "measure", "versions"])
    parser.add_argument("--case", choices=sorted(CASES))
    parser.add_argument("--implementation")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--size", type=int)
    given = parser.parse_args()
    if given.step == "versions":
        print(json.dumps(_versions()))
        return
    case = CASES[given.case]
    if given.step == "prepare":
        if case.prepare is not None:
            case.prepare(given.implementation, given.folder, given.size)
        print("null")
        return
    if given.step == "seed":
        if case.seed is not None:
            case.seed(given.folder, given.size)
        print("null")
        return
    sample = case.measure(given.implementation, given.folder, given.size)
    sample = dataclasses.replace(sample, peak_rss=peak_rss())
    print(json.dumps(dataclasses.asdict(sample)))


def _versions() -> dict[str, str]:
    from importlib import metadata

    found = {"python": sys.version.split()[0]}
    for name in ("zarr", "numpy", "icechunk", "icechunk-jupyter"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()

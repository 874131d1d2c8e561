"""Samples to a Markdown table and a JSON record."""

from __future__ import annotations

import dataclasses
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from case import Case, Sample

Results = Mapping[str, tuple[Case, int, Mapping[str, Sequence[Sample]]]]


def seconds(value: float) -> str:
    """Return a duration with three significant digits and a fitting unit."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def ratios(case: Case, samples: Mapping[str, Sequence[Sample]], name: str) -> list[float]:
    """Return, round by round, how many times faster than the reference `name` was."""
    return [
        getattr(theirs, case.clock) / getattr(ours, case.clock)
        for theirs, ours in zip(samples.get("reference", ()), samples[name], strict=False)
    ]


def verdict(case: Case, samples: Mapping[str, Sequence[Sample]]) -> tuple[str, bool]:
    """Return the sentence about the goal, and whether it was missed."""
    if not samples.get("ours"):
        return "", False
    if case.limit is not None:
        took = statistics.median(getattr(sample, case.clock) for sample in samples["ours"])
        met = took <= case.limit
        return f"Limit {seconds(case.limit)}: {'met' if met else 'MISSED'}.", not met
    if case.goal is not None and samples.get("reference"):
        ratio = statistics.median(ratios(case, samples, "ours"))
        met = ratio >= case.goal
        return f"Goal x{case.goal:g}: {'met' if met else 'MISSED'} (x{ratio:.3g}).", not met
    return "", False


def _extra(runs: Sequence[Sample], name: str) -> str:
    """Return the median of a further figure, or None for an implementation without it."""
    found = [run.extra[name] for run in runs if name in run.extra]
    return seconds(statistics.median(found)) if found else ""


def table(case: Case, size: int, samples: Mapping[str, Sequence[Sample]]) -> str:
    """Return one case as a Markdown section."""
    extras = sorted({name for runs in samples.values() for run in runs for name in run.extra})
    head = [
        "implementation",
        "wall",
        "CPU",
        *extras,
        "peak RSS",
        f"x reference, {case.clock} (min to max)",
    ]
    lines = [
        f"### `{case.name}`: {case.title}",
        "",
        f"{case.state}. Size {size:,}; medians of {max(map(len, samples.values()))} rounds.",
        "",
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
    ]
    for name, runs in samples.items():
        times = ratios(case, samples, name)
        spread = (
            ""
            if not times or name == "reference"
            else (f"x{statistics.median(times):.3g} ({min(times):.3g} to {max(times):.3g})")
        )
        row = [
            name,
            seconds(statistics.median(run.wall for run in runs)),
            seconds(statistics.median(run.cpu for run in runs)),
            *(_extra(runs, extra) for extra in extras),
            f"{statistics.median(run.peak_rss for run in runs) / 1e6:.0f} MB",
            spread,
        ]
        lines.append("| " + " | ".join(row) + " |")
    sentence, _ = verdict(case, samples)
    return "\n".join([*lines, "", *([sentence, ""] if sentence else [])])


def document(
    results: Results, versions: Mapping[str, Mapping[str, str]]
) -> tuple[str, dict[str, Any], list[str]]:
    """Return the whole report as Markdown, as JSON, and the names of the missed goals."""
    load = os.getloadavg()
    machine = (
        f"{os.cpu_count()} cores, {platform.system()} {platform.release()};"
        f" load average at the end {load[0]:.1f} / {load[1]:.1f} / {load[2]:.1f}"
    )
    sides = [
        f"- {side}: " + ", ".join(f"{name} {version}" for name, version in found.items())
        for side, found in versions.items()
    ]
    sections = [table(case, size, samples) for case, size, samples in results.values()]
    record = {
        "machine": machine,
        "versions": versions,
        "cases": {
            name: {
                "size": size,
                "goal": case.goal,
                "limit": case.limit,
                "ratios": {who: ratios(case, samples, who) for who in samples},
                "samples": {who: [*map(dataclasses.asdict, runs)] for who, runs in samples.items()},
            }
            for name, (case, size, samples) in results.items()
        },
    }
    missed = [name for name, (case, _, samples) in results.items() if verdict(case, samples)[1]]
    text = "\n".join(["# Benchmarks", "", machine, "", *sides, "", *sections])
    return text, record, missed

"""Examples in the docstrings of the public handles run."""

from __future__ import annotations

import doctest

import pytest

import icechunk

HANDLES = (icechunk.Repository, icechunk.Session)
PARSER = doctest.DocTestParser()


def examples() -> dict[str, str]:
    """Docstrings with an example; twins ending in ``_async`` repeat those of their method."""
    found = {"icechunk": icechunk.__doc__ or ""}
    for handle in HANDLES:
        for name in dir(handle):
            text = getattr(handle, name).__doc__ or ""
            if not name.endswith("_async") and ">>>" in text:
                found[f"{handle.__name__}.{name}"] = text
    return found


def test_there_are_examples() -> None:
    assert {"icechunk", "Repository.transaction_log", "Session.nodes"} <= examples().keys()


@pytest.mark.parametrize("name", examples())
def test_example(name: str) -> None:
    report: list[str] = []
    example = PARSER.get_doctest(examples()[name], {}, name, None, None)
    assert doctest.DocTestRunner(verbose=False).run(example, out=report.append).failed == 0, report

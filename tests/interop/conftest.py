"""One process per release of the reference library for all interop tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.sides import Theirs
from tests.oracle import LAST_V1, LATEST


@pytest.fixture(scope="session")
def latest() -> Iterator[Theirs]:
    """The reference library 2.3.0."""
    with Theirs(LATEST) as side:
        yield side


@pytest.fixture(scope="session")
def last_v1() -> Iterator[Theirs]:
    """The reference library 1.1.21."""
    with Theirs(LAST_V1) as side:
        yield side

"""What the tests of conflicts share."""

from __future__ import annotations

import pytest

from tests.conflicts.hierarchies import Repository


@pytest.fixture
def repo() -> Repository:
    return Repository()

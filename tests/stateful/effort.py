"""How long to search: all machines within a minute, or through the night.

``HYPOTHESIS_PROFILE=nightly`` searches deeper.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings

if TYPE_CHECKING:
    from hypothesis.stateful import RuleBasedStateMachine

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"


def searched(
    machine: type[RuleBasedStateMachine], *, runs: int, steps: int, nightly: int = 40
) -> type[Any]:
    """The test case of a machine.

    By day a failure is reported as it was found, and kept for a run at night, which shrinks it:
    shrinking takes minutes.

    Parameters
    ----------
    machine : type
        A state machine.
    runs, steps : int
        Runs of the machine and rules in each.
    nightly : int
        How many times more runs at night.
    """
    case: type[Any] = machine.TestCase
    case.settings = settings(
        max_examples=runs * nightly if NIGHTLY else runs,
        stateful_step_count=steps,
        deadline=None,
        phases=tuple(Phase) if NIGHTLY else (Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    case.pytestmark = [pytest.mark.timeout(12 * 3600 if NIGHTLY else 120)]
    return case

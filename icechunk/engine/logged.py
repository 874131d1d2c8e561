"""Log the operations of a session: commit, amend, flush, rebase."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from icechunk.core.ids import id_text
from icechunk.core.timing import timed
from icechunk.engine.transaction import Transaction

P = ParamSpec("P")
R = TypeVar("R")

_Operation = Callable[Concatenate[Transaction, P], R]


def logged(operation: str) -> Callable[[_Operation[P, R]], _Operation[P, R]]:
    """Decorate an operation so that it logs branch, snapshots, time and outcome at level INFO.

    Parameters
    ----------
    operation : str
        First word of the line.
    """

    def decorate(function: _Operation[P, R]) -> _Operation[P, R]:
        log = logging.getLogger(function.__module__)

        @wraps(function)
        def run(transaction: Transaction, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if not log.isEnabledFor(logging.INFO):
                return function(transaction, *args, **kwargs)
            before = id_text(transaction.base_id)
            with timed(log, operation, branch=transaction.branch, base=before) as fields:
                result = function(transaction, *args, **kwargs)
                fields["snapshot"] = id_text(transaction.base_id)
            return result

        return run

    return decorate

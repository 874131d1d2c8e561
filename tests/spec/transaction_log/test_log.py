from __future__ import annotations

import numpy as np

from icechunk.core.ids import NodeId, ObjectId
from icechunk.spec.transaction_log.log import Move, TransactionLog

NODE = NodeId(b"n" * 8)


def log(**changes: object) -> TransactionLog:
    return TransactionLog(id=ObjectId(b"t" * 12), **changes)  # type: ignore[arg-type]


def test_equality_compares_chunk_coordinates_by_value() -> None:
    a, b = (log(updated_chunks={NODE: np.array([[1, 2]], np.uint32)}) for _ in range(2))
    assert a == b
    assert hash(a) == hash(b)
    assert a != log(updated_chunks={NODE: np.array([[1, 3]], np.uint32)})
    assert a != log()
    assert a != "something else"


def test_a_log_is_empty_until_something_changed() -> None:
    assert log().is_empty
    assert not log(moved=(Move("/a", "/b", NODE, True),)).is_empty
    assert not log(updated_groups=frozenset([NODE])).is_empty
    assert not log(updated_chunks={NODE: np.zeros((1, 0), np.uint32)}).is_empty

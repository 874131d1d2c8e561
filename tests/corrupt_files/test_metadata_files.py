"""20,000 damaged metadata files: each is read correctly or refused by name, within bounds."""

from __future__ import annotations

import time
import tracemalloc
import zlib

import pytest

from icechunk.core.errors import ErrorKind, IcechunkError
from tests.corrupt_files.corpus import Specimen, specimens
from tests.corrupt_files.mutations import Damage

SPECIMENS = specimens()
EACH = 20_000 // len(SPECIMENS) + 1
ABOUT_BYTES = (ErrorKind.DESERIALIZATION, ErrorKind.INVALID_FILE_FORMAT)
SLOW = 5.0  # seconds of CPU time


def try_one(specimen: Specimen, data: bytes) -> IcechunkError | None:
    """Use a damaged file; anything but success and an `IcechunkError` propagates."""
    try:
        specimen.use(data, specimen.name)
    except IcechunkError as error:
        return error
    return None


@pytest.mark.parametrize("kind", SPECIMENS)
def test_intact_files_can_be_used(kind: str) -> None:
    assert try_one(SPECIMENS[kind], SPECIMENS[kind].data) is None


@pytest.mark.parametrize("kind", SPECIMENS)
def test_damage_is_refused_by_name_or_harmless(kind: str) -> None:
    specimen = SPECIMENS[kind]
    refused = 0
    for data in Damage(specimen.data, specimen.kind, zlib.crc32(kind.encode())).some(EACH):
        before = time.process_time()
        error = try_one(specimen, data)
        assert time.process_time() - before < SLOW
        if error is not None:
            refused += 1
            assert error.kind not in ABOUT_BYTES or specimen.name in error.message
    assert refused > EACH // 4


@pytest.mark.parametrize("kind", SPECIMENS)
def test_memory_stays_within_the_bound(kind: str) -> None:
    specimen = SPECIMENS[kind]
    variants = list(Damage(specimen.data, specimen.kind, 77).some(300))
    try_one(specimen, specimen.data)
    tracemalloc.start()
    for data in variants:
        try_one(specimen, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24

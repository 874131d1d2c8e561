from __future__ import annotations

import pytest

from icechunk.config.limits import LARGEST_METADATA_BYTES, VARIABLE, max_metadata_bytes
from icechunk.core.errors import FormatError, InvalidInputError
from icechunk.spec.envelope import FileType, pack, unpack


def test_the_default_limit_is_that_of_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert max_metadata_bytes() == LARGEST_METADATA_BYTES
    monkeypatch.setenv(VARIABLE, "4096")
    assert max_metadata_bytes() == 4096
    monkeypatch.setenv(VARIABLE, str(2**40))
    assert max_metadata_bytes() == LARGEST_METADATA_BYTES


@pytest.mark.parametrize("text", ["0", "-1", "lots", "1.5"])
def test_an_invalid_limit_is_refused_with_the_name_of_the_variable(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(InvalidInputError, match=VARIABLE):
        max_metadata_bytes()


def test_files_above_the_limit_are_refused_with_advice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = pack(FileType.MANIFEST, 2, bytes(5000))
    monkeypatch.setenv(VARIABLE, "4999")
    with pytest.raises(FormatError, match=VARIABLE):
        unpack(data, FileType.MANIFEST, name="manifests/M")
    monkeypatch.setenv(VARIABLE, "5000")
    assert len(unpack(data, FileType.MANIFEST, name="manifests/M").body) == 5000

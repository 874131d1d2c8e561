from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError, InvalidInputError
from icechunk.core.ids import INITIAL_SNAPSHOT_ID, ObjectId
from icechunk.spec import refs_v1

names = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)


def test_the_text_is_the_reference_librarys() -> None:
    assert refs_v1.encode_ref(INITIAL_SNAPSHOT_ID) == b'{"snapshot":"1CECHNKREP0F1RSTCMT0"}'


@given(st.binary(min_size=12, max_size=12).map(ObjectId))
def test_targets_come_back(target: ObjectId) -> None:
    assert refs_v1.decode_ref(refs_v1.encode_ref(target), name="ref") == target


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"3", b"\xff", b'{"snapshot": 3}', b'{"snapshot": "ABC"}', b"[" * 100_000],
)
def test_anything_else_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"refs/branch\.x/ref\.json"):
        refs_v1.decode_ref(data, name="refs/branch.x/ref.json")


@given(names)
def test_object_names_and_ref_names_correspond(name: str) -> None:
    branch, tag = refs_v1.branch_key(name), refs_v1.tag_key(name)
    tombstone = refs_v1.tombstone_key(name)
    assert branch == f"refs/branch.{name}/ref.json"
    assert (refs_v1.branch_of(branch), refs_v1.branch_of(tag)) == (name, None)
    assert (refs_v1.tag_of(tag), refs_v1.tag_of(branch), refs_v1.tag_of(tombstone)) == (
        name,
        None,
        None,
    )
    assert (refs_v1.deleted_tag_of(tombstone), refs_v1.deleted_tag_of(tag)) == (name, None)
    assert tombstone == tag + ".deleted"


@pytest.mark.parametrize("name", ["a/b", "/"])
def test_names_that_spec_1_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        refs_v1.branch_key(name)
    assert caught.value.kind == "invalid-ref-name"


@pytest.mark.parametrize("key", ["refs/branch.a/b/ref.json", "refs/branch/ref.json", "repo"])
def test_other_objects_are_no_refs(key: str) -> None:
    assert refs_v1.branch_of(key) is None

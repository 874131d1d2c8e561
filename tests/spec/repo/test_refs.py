"""Branches and tags as columns behave like a dictionary."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.ids import ObjectId
from icechunk.spec.repo.refs import Refs
from tests.spec.states import ids, texts

refs = st.dictionaries(texts, ids, max_size=6)


@given(refs, texts, ids, st.frozensets(texts, max_size=3), st.data())
def test_refs_are_a_mapping(
    model: dict[str, ObjectId],
    name: str,
    target: ObjectId,
    gone: frozenset[str],
    data: st.DataObject,
) -> None:
    found = Refs(model)
    assert found == model
    assert list(found) == sorted(model, key=str.encode)
    assert dict(found.items()) == model
    assert sorted(found.values()) == sorted(model.values())
    assert (name in found) == (name in model)
    assert found.get(name) == model.get(name)
    if name not in model:
        with pytest.raises(KeyError):
            found[name]
    assert found.pointed(name, target) == {**model, name: target}
    if model:
        known = data.draw(st.sampled_from(sorted(model)))
        moved = found.pointed(known, target)
        assert moved == {**model, known: target}
        assert moved.names is found.names
        gone |= {known}
    assert found.without(gone) == {key: model[key] for key in model if key not in gone}
    assert found == model, "no change touches what it began from"
    assert pickle.loads(pickle.dumps(found)) == model

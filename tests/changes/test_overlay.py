"""A hierarchy seen through changes equals the hierarchy with the changes made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.tree_view import TreeView
from icechunk.core.ids import new_node_id
from icechunk.core.paths import parent_and_name
from icechunk.spec.snapshot.nodes import ArrayData, NodeSnapshot, NodeTable

NAMES = st.sampled_from(["a", "b", "a-b", "ü"])
PATHS = st.lists(NAMES, max_size=3).map(lambda parts: "/" + "/".join(parts))
ARRAY = ArrayData((4,), (2,), None)
STEPS = st.lists(st.tuples(st.sampled_from(["set", "delete"]), PATHS, st.booleans()), max_size=25)


def children(model, path):
    return sorted(
        parent_and_name(other)[1]
        for other in model
        if other != "/" and parent_and_name(other)[0] == path
    )


@given(st.dictionaries(PATHS, st.booleans(), max_size=8), STEPS)
def test_against_a_dictionary(initial, steps):
    base = NodeTable(
        NodeSnapshot(new_node_id(), path, b"{}", ARRAY if is_array else None)
        for path, is_array in initial.items()
    )
    changes = ChangeSet()
    view = TreeView(base, changes)
    model = {node.path: (node.id, node.user_data) for node in base}
    for number, (what, path, is_array) in enumerate(steps):
        node = view.get(path)
        document = str(number).encode()
        if what == "delete":
            if node is not None:
                changes.remove(node)
                del model[path]
        elif node is None:
            made = changes.add(path, document, ARRAY if is_array else None)
            model[path] = made.id, document
        else:
            changes.update(node, document, node.array)
            model[path] = node.id, document
    assert {node.path: (node.id, node.user_data) for node in view} == model
    for path in ["/", *model]:
        assert sorted(set(view.children(path)) & set(children(model, path))) == children(
            model, path
        )
        below = {node.path for node in view.below(path)}
        prefix = path if path == "/" else path + "/"
        assert below == {p for p in model if p.startswith(prefix) and p != path}
    for path, (node_id, _) in model.items():
        assert view.by_id(node_id).path == path
        assert view.get(path).id == node_id


def test_updated_arrays_keep_their_manifests_in_the_view_only():
    from icechunk.core.ids import new_object_id
    from icechunk.spec.snapshot.nodes import ManifestRef

    manifests = (ManifestRef(new_object_id(), ((0, 2),)),)
    node = NodeSnapshot(new_node_id(), "/x", b"1", ArrayData((4,), (2,), None, manifests))
    changes = ChangeSet()
    view = TreeView(NodeTable([node]), changes)
    changes.update(view.get("/x"), b"2", ARRAY)
    assert view.get("/x").array.manifests == manifests
    assert changes.updated[node.id].array.manifests == ()

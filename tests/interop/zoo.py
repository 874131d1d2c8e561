"""Unusual nodes that a hierarchy can have, as keys and bytes."""

from __future__ import annotations

import hashlib

from tests.interop.actions import array_doc, group_doc

SPECIAL_NAMES = [
    "a",
    "a-b",
    "a b",
    "a!",
    "a+",
    "a.b",
    "ä",
    "日本",
    "Z",
    "z",
    "0",
    "a,b",
    "emoji-🧊",
]
"""Several sort before ``/`` in ASCII, where order by bytes and by segments differ."""


def payload(key: str, size: int) -> str:
    """Bytes that depend on the key, as Latin-1 text."""
    block = hashlib.sha256(key.encode()).digest()
    return (block * (size // len(block) + 1))[:size].decode("latin-1")


def animals(*, rectilinear: bool, many: int = 300) -> dict[str, str]:
    """Keys and contents (Latin-1 text) of a hierarchy.

    Parameters
    ----------
    rectilinear : bool
        Include arrays with chunks of different sizes, which spec 1 cannot hold.
    many : int
        Nodes in the crowded group.
    """
    puts: dict[str, str] = {"zarr.json": group_doc(title="zoo", nested={"x": [1, 2.5, None]})}

    def array(path: str, shape: list[int], chunks: list[int], keys: list[str], size: int) -> None:
        puts[f"{path}/zarr.json"] = array_doc(shape, chunks)
        for key in keys:
            puts[f"{path}/{key}"] = payload(f"{path}/{key}", size)

    deep = "deep"
    for level in range(6):
        puts[f"{deep}/zarr.json"] = group_doc(level=level)
        deep += f"/level-{level}"
    array(deep, [4], [2], ["c/0", "c/1"], 2)
    array("scalar", [], [], ["c"], 1)
    array("nothing", [0], [1], [], 0)
    array("partly-nothing", [3, 0, 2], [1, 1, 1], [], 0)
    array("unwritten", [10, 10], [5, 5], [], 0)
    array("inline-and-native", [8, 400], [1, 200], [f"c/{i}/{i % 2}" for i in range(8)], 200)
    puts["inline-and-native/c/3/1"] = payload("native", 700)
    puts["inline-and-native/c/5/1"] = payload("exactly at the limit", 512)
    array("many-axes", [2] * 8, [1] * 8, ["c/" + "/".join("01" * 4)], 1)
    for name in SPECIAL_NAMES:
        puts[f"names/{name}/zarr.json"] = group_doc(name=name)
        array(f"names/{name}/b", [2], [1], ["c/0"], 1)
    puts["names/zarr.json"] = group_doc()
    dimension_names: list[object] = [["x", "y"], ["x", None], [None, None], [""], ["", "y"], []]
    for number, names in enumerate(dimension_names):
        shape = [2] * len(names) if isinstance(names, list) else [2]
        path = f"dimensions/named-{number}"
        puts[f"{path}/zarr.json"] = array_doc(shape, [1] * len(shape), dimension_names=names)
        puts[f"{path}/c" + "/1" * len(shape)] = payload(path, 3)
    puts["dimensions/null/zarr.json"] = array_doc([2], [1], dimension_names=None)
    puts["dimensions/zarr.json"] = group_doc()
    sharding = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [2],
            "codecs": [{"name": "bytes"}],
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "index_location": "end",
        },
    }
    puts["sharded/zarr.json"] = array_doc([8], [4], codecs=[sharding])
    for shard in range(2):
        head = payload(f"shard {shard}", 4)
        index = b"".join(n.to_bytes(8, "little") for n in (0, 2, 2, 2)).decode("latin-1")
        puts[f"sharded/c/{shard}"] = head + index
    if rectilinear:
        grid = [[1, 2, [3, 2]], [4, 4]]
        puts["uneven/zarr.json"] = array_doc([9, 8], grid, rectilinear=True)
        for i in range(4):
            puts[f"uneven/c/{i}/1"] = payload(f"uneven {i}", 4)
    puts["crowd/zarr.json"] = group_doc()
    for number in range(many):
        puts[f"crowd/member {number:04}/zarr.json"] = group_doc(number=number)
    return puts


def as_content(puts: dict[str, str]) -> dict[str, bytes]:
    """What a store holds after the puts."""
    return {key: text.encode("latin-1") for key, text in puts.items()}

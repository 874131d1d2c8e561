"""Texts that programs compare are identical to those of the reference library."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import pytest

from tests.oracle import run_reference

SCRIPT = """
import asyncio, json
import icechunk
from zarr.core.buffer import cpu

GROUP = {"zarr_format": 3, "node_type": "group", "attributes": {}}
ARRAY = {
    "zarr_format": 3, "node_type": "array", "shape": [40, 40], "data_type": "int32",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 2]}},
    "chunk_key_encoding": {"name": "default"}, "fill_value": 0, "attributes": {},
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
}
repo = icechunk.Repository.create(icechunk.in_memory_storage())

def write(session, **documents):
    async def go():
        for path, what in documents.items():
            path = path.replace("__", "/").removeprefix("/")
            key = f"{path}/zarr.json" if isinstance(what, dict) else path
            data = json.dumps(what).encode() if isinstance(what, dict) else what
            await session.store.set(key.removeprefix("/"), cpu.Buffer.from_bytes(data))
    asyncio.run(go())

def delete(session, *paths):
    async def go():
        for path in paths:
            await session.store.delete_dir(path)
    asyncio.run(go())

def listed(session, path):
    async def go():
        return sorted([name async for name in session.store.list_dir(path)])
    return asyncio.run(go())

result = {"versions": [repr(version) for version in icechunk.supported_spec_versions()]}
session = repo.writable_session("main")
write(session, **{"": GROUP})
result["one group"] = str(session.status())
write(session, g=GROUP, a=ARRAY, b=ARRAY, gone=GROUP, lost=ARRAY)
result["nodes"] = str(session.status())
result["folder without chunks"] = listed(session, "a")
write(session, **{f"a__c__{n}__{n}": b"1" for n in range(14)})
write(session, b__c__0__1=b"1")
result["folder"] = listed(session, "a")
result["chunks"] = str(session.status())
first = session.commit("first")
session = repo.writable_session("main")
result["nothing"] = str(session.status())
write(session, **{"": GROUP | {"attributes": {"k": 1}}, "a": ARRAY | {"attributes": {"k": 1}}})
result["metadata"] = str(session.status())
delete(session, "gone", "lost")
result["deletions"] = str(session.status())
write(session, b__c__3__3=b"1", n=GROUP)
result["everything"] = repr(session.status())
session.commit("second")
session = repo.rearrange_session("main")
session.move("/a", "/z")
session.move("/b", "/g/b")
result["moves"] = str(session.status())
session.commit("third")
result["difference"] = str(repo.diff(from_snapshot_id=first, to_branch="main"))
session = repo.writable_session("main")
result["session"] = [repr(session), str(session), repr(session.fork().store)]
result["store"] = [repr(session.store), repr(repo.readonly_session("main").store)]
repo.set_feature_flag("create_tag", False)
flags = sorted(repo.feature_flags(), key=lambda flag: flag.id)
result["flags"] = [repr(flag) for flag in flags] + [str(flag) for flag in flags]
result["values"] = [repr(repo), str(icechunk.CachingConfig()), str(repo.storage)]
"""


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_ids(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_ids(one) for one in value]
    return re.sub(r"\b[0-9A-Z]{20}\b", "<id>", value)


@pytest.mark.oracle
def test_texts_are_those_of_the_reference() -> None:
    ours: dict[str, Any] = {}
    exec(textwrap.dedent(SCRIPT), ours)
    assert _without_ids(ours["result"]) == _without_ids(run_reference(SCRIPT))

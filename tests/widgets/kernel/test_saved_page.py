from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from icechunk_widgets import ConflictResolver, Diff, History
from icechunk_widgets.kernel.saved_page import in_turn, key, page
from icechunk_widgets.kernel.widget import BaseWidget
from tests.widgets.scenes import clash, climate, commit_value


def saved(text: str) -> dict[str, Any]:
    """What a page holds."""
    found = re.search(r'id="saved">([^<]*)<', text)
    assert found is not None
    held: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(found[1])))
    return held


def views() -> list[BaseWidget]:
    repo = climate()
    commit_value(repo, 0, 5.0, "</script><img src=x onerror=alert(1)>")
    resolver = ConflictResolver(clash(repo))
    return [History(repo), Diff(repo, repo.lookup_branch("main"), "main"), resolver]


@pytest.mark.parametrize("view", views(), ids=lambda view: type(view).__name__)
def test_a_page_needs_nothing_else(view: BaseWidget) -> None:
    text = view.to_html()
    assert not re.search(r"""(?:src|href)=["']?(?!data:)(?!\$)[a-z]+:""", text)
    policy = re.search(r'Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    (script,) = re.findall(r'<script type="module">(.*?)</script>', text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert "<img src=x" not in text
    held = saved(text)
    assert held["traits"]["saved"].endswith("Z")
    assert held["replies"]
    assert all(reply["ok"] for reply in held["replies"].values())


def test_replies_are_found_by_what_the_views_send() -> None:
    resolver = ConflictResolver(clash(climate()))
    replies = saved(resolver.to_html())["replies"]
    sides = '["ours","theirs","base","result"]'
    asked = f'preview {{"chunk":[0,0,1],"index":null,"path":"/SST","sides":{sides}}}'
    assert asked in replies
    assert len(replies[asked]["buffers"]) == 3
    assert "conflicts {}" in replies
    assert key(("commit", {"id": "Ä"})) == 'commit {"id":"Ä"}'


def test_it_writes_the_file(tmp_path: Path) -> None:
    file = tmp_path / "history.html"
    text = History(climate()).to_html(file)
    assert file.read_text(encoding="utf-8") == text


def test_chunks_take_turns() -> None:
    arrays = [[("/a", [0]), ("/a", [1])], [("/b", [0])]]
    assert list(in_turn(arrays, 2)) == [("/a", [0]), ("/b", [0])]
    assert len(list(in_turn(arrays, 9))) == 3


def test_a_bundle_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="default export"):
        page("t", "export const x = 1;", "", {}, {}, "")

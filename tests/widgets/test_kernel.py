"""The widgets in a real kernel, spoken to as a browser does."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

SETUP = """
from icechunk_widgets import ConflictResolver
from tests.widgets.scenes import climate, clash, values
repo = climate()
0
"""


class Browser:
    """A front end without a screen."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.events: list[dict[str, Any]] = []
        self.traits: dict[str, Any] = {}
        self.counter = 0

    def run(self, code: str) -> str:
        """Run a cell; its value as text."""
        reply = self.client.execute_interactive(
            code, timeout=60, allow_stdin=False, output_hook=self._output, store_history=False
        )
        assert reply["content"]["status"] == "ok", reply["content"]
        return self.value

    def _output(self, message: dict[str, Any]) -> None:
        if message["msg_type"] == "execute_result":
            self.value = message["content"]["data"]["text/plain"]
        self._comm(message)

    def _comm(self, message: dict[str, Any]) -> dict[str, Any] | None:
        if message["msg_type"] != "comm_msg":
            return None
        data = message["content"]["data"]
        if data["method"] == "update":
            self.traits.update(data["state"])
        elif data["method"] == "custom":
            content = data["content"]
            self.events += [content] if "event" in content else []
            return {**content, "buffers": message["buffers"]}
        return None

    def send(self, comm: str, method: str, **params: Any) -> str:
        """Send a request, do not wait."""
        self.counter += 1
        content = {"id": f"view-{self.counter}", "method": method, "params": params}
        data = {"method": "custom", "content": content}
        session = self.client.session
        self.client.shell_channel.send(session.msg("comm_msg", {"comm_id": comm, "data": data}))
        return content["id"]

    def until(self, wanted: Any) -> dict[str, Any]:
        """Read messages until one is wanted."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            content = self._comm(self.client.get_iopub_msg(timeout=60))
            if content is not None and wanted(content):
                return content
        raise AssertionError("the kernel did not answer")

    def ask(self, comm: str, method: str, **params: Any) -> dict[str, Any]:
        """Send a request and wait for its reply."""
        wanted = self.send(comm, method, **params)
        return self.until(lambda content: content.get("id") == wanted)


@pytest.fixture(scope="module")
def browser(root: Path) -> Iterator[Browser]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(root), env={**os.environ, "PYTHONPATH": str(root)})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        browser = Browser(client)
        browser.run(SETUP)
        yield browser
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_resolving_from_the_browser(browser: Browser) -> None:
    comm = browser.run(
        "resolver = ConflictResolver(clash(repo), 'from the browser'); resolver.model_id"
    ).strip("'")
    held = browser.ask(comm, "conflicts")
    assert held["ok"]
    assert held["result"]["total"] == 2
    layout = browser.ask(comm, "chunk_map", path="/SST")
    assert bytes(layout["buffers"][0]) == bytes([1, 1, 6, 6, 5, 5, 0, 0])
    picture = browser.ask(comm, "preview", path="/SST", chunk=[0, 0, 0], sides=["ours", "theirs"])
    assert [len(buffer) for buffer in picture["buffers"]] == [48, 48]
    refused = browser.ask(comm, "complete")
    assert refused["error"]["kind"] == "uncommitted-changes"

    decide = {"path": "/SST", "type": "ChunkDoubleUpdate"}
    assert browser.ask(comm, "decide", **decide, choice="ours", runs=None)["result"]["can_undo"]
    small = browser.ask(comm, "decide", **decide, choice="theirs", runs=[0, 1])["result"]
    assert small["undecided"] == 0
    assert browser.traits["undecided"] == 0
    job = browser.ask(comm, "complete", message="from the browser")["result"]["job"]
    done = next(
        (event for event in browser.events if event["event"] == "done"), None
    ) or browser.until(lambda content: content.get("event") == "done")
    assert done["ok"]
    assert done["job"] == job
    assert browser.traits["status"] == "committed"
    text = browser.run(
        "import json; v = values(repo)\n"
        "json.dumps([repo.lookup_branch('main'), float(v[0, 0, 0]), float(v[0, 0, 4])])"
    )
    assert json.loads(text.strip("'")) == [done["snapshot"], -1.0, -2.0]


def test_errors_cross_the_wire_as_a_sentence(browser: Browser) -> None:
    comm = browser.run("r2 = ConflictResolver(clash(climate())); r2.model_id").strip("'")
    reply = browser.ask(comm, "decide", path="/none", type="ChunkDoubleUpdate", choice="ours")
    assert reply["ok"] is False
    assert "Traceback" not in json.dumps(reply["error"])
    assert browser.ask(comm, "nonsense")["error"]["kind"] == "bad-request"


def test_the_side_panel_asks_by_expression(browser: Browser) -> None:
    expression = (
        "__import__('icechunk_widgets.sidebar', fromlist=['_']).repositories_json(globals())"
    )
    reply = browser.client.execute(
        "", silent=True, store_history=False, user_expressions={"r": expression}, reply=True,
        timeout=60,
    )  # fmt: skip
    import ast

    text = ast.literal_eval(reply["content"]["user_expressions"]["r"]["data"]["text/plain"])
    assert json.loads(text)["repositories"][0]["name"] == "repo"

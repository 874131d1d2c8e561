"""``%%icechunk commit`` in a real kernel: replies, streams, await, and the interrupt button."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

WRITE = "array(session)[0] = {}"


class Client:
    """A front end without a screen."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self.client: Any = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.outputs: list[tuple[str, str]] = []
        self.traceback: list[str] = []
        self.execution_count: int | None = None

    def run(self, code: str, interrupt: bool = False) -> str:
        """Run a cell; the status of its reply. Interrupts it once it said "waiting"."""
        self.outputs = []

        def hook(message: dict[str, Any]) -> None:
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                self.outputs.append((content["name"], content["text"]))
                if interrupt and "waiting" in content["text"]:
                    time.sleep(0.3)
                    self.manager.interrupt_kernel()
                    # ipykernel cancels an awaiting cell when its event loop next wakes up
                    self.client.kernel_info()
            elif kind in ("execute_result", "display_data"):
                self.outputs.append((kind, content["data"]["text/plain"]))
            elif kind == "error":
                self.outputs.append(("error", content["ename"]))
                self.traceback = content["traceback"]

        reply = self.client.execute_interactive(
            code, timeout=60, allow_stdin=False, output_hook=hook
        )
        self.execution_count = reply["content"].get("execution_count")
        return str(reply["content"]["status"])

    def text(self, kind: str) -> str:
        return "".join(text for name, text in self.outputs if name == kind)

    def value(self, expression: str) -> str:
        assert self.run(expression) == "ok", self.outputs
        return self.text("execute_result")


@pytest.fixture(scope="module")
def client(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("kernel")
    manager = KernelManager()
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "XDG_CONFIG_HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        "JPY_SESSION_NAME": str(folder / "story.ipynb"),
    }
    manager.start_kernel(env=environment, cwd=str(folder))
    client = Client(manager)
    setup = "from tests.widgets.scenes import array, climate\nrepo = climate()\n%load_ext icechunk"
    assert client.run(setup) == "ok", client.outputs
    yield client
    client.client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_output_result_and_commit_in_order(client: Client) -> None:
    cell = f"%%icechunk commit 'in a kernel'\n{WRITE.format(1)}\nprint('mine')\n'last'"
    assert client.run(cell) == "ok"
    assert [kind for kind, _ in client.outputs] == ["stdout", "execute_result", "display_data"]
    assert client.outputs[1][1] == "'last'"
    count = client.execution_count
    assert "committed" in client.outputs[2][1]
    result = client.value("x = %icechunk show\nx.metadata['provenance']")
    assert "'notebook': 'story.ipynb'" in result
    assert f"'execution_count': {count}" in result


def test_a_failing_cell(client: Client) -> None:
    assert client.run(f"%%icechunk commit x\n{WRITE.format(2)}\n1/0") == "error"
    assert client.text("error") == "ZeroDivisionError"
    assert "discarded" in client.text("stderr")
    assert client.value("session.has_uncommitted_changes") == "False"


def test_await(client: Client) -> None:
    cell = f"%%icechunk commit slept\nimport asyncio\nawait asyncio.sleep(0.01)\n{WRITE.format(3)}"
    assert client.run(cell) == "ok"
    assert "committed" in client.text("display_data")
    assert client.value("repo.lookup_snapshot(repo.lookup_branch('main')).message") == "'slept'"


@pytest.mark.parametrize("wait", ["import time; time.sleep(30)", "await asyncio.sleep(30)"])
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_the_interrupt_button(client: Client, wait: str) -> None:
    before = client.value("repo.lookup_branch('main')")
    cell = f"%%icechunk commit x\nimport asyncio\n{WRITE.format(4)}\nprint('waiting')\n{wait}"
    assert client.run(cell, interrupt=True) == "error"
    assert "discarded" in client.text("stderr")
    assert client.value("session.has_uncommitted_changes") == "False"
    assert client.value("repo.lookup_branch('main')") == before


def test_errors_are_one_line_and_stop_the_cell(client: Client) -> None:
    assert client.run("%icechunk checkout nowhere\nwent_on = 1") == "error"
    assert client.outputs == [("error", "RefNotFoundError")]  # what papermill looks for
    (line,) = client.traceback
    assert "is not a valid snapshot id, branch, or tag" in line
    assert client.value("'went_on' in dir()") == "False"

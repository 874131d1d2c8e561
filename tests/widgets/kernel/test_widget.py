from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from icechunk_widgets.kernel.widget import STATIC, BaseWidget, answers


class Sample(BaseWidget):
    def __init__(self, **traits: Any) -> None:
        self.sent: list[tuple[Any, Any]] = []
        super().__init__(**traits)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append((content, buffers))

    @answers("echo")
    def _echo(self, text: str, times: int = 1) -> str:
        return text * times

    @answers("bytes")
    def _bytes(self) -> Any:
        return {"nan": float("nan")}, [np.arange(3, dtype=np.uint8), np.zeros(0, np.float32)]

    @answers("fail")
    def _fail(self) -> None:
        raise RuntimeError("first line\nsecond line")

    @answers("where")
    def _where(self) -> str:
        return threading.current_thread().name

    def hidden(self) -> str:
        return "secret"

    def static_html(self) -> str:
        raise RuntimeError("no html")


class Derived(Sample):
    @answers("more")
    def _more(self) -> int:
        return 1


def message(method: Any, **params: Any) -> dict[str, Any]:
    return {"id": "view-1", "method": method, "params": params}


def test_a_request_is_answered_with_its_id() -> None:
    reply, buffers = Sample().respond(message("echo", text="ab", times=2))
    assert reply == {"id": "view-1", "ok": True, "result": "abab"}
    assert buffers == []


def test_buffers_are_bytes_and_results_strict_json() -> None:
    reply, buffers = Sample().respond(message("bytes"))
    assert reply["result"] == {"nan": None}
    assert buffers == [b"\x00\x01\x02", b""]


@pytest.mark.parametrize(
    "content",
    [
        message("hidden"),
        message("respond"),
        message("__init__"),
        message(None),
        message(["echo"]),
        message("echo"),
        message("echo", text="a", other=1),
        {"id": "view-1", "method": "echo", "params": [1]},
        {"id": "view-1"},
    ],
)
def test_only_marked_methods_with_their_parameters(content: dict[str, Any]) -> None:
    reply, buffers = Sample().respond(content)
    assert reply["id"] == "view-1"
    assert reply["ok"] is False
    assert reply["error"]["kind"] == "bad-request"
    assert buffers == []


def test_a_failing_handler_answers_one_line(caplog: pytest.LogCaptureFixture) -> None:
    reply, _ = Sample().respond(message("fail"))
    assert reply["error"] == {"kind": "error", "message": "RuntimeError: first line", "hint": ""}
    assert "unexpected error" in caplog.text


def test_messages_from_the_comm_are_answered_and_others_ignored() -> None:
    widget = Sample()
    widget._handle_custom_msg(message("echo", text="x"), [])
    widget._handle_custom_msg("no request", [])
    widget._handle_custom_msg({"method": "echo"}, [])
    assert [content["result"] for content, _ in widget.sent] == ["x"]


def test_messages_may_come_on_any_thread() -> None:
    widget = Sample()
    threads = [
        threading.Thread(target=widget._handle_custom_msg, args=(message("where"), []), name=name)
        for name in ("subshell-1", "subshell-2")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {content["result"] for content, _ in widget.sent} == {"subshell-1", "subshell-2"}


def test_answers_are_inherited() -> None:
    assert Derived().respond(message("echo", text="a"))[0]["result"] == "a"
    assert Derived().respond(message("more"))[0]["result"] == 1
    assert not Sample().respond(message("more"))[0]["ok"]


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match=r"`colour`; .*title"):
        Sample(colour="red")
    assert Sample(title="Mine").title == "Mine"


def test_refresh_and_push() -> None:
    widget = Sample()
    widget.refresh()
    assert widget.revision == 1
    widget.push("progress", done=1, share=float("inf"))
    assert widget.sent[-1][0] == {"event": "progress", "done": 1, "share": None}


def test_a_broken_stand_in_does_not_hide_the_widget(caplog: pytest.LogCaptureFixture) -> None:
    bundle = Sample()._repr_mimebundle_()
    assert bundle is not None
    assert "application/vnd.jupyter.widget-view+json" in bundle[0]
    assert "text/html" not in bundle[0]
    assert "no html" in caplog.text


@pytest.mark.parametrize("name", ["history", "diff", "resolver"])
def test_the_bundles_are_there(name: str) -> None:
    assert "export" in (STATIC / f"{name}.js").read_text(encoding="utf-8")
    assert ".icechunk-" in (STATIC / f"{name}.css").read_text(encoding="utf-8")

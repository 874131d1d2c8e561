"""A resolver without a browser."""

from __future__ import annotations

import json
from typing import Any

from icechunk_widgets.resolver.widget import ConflictResolver


class Watched(ConflictResolver):
    """A resolver that keeps what it sends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        super().__init__(*args, **options)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(content)

    def ask(self, method: str, **params: Any) -> Any:
        reply, buffers = self.respond({"id": "1", "method": method, "params": params})
        json.dumps(reply, allow_nan=False)
        if not reply["ok"]:
            raise AssertionError(reply["error"])
        return (reply["result"], buffers) if buffers else reply["result"]

    def fails(self, method: str, **params: Any) -> dict[str, str]:
        reply, _ = self.respond({"id": "1", "method": method, "params": params})
        assert reply["ok"] is False
        assert set(reply["error"]) == {"kind", "message", "hint"}
        return reply["error"]

    def finish(self) -> dict[str, Any]:
        assert self._worker is not None
        self._worker.join(30)
        return self.sent[-1]

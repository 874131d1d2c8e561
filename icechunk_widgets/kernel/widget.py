"""The common base of the widgets: requests and replies, and views without a kernel."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import anywidget
import numpy as np
import traitlets

from icechunk.core.folders import local_path
from icechunk_widgets.kernel import saved_page
from icechunk_widgets.kernel.failures import describe
from icechunk_widgets.kernel.plain import iso, plain

STATIC = Path(__file__).parent.parent / "static"
MOST_SAVED = 24_000_000
"""Limit of the bytes of maps and pictures in a saved page, before compression."""

Reply = tuple[Any, list[Any]]
"""Result (JSON), and buffers: arrays, which are sent as bytes."""

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def answers(method: str) -> Callable[[_Handler], _Handler]:
    """Mark a method of a widget as the handler of a request from the browser.

    Only marked methods can be called from the browser.  They return the result, or a tuple of
    result and buffers.
    """

    def mark(handler: _Handler) -> _Handler:
        handler.__answers__ = method  # type: ignore[attr-defined]
        return handler

    return mark


class BaseWidget(anywidget.AnyWidget):
    """A view of a repository.

    Requests are custom messages ``{id, method, params}``.  Each gets a reply, ``{id, ok: true,
    result}`` or ``{id, ok: false, error: {kind, message, hint}}``.  They may arrive on any thread
    (kernels with subshells deliver them while a cell runs), so `lock` guards what handlers change.

    Parameters
    ----------
    **traits
        Values of the synchronised traits; unknown names raise.
    """

    title = traitlets.Unicode("").tag(sync=True)
    revision = traitlets.Int(0).tag(sync=True)
    theme = traitlets.Unicode("auto").tag(sync=True)

    _answers: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._answers = {
            value.__answers__: name
            for level in reversed(cls.__mro__)
            for name, value in vars(level).items()
            if inspect.isfunction(value) and hasattr(value, "__answers__")
        }

    def __init__(self, **traits: Any) -> None:
        known = set(self.trait_names())
        unknown = sorted(set(traits) - known)
        if unknown:
            public = sorted(name for name in known if self.trait_metadata(name, "sync"))
            offered = ", ".join(name for name in public if not name.startswith("_"))
            raise TypeError(
                f"{type(self).__name__} got an unexpected argument `{unknown[0]}`; "
                f"besides its parameters it takes {offered}"
            )
        self.lock = threading.RLock()
        super().__init__(**traits)
        self.on_msg(self._receive)

    # -- requests --------------------------------------------------------------------------------

    def _receive(self, _widget: Any, content: Any, _buffers: Any = None) -> None:
        """Handle a custom message."""
        if isinstance(content, dict) and "id" in content:
            reply, buffers = self.respond(content)
            self.send(reply, buffers)

    def respond(self, content: dict[str, Any]) -> Reply:
        """Handle one request; never raises.

        Parameters
        ----------
        content : dict
            ``id``, ``method`` and ``params``.

        Returns
        -------
        dict, list of bytes-like
            The reply and its buffers.
        """
        try:
            method, params = content.get("method"), content.get("params") or {}
            name = self._answers.get(method) if isinstance(method, str) else None
            if name is None or not isinstance(params, dict):
                return _failure(content, "bad-request", f"unknown request {method!r}")
            handler = getattr(self, name)
            try:
                bound = inspect.signature(handler).bind(**params)
            except TypeError as error:
                return _failure(content, "bad-request", f"request {method!r}: {error}")
            outcome = handler(*bound.args, **bound.kwargs)
            result, buffers = outcome if isinstance(outcome, tuple) else (outcome, [])
            reply = {"id": content["id"], "ok": True, "result": plain(result)}
            return reply, [np.asarray(buffer).tobytes() for buffer in buffers]
        except Exception as error:
            return {"id": content["id"], "ok": False, "error": describe(error)}, []

    def push(self, event: str, **content: Any) -> None:
        """Send an event to every open view."""
        self.send({"event": event, **plain(content)})

    def refresh(self) -> None:
        """Make the views request their content again."""
        with self.lock:
            self.revision += 1

    # -- without a kernel ------------------------------------------------------------------------

    def static_html(self) -> str:
        """The content as plain HTML, for saved, converted and sanitised notebooks."""
        return ""

    def to_html(self, path: str | Path | None = None) -> str:
        """The view as one HTML file that opens from disk, without a kernel or network.

        It works like the widget, except that it cannot change the repository, and that only a
        part of the chunk values is saved.

        Parameters
        ----------
        path : str or Path, optional
            Also write it to this file.

        Returns
        -------
        str
            The text of the file.
        """
        replies: dict[str, dict[str, Any]] = {}
        budget = MOST_SAVED
        for method, params in self.saved_requests():
            reply, buffers = self.respond({"id": 0, "method": method, "params": params})
            budget -= sum(len(buffer) for buffer in buffers)
            if budget < 0:
                break
            replies[saved_page.key((method, params))] = saved_page.recorded(reply, buffers)
        names = [name for name in self.traits(sync=True) if not name.startswith("_")]
        own = set(names) - set(anywidget.AnyWidget.class_trait_names())
        traits = {name: plain(getattr(self, name)) for name in own}
        text = saved_page.page(
            self.title,
            str(self._esm),
            str(self._css),
            {**traits, "saved": iso(datetime.now(UTC))},
            replies,
            self.static_html(),
        )
        if path is not None:
            Path(local_path(path)).write_text(text, encoding="utf-8")
        return text

    def saved_requests(self) -> Iterable[saved_page.Request]:
        """The requests whose replies `to_html` saves, the most important ones first."""
        return ()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        try:
            data["text/html"] = self.static_html()
        except Exception as error:
            # The widget itself is displayed; an error of its static form must not replace it.
            describe(error)
        return data, metadata


def _failure(content: dict[str, Any], kind: str, message: str) -> Reply:
    hint = "Reload the page: the view and the kernel may be of different versions."
    error = {"kind": kind, "message": message, "hint": hint}
    return {"id": content["id"], "ok": False, "error": error}, []

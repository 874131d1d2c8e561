"""A view as one HTML file that opens from disk, without a kernel, other files or a network.

The page contains the same bundle as the notebook and recorded replies of the kernel, which a
replacement of the widget's model returns.  Its content security policy allows this one script and
no connection.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import islice, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HOST = """
const text = document.getElementById("saved").textContent;
const bytes = (coded) => Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0));
const unpacked = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
const { traits, replies } = JSON.parse(await new Response(unpacked).text());
const listeners = new Map();
const fire = (event, ...content) => {
  for (const listener of [...(listeners.get(event) ?? [])]) listener(...content);
};
const absent = {
  ok: false,
  error: {
    kind: "no-kernel",
    message: "This was not saved with the page.",
    hint: "Open the notebook to see or do it.",
  },
};
const model = {
  get: (name) => traits[name],
  set(name, value) {
    traits[name] = value;
    fire(`change:${name}`);
  },
  save_changes() {},
  on(event, listener) {
    listeners.set(event, (listeners.get(event) ?? new Set()).add(listener));
  },
  off: (event, listener) => listeners.get(event)?.delete(listener),
  send({ id, method, params }) {
    const { buffers = [], ...reply } =
      replies[`${method} ${JSON.stringify(params, Object.keys(params).sort())}`] ?? absent;
    const views = buffers.map((coded) => new DataView(bytes(coded).buffer));
    setTimeout(() => fire("msg:custom", { ...reply, id }, views));
  },
};
view.render({ model, el: document.getElementById("view") });
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src '{hash}'; \
style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ background: Canvas; color: CanvasText; font-family: system-ui, sans-serif; margin: 16px; }}
#view {{ margin: 0 auto; max-width: 1200px; }}
{css}</style>
</head>
<body>
<div id="view"></div>
<noscript>{static}</noscript>
<script type="text/plain" id="saved">{saved}</script>
<script type="module">{script}</script>
</body>
</html>
"""

_EXPORT = re.compile(r"export\s*\{\s*([\w$]+) as default\s*\};?\s*$")

Request = tuple[str, dict[str, Any]]
"""Method and parameters, exactly as the view sends them."""


Chunks = list[tuple[str, list[int]]]
"""Chunks of one array: its path, and coordinates."""


def chunks_at(path: str, grid: Sequence[int], positions: NDArray[np.int64]) -> Chunks:
    """Chunks by their row-major positions, at most 1000."""
    some = positions[:1000]
    coords = np.stack(np.unravel_index(some, tuple(grid)), axis=1) if grid else some.reshape(-1, 1)
    return [(path, [int(part) for part in chunk[: len(grid)]]) for chunk in coords]


def in_turn(arrays: Sequence[Chunks], most: int) -> Iterator[tuple[str, list[int]]]:
    """At most `most` chunks, taking one from each array in turn."""
    rounds = zip_longest(*arrays)
    return islice((chunk for chunks in rounds for chunk in chunks if chunk is not None), most)


def key(request: Request) -> str:
    """Key of a recorded reply: method, and parameters sorted by name."""
    method, params = request
    arguments = json.dumps(params, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{method} {arguments}"


def recorded(reply: Mapping[str, Any], buffers: Iterable[bytes]) -> dict[str, Any]:
    """One reply in the form in which the page stores it."""
    kept = {name: value for name, value in reply.items() if name != "id"}
    return {**kept, "buffers": [base64.b64encode(buffer).decode() for buffer in buffers]}


def page(
    title: str,
    bundle: str,
    css: str,
    traits: Mapping[str, Any],
    replies: Mapping[str, Mapping[str, Any]],
    static: str,
) -> str:
    """The text of the file.

    Parameters
    ----------
    title : str
        Title of the page.
    bundle, css : str
        Script and style sheet of the view.
    traits : mapping
        Values of the widget's traits.
    replies : mapping
        Recorded replies by `key`.
    static : str
        HTML for readers without JavaScript.
    """
    module, found = _EXPORT.subn(lambda match: f"const view={match[1]};", bundle)
    if found != 1:
        raise ValueError("the view's bundle does not end in a default export")
    # `</script` and `<!--` would end the script element; in string literals they can be escaped.
    script = re.sub(r"<(?=/script|!--)", r"\\x3c", module, flags=re.IGNORECASE) + _HOST
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    saved = json.dumps({"traits": dict(traits), "replies": dict(replies)}, ensure_ascii=False)
    return _PAGE.format(
        hash=f"sha256-{digest}",
        title=escape(title),
        css=css.replace("</", "<\\/"),
        static=static,
        saved=base64.b64encode(zlib.compress(saved.encode(), 9)).decode(),
        script=script,
    )

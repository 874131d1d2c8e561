"""Display of values: as a constructor call (`repr`), as lines of text (`str`), and as static HTML.

The three forms show the same values. Text from users and files (names, URLs, paths) is quoted in
the first two and escaped in the third.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import Any, ClassVar, NamedTuple

_INDENT = "    "
_MASK = "****"
_SECRET_WORDS = (
    "key",
    "token",
    "secret",
    "password",
    "credential",
    "authorization",
    "cookie",
    "signature",
    "sas",
)

# Selectors stay inside `.icechunk-repr`: a rule on `:root` in every output slows a notebook down.
STYLE = """\
<style>
.icechunk-repr { line-height: 1.6; max-width: 700px;
  color: var(--jp-content-font-color0, inherit); }
.icechunk-repr .icechunk-header { font-weight: 500; padding-bottom: 6px; margin-bottom: 4px;
  border-bottom: solid 1px var(--jp-border-color2, #8884); }
.icechunk-repr .icechunk-field { padding: 2px 0; }
.icechunk-repr .icechunk-field-name { font-weight: 500; opacity: 0.7; }
.icechunk-repr .icechunk-field-value { padding-left: 0.3em; overflow-wrap: anywhere; }
.icechunk-repr details { margin: 2px 0; }
.icechunk-repr summary { cursor: pointer; }
.icechunk-repr details > .icechunk-repr { margin: 4px 0 0 12px; padding: 6px 10px;
  border-radius: 4px; background: var(--jp-layout-color2, #8881); }
</style>
"""


class Entry(NamedTuple):
    """One line of a display.

    Parameters
    ----------
    name : str
        Field name.
    value : Any
        What the field holds.
    in_force : Any, optional
        The value that takes effect when the field holds None; None when there is none.
    """

    name: str
    value: Any
    in_force: Any = None


class Masked(str):
    """Replacement of a secret; displayed without quotes."""

    __slots__ = ()


class Label:
    """Text that is displayed without quotes."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


_USER = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#@]*@")


def public_url(url: str) -> str:
    """Return a URL without user name, password and query, which may hold a signature."""
    return _USER.sub(r"\1", url.partition("?")[0])


def mask(secret: str | None, keep: int = 0) -> Masked | None:
    """Replace a secret; its first `keep` characters remain if it is at least twice as long."""
    if secret is None:
        return None
    return Masked((secret[:keep] if len(secret) >= 2 * keep else "") + _MASK)


class Shown:
    """Mixin for classes that are displayed as a qualified name with fields."""

    __slots__ = ()

    _one_line_: ClassVar[bool] = False
    """Write the constructor form wherever the value appears."""

    def _path(self) -> str:
        """Return the public, fully qualified name."""
        raise NotImplementedError

    def _entries(self) -> Iterable[Entry]:
        """Return the fields in display order."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return constructor_text(self)

    def __str__(self) -> str:
        # Ends with a line end, as the reference library's displays do.
        return "".join(f"{line}\n" for line in block_lines(self))

    def _repr_html_(self) -> str:
        """Static HTML for notebooks, with every value escaped."""
        return STYLE + html_block(self)


def scalar_text(value: Any) -> str:
    """Return one value as Python source, with secrets masked."""
    if isinstance(value, Masked):
        return str.__str__(value)
    if isinstance(value, Enum):
        return f"icechunk.{type(value).__name__}.{value.name}"
    if isinstance(value, (str, PurePath)):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar_text(k)}: {_pair(k, v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return _sequence_text(value)
    if isinstance(value, Shown | datetime | bool | int | None):
        return repr(value)
    return str(value)


def _pair(key: Any, value: Any) -> str:
    """Return the text of a mapping's value, masked if its key names a secret."""
    words = str(key).lower()
    if isinstance(value, str) and any(word in words for word in _SECRET_WORDS):
        return _MASK
    return scalar_text(value)


def _sequence_text(items: Sequence[Any]) -> str:
    inside = ", ".join(map(scalar_text, items))
    if isinstance(items, tuple):
        return f"({inside},)" if len(items) == 1 else f"({inside})"
    return f"[{inside}]"


def _indented(text: str) -> str:
    return text.replace("\n", "\n" + _INDENT)


def _is_block_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(v, Shown) for v in value.values())


def _nested_constructor(value: Any) -> str:
    if not _is_block_mapping(value):
        return scalar_text(value)
    lines = [f"{_INDENT}{scalar_text(k)}: {_indented(scalar_text(v))}," for k, v in value.items()]
    return "\n".join(["{", *lines, "}"])


def constructor_text(shown: Shown) -> str:
    """Return the constructor call that makes an equal value, with its qualified name.

    Parameters
    ----------
    shown : Shown
        What to display.

    Returns
    -------
    str
        One field per line, indented by four spaces.
    """
    lines = [
        f"{_INDENT}{entry.name}={_indented(_nested_constructor(entry.value))},"
        for entry in shown._entries()
    ]
    return "\n".join([f"{shown._path()}(", *lines, ")"]) if lines else f"{shown._path()}()"


def _line_text(entry: Entry) -> str:
    is_default = entry.value is None and entry.in_force is not None
    value = entry.in_force if is_default else entry.value
    text = value.name if isinstance(value, Enum) else scalar_text(value)
    return f"{text} (default)" if is_default else text


def _opens_block(value: Any) -> bool:
    """Return whether a value is a nested configuration with lines of its own."""
    return isinstance(value, Shown) and not value._one_line_


def block_lines(shown: Shown) -> list[str]:
    """Return the plain form: a header and ``field: value`` lines, nested blocks indented.

    Parameters
    ----------
    shown : Shown
        What to display. ``(default)`` follows values that are in force without having been set.

    Returns
    -------
    list of str
        Lines without line ends.
    """
    lines = [f"<{shown._path()}>"]
    for entry in shown._entries():
        value = entry.in_force if entry.value is None else entry.value
        if _opens_block(value):
            lines.append(f"{entry.name}:")
            lines += [_INDENT + line for line in block_lines(value)]
        elif _is_block_mapping(value):
            lines.append(f"{entry.name}:")
            for key, inner in value.items():
                lines.append(f"{_INDENT}{key}:")
                lines += [2 * _INDENT + line for line in block_lines(inner)]
        else:
            lines.append(f"{entry.name}: {_line_text(entry)}")
    return lines


def _escape(text: str) -> str:
    """Escape text for HTML; `html` defines two thousand entities, so it is imported late."""
    import html

    return html.escape(text)


def _html_field(name: str, text: str) -> str:
    key = f'<span class="icechunk-field-name">{_escape(name)}:</span>'
    value = f'<span class="icechunk-field-value">{_escape(text)}</span>'
    return f'  <div class="icechunk-field">{key} {value}</div>'


def _html_details(name: str, inside: str) -> str:
    return (
        f'  <details>\n    <summary class="icechunk-field-name">{_escape(name)}</summary>\n'
        f"{inside}\n  </details>"
    )


def html_block(shown: Shown) -> str:
    """Return the HTML form without the style sheet, for nesting.

    Parameters
    ----------
    shown : Shown
        What to display.

    Returns
    -------
    str
        A ``div.icechunk-repr``; nested values sit in ``<details>``.
    """
    parts = [
        '<div class="icechunk-repr">',
        f'  <div class="icechunk-header">{_escape(shown._path())}</div>',
    ]
    for entry in shown._entries():
        value = entry.in_force if entry.value is None else entry.value
        if _opens_block(value):
            parts.append(_html_details(entry.name, html_block(value)))
        elif _is_block_mapping(value):
            inside = (_html_details(str(k), html_block(v)) for k, v in value.items())
            body = "\n".join(['<div class="icechunk-repr">', *inside, "</div>"])
            parts.append(_html_details(entry.name, body))
        else:
            parts.append(_html_field(entry.name, _line_text(entry)))
    return "\n".join([*parts, "</div>"])

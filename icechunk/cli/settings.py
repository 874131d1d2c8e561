"""A person's settings: who they are, what is recorded with their commits, what a conflict does.

``<configuration folder>/icechunk/settings.yaml``, a flat map; keys of others survive.
"""

from __future__ import annotations

import difflib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from icechunk.cli.aliases import config_path
from icechunk.cli.failures import refusal
from icechunk.config.logs import read_filter, set_logs_filter
from icechunk.core.errors import ErrorKind, IcechunkError

DEFAULTS: dict[str, str | bool | None] = {
    "user.name": None,
    "user.email": None,
    "provenance": True,
    "solve": False,
    "log": None,
}
"""Settings and what they are when nobody set them."""

_SWITCH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


class Settings:
    """The settings of the person who runs this process.

    Parameters
    ----------
    path : Path, optional
        The file; it need not exist.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = config_path().with_name("settings.yaml") if path is None else path

    def all(self) -> dict[str, str | bool | None]:
        """Every setting by its name."""
        held = self._read()
        return {key: held.get(key, default) for key, default in DEFAULTS.items()}

    def get(self, key: str) -> str | bool | None:
        """One setting.

        Raises
        ------
        IcechunkError
            For a key that is none.
        """
        _check(key)
        return self.all()[key]

    def put(self, key: str, value: str) -> None:
        """Set one; a switch is ``on`` or ``off``. A log filter holds at once.

        Raises
        ------
        IcechunkError
            For a key that is none, a switch set to something else, or a filter that cannot be read.
        """
        _check(key)
        given: str | bool = value
        if isinstance(DEFAULTS[key], bool):
            if value.lower() not in _SWITCH:
                raise refusal(
                    f"`{key}` cannot be `{value}`", "write on or off", ErrorKind.NOT_ALLOWED
                )
            given = _SWITCH[value.lower()]
        if key == "log":
            _check_filter(value)
        self._write({**self._read(), key: given})
        if key == "log":
            set_logs_filter(value)

    def forget(self, key: str) -> None:
        """Back to the default."""
        _check(key)
        self._write({name: value for name, value in self._read().items() if name != key})
        if key == "log":
            set_logs_filter(None)

    def apply_log(self) -> None:
        """Log what the setting asks for when a program starts, unless ``ICECHUNK_LOG`` is set.

        A file that cannot be read is left to the commands that need it: they say what is wrong.
        """
        if "ICECHUNK_LOG" in os.environ:
            return
        with suppress(IcechunkError):
            held = self.all()["log"]
            if held is not None:
                set_logs_filter(str(held))

    def _read(self) -> dict[str, Any]:
        try:
            held = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (yaml.YAMLError, ValueError) as error:
            raise refusal(
                f"cannot read {self.path}: {' '.join(str(error).split())}",
                "mend or remove the file",
                ErrorKind.CONFIG_DESERIALIZATION,
            ) from error
        return held if isinstance(held, dict) else {}

    def _write(self, held: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        draft.write_text(yaml.safe_dump(held, allow_unicode=True), encoding="utf-8")
        draft.replace(self.path)


def _check_filter(text: str) -> None:
    """Refuse a log filter that cannot be read."""
    _, complaints = read_filter(text)
    if complaints:
        raise refusal(
            f"`log` cannot be `{text}`",
            f"{complaints[0]}. Write a level such as debug, or icechunk.storage=debug",
            ErrorKind.NOT_ALLOWED,
        )


def _check(key: str) -> None:
    if key not in DEFAULTS:
        near = difflib.get_close_matches(key, DEFAULTS, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(DEFAULTS)}"
        raise refusal(f"there is no setting `{key}`", hint, ErrorKind.NOT_ALLOWED)

"""User settings: name and email, provenance of commits, conflicts, logging.

``<configuration folder>/icechunk/settings.yaml``, a flat map; unknown keys are kept.
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
"""Settings and their defaults."""

_SWITCH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


class Settings:
    """The settings file of the current user.

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
            For an unknown key.
        """
        _check(key)
        return self.all()[key]

    def put(self, key: str, value: str) -> None:
        """Set one; a switch is ``on`` or ``off``. A log filter takes effect at once.

        Raises
        ------
        IcechunkError
            For an unknown key, a switch set to something else, or an invalid filter.
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
        """Reset one to its default."""
        _check(key)
        self._write({name: value for name, value in self._read().items() if name != key})
        if key == "log":
            set_logs_filter(None)

    def apply_log(self) -> None:
        """Set the log filter at the start of a program, unless ``ICECHUNK_LOG`` is set.

        An unreadable file is ignored here; commands that read settings report it.
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
                "correct or remove the file",
                ErrorKind.CONFIG_DESERIALIZATION,
            ) from error
        return held if isinstance(held, dict) else {}

    def _write(self, held: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        draft.write_text(yaml.safe_dump(held, allow_unicode=True), encoding="utf-8")
        draft.replace(self.path)


def _check_filter(text: str) -> None:
    """Raise for an invalid log filter."""
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
        hint = f"did you mean `{near[0]}`?" if near else f"the settings are {', '.join(DEFAULTS)}"
        raise refusal(f"there is no setting `{key}`", hint, ErrorKind.NOT_ALLOWED)

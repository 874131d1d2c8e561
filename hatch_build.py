"""Build hook: ship the prebuilt JupyterLab extension as Jupyter data files.

The front end is built by its developers and committed, so building a wheel needs no Node. The
files are added here and not in ``pyproject.toml`` because hatch refuses to build when a path listed
there is absent; without the folder the wheel still carries the engine and the widgets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LABEXTENSION = "jupyterlab_extension/labextension"
INSTALL_JSON = "jupyterlab_extension/install.json"
TARGET = "share/jupyter/labextensions/@icechunk/jupyterlab"


class LabExtensionHook(BuildHookInterface[Any]):
    """Add the extension's files to the wheel's shared data."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Register the files; `version` ("standard" or "editable") makes no difference."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        if not (root / LABEXTENSION / "package.json").is_file():
            self.app.display_warning(
                f"{LABEXTENSION} is absent: this build installs without the JupyterLab sidebar"
            )
            return
        shared = build_data.setdefault("shared_data", {})
        shared[LABEXTENSION] = TARGET
        inside = root / LABEXTENSION / "install.json"
        if (root / INSTALL_JSON).is_file() and not inside.exists():
            shared[INSTALL_JSON] = f"{TARGET}/install.json"

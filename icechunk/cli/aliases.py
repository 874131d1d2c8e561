"""The file of aliases: names for repositories, with their settings.

``<configuration folder>/icechunk/cli-config.yaml``, shared with the reference command: a map
``repos`` of alias to a map whose tag is `LOCAL` or the name of a kind of store (``!S3``, ...).
Entries of unknown kinds are kept when the file is written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from icechunk.cli.failures import refusal
from icechunk.config.repository import RepositoryConfig
from icechunk.config.yaml_text import from_yaml, to_yaml
from icechunk.core.errors import ErrorKind
from icechunk.storage.kinds import kinds
from icechunk.storage.kinds.kind import BucketKind

LOCAL = "LocalFileSystem"
"""Tag of entries that are folders."""
SECRET = ("secret", "token", "key", "bearer", "sas")
_NULL = yaml.ScalarNode("tag:yaml.org,2002:null", "null")


def bucket_kinds() -> dict[str, BucketKind]:
    """Return the kinds of stores with buckets that the file has entries for, by their tags."""
    return {kind.name: kind for kind in kinds() if isinstance(kind, BucketKind) and kind.alias}


@dataclass(frozen=True)
class Entry:
    """One repository of the file.

    Attributes
    ----------
    kind : str
        `LOCAL`, or a key of `bucket_kinds`.
    fields : dict
        ``path``, or ``location``, ``object_store_config`` and ``credentials``.
    config : RepositoryConfig
        Merged over the stored configuration when the repository is opened.
    """

    kind: str
    fields: dict[str, Any]
    config: RepositoryConfig

    def public(self) -> dict[str, Any]:
        """The entry without secrets."""
        return {"type": self.kind, **_masked(self.fields)}


def _masked(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _masked(item, str(key)) for key, item in value.items()}
    secret = any(word in name.lower() for word in SECRET) and not name.endswith("_type")
    return "***" if secret and value is not None else value


def config_path() -> Path:
    """Where the file is: ``XDG_CONFIG_HOME``, else what the system uses."""
    home = os.environ.get("XDG_CONFIG_HOME")
    if home:
        base = Path(home)
    elif sys.platform == "win32":
        base = Path(os.environ.get("APPDATA", Path.home() / "AppData/Roaming"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Application Support"
    else:
        base = Path.home() / ".config"
    return base / "icechunk" / "cli-config.yaml"


class Aliases:
    """The aliases of a file.

    Parameters
    ----------
    path : Path, optional
        The file; it need not exist.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = config_path() if path is None else path
        self._repos = self._read()

    @classmethod
    def blank(cls) -> Aliases:
        """An empty list of aliases that replaces the file when it is saved."""
        blank = cls.__new__(cls)
        blank.path, blank._repos = config_path(), {}
        return blank

    def _read(self) -> dict[str, yaml.Node]:
        """Nodes by alias."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            held = _children(root) if root is not None else {}
            return _children(held.get("repos", _NULL))
        except (yaml.YAMLError, ValueError) as error:
            raise refusal(
                f"cannot read {self.path}: {' '.join(str(error).split())}",
                "correct the file, or write a new one with `icechunk config init --force`",
                ErrorKind.CONFIG_DESERIALIZATION,
            ) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._repos)

    def __len__(self) -> int:
        return len(self._repos)

    def __contains__(self, alias: object) -> bool:
        return alias in self._repos

    def __getitem__(self, alias: str) -> Entry:
        node = self._repos[alias]
        kind = node.tag.removeprefix("!")
        try:
            known = [LOCAL, *bucket_kinds()]
            if kind not in known:
                raise ValueError(f"`{kind}` is not one of {', '.join(known)}")
            parts = _children(node)
            config = from_yaml(yaml.serialize(parts.pop("config", _NULL)))
            fields = {name: yaml.safe_load(yaml.serialize(part)) for name, part in parts.items()}
        except (yaml.YAMLError, ValueError) as error:
            raise refusal(
                f"cannot read `{alias}` in {self.path}: {' '.join(str(error).split())}",
                "correct the entry, or replace it with `icechunk config add --force`",
                ErrorKind.CONFIG_DESERIALIZATION,
            ) from error
        return Entry(kind, fields, config)

    def add(self, alias: str, entry: Entry) -> None:
        """Write an entry to the file, replacing one of the same name."""
        node = yaml.compose(yaml.safe_dump(entry.fields, sort_keys=False), Loader=yaml.SafeLoader)
        config = yaml.compose(to_yaml(entry.config), Loader=yaml.SafeLoader)
        assert isinstance(node, yaml.MappingNode)
        node.value.append((_text("config"), config))
        node.tag = f"!{entry.kind}"
        node.flow_style = False
        self._repos[alias] = node
        self.save()

    def save(self) -> None:
        """Write the file, readable by its owner only: it may hold secrets."""
        repos = _map([(_text(alias), node) for alias, node in self._repos.items()])
        text = yaml.serialize(_map([(_text("repos"), repos)]), allow_unicode=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        draft.replace(self.path)


def _children(node: yaml.Node) -> dict[str, yaml.Node]:
    """Values of a map by their keys."""
    if node.tag == _NULL.tag:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"line {node.start_mark.line + 1} should be a map")
    return {str(key.value): value for key, value in node.value}


def _text(value: str) -> yaml.ScalarNode:
    node = yaml.compose(yaml.safe_dump(value, allow_unicode=True), Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.ScalarNode)
    return node


def _map(pairs: list[tuple[yaml.Node, yaml.Node]]) -> yaml.MappingNode:
    flow = not pairs
    return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=flow)

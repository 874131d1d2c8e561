"""Reads and writes ``config.yaml``, the configuration of a repository of spec version 1."""

from __future__ import annotations

from typing import Any

from icechunk.config.repository import RepositoryConfig
from icechunk.config.serde import Tagged, from_plain, to_tagged
from icechunk.core.errors import ErrorKind, FormatError

_MOST_BYTES, _MOST_VALUES = 2**20, 2**17
"""Limits of a configuration file: YAML is slow to read, and aliases can expand without end."""


def to_yaml(config: RepositoryConfig) -> str:
    """Return a configuration as YAML with variants as tags.

    Parameters
    ----------
    config : RepositoryConfig
        What to convert.

    Returns
    -------
    str
        Text of ``config.yaml``.
    """
    import yaml  # only needed for spec version 1

    class Dumper(yaml.SafeDumper):
        """Writes `Tagged` values, and no aliases."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def choose_scalar_style(self) -> str:
            """Leave tagged numbers unquoted: other readers take quoted ones for strings."""
            event: Any = self.event
            if event.style is None and (event.tag or "").startswith("!"):
                return ""
            style: str = super().choose_scalar_style()
            return style

    def represent(dumper: yaml.SafeDumper, tagged: Tagged) -> yaml.Node:
        node = dumper.represent_data(tagged.value)
        node.tag = f"!{tagged.tag}"
        if isinstance(node, yaml.ScalarNode):
            node.style = None if isinstance(tagged.value, int) else "'"
        return node

    Dumper.add_representer(Tagged, represent)
    text: str = yaml.dump(to_tagged(config), Dumper=Dumper, sort_keys=False, allow_unicode=True)
    return text


def from_yaml(text: str | bytes) -> RepositoryConfig:
    """Build a configuration from the text of ``config.yaml``.

    Parameters
    ----------
    text : str or bytes
        YAML as `to_yaml` or another implementation writes it.

    Returns
    -------
    RepositoryConfig
        The configuration.

    Raises
    ------
    FormatError
        Kind ``config-deserialization`` when it is not YAML, too large or holds impossible values.
    """
    import yaml  # only needed for spec version 1

    if len(text) > _MOST_BYTES:
        raise _unreadable(f"it has {len(text)} bytes, no more than {_MOST_BYTES} are read")

    class Loader(yaml.SafeLoader):
        """Reads every local tag as a `Tagged` value."""

        def get_single_data(self) -> Any:
            node = self.get_single_node()
            if node is None:
                return None
            _count(node, {})
            return self.construct_document(node)

    def construct(loader: yaml.SafeLoader, tag: str, node: Any) -> Tagged:
        if isinstance(node, yaml.MappingNode):
            return Tagged(tag, loader.construct_mapping(node, deep=True))
        if isinstance(node, yaml.SequenceNode):
            return Tagged(tag, loader.construct_sequence(node, deep=True))
        quoted = node.style in ("'", '"')
        meaning = "tag:yaml.org,2002:str" if quoted else _plain_meaning(loader, node)
        return Tagged(tag, loader.construct_object(yaml.ScalarNode(meaning, node.value)))

    def _plain_meaning(loader: Any, node: Any) -> str:
        tag: str = loader.resolve(yaml.ScalarNode, node.value, (True, False))
        return tag

    Loader.add_multi_constructor("!", construct)
    try:
        data = yaml.load(text, Loader=Loader)
        return from_plain({} if data is None else data)
    except FormatError:
        raise
    except RecursionError as error:
        raise _unreadable("its values are nested too deeply") from error
    except (yaml.YAMLError, AttributeError, ValueError) as error:
        raise _unreadable(str(error)) from error


def _count(node: Any, known: dict[int, int]) -> int:
    """Count the values of a YAML node with every alias expanded."""
    held = known.get(id(node))
    if held is not None:
        if held == 0:
            raise _unreadable("it contains itself")
        return held
    known[id(node)] = total = 0
    items = node.value if isinstance(node.value, list) else ()
    for item in items:
        for part in item if isinstance(item, tuple) else (item,):
            total += _count(part, known)
            if total >= _MOST_VALUES:
                raise _unreadable(f"it expands to more than {_MOST_VALUES} values")
    known[id(node)] = total + 1
    return total + 1


def _unreadable(problem: str) -> FormatError:
    return FormatError(
        f"cannot read config.yaml: {problem}; restore the file or delete it to use the defaults",
        ErrorKind.CONFIG_DESERIALIZATION,
    )

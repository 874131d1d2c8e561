"""Conversion of a configuration to and from the plain data that repositories store.

Icechunk specification, "Configuration": structs are maps with every key present, None is null, a
variant with data is a map of one key (in YAML a tag), a variant without data its name. Missing and
unknown keys are ignored on read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from icechunk.config.containers import ObjectStoreConfig, VirtualChunkContainer
from icechunk.config.manifests import UNSPLIT, ManifestSplittingConfig
from icechunk.config.preload import ManifestPreloadCondition
from icechunk.config.repository import OWN_FIELDS, CompressionAlgorithm, RepositoryConfig
from icechunk.config.splitting import ManifestSplitCondition, ManifestSplitDimCondition
from icechunk.config.storage import ChecksumAlgorithm, S3Options
from icechunk.config.values import Value
from icechunk.core.errors import ErrorKind, FormatError

_AnyValue = TypeVar("_AnyValue", bound=Value)


class Tagged(NamedTuple):
    """A variant with data: ``{tag: value}`` in FlexBuffers, ``!tag value`` in YAML."""

    tag: str
    value: Any


_FSSPEC = "fsspec"
"""Option that marks a container of our own kind, stored as a web server that others can read."""

_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _stored_name(name: str) -> str:
    """Return the stored name of a variant or member: snake case, e.g. ``crc64_nvme``."""
    return _CAPITAL.sub("_", name).lower()


def _by_stored_name(kinds: Mapping[str, Any]) -> dict[str, Any]:
    return {_stored_name(name): kind for name, kind in kinds.items()}


# --------------------------------------------------------------------------- writing


def to_tagged(config: RepositoryConfig) -> dict[str, Any]:
    """Return a configuration as plain data whose variants are `Tagged`.

    Parameters
    ----------
    config : RepositoryConfig
        What to convert.

    Returns
    -------
    dict
        Nested dicts, lists, strings, numbers, None and `Tagged`.
    """
    return {**_struct(config), "previous_file": config.previous_file}


def to_plain(config: RepositoryConfig) -> dict[str, Any]:
    """Return a configuration as the plain data that repositories store.

    Parameters
    ----------
    config : RepositoryConfig
        What to convert.

    Returns
    -------
    dict
        Nested dicts, lists, strings, numbers and None.
    """
    plain: dict[str, Any] = _untagged(to_tagged(config))
    return plain


def _untagged(value: Any) -> Any:
    if isinstance(value, Tagged):
        return {value.tag: _untagged(value.value)}
    if isinstance(value, dict):
        return {key: _untagged(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_untagged(inner) for inner in value]
    return value


def _struct(value: Value) -> dict[str, Any]:
    return {
        name: _written(getattr(value, name))
        for name in value._rules_
        if name not in OWN_FIELDS or getattr(value, name) is not None
    }


def _written(value: Any) -> Any:
    """Return any configuration value as tagged data."""
    if isinstance(value, Enum):
        return _stored_name(value.name)
    if isinstance(value, ManifestSplittingConfig):
        return {"split_sizes": _written_sizes(value)}
    if isinstance(value, Value):
        return _struct(value)
    if isinstance(value, ObjectStoreConfig):
        return _written_store(value)
    if isinstance(value, (ManifestPreloadCondition, ManifestSplitCondition)):
        return _written_condition(value)
    if isinstance(value, Mapping):
        return {key: _written(inner) for key, inner in value.items()}
    return value


def _written_store(store: ObjectStoreConfig) -> Any:
    if isinstance(store, ObjectStoreConfig.Fsspec):
        return Tagged("http", {_FSSPEC: "true"})
    tag = store._tag_
    if tag == "in_memory":
        return tag
    if tag == "local_file_system":
        return Tagged(tag, str(store._0))
    if tag == "http":
        headers = {"headers": dict(store._1)} if store._1 else {}
        return Tagged(tag, {**(store._0 or {}), **headers})
    if isinstance(store._0, S3Options):
        return Tagged(tag, _struct(store._0))
    return Tagged(tag, dict(store._0 or {}))


def _written_condition(condition: Any) -> Any:
    name = type(condition).__name__
    tag = _stored_name(name)
    if name in ("Or", "And"):
        return Tagged(tag, [_written_condition(inner) for inner in condition.conditions])
    if name in ("PathMatches", "NameMatches"):
        return Tagged(tag, {"regex": condition.regex})
    if name == "NumRefs":
        low, high = condition.from_, condition.to
        return Tagged(
            tag,
            {
                "from": "Unbounded" if low is None else Tagged("Included", low),
                "to": "Unbounded" if high is None else Tagged("Excluded", high),
            },
        )
    return tag


def _written_sizes(splitting: ManifestSplittingConfig) -> list[Any] | None:
    if splitting.split_sizes is None:
        return None
    return [
        [
            _written_condition(condition),
            [{"condition": _written_dim(dim), "num_chunks": size} for dim, size in sizes],
        ]
        for condition, sizes in splitting.split_sizes
    ]


def _written_dim(dim: ManifestSplitDimCondition) -> Any:
    return Tagged(type(dim).__name__, dim._0) if len(dim) else type(dim).__name__


# --------------------------------------------------------------------------- reading


def from_plain(data: Mapping[str, Any]) -> RepositoryConfig:
    """Build a configuration from the plain or tagged data that a repository stores.

    Parameters
    ----------
    data : mapping
        As `to_plain` or `to_tagged` return it; missing and unknown keys are ignored.

    Returns
    -------
    RepositoryConfig
        An equal configuration.

    Raises
    ------
    FormatError
        Kind ``config-deserialization`` for values that a configuration cannot hold.
    """
    config = _read(RepositoryConfig, data, "config")
    config._previous_file = data.get("previous_file")
    return config


def _bad(where: str, why: object) -> FormatError:
    return FormatError(
        f"cannot read the stored configuration: `{where}`: {why}; "
        "correct it with a newer icechunk or save the configuration again",
        ErrorKind.CONFIG_DESERIALIZATION,
    )


def _read(kind: type[_AnyValue], data: Any, where: str) -> _AnyValue:
    """Build a value field by field, naming the one that cannot be read."""
    if not isinstance(data, Mapping):
        raise _bad(where, f"expected a map, found {data!r}")
    given = {}
    for name, field in kind._rules_.items():
        raw, path = data.get(name), f"{where}.{name}"
        if raw is None:
            continue
        reader = _READERS.get((kind, name)) or _READERS_BY_KIND.get(field.kind)
        try:
            if reader is not None:
                given[name] = reader(raw, path)
            elif field.kind is not None and issubclass(field.kind, Value):
                given[name] = _read(field.kind, raw, path)
            else:
                given[name] = field.convert(name, raw)
        except (TypeError, ValueError, OverflowError, LookupError) as error:
            raise _bad(path, error) from error
    try:
        return kind(**given)
    except TypeError as error:
        raise _bad(where, error) from error


def _variant(raw: Any) -> tuple[str, Any]:
    """Return a variant's tag and data (None without data)."""
    if isinstance(raw, Tagged):
        return raw
    if isinstance(raw, str):
        return raw, None
    if isinstance(raw, Mapping) and len(raw) == 1:
        ((tag, value),) = raw.items()
        return tag, value
    raise ValueError(f"expected a variant, found {raw!r}")


def _chosen(table: Mapping[str, Any], tag: str) -> Any:
    if tag not in table:
        raise ValueError(f"unknown variant {tag!r}, expected one of {', '.join(table)}")
    return table[tag]


def _member_reader(kind: type[Enum]) -> Callable[[Any, str], Any]:
    members = _by_stored_name(kind.__members__)
    return lambda raw, _: _chosen(members, raw)


def _read_store(raw: Any, where: str) -> ObjectStoreConfig:
    tag, value = _variant(raw)
    kind: Any = _chosen(ObjectStoreConfig._by_tag(), tag)
    if tag == "in_memory":
        store = kind()
    elif tag == "http":
        options = dict(value or {})
        headers = options.pop("headers", None)
        fsspec = options.get(_FSSPEC) == "true"
        store = ObjectStoreConfig.Fsspec() if fsspec else kind(options or None, headers or None)
    elif tag == "local_file_system":
        store = kind(value)
    elif tag in ("s3", "s3_compatible", "tigris"):
        store = kind(_read(S3Options, value, f"{where}.{tag}"))
    else:
        store = kind(dict(value or {}) or None)
    made: ObjectStoreConfig = store
    return made


def _bound(raw: Any, included: int, excluded: int) -> int | None:
    """Return a range's end as a number, shifted according to its kind."""
    tag, value = _variant(raw)
    if tag == "Unbounded":
        return None
    number = value + _chosen({"Included": included, "Excluded": excluded}, tag)
    return int(number) if number < 2**32 else None


def _condition_reader(family: Any) -> Callable[[Any, str], Any]:
    kinds = _by_stored_name(family._variants())

    def read(raw: Any, where: str) -> Any:
        tag, value = _variant(raw)
        kind = _chosen(kinds, tag)
        if tag in ("or", "and"):
            return kind([read(inner, where) for inner in value])
        if tag in ("path_matches", "name_matches"):
            return kind(value["regex"])
        if tag == "num_refs":
            return kind(_bound(value["from"], 0, 1), _bound(value["to"], 1, 0))
        return kind()

    return read


_read_array_condition = _condition_reader(ManifestSplitCondition)


def _read_dim(raw: Any) -> ManifestSplitDimCondition:
    tag, value = _variant(raw)
    kind = _chosen(ManifestSplitDimCondition._variants(), tag)
    made: ManifestSplitDimCondition = kind() if value is None else kind(value)
    return made


def _read_sizes(raw: Any, where: str) -> list[Any]:
    return [
        (
            _read_array_condition(condition, where),
            # 0 is invalid; such an array is not split
            [(_read_dim(size["condition"]), size["num_chunks"] or UNSPLIT) for size in sizes],
        )
        for condition, sizes in raw
    ]


def _read_containers(raw: Any, where: str) -> dict[str, VirtualChunkContainer]:
    if not isinstance(raw, Mapping):
        raise TypeError(f"expected a map, found {raw!r}")
    containers = {
        str(key): _read(VirtualChunkContainer, value, f"{where}[{key!r}]")
        for key, value in raw.items()
    }
    for container in containers.values():
        container._stored = True  # early versions stored prefixes that are refused today
    return containers


_READERS: dict[tuple[type[Value], str], Callable[[Any, str], Any]] = {
    (RepositoryConfig, "virtual_chunk_containers"): _read_containers,
    (ManifestSplittingConfig, "split_sizes"): _read_sizes,
}
_READERS_BY_KIND: dict[type[Any] | None, Callable[[Any, str], Any]] = {
    CompressionAlgorithm: _member_reader(CompressionAlgorithm),
    ChecksumAlgorithm: _member_reader(ChecksumAlgorithm),
    ObjectStoreConfig: _read_store,
    ManifestPreloadCondition: _condition_reader(ManifestPreloadCondition),
}

"""TOML and JSON values of unknown shape, narrowed one key at a time."""

from __future__ import annotations

import tomllib
from typing import cast

from previewdrop.domain.errors import StageFailed
from previewdrop.source.detect.tree import Tree

Table = dict[str, object]


def read(tree: Tree, path: str) -> Table | None:
    """The document in a file, None if it is not there; StageFailed when it is not TOML."""
    text = tree.text(path)
    if text is None:
        return None
    try:
        return cast("Table", tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise StageFailed(
            f"{path} is not valid TOML: {error}.", "Mend the file, then push again."
        ) from error


def table(value: object, *keys: str) -> Table:
    """The table below `keys`; empty when anything on the way is missing or no table."""
    for key in keys:
        value = cast("Table", value).get(key) if isinstance(value, dict) else None
    return cast("Table", value) if isinstance(value, dict) else {}


def strings(value: object) -> tuple[str, ...]:
    """The strings of a list; a lone string is a list of one."""
    if isinstance(value, str):
        return (value,)
    items = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))


def string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def tables(value: object) -> tuple[Table, ...]:
    """The tables of a list."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(cast("Table", item) for item in items if isinstance(item, dict))

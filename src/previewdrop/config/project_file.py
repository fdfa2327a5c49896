"""Reading and merging a project's settings, with errors that name file, key and what to write."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from previewdrop.config.project import CONFIG_FILE, ProjectConfig
from previewdrop.domain.errors import BadConfig
from previewdrop.domain.nearest import nearest
from previewdrop.domain.spec import MIB

_LARGEST_FILE = 1024 * 1024
_PYPROJECT = "pyproject.toml"
_SERVER = "the project's settings on the server"

_EXPECTED = {
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "string_pattern_mismatch": "must be a version",
    "finite_number": "must be a finite number",
}


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """What a commit says about itself: `path` is the file it stands in, None if there is none."""

    config: ProjectConfig
    path: str | None = None
    notes: tuple[str, ...] = ()


def load(folder: Path) -> ProjectConfig:
    """The settings in the repository at `folder`; the defaults if it has none. See `read`."""
    return read(folder).config


def read(folder: Path) -> ProjectFile:
    """The settings at the repository's top, and notes for people.

    `previewdrop.toml` wins over `[tool.previewdrop]` as a whole; nothing is mixed. BadConfig names
    the file and the key that is wrong.
    """
    own = folder / CONFIG_FILE
    pyproject = folder / _PYPROJECT
    if own.is_file():
        notes: tuple[str, ...] = ()
        if pyproject.is_file() and _has_table(pyproject):
            notes = (f"{CONFIG_FILE} counts; [tool.previewdrop] in {_PYPROJECT} is not read",)
        return ProjectFile(_validated(_toml(own), CONFIG_FILE), CONFIG_FILE, notes)
    if pyproject.is_file():
        tool = _toml(pyproject).get("tool")
        if isinstance(tool, dict) and "previewdrop" in tool:
            where = f"[tool.previewdrop] in {_PYPROJECT}"
            table = cast("dict[str, object]", tool)["previewdrop"]
            if not isinstance(table, dict):
                raise BadConfig(f"{where} must be a table.")
            return ProjectFile(_validated(cast("dict[str, object]", table), where), _PYPROJECT)
    return ProjectFile(ProjectConfig())


def merge(file: ProjectConfig, server: Mapping[str, object]) -> ProjectConfig:
    """The file's settings with those of the server over them.

    `server` has dotted keys: `{"database.isolation": "schema", "processes.worker": "…"}`. None
    takes a key of the file away, so that its default holds. BadConfig names the key.
    """
    merged: dict[str, Any] = file.model_dump(exclude_unset=True)
    known = _fields()
    for key, value in server.items():
        section, _, last = key.rpartition(".")
        field = "processes.NAME" if section == "processes" else key
        if field not in known and field not in ProjectConfig.model_fields:
            raise _unknown(key, _SERVER)
        place: dict[str, Any] = merged.setdefault(section, {}) if section else merged
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return _validated(merged, _SERVER)


def setting(key: str, text: str) -> object:
    """The value of a dotted key as it was typed: a text, else read as TOML (`8`, `["a"]`, `false`).

    BadConfig if the key is unknown or the value cannot be its.
    """
    try:
        merge(ProjectConfig(), {key: text})
    except BadConfig as error:
        try:
            value: object = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            raise error from None
        merge(ProjectConfig(), {key: value})
        return value
    return text


def keys() -> tuple[str, ...]:
    """Every key in dotted form; `processes.NAME` stands for all processes."""
    return tuple(_fields())


def _toml(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise BadConfig(f"{path.name} is larger than 1 MiB.")
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path.name} is not UTF-8.", "Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"{path.name} is not valid TOML: {error}.") from error
    except RecursionError as error:
        raise BadConfig(f"{path.name} is nested too deeply.") from error


def _has_table(pyproject: Path) -> bool:
    try:
        tool = _toml(pyproject).get("tool")
    except BadConfig:
        return False  # whoever reads the dependencies will tell
    return isinstance(tool, dict) and "previewdrop" in tool


def _validated(table: Mapping[str, object], where: str) -> ProjectConfig:
    try:
        return ProjectConfig.model_validate(table)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True)
        unknown = [detail for detail in details if detail["type"] == "extra_forbidden"]
        raise _explained((unknown or details)[0], where) from error


def _explained(detail: ErrorDetails, where: str) -> BadConfig:
    parts = [str(part) for part in detail["loc"]]
    named = [part for part in parts if part != "[key]"]
    key = ".".join(part for part in named if not part.isdigit())
    if detail["type"] == "extra_forbidden":
        return _unknown(key, where)
    known = _fields()
    lookup = "processes.NAME" if named[0] == "processes" and len(named) > 1 else key
    example = _example(lookup, known.get(lookup))
    return BadConfig(f"{where}: {key} {_sentence(detail, key)}.", example)


def _sentence(detail: ErrorDetails, key: str) -> str:
    if key == "limits.memory" and detail["type"] in ("int_type", "value_error"):
        return "must be a size"
    if sentence := _EXPECTED.get(detail["type"]):
        return sentence
    bounds = detail.get("ctx", {})
    if "ge" in bounds:
        least = f"{bounds['ge'] // MIB}MiB" if key == "limits.memory" else bounds["ge"]
        return f"must be {least} or more"
    if "le" in bounds:
        return f"must be {bounds['le']} or less"
    if "gt" in bounds:
        return f"must be more than {bounds['gt']:g}"
    plain = detail["msg"].removeprefix("Value error, ").removesuffix(".")
    return plain.replace("Input should be", "must be")


def _unknown(key: str, where: str) -> BadConfig:
    known = [name for name in _fields() if not name.endswith(".NAME")]
    sections = [name for name in ProjectConfig.model_fields if name not in known]
    candidates = [*known, *sections]
    by_last = {name.rpartition(".")[2]: name for name in reversed(candidates)}
    last = nearest(key.rpartition(".")[2], by_last)
    near = nearest(key, candidates) or (last and by_last[last])
    hint = f"Did you mean {near}?" if near else f"Known keys: {', '.join(sorted(candidates))}."
    return BadConfig(f"{where}: unknown key {key!r}.", hint)


def _fields() -> dict[str, FieldInfo]:
    found: dict[str, FieldInfo] = {}
    for name, info in ProjectConfig.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found |= {f"{name}.{inner}": field for inner, field in section.model_fields.items()}
        else:
            found["processes.NAME" if name == "processes" else name] = info
    return found


def _example(key: str, info: FieldInfo | None) -> str | None:
    if info is None or not info.examples:
        return None
    value = info.examples[0]
    if key == "processes.NAME":
        return 'Write, for example, worker = "arq app.worker.Settings" under [processes].'
    section, _, name = key.rpartition(".")
    under = f" under [{section}]" if section else ""
    return f"Write, for example, {name} = {json.dumps(value)}{under}."

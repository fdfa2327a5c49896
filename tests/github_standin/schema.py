"""Turns schemas of an OpenAPI 3.0 description into JSON Schema, and stricter than they are.

OpenAPI 3.0 knows `nullable`, JSON Schema does not. And an answer with a property that GitHub does
not have would pass: here every object that names its properties allows no others, so that nobody
comes to rely on what only a stand-in says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_LISTS = ("allOf", "anyOf", "oneOf")
_KEPT = frozenset(
    {"type", "format", "enum", "required", "pattern", "multipleOf", "uniqueItems"}
) | {bound + what for bound in ("min", "max") for what in ("Length", "imum", "Items", "Properties")}


def bundled(schema: Schema, component: Callable[[str], Schema]) -> Schema:
    """A schema that stands alone: converted, with every component that it leads to."""
    whole: Schema = {"$schema": _DIALECT, **closed(schema)}
    found: dict[str, Schema] = {}
    ahead = list(references(whole))
    while ahead:
        name = ahead.pop()
        if name not in found:
            found[name] = converted(component(name))
            ahead.extend(references(found[name]))
    whole["$defs"] = found
    return whole


def closed(schema: Schema) -> Schema:
    """A schema where it is used: what it does not name is not allowed."""
    made = converted(schema)
    names = "$ref" in made or "properties" in made or any(each in made for each in _LISTS)
    if names and "additionalProperties" not in made:
        made["unevaluatedProperties"] = False
    return made


def converted(schema: Schema) -> Schema:
    """A schema as part of another one, which decides what else is allowed."""
    if "$ref" in schema:
        return {"$ref": "#/$defs/" + schema["$ref"].rpartition("/")[2]}
    made: Schema = {key: value for key, value in schema.items() if key in _KEPT}
    if schema.get("default") == "":
        made.pop("format", None)  # Nothing is a default of theirs, but no address.
    if "properties" in schema:
        made["properties"] = {name: closed(each) for name, each in schema["properties"].items()}
    if "items" in schema:
        made["items"] = closed(schema["items"])
    more = schema.get("additionalProperties")
    if more is not None:
        made["additionalProperties"] = (
            closed(cast("Schema", more)) if isinstance(more, dict) else more
        )
    for each in _LISTS:
        if each in schema:
            made[each] = [converted(one) for one in schema[each]]
    if (
        made.get("type") == "object"
        and not {"properties", "additionalProperties", *_LISTS} & made.keys()
    ):
        made["additionalProperties"] = True
    return _nullable(made) if schema.get("nullable") else made


def references(schema: Any) -> Iterator[str]:
    """Names of the components that a converted schema uses itself."""
    if isinstance(schema, dict):
        for key, value in cast("Schema", schema).items():
            if key == "$ref" and isinstance(value, str):
                yield value.rpartition("/")[2]
            else:
                yield from references(value)
    elif isinstance(schema, list):
        for each in cast("list[Any]", schema):
            yield from references(each)


def _nullable(made: Schema) -> Schema:
    if any(each in made for each in _LISTS):
        return {"anyOf": [made, {"type": "null"}]}
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    if "enum" in made and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    return made

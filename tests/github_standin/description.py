"""GitHub's own description of its API: the operations, and what they take and answer."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import jsonschema_rs

from github_standin.schema import Schema, bundled

FOLDER = Path(sys.prefix) / "github"
JSON_TYPE = "application/json"

_ANYTIME = frozenset({401, 403, 404, 422, 429}) | frozenset(range(500, 600))
_MOVED = frozenset({301, 302, 307})
_ERROR: Schema = {"$ref": "#/components/schemas/basic-error"}
_GREEDY = frozenset({"ref", "path"})
_ALIAS = re.compile(r"^/repositories/(\d+)(?=/|$)")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, such as `pulls/list`."""

    id: str
    method: str
    template: str
    spec: Schema = field(repr=False)
    description: Description = field(repr=False)

    @property
    def for_apps(self) -> bool:
        """Whether an installation's token may call it."""
        return self.spec["x-github"]["enabledForGitHubApps"]

    def parameters(self, place: str) -> Iterator[Schema]:
        for each in self.spec.get("parameters", ()):
            parameter = self.description.resolved(each)
            if parameter["in"] == place:
                yield parameter

    def wrong_request(
        self, path: Mapping[str, str], query: Mapping[str, str], body: Any
    ) -> list[str]:
        """What is wrong with a request, a sentence each. `body` is None if there was none."""
        wrong = [
            *self._wrong_parameters("path", path),
            *self._wrong_parameters("query", query),
        ]
        wanted = self.spec.get("requestBody")
        if wanted is None:
            return [*wrong, *(["it takes no body"] if body is not None else [])]
        if body is None:
            return [*wrong, *(["it needs a body"] if wanted.get("required") else [])]
        schema = self.description.resolved(wanted)["content"][JSON_TYPE]["schema"]
        return [*wrong, *self.description.differences(f"{self.id} body", schema, body)]

    def wrong_answer(self, status: int, body: Any) -> list[str]:
        """What is wrong with an answer. `body` is None if it has none."""
        documented = self.spec["responses"].get(str(status))
        content = self.description.resolved(documented or {}).get("content", {}).get(JSON_TYPE)
        if documented is None or (content is None and status >= 400):
            if documented is None and status not in _ANYTIME | _MOVED:
                return [f"it never answers {status}"]
            return self.description.differences("error", _ERROR, body)
        if content is None:
            return [f"its {status} has no body"] if body is not None else []
        return self.description.differences(f"{self.id} {status}", content["schema"], body)

    def _wrong_parameters(self, place: str, given: Mapping[str, str]) -> Iterator[str]:
        known = {each["name"]: each for each in self.parameters(place)}
        for name in given.keys() - known.keys():
            yield f"it takes no {place} parameter {name}"
        for name, parameter in known.items():
            if name in given:
                value = _typed(given[name], parameter["schema"])
                key = f"{self.id} {name}"
                for wrong in self.description.differences(key, parameter["schema"], value):
                    yield f"{name}={given[name]!r} {wrong}"
            elif parameter.get("required"):
                yield f"it needs {name}"


class Description:
    """`name` is the file that was fetched of it: `api.github.com` or `enterprise`."""

    def __init__(self, name: str) -> None:
        self._whole = cast("Schema", read(name))
        _correct(self._whole)
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self._routes = sorted(
            (
                (_pattern(template), template, item)
                for template, item in self._whole["paths"].items()
            ),
            key=lambda route: (route[1].count("{"), -len(route[1])),
        )

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation that a request means, and its path parameters.

        GitHub redirects from a former name to `/repositories/{id}`, which no description has; the
        id stands for `owner` then, and `repo` is empty.
        """
        alias = _ALIAS.match(path)
        if alias is not None:
            path = f"/repos/{alias[1]}/-{path[alias.end() :]}"
        for pattern, template, item in self._routes:
            match = pattern.fullmatch(path)
            if match is not None and method.lower() in item:
                values = {name: unquote(value) for name, value in match.groupdict().items()}
                if alias is not None:
                    values["repo"] = ""
                return self.operation(method, template), values
        return None

    def operation(self, method: str, template: str) -> Operation:
        spec = self._whole["paths"][template][method.lower()]
        return Operation(spec["operationId"], method, template, spec, self)

    def wrong_event(self, event: str, payload: Schema) -> list[str]:
        """What is wrong with the payload of a webhook."""
        name = "-".join([event, *([payload["action"]] if "action" in payload else ())])
        hook = self._whole["x-webhooks"].get(name.replace("_", "-"))
        if hook is None:
            return [f"there is no event {name}"]
        schema = hook["post"]["requestBody"]["content"][JSON_TYPE]["schema"]
        return self.differences(name, schema, payload)

    @property
    def events(self) -> dict[str, str]:
        """What is said of each event, by its name."""
        hooks = [hook["post"] for hook in self._whole["x-webhooks"].values()]
        return {hook["x-github"]["subcategory"]: hook["summary"] for hook in hooks}

    def component(self, name: str) -> Schema:
        return self._whole["components"]["schemas"][name]

    def example(self, name: str) -> Any:
        """An answer that the description gives as an example. Do not change it."""
        return self._whole["components"]["examples"][name]["value"]

    def resolved(self, thing: Schema) -> Schema:
        while "$ref" in thing:
            found = self._whole
            for key in thing["$ref"].removeprefix("#/").split("/"):
                found = found[key]
            thing = found
        return thing

    def differences(self, key: str, schema: Schema, value: Any) -> list[str]:
        """Where a value is not as the schema says. `key` tells schemas apart."""
        if key not in self._validators:
            self._validators[key] = jsonschema_rs.Draft202012Validator(
                bundled(schema, self.component), validate_formats=True
            )
        return [
            f"/{'/'.join(map(str, each.instance_path))}: {_shortened(each.message)}"
            for each in self._validators[key].iter_errors(value)
        ]


@functools.cache
def description(name: str = "api.github.com") -> Description:
    """Read once a process: it is large."""
    return Description(name)


@functools.cache
def read(name: str) -> Any:
    """A file that `prepare.py` fetched."""
    try:
        return json.loads((FOLDER / f"{name}.json").read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError("GitHub's description is not here: run `make github`.") from None


def _correct(whole: Schema) -> None:
    """Where the description contradicts its own examples, or what GitHub does.

    A pull request whose fork was deleted has no head repository, as webhooks describe it. The list
    of installations has a copy of their schema in which an account is a user *and* an enterprise.
    """
    components = whole["components"]["schemas"]
    for name in ("pull-request", "pull-request-simple"):
        head = components[name]["properties"]["head"]["properties"]
        head["repo"] = {"nullable": True, "allOf": [{"$ref": "#/components/schemas/repository"}]}
    installations = whole["paths"]["/app/installations"]["get"]["responses"]["200"]
    schema = installations["content"][JSON_TYPE]["schema"]
    schema["items"] = {"$ref": "#/components/schemas/installation"}


def _pattern(template: str) -> re.Pattern[str]:
    def group(match: re.Match[str]) -> str:
        return f"(?P<{match[1]}>{'.+?' if match[1] in _GREEDY else '[^/]+'})"

    return re.compile(re.sub(r"\\\{(\w+)\\\}", group, re.escape(template)))


def _typed(text: str, schema: Schema) -> Any:
    kind = schema.get("type")
    if kind == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def _shortened(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:140]} … {message[-140:]}"

"""Real payloads, and how their addresses become ours."""

from __future__ import annotations

import base64
import functools
from typing import Any, cast

from github_standin.description import read

Json = dict[str, Any]


@functools.cache
def examples(event: str) -> list[Json]:
    """Webhooks of this event that GitHub sent to somebody. Do not change them."""
    return next(each["examples"] for each in read("webhooks") if each["name"] == event)


def addressed(template: Json, *replacements: tuple[str, str]) -> Json:
    """The template with the addresses in it changed, nothing below its first level."""
    made: Json = {}
    for key, value in template.items():
        if isinstance(value, str) and ("url" in key or key == "href"):
            for old, new in replacements:
                value = value.replace(old, new)
        made[key] = value
    return made


def node_id(kind: str, id: int) -> str:
    """Opaque to everybody, but made of these two."""
    return base64.b64encode(f"{len(kind):03}:{kind}{id}".encode()).decode()


@functools.cache
def user_template() -> Json:
    return cast("Json", examples("pull_request")[-2]["sender"])


@functools.cache
def repository_template() -> Json:
    return cast("Json", examples("pull_request")[-2]["repository"])


@functools.cache
def organization_template() -> Json:
    return cast("Json", examples("push")[1]["organization"])

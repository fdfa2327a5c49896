"""`KEY=VALUE` on the command line as a project's setting: text, number, truth or list."""

from __future__ import annotations

import json
import shlex
from typing import Any

from previewdrop.cli.errors import WrongUsage

_TEXT = frozenset(
    {
        "root",
        "app",
        "health",
        "release",
        "post_deploy",
        "env_file",
        "python",
        "database.isolation",
        "limits.memory",
    }
)
_LISTS = frozenset({"watch", "database.extensions"})


def assignment(text: str) -> tuple[str, Any]:
    """A setting's dotted name and its value.

    An empty value is None, which takes the setting back. Lists are written with commas or as
    JSON. WrongUsage if there is no `=`.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise WrongUsage(f"{text!r} is not KEY=VALUE.", f"Write it as {shlex.quote(text)}=VALUE.")
    if not value.strip():
        return key, None
    if key in _TEXT or key.startswith("processes."):
        return key, value
    if key in _LISTS and not value.lstrip().startswith("["):
        return key, [part.strip() for part in value.split(",") if part.strip()]
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def assignments(texts: list[str]) -> dict[str, Any]:
    """Settings by their names; the last one of a name counts."""
    return dict(assignment(text) for text in texts)


def written(value: Any) -> str:
    """A setting's value as `assignment` reads it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

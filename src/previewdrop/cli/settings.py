"""`KEY=VALUE` on the command line as a project's setting; what it holds the server knows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from previewdrop.cli.errors import WrongUsage


def assignments(texts: Sequence[str]) -> dict[str, str | None]:
    """Settings by their dotted names; the last one of a name counts.

    An empty value is None, which takes the setting back. WrongUsage for what is not KEY=VALUE.
    """
    settings: dict[str, str | None] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise WrongUsage(f"{text!r} is not KEY=VALUE.", "Example: health=/healthz")
        settings[key.strip()] = value if value.strip() else None
    return settings


def written(value: Any) -> str:
    """A setting's value as people type it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""What everything of ours on an Engine is labelled with; what has no such label is not touched."""

from __future__ import annotations

from collections.abc import Mapping

INSTALLATION = "previewdrop.installation"
"""Whose it is: the data folder's short name. Without it nothing is ours."""

ROLE = "previewdrop.role"
"""`db` or `cache` for a service; `web`, a process's name or `command` for what a preview runs."""

PREVIEW = "previewdrop.preview"
DEPLOYMENT = "previewdrop.deployment"
ADDRESS = "previewdrop.address"
"""The fixed address of a web container: one that does not run holds none on its network.

Each label is set on each container, if only to nothing: an image may have labels of its own.
"""

FINGERPRINT = "previewdrop.fingerprint"
KEY = "previewdrop.key"
PROJECT = "previewdrop.project"

WEB = "web"
COMMAND = "command"


def selecting(installation: str, more: Mapping[str, object] | None = None) -> dict[str, list[str]]:
    """The filter of a list call that finds what is ours and has those labels too."""
    wanted = {INSTALLATION: installation, **(more or {})}
    return {"label": [f"{name}={value}" for name, value in wanted.items()]}


def name_of(installation: str, *parts: object) -> str:
    """A name on the Engine, which all of its users share."""
    return "-".join(("previewdrop", installation, *(str(part) for part in parts)))

"""What an image is named, and what its configuration says of the app in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection

from previewdrop.drivers.base import ImageSpec
from previewdrop.drivers.docker.commands import Json

_USUAL_PORT = 3000
_FORMAT = "1"
"""Changes when the same content would be built otherwise."""


def image_key(digest: str, image: ImageSpec, dockerfile: str, secrets: Collection[str]) -> str:
    """A name for everything that decides what is built, but for base images and networks.

    `digest` is that of the context, Dockerfile included; `secrets` are names, not values, as in
    BuildKit's own cache.
    """
    decisive = [_FORMAT, digest, dockerfile, image.target, sorted(image.args), sorted(secrets)]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]


def repository(installation: str, project: str) -> str:
    """The name of a project's images on the Engine, without a tag; without a project its start."""
    return f"previewdrop-{installation}/{project}"


def exposed_port(config: Json) -> int | None:
    """The port that an image's app listens on: the one of its PORT, else one that it exposes.

    `config` is `Config` of `GET /images/{name}/json`. Of several exposed ports it is 3000 if it is
    one of them, else the lowest.
    """
    exposed: list[str] = list(config.get("ExposedPorts") or {})
    ports = {
        int(number) for number, _, kind in (e.partition("/") for e in exposed) if kind != "udp"
    }
    environment: list[str] = config.get("Env") or []
    for variable in environment:
        name, _, value = variable.partition("=")
        if name == "PORT" and value.isdecimal() and 0 < int(value) < 65536:
            return int(value)
    if _USUAL_PORT in ports:
        return _USUAL_PORT
    return min(ports, default=None)

"""What is asked of the Engine for one build: the order, and the query of `POST /build`.

https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageBuild
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from previewdrop.domain.secret import Secret
from previewdrop.drivers.docker.buildkit import steps
from previewdrop.drivers.docker.buildkit.limits import Bounds


@dataclass(frozen=True, slots=True)
class Order:
    """What to build. Paths are those in the tar; `timeout` is in seconds.

    The tar is built as it is: leave out what .dockerignore says. `args` are build arguments, which
    the image's history shows to everybody; `secrets` are what `RUN --mount=type=secret,id=…` asks
    for by its id, and nobody else sees. `network` is that of RUN: None for the Engine's own
    choice, "none" or "host". `bounds` are those of each RUN step.
    """

    tags: tuple[str, ...]
    dockerfile: str = "Dockerfile"
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: Mapping[str, Secret] = field(default_factory=dict[str, Secret])
    platform: str | None = None
    network: str | None = None
    bounds: Bounds | None = None
    timeout: float = 900


def query(order: Order, build: str, session: str, mark: IPv6Address) -> dict[str, object]:
    """The query of `POST /build`. Secrets are no part of it.

    `build` is the id by which it is cancelled, `mark` what its steps are known by.
    """
    asked: dict[str, object | None] = {
        "version": "2",
        "t": order.tags[0] if order.tags else None,
        "dockerfile": order.dockerfile,
        "target": order.target,
        "buildargs": dict(order.args) or None,
        "labels": dict(order.labels) or None,
        "platform": order.platform,
        "networkmode": order.network,
        "extrahosts": steps.extra_host(mark),
        "buildid": build,
        "session": session,
    }
    return {name: value for name, value in asked.items() if value is not None}


def tagging(name: str) -> dict[str, object]:
    """The query that gives an image one more name."""
    repository, _, tag = name.rpartition(":")
    return {"repo": repository, "tag": tag} if repository and "/" not in tag else {"repo": name}

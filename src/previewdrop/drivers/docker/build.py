"""One BuildKit build through the Engine's own API, without any client of Docker's.

https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageBuild
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from previewdrop.domain.secret import Secret
from previewdrop.drivers.base import LogLine
from previewdrop.drivers.docker.engine import Engine


def _nothing() -> dict[str, str]:
    return {}


def _no_secrets() -> dict[str, Secret]:
    return {}


@dataclass(frozen=True, slots=True)
class Order:
    """What to build. Paths are those in the tar; `timeout` is in seconds.

    `args` are build arguments, which the image's history shows to everybody; `secrets` are what
    `RUN --mount=type=secret,id=…` asks for by its id, and nobody else sees. `network` is that of
    RUN: None for the Engine's own choice, "none" or "host". `cgroup_parent` is the control group
    in which Engines that honour it run the steps.
    """

    tags: tuple[str, ...]
    dockerfile: str = "Dockerfile"
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=_nothing)
    labels: Mapping[str, str] = field(default_factory=_nothing)
    secrets: Mapping[str, Secret] = field(default_factory=_no_secrets)
    platform: str | None = None
    network: str | None = None
    cgroup_parent: str | None = None
    timeout: float = 900


@dataclass(frozen=True, slots=True)
class Built:
    """The image's id (`sha256:…`), and how many steps of its Dockerfile ran or were there."""

    image: str
    executed: int
    cached: int


async def build(engine: Engine, order: Order, context: AsyncIterator[bytes], log: LogLine) -> Built:
    """Builds the image of a tar and names it; `log` gets redacted lines of plain text.

    StageFailed when the repository's author can mend it, or after `order.timeout`; Unavailable
    when the Engine or a registry did not answer. A build that is cancelled or out of time is
    stopped with every process of its steps, and leaves no image.
    """
    raise NotImplementedError

"""Images that must be there: found on the Engine, or pulled from their registry."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from previewdrop.domain.errors import ServerError
from previewdrop.drivers.docker.engine import Engine, Refused

_TIMEOUT = 900.0

_log = logging.getLogger(__name__)


async def present(engine: Engine, reference: str, setting: str) -> Mapping[str, Any]:
    """The inspection of the image, which is pulled if the Engine lacks it.

    `setting` is the variable that names the image. ServerError when it cannot be had. Registries
    that want to know who asks are not asked by us: `docker pull` knows how.
    """
    if (found := await engine.get(f"/images/{reference}/json")) is not None:
        return found
    _log.info("Pulling the image %s …", reference)
    try:
        async with asyncio.timeout(_TIMEOUT):
            await _pull(engine, with_tag(reference))
    except Refused as error:
        raise _missing(reference, setting, error.reason) from error
    except TimeoutError as error:
        raise _missing(reference, setting, f"not done within {_TIMEOUT:g} s") from error
    if (found := await engine.get(f"/images/{reference}/json")) is None:
        raise _missing(reference, setting, "it is not there afterwards")
    return found


async def _pull(engine: Engine, reference: str) -> None:
    query = {"fromImage": reference}
    async with engine.stream("POST", "/images/create", query=query) as answer:
        async for line in answer.aiter_lines():
            if not line.strip():
                continue
            said = json.loads(line)
            if reason := failure(said):
                raise Refused(answer.status_code, reason)
            if news := progress(said):
                _log.info("%s: %s", reference, news)


def with_tag(reference: str) -> str:
    """The reference with a tag or digest; without one the Engine would pull all of its tags."""
    name = reference.rpartition("/")[2]
    return reference if ":" in name or "@" in name else f"{reference}:latest"


def failure(said: Mapping[str, Any]) -> str | None:
    """Why the pull failed, if this line of its progress says that it did."""
    detail: Mapping[str, str] = said.get("errorDetail") or {}
    reason: str | None = detail.get("message") or said.get("error")
    return reason.strip().rstrip(".") if reason else None


def progress(said: Mapping[str, Any]) -> str | None:
    """A line for the log; None for what only moves a bar."""
    if said.get("progressDetail") or not said.get("status"):
        return None
    layer = f"{said['id']}: " if said.get("id") else ""
    return f"{layer}{said['status']}"


def _missing(reference: str, setting: str, reason: str) -> ServerError:
    return ServerError(
        f"The image {reference} of {setting} could not be pulled: {reason}.",
        f"Run `docker pull {reference}` to see more, or set {setting} to an image that is there.",
    )

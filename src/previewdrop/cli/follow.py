"""Watching a preview until it is where it should be: the state alone decides, streams may break."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Protocol, cast

from previewdrop.cli.client import Api, Event, preview_path
from previewdrop.cli.views import LogEntry, Preview
from previewdrop.domain.errors import NotFound, Unavailable
from previewdrop.domain.preview import DeploymentState

GIVE_UP = 60.0
"""Seconds without an answer after which a server counts as gone."""

_SILENCE = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0


class Outcome(StrEnum):
    """How a wait ended."""

    READY = "ready"
    FAILED = "failed"
    WAITING = "waiting"
    REMOVED = "removed"


class Screen(Protocol):
    """Where progress is shown."""

    def preview(self, preview: Preview) -> None:
        """The preview's state, each time it changed."""
        ...

    def log(self, entry: LogEntry) -> None:
        """A line of a stage that is running."""
        ...

    def trouble(self, text: str | None) -> None:
        """What keeps the server from answering, or None when it answers again."""
        ...


def outcome(preview: Preview, generation: int) -> Outcome | None:
    """What became of the request that got `generation`; None while it is under way.

    A newer push replaces the commit that is waited for. A cancelled deployment is no end: the
    server deploys what is wanted again.
    """
    if preview["state"] == "removed":
        return Outcome.REMOVED
    deployment = preview["deployment"]
    if deployment and answers(preview, generation):
        state = DeploymentState(deployment["state"])
        if state is DeploymentState.READY:
            return Outcome.READY
        if state is DeploymentState.FAILED:
            return Outcome.FAILED
        if state is not DeploymentState.CANCELLED:
            return None
    return Outcome.WAITING if preview["waiting"] else None


def answers(preview: Preview, generation: int) -> bool:
    """Whether the latest deployment is of the wanted commit and not older than the request."""
    deployment = preview["deployment"]
    return (
        deployment is not None
        and deployment["generation"] >= generation
        and deployment["commit"] == preview["desired_commit"]
    )


def follow(
    api: Api,
    name: str,
    until: Callable[[Preview], Outcome | None],
    screen: Screen,
    *,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Outcome, Preview | None]:
    """Shows the preview's progress until `until` has an answer; None stands for a preview gone.

    A stream that breaks is opened again, at the server's new address if it has one. Unavailable
    after a minute without any answer.
    """
    last: Preview | None = None
    heard, delay = clock(), _FIRST_PAUSE
    while True:
        try:
            for event in _changes(api, name):
                heard, delay = clock(), _FIRST_PAUSE
                screen.trouble(None)
                if event.kind == "log" and event.data.get("preview", name) == name:
                    screen.log(event.data)
                elif event.kind == "preview" and event.data["name"] == name:
                    last = preview = cast("Preview", event.data)
                    screen.preview(preview)
                    if (end := until(preview)) is not None:
                        return end, preview
        except NotFound:
            return Outcome.REMOVED, last
        except Unavailable:
            if clock() - heard >= GIVE_UP:
                raise
            screen.trouble("The server does not answer.")
        pause(delay)
        delay = min(delay * 2, _LONGEST_PAUSE)
        api.rediscover()


def _changes(api: Api, name: str) -> Iterator[Event]:
    """The preview's events until the stream ends, then its state, which may say that it is gone."""
    with api.events("/api/v1/events", query={"preview": name}, silence=_SILENCE) as events:
        yield from events
    yield Event("preview", api.get(preview_path(name)))

"""When a wait ends, and that broken streams do not matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from previewdrop.cli.client import Api
from previewdrop.cli.follow import GIVE_UP, Outcome, follow, outcome
from previewdrop.domain.errors import Unavailable

Make = Callable[..., Any]
NEWER = "f" * 40
PATH = "/api/v1/previews/shop/feature-new-auth"


class Recorder:
    """A screen that keeps what it was shown."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.lines: list[str] = []
        self.troubles: list[str | None] = []

    def preview(self, preview: Any) -> None:
        self.states.append(preview["deployment"]["state"] if preview["deployment"] else "none")

    def log(self, entry: Any) -> None:
        self.lines.append(entry["line"])

    def trouble(self, text: str | None) -> None:
        self.troubles.append(text)


class Time:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    ("preview", "deployment", "end"),
    [
        ({}, {}, Outcome.READY),
        ({}, {"state": "failed"}, Outcome.FAILED),
        ({}, {"state": "building"}, None),
        ({}, {"generation": 0}, None),
        ({"desired_commit": NEWER}, {}, None),
        ({"generation": 2}, {"state": "cancelled"}, None),
        ({}, {"state": "cancelled"}, None),
        ({"waiting": "2 are live."}, {"state": "cancelled"}, Outcome.WAITING),
        ({"generation": 3}, {"generation": 3}, Outcome.READY),
        ({"waiting": "2 are live."}, {"generation": 0}, Outcome.WAITING),
        ({"waiting": "soon"}, {"state": "building"}, None),
        ({"state": "removed"}, {}, Outcome.REMOVED),
    ],
)
def test_the_state_alone_decides(
    make_preview: Make,
    make_deployment: Make,
    preview: dict[str, Any],
    deployment: dict[str, Any],
    end: Outcome | None,
) -> None:
    assert outcome(make_preview(deployment=make_deployment(**deployment), **preview), 1) is end


def test_nothing_deployed_yet(make_preview: Make) -> None:
    assert outcome(make_preview(deployment=None), 1) is None
    assert outcome(make_preview(deployment=None, waiting="full"), 1) is Outcome.WAITING


def run(api: Api, generation: int = 1) -> tuple[Outcome, Any, Recorder, Time]:
    screen, time = Recorder(), Time()
    end, last = follow(
        api,
        "shop/feature-new-auth",
        lambda preview: outcome(preview, generation),
        screen,
        pause=time.pause,
        clock=time,
    )
    return end, last, screen, time


def test_follows_the_events_to_the_end(
    server: Any, api: Api, sse: Any, make_preview: Make, make_deployment: Make
) -> None:
    building = make_preview(deployment=make_deployment(state="building"))
    line = {"preview": "shop/feature-new-auth", "deployment": 7, "source": "build", "line": "hello"}
    other = {**line, "preview": "shop/other", "line": "not mine"}
    server.on(
        "GET",
        "/api/v1/events",
        sse(("preview", building), ("log", line), ("log", other), ("preview", make_preview())),
    )
    end, last, screen, time = run(api)
    assert end is Outcome.READY
    assert last["state"] == "ready"
    assert screen.states == ["building", "ready"]
    assert screen.lines == ["hello"]
    assert time.pauses == []
    assert server.asked == [("GET", "/api/v1/events?preview=shop%2Ffeature-new-auth", None)]


def test_a_server_that_restarts_is_found_again(
    server: Any, api: Api, sse: Any, make_preview: Make, make_deployment: Make
) -> None:
    building = make_preview(deployment=make_deployment(state="building"))
    server.on(
        "GET",
        "/api/v1/events",
        sse(("preview", building)),
        httpx2.ConnectError("refused"),
        httpx2.ReadError("reset"),
        sse(("preview", make_preview())),
    )
    server.on("GET", PATH, httpx2.ConnectError("refused"))
    end, _, screen, time = run(api)
    assert end is Outcome.READY
    assert "The server does not answer." in screen.troubles
    assert screen.troubles[-1] is None
    assert time.pauses == [0.2, 0.4, 0.8]


def test_a_stream_that_ends_without_news_asks_for_the_state(
    server: Any, api: Api, sse: Any, make_preview: Make
) -> None:
    server.on("GET", "/api/v1/events", sse())
    server.on("GET", PATH, (200, make_preview()))
    assert run(api)[0] is Outcome.READY


def test_a_preview_that_is_gone_is_removed(server: Any, api: Api) -> None:
    assert run(api)[:2] == (Outcome.REMOVED, None)


def test_gives_up_after_a_minute(server: Any, api: Api) -> None:
    server.on("GET", "/api/v1/events", httpx2.ConnectError("refused"))
    screen, time = Recorder(), Time()
    with pytest.raises(Unavailable, match="No PreviewDrop server is running"):
        follow(api, "shop/x", lambda _: None, screen, pause=time.pause, clock=time)
    assert GIVE_UP <= time.now < GIVE_UP + 5

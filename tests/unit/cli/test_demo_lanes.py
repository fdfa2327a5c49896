"""Previews asked for at the same moment: what each lane knows and shows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from rich.text import Text

from previewdrop.cli import client
from previewdrop.cli.client import Api
from previewdrop.cli.demo_lanes import Lane, run_together
from previewdrop.cli.follow import Outcome
from previewdrop.cli.story import Change

Make = Callable[..., Any]
ASK = "/api/v1/projects/shop/previews"


@pytest.fixture
def change() -> Change:
    return Change("feature/new-auth", "Ali", "ali@example.com", "Rename", "Ali.", Path())


@pytest.fixture
def pending(make_preview: Make) -> Any:
    return make_preview(state="pending", commit=None, deployment=None)


def run(lane: Lane, api: Api) -> Lane:
    lane.run(api, "shop", threading.Barrier(1))
    return lane


def test_a_lane_ends_when_its_preview_is_ready(
    server: Any, api: Api, change: Change, pending: Any, make_preview: Make, sse: Make
) -> None:
    server.on("POST", ASK, (202, pending))
    server.on("GET", "/api/v1/events", sse(("preview", pending), ("preview", make_preview())))
    lane = run(Lane(change), api)
    assert server.asked[0] == ("POST", ASK, {"branch": "feature/new-auth"})
    assert (lane.outcome, lane.live_before, lane.error) == (Outcome.READY, False, None)
    assert lane.progress().remark == make_preview()["url"]


def test_what_is_live_already_is_not_waited_for(
    server: Any, api: Api, change: Change, make_preview: Make
) -> None:
    server.on("POST", ASK, (202, make_preview()))
    lane = run(Lane(change), api)
    assert (lane.outcome, lane.live_before) == (Outcome.READY, True)
    assert len(server.asked) == 1


def test_a_server_that_refuses_fails_the_lane_alone(server: Any, api: Api, change: Change) -> None:
    server.on("POST", ASK, (422, {"title": "Bad", "detail": "There is no such branch."}))
    lane = run(Lane(change), api)
    assert lane.outcome is Outcome.FAILED
    assert lane.progress().remark == "There is no such branch."


def test_a_lane_tells_the_stage_that_runs_and_its_last_line(
    change: Change, make_preview: Make, make_deployment: Make, make_stage: Make
) -> None:
    now = [100.0]
    lane = Lane(change, clock=lambda: now[0])
    stages = [make_stage("checkout"), make_stage("build", "running"), make_stage("cache")]
    lane.preview(make_preview(deployment=make_deployment(state="building", stages=stages)))
    lane.log({"source": "cache", "line": "other", "at": None})
    lane.log({"source": "build", "line": "Installed 24 packages", "at": None})
    lane.log({"source": "build", "line": "  ", "at": None})
    now[0] = 102.5
    seen = lane.progress()
    assert (seen.stage, seen.seconds, seen.remark) == ("build", 2.5, "Installed 24 packages")


def test_trouble_is_shown_until_it_is_over(change: Change) -> None:
    lane = Lane(change)
    lane.trouble("The server does not answer.")
    assert lane.progress().remark == "The server does not answer."
    lane.trouble(None)
    assert lane.progress().remark is None


def test_why_a_deployment_failed_is_the_remark(
    server: Any, api: Api, change: Change, pending: Any, make_preview: Make,
    make_deployment: Make, sse: Make,
) -> None:  # fmt: skip
    error: dict[str, Any] = {
        "stage": "health", "message": "the app ended with 1", "hint": None, "exit_code": 1,
        "status": None, "log_tail": [],
    }  # fmt: skip
    failed = make_preview(state="failed", deployment=make_deployment(state="failed", error=error))
    server.on("POST", ASK, (202, pending))
    server.on("GET", "/api/v1/events", sse(("preview", failed)))
    lane = run(Lane(change), api)
    assert (lane.outcome, lane.progress().remark) == (Outcome.FAILED, "the app ended with 1")


def test_where_lines_cannot_move_each_stage_is_told_once(
    server: Any, api: Api, change: Change, pending: Any, make_preview: Make,
    make_deployment: Make, make_stage: Make, sse: Make,
) -> None:  # fmt: skip
    shown: list[str] = []

    def show(line: Text) -> None:
        shown.append(line.plain)

    def at(state: str, *stages: Any) -> tuple[str, Any]:
        deployment = make_deployment(state=state, stages=list(stages))
        return "preview", make_preview(deployment=deployment)

    build = make_stage("build", seconds=4.0)
    server.on("POST", ASK, (202, pending))
    server.on(
        "GET",
        "/api/v1/events",
        sse(
            at("building", make_stage("build", "running")),
            at("building", build),
            at("deploying", build, make_stage("start", seconds=0.4)),
            at("ready", build, make_stage("start", seconds=0.4)),
        ),
    )
    run(Lane(change, show, clock=lambda: 0.0), api)
    assert shown == [
        "  Ali      ✓ build         4.0 s",
        "  Ali      ✓ start         0.4 s",
        f"  ✓ Ali    feature/new-auth    ready         0.0 s   {make_preview()['url']}",
    ]


def test_all_lanes_ask_before_any_is_answered(
    server: Any, change: Change, make_preview: Make
) -> None:
    """Each answer waits until all have asked: one after the other would never end."""
    all_there = threading.Barrier(4, timeout=10)

    def answer(_: httpx2.Request) -> httpx2.Response:
        all_there.wait()
        return httpx2.Response(202, json=make_preview())

    server.on("POST", ASK, answer)
    lanes = [Lane(change) for _ in range(4)]
    run_together(lanes, client.connect, "shop")
    assert [lane.outcome for lane in lanes] == [Outcome.READY] * 4

"""A deployment on the screen, as text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from previewdrop.cli import display, tables
from previewdrop.cli.ages import ago, moment, short, until
from previewdrop.cli.printable import coloured, plain
from previewdrop.cli.screen import LiveScreen, PlainScreen

NOW = datetime(2026, 5, 21, 9, 0, tzinfo=UTC)
Make = Callable[..., Any]


def text(lines: list[Text]) -> str:
    return "\n".join(line.plain for line in lines)


def test_progress_looks_as_promised(
    make_preview: Make, make_deployment: Make, make_stage: Make
) -> None:
    deployment = make_deployment(
        state="deploying",
        stages=[
            make_stage("checkout"),
            make_stage("detect", seconds=0.01),
            make_stage("build", seconds=0.4, note="environment 3f9a reused"),
            make_stage("database", note="shop_feature_new_auth"),
            make_stage("release", "skipped", seconds=None),
            make_stage("start", seconds=0.7),
            make_stage("post-deploy", "running", seconds=None),
        ],
    )
    preview = make_preview(deployment=deployment)
    lines = [
        display.headline(preview, deployment),
        *display.stage_lines(
            deployment,
            now=0.2,
            elapsed={"post-deploy": 0.9},
            said={"post-deploy": "→ Loading seed data for preview…"},
        ),
    ]
    assert text(lines) == (
        "shop · feature/new-auth · a1b2c3d Add contact e-mail\n"
        "  ✓ checkout      0.1 s\n"
        "  ✓ build         0.4 s   environment 3f9a reused\n"
        "  ✓ database      0.1 s   shop_feature_new_auth\n"
        "  ✓ start         0.7 s\n"
        "  ⠹ post-deploy   0.9 s   → Loading seed data for preview…"
    )


def test_long_stages_stay_in_their_column(make_stage: Make) -> None:
    assert display.stage_line(make_stage("build", seconds=123.4)).plain == "  ✓ build       123.4 s"


def test_nothing_begun_yet() -> None:
    lines = display.stage_lines(None, now=0, elapsed={}, said={})
    assert text(lines) == "  ⠋ queued"


def test_the_end_is_three_links_and_what_should_be_known(
    make_preview: Make, make_deployment: Make
) -> None:
    preview = make_preview(
        deployment=make_deployment(notes=["The database was recreated."]),
        warnings=["Previews are not sandboxed."],
    )
    assert text(display.ready_block(preview)) == (
        "🚀 Preview ready in 2.9 s   https://feature-new-auth.shop.localhost:7443\n"
        "📚 API docs                 https://feature-new-auth.shop.localhost:7443/docs\n"
        "🔍 Health                   https://feature-new-auth.shop.localhost:7443/health\n"
        "  The database was recreated.\n"
        "! Previews are not sandboxed."
    )


FAILURE: Any = {
    "stage": "post-deploy",
    "message": "`bash bin/preview-entrypoint.sh` ended with 127 after 2.3 s",
    "hint": "The image has no curl. PreviewDrop already checks /health; drop the line, or install "
    "curl in the Dockerfile.",
    "exit_code": 127,
    "status": None,
    "log_tail": ["bin/preview-entrypoint.sh: line 12: curl: command not found"],
}


def test_failure_looks_as_promised(make_preview: Make) -> None:
    preview = make_preview(name="shop/pr-42", commit="9f8e7d6" + "0" * 33)
    lines = display.failure_block(
        preview, FAILURE, live_since=datetime(2026, 5, 20, 8, 0, tzinfo=UTC), now=NOW
    )
    assert text(lines) == (
        "✗ post-deploy failed: `bash bin/preview-entrypoint.sh` ended with 127 after 2.3 s\n"
        "    bin/preview-entrypoint.sh: line 12: curl: command not found\n"
        "  The image has no curl. PreviewDrop already checks /health; drop the line, or install "
        "curl in the Dockerfile.\n"
        "  Still live: 9f8e7d6 (yesterday). Full log: previewdrop logs shop/pr-42 --build"
    )


def test_the_stage_is_not_named_twice(make_preview: Make) -> None:
    failure = {**FAILURE, "message": "post-deploy failed: exit 1", "hint": None, "log_tail": []}
    lines = display.failure_block(make_preview(commit=None), failure, live_since=None, now=NOW)
    assert text(lines) == (
        "✗ post-deploy failed: exit 1\n"
        "  Nothing is live yet. Full log: previewdrop logs shop/feature-new-auth --build"
    )


def test_when_the_live_commit_went_live(make_preview: Make, make_deployment: Make) -> None:
    older = "9f8e7d6" + "0" * 33
    history = [
        make_deployment(state="failed"),
        make_deployment(commit=older, finished_at="2026-05-20T08:00:00Z"),
        make_deployment(commit=older, finished_at="2026-05-19T08:00:00Z"),
    ]
    since = display.went_live(make_preview(commit=older), history)
    assert since == datetime(2026, 5, 20, 8, 0, tzinfo=UTC)
    assert display.went_live(make_preview(commit=older), []) is None


def rendered(screen: LiveScreen, width: int = 60) -> str:
    console = Console(width=width, file=None, color_system=None, force_terminal=True)
    with console.capture() as capture:
        console.print(screen.render())
    return capture.get()


def test_the_live_screen_counts_seconds_and_shows_the_last_line_cut_to_width(
    make_preview: Make, make_deployment: Make, make_stage: Make
) -> None:
    now = [100.0]
    screen = LiveScreen(1, clock=lambda: now[0])
    running = make_deployment(
        state="building", seconds=None, stages=[make_stage("build", "running", seconds=0.5)]
    )
    screen.preview(make_preview(deployment=running))
    screen.log({"source": "build", "line": "\x1b[2KResolved " + "x" * 80, "at": None})
    screen.log({"source": "build", "line": "  ", "at": None})
    now[0] += 2
    lines = rendered(screen).splitlines()
    assert lines[1].startswith("  ⠋ build         2.5 s   Resolved xxx") or "2.5 s" in lines[1]
    assert lines[1].rstrip().endswith("…")
    assert all(len(line) <= 60 for line in lines)


def test_the_live_screen_shows_no_stages_of_an_older_deployment(
    make_preview: Make, make_stage: Make, make_deployment: Make
) -> None:
    screen = LiveScreen(2, clock=lambda: 0.0)
    screen.preview(make_preview(deployment=make_deployment(stages=[make_stage("build")])))
    assert "build" not in rendered(screen)
    assert "queued" in rendered(screen)


def test_a_pipe_gets_each_ended_stage_once_and_no_escapes(
    make_preview: Make, make_deployment: Make, make_stage: Make
) -> None:
    console = Console(force_terminal=False, highlight=False, width=80)
    screen = PlainScreen(console, 1)
    with console.capture() as capture:
        # The title of the commit is known only when the checkout is done.
        screen.preview(make_preview(deployment=make_deployment(state="queued", title=None)))
        first = [make_stage("checkout"), make_stage("build", "running", seconds=None)]
        screen.preview(make_preview(deployment=make_deployment(state="building", stages=first)))
        second = [make_stage("checkout"), make_stage("build", seconds=3.0)]
        for _ in range(2):
            screen.preview(make_preview(deployment=make_deployment(stages=second)))
        screen.trouble("The server does not answer.")
        screen.trouble("The server does not answer.")
    assert capture.get() == (
        "shop · feature/new-auth · a1b2c3d Add contact e-mail\n"
        "  ✓ checkout      0.1 s\n"
        "  ✓ build         3.0 s\n"
        "! The server does not answer. Trying again.\n"
    )


def test_the_list(make_preview: Make, make_deployment: Make) -> None:
    previews = [
        make_preview(),
        make_preview(
            name="shop/pr-42",
            commit=None,
            state="pending",
            url="https://pr-42.shop.localhost:7443",
            deployment=make_deployment(state="building"),
            created_at="2026-05-21T08:48:00Z",
        ),
    ]
    assert text(tables.previews_table(previews, NOW)) == (
        "NAME                   STATE               URL                      "
        "                     COMMIT   AGE\n"
        "shop/feature-new-auth  ready               https://feature-new-auth.shop.localhost:7443"
        "  a1b2c3d  1d\n"
        "shop/pr-42             pending (building)  https://pr-42.shop.localhost:7443           "
        "  –        12m"
    )


def test_the_status_of_one(make_preview: Make, make_deployment: Make, make_stage: Make) -> None:
    preview = make_preview(
        number=42,
        warnings=["Not sandboxed."],
        deployment=make_deployment(stages=[make_stage("build", note="reused")]),
    )
    assert text(tables.preview_in_full(preview, NOW)) == (
        "shop/feature-new-auth   ready\n"
        "  URL           https://feature-new-auth.shop.localhost:7443\n"
        "  API docs      https://feature-new-auth.shop.localhost:7443/docs\n"
        "  Health        https://feature-new-auth.shop.localhost:7443/health\n"
        "  branch        feature/new-auth (#42)\n"
        "  commit        a1b2c3d Add contact e-mail\n"
        "  database      shop_feature_new_auth (user shop_fna)\n"
        "  redis         database 1\n"
        "  created       yesterday\n"
        "  expires       in 13 days\n"
        "\n"
        "deployment 7 of a1b2c3d: ready in 2.9 s\n"
        "  ✓ build         0.1 s   reused\n"
        "\n"
        "! Not sandboxed."
    )


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("a\x1b[2J\x1b[1;1Hb", "ab"),
        ("10%\r 50%\r100%", "100%"),
        ("tab\tbed\n", "tab    bed"),
        ("evil\u202etxt\x00\x9b", "eviltxt"),
        ("\x1b", ""),
    ],
)
def test_logs_cannot_steer_the_terminal(said: str, shown: str) -> None:
    assert plain(said) == shown


def test_colours_of_logs_stay_and_end_with_the_line() -> None:
    assert coloured("\x1b[31mred\x1b[2J") == "\x1b[31mred\x1b[0m"
    assert coloured("plain\x1b]0;x\x07") == "plain"


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("2026-05-21T08:59:30Z", "just now"),
        ("2026-05-21T08:55:00Z", "5 minutes ago"),
        ("2026-05-21T08:00:00Z", "1 hour ago"),
        ("2026-05-20T09:00:00Z", "yesterday"),
        ("2026-05-18T09:00:00Z", "3 days ago"),
    ],
)
def test_ages(then: str, said: str) -> None:
    assert ago(moment(then), NOW) == said


def test_times_to_come_and_short_ages() -> None:
    assert until(moment("2026-06-04T08:59:58Z"), NOW) == "in 14 days"
    assert until(moment("2026-05-21T10:00:00Z"), NOW) == "in 1 hour"
    assert until(moment("2026-05-21T08:00:00"), NOW) == "now"
    assert short(moment("2026-05-21T08:59:56Z"), NOW) == "4s"
    assert short(moment("2026-05-21T04:59:00Z"), NOW) == "4h"

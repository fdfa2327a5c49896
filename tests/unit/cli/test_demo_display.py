"""How the demo looks, as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from previewdrop.cli import demo_display
from previewdrop.cli.demo_display import Progress
from previewdrop.cli.follow import Outcome
from previewdrop.cli.story import load_story

Make = Callable[..., Any]


def text(lines: Any) -> list[str]:
    return [line.plain for line in lines]


@pytest.fixture
def make_named(make_preview: Make, make_deployment: Make) -> Make:
    def make(slug: str, *stages: Any, **changes: Any) -> Any:
        url = f"https://{slug}.shop.localhost:7443"
        return make_preview(
            name=f"shop/{slug}",
            url=url,
            docs_url=f"{url}/docs",
            database={"name": f"shop_{slug.replace('-', '_')}", "user": "u", "schema": None},
            deployment=make_deployment(stages=list(stages)),
            **changes,
        )

    return make


def test_the_heading_tells_the_story() -> None:
    lines = text(demo_display.heading(load_story(), "process"))
    assert lines[0] == "Four engineers, one staging server"
    assert lines[1] == "  Ali's migration renames users.email to users.contact_email."
    assert lines[4] == "  Your branch touches none of these."
    assert lines[5].endswith("Here each branch gets its own process,")
    assert all(len(line) <= 100 for line in lines)


def test_the_heading_says_what_each_branch_gets() -> None:
    lines = text(demo_display.heading(load_story(), "docker"))
    assert lines[5].endswith("Here each branch gets its own container,")


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress("Ali", "ali/rename-email"), "  ⠋ Ali    ali/rename-email    queued"),
        (
            Progress("Ben", "ben/email-search", None, "build", 2.34, "Installed 24 packages"),
            "  ⠋ Ben    ben/email-search    build         2.3 s   Installed 24 packages",
        ),
        (
            Progress("You", "you/health-version", Outcome.READY, "route", 4.0, "https://you"),
            "  ✓ You    you/health-version  ready         4.0 s   https://you",
        ),
        (
            Progress("Ben", "ben/email-search", Outcome.FAILED, "health", 9.0, "It did not start"),
            "  ✗ Ben    ben/email-search    failed        9.0 s   It did not start",
        ),
        (
            Progress("Ben", "b", Outcome.REMOVED, "health", 9.0),
            "  – Ben    b                   removed       9.0 s",
        ),
    ],
)
def test_a_lane(progress: Progress, line: str) -> None:
    assert demo_display.lane(progress, 0).plain == line


def test_a_lane_turns() -> None:
    lane = Progress("Ali", "ali/rename-email")
    assert demo_display.lane(lane, 0).plain != demo_display.lane(lane, 0.1).plain


def test_a_log_line_cannot_steer_the_terminal() -> None:
    said = Progress("Ali", "a", None, "build", 1.0, "\x1b[2Jgone")
    assert "\x1b" not in demo_display.lane(said, 0).plain


def test_a_stage_on_a_line_of_its_own(make_stage: Make) -> None:
    stage = make_stage("build", seconds=6.0, note="environment 3f9a built")
    assert demo_display.stage_ended("Ali", stage).plain == (
        "  Ali      ✓ build         6.0 s   environment 3f9a built"
    )


def test_the_table(make_named: Make) -> None:
    rows = [
        ("Ali", make_named("ali-rename-email", redis={"db": 3}), False),
        ("You", make_named("you-health-version"), True),
    ]
    lines = text(demo_display.table(rows, 100))
    assert lines == [
        "WHO  URL                                             DATABASE                 REDIS"
        "  READY IN",
        "Ali  https://ali-rename-email.shop.localhost:7443    shop_ali_rename_email    3    "
        "  2.9 s",
        "You  https://you-health-version.shop.localhost:7443  shop_you_health_version  1    "
        "  live before",
    ]
    assert all(len(line) <= 100 for line in lines)


def test_on_a_narrow_terminal_urls_stand_below_their_rows(make_named: Make) -> None:
    rows = [("Ali", make_named("ali-rename-email"), False)]
    assert text(demo_display.table(rows, 60)) == [
        "WHO  DATABASE               REDIS  READY IN",
        "Ali  shop_ali_rename_email  1      2.9 s",
        "  https://ali-rename-email.shop.localhost:7443",
    ]


def test_the_environment_is_said_to_be_shared(make_named: Make, make_stage: Make) -> None:
    built = make_stage("build", note="environment 3f9a built, 24 packages")
    reused = make_stage("build", cached=True, note="environment 3f9a reused")

    def note(*stages: Any) -> str | None:
        return demo_display.environment_note([make_named("a", each) for each in stages])

    assert note(reused, built, reused) == (
        "The dependencies were installed once and are shared: environment 3f9a built, 24 packages."
    )
    assert (note(reused, reused) or "").startswith("No dependency was installed")
    assert note(built, built) is None
    assert demo_display.environment_note([make_named("a"), make_named("b", built)]) is None


def test_what_to_try_next_and_how_to_stop(make_named: Make) -> None:
    cast = {
        who: make_named(slug)
        for who, slug in (
            ("Ali", "ali-rename-email"),
            ("Ben", "ben-email-search"),
            ("Chloe", "chloe-cache-keys"),
        )
    }
    more = [("docker ps --all", "their containers")]
    said = "\n".join(text(demo_display.next_steps(cast, "previewdrop", "/home/ca.pem", more)))
    for command in (
        "https://ali-rename-email.shop.localhost:7443/docs ",
        "previewdrop list ",
        "previewdrop psql ali-rename-email -- -c '\\d users' ",
        "previewdrop logs ben-email-search --follow ",
        "docker ps --all ",
        "previewdrop up ",
        "previewdrop down --all ",
        "previewdrop shutdown ",
        "/home/ca.pem",
    ):
        assert command in f"{said}\n".replace("\n", " \n")

"""`demo`: four engineers' branches of one example, live at the same time."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from previewdrop.cli import client, demo_display, demo_lanes, screen
from previewdrop.cli.demo_lanes import Lane
from previewdrop.cli.demo_scene import Scene, set_up, settle
from previewdrop.cli.deploy import ending
from previewdrop.cli.follow import Outcome
from previewdrop.cli.options import Json, print_json
from previewdrop.cli.story import load_story
from previewdrop.cli.views import Preview

if TYPE_CHECKING:
    from previewdrop.cli.demo_check import Verdict

commands = typer.Typer(rich_markup_mode=None)


@commands.command("demo")
def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Prove it all, remove everything again, and exit.")
    ] = False,
    runtime: Annotated[
        Literal["process", "docker"] | None,
        typer.Option(
            "--runtime",
            help="Where the previews run. Else: where the server puts them; process for a new one.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Show four branches of an example live at the same time.

    Makes a Git repository with the branches of four engineers, who would break each other on one
    shared server, starts the server if none answers, and deploys all four at once. They stay
    live, and the server goes on in the background.

    A server that is started for it runs previews as processes, which need nothing but Python;
    --runtime docker runs them in containers, built from the example's Dockerfile.

    With --check every claim is proved through the public URLs, one branch is updated by a push,
    and everything is removed again. The exit code is 0 only if every check has passed.

    \b
    Examples:
      previewdrop demo
      previewdrop demo --check
      previewdrop demo --check --runtime docker --json
    """
    terminal = screen.console(stderr=json)
    story = load_story()
    name = settle(runtime)
    screen.show(terminal, demo_display.heading(story, name))
    try:
        scene = set_up(story, terminal, name, check=check)
        run = deploy_all(scene, terminal)
        if not check:
            if json:
                print_json(_document(name, run))
            elif run.ready:
                screen.show(terminal, _next_steps(scene, run))
            return 0 if run.ready else 1
        from previewdrop.cli.demo_check import prove

        verdict = prove(scene, run.ready_ones, terminal)
    except KeyboardInterrupt:
        stop = "What was begun goes on; `previewdrop down --all` removes it."
        screen.show(terminal, [Text(stop)])
        return 130
    if json:
        print_json(_document(name, run, verdict))
    return 0 if run.ready and all(each.passed for each in verdict.checks) else 1


@dataclass(frozen=True, slots=True)
class Run:
    """What came of the four deployments, in `seconds` from the first request to the last end."""

    lanes: Sequence[Lane]
    seconds: float

    @property
    def ready(self) -> bool:
        return all(lane.outcome is Outcome.READY for lane in self.lanes)

    @property
    def ready_ones(self) -> dict[str, Preview]:
        """The preview of each engineer for whom one is live."""
        return {
            lane.change.author: lane.latest
            for lane in self.lanes
            if lane.latest and lane.outcome is Outcome.READY
        }

    @property
    def previews(self) -> list[Preview]:
        return [lane.latest for lane in self.lanes if lane.latest]


def deploy_all(scene: Scene, terminal: Console) -> Run:
    """Asks for all previews at the same moment, follows them, and shows what came of it."""
    began = time.monotonic()
    with demo_lanes.shown(terminal, scene.story.branches) as lanes:
        demo_lanes.run_together(lanes, client.connect, scene.project)
    run = Run(lanes, round(time.monotonic() - began, 3))
    screen.show(terminal, [Text(), *_came_of_it(scene, run, terminal)])
    return run


def _came_of_it(scene: Scene, run: Run, terminal: Console) -> list[Text]:
    lines: list[Text] = []
    rows = [
        (lane.change.author, lane.latest, lane.live_before)
        for lane in run.lanes
        if lane.latest and lane.outcome is Outcome.READY
    ]
    if rows:
        width = terminal.width if terminal.is_terminal else None
        lines += demo_display.table(rows, width)
    if run.ready:
        before = all(lane.live_before for lane in run.lanes)
        title = f"🚀 All {len(rows)} are live at the same time"
        title += ", and were already." if before else f", after {run.seconds:.1f} s."
        note = scene.runtime.installed(run.previews)
        lines += [Text(), Text(title, "bold"), *([Text(note)] if note else [])]
    for lane in run.lanes:
        if lane.outcome is Outcome.READY:
            continue
        lines += [Text(), demo_display.lane(lane.progress(), 0)]
        if lane.latest and lane.outcome and not lane.error:
            lines += ending(scene.api, lane.outcome, lane.latest)
    return lines


def _document(name: str, run: Run, verdict: Verdict | None = None) -> dict[str, Any]:
    """All of it as JSON."""
    return {
        "runtime": name,
        "previews": run.previews,
        "seconds": run.seconds,
        "checks": [each.as_json() for each in verdict.checks] if verdict else [],
        "held": verdict.ledger.as_json() if verdict else {},
    }


def _next_steps(scene: Scene, run: Run) -> list[Text]:
    ca_file = str(scene.server_home.ca_file)
    return demo_display.next_steps(run.ready_ones, _program(), ca_file, scene.runtime.tries)


def _program() -> str:
    """How the user calls this command: `uv run` puts it on PATH only while it runs."""
    script = Path(sys.argv[0])
    if "UV_RUN_RECURSION_DEPTH" not in os.environ and shutil.which("previewdrop"):
        return "previewdrop"
    if script.name != "previewdrop":
        return f"{sys.executable} -m previewdrop"
    return os.path.relpath(script) if script.is_relative_to(Path.cwd()) else str(script)

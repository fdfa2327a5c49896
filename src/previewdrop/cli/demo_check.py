"""`demo --check`: proves what the demo claims, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from previewdrop.cli import address, demo_ledger, demo_teardown, screen
from previewdrop.cli.demo_checklist import Check, Checklist, Unproven
from previewdrop.cli.demo_ledger import Ledger
from previewdrop.cli.demo_live import Cast, Engineer, introduce, prove_live
from previewdrop.cli.demo_push import prove_push
from previewdrop.cli.demo_scene import Scene
from previewdrop.cli.views import Preview


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every claim as it was looked at, and what was listed before and after the removal."""

    checks: list[Check]
    ledger: Ledger


def prove(scene: Scene, ready: Mapping[str, Preview], terminal: Console) -> Verdict:
    """Proves the claims of the four previews that are `ready`, then removes everything.

    When not all four are ready that is the check that failed, and everything is removed at once.
    A server that was started for the demo is stopped.
    """
    checks = Checklist(terminal)
    screen.show(terminal, [Text()])
    cast: dict[str, Engineer] = {}
    ledger = Ledger()

    def meet() -> None:
        wanted = [change.author for change in scene.story.branches]
        if missing := [who for who in wanted if who not in ready]:
            raise Unproven(f"No preview is ready for {', '.join(missing)}.")
        cast.update(introduce(scene.api, ready, scene.server_home.ca_file))

    if checks.prove("Four previews are ready at the same time", meet):
        prove_live(checks, cast, address.recorded(scene.server_home).get("edge_http_port"))
        scene.runtime.prove_apart(checks, cast)
        _prove_pushes(checks, scene, cast)
        ledger = demo_teardown.prove_removal(checks, scene, cast)
    for each in cast.values():
        each.visitor.close()
    checks.prove(
        "The demo's project and repository are removed", lambda: demo_teardown.clear(scene)
    )
    if scene.started:
        demo_teardown.prove_shutdown(checks, scene)
    screen.show(terminal, demo_ledger.lines(ledger))
    checks.close()
    return Verdict(checks.checks, ledger)


def _prove_pushes(checks: Checklist, scene: Scene, cast: dict[str, Engineer]) -> None:
    for change in scene.story.pushes:
        who = _of(cast, change.branch)
        cast[who] = prove_push(checks, scene, cast[who], change)


def _of(cast: Cast, branch: str) -> str:
    return next(who for who, each in cast.items() if each.preview["branch"] == branch)

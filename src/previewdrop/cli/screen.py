"""Progress on the screen: lines that move on a terminal, one plain line a stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from previewdrop.cli import display
from previewdrop.cli.follow import Screen, answers
from previewdrop.cli.views import Deployment, LogEntry, Preview

_REFRESH = 12


def console(*, stderr: bool = False) -> Console:
    """The terminal, without rich's guesses about what in a text deserves colour."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def show(console: Console, lines: Sequence[Text]) -> None:
    """Prints finished lines; long ones are left to the terminal to wrap, so they copy well."""
    for line in lines:
        console.print(line, soft_wrap=True)


@contextmanager
def progress(console: Console, generation: int) -> Generator[Screen]:
    """A screen for the deployment that answers `generation`."""
    if not console.is_terminal:
        yield PlainScreen(console, generation)
        return
    screen = LiveScreen(generation)
    with Live(
        get_renderable=screen.render,
        console=console,
        refresh_per_second=_REFRESH,
        vertical_overflow="visible",
    ):
        try:
            yield screen
        finally:
            screen.finished = True


@contextmanager
def spinner(console: Console, text: str | None = None) -> Generator[Callable[[str], None]]:
    """A turning mark beside `text` while something takes its time; elsewhere the text alone.

    Gives a function that changes the text; without any nothing is shown. On a terminal the line
    is gone afterwards.
    """
    if not console.is_terminal:
        if text:
            console.print(Text(text))
        yield lambda text: console.print(Text(text))
        return
    said, began = [text], time.monotonic()

    def line() -> Text:
        if not said[0]:
            return Text()
        now = time.monotonic()
        return Text.assemble(
            (display.frame(now), "cyan"), f" {said[0]} ", (f"{now - began:.1f} s", "dim")
        )

    def change(text: str) -> None:
        said[0] = text

    with Live(get_renderable=line, console=console, refresh_per_second=_REFRESH, transient=True):
        yield change


class LiveScreen:
    """What is known of a deployment, drawn anew many times a second."""

    def __init__(self, generation: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.finished = False
        self._generation = generation
        self._clock = clock
        self._preview: Preview | None = None
        self._deployment: Deployment | None = None
        self._began: dict[str, float] = {}
        self._said: dict[str, str] = {}
        self._trouble: str | None = None

    def preview(self, preview: Preview) -> None:
        deployment = preview["deployment"] if answers(preview, self._generation) else None
        if _id(deployment) != _id(self._deployment):
            self._began, self._said = {}, {}
        now = self._clock()
        for stage in deployment["stages"] if deployment else ():
            if stage["state"] == "running":
                self._began.setdefault(stage["name"], now - (stage["seconds"] or 0))
        self._preview, self._deployment = preview, deployment

    def log(self, entry: LogEntry) -> None:
        if entry["line"].strip():
            self._said[entry["source"]] = entry["line"]

    def trouble(self, text: str | None) -> None:
        self._trouble = text

    def render(self) -> Group:
        """The lines as they are at this moment, each cut to the terminal's width."""
        now = self._clock()
        if self._preview is None:
            lines = [Text.assemble((display.frame(now), "cyan"), " Waiting for the server…")]
        else:
            lines = [display.headline(self._preview, self._deployment)]
            if self._deployment or not self.finished:
                lines += display.stage_lines(
                    self._deployment,
                    now=now,
                    elapsed={name: now - began for name, began in list(self._began.items())},
                    said=dict(self._said),
                )
        if self._trouble and not self.finished:
            lines.append(Text.assemble(("! ", "yellow"), f"{self._trouble} Trying again…"))
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)


class PlainScreen:
    """One line for each stage that has ended, for logs and pipes."""

    def __init__(self, console: Console, generation: int) -> None:
        self._console = console
        self._generation = generation
        self._deployment: int | None = None
        self._told: set[str] = set()
        self._trouble: str | None = None

    def preview(self, preview: Preview) -> None:
        deployment = preview["deployment"]
        if deployment is None or not answers(preview, self._generation):
            return
        ended = [stage for stage in deployment["stages"] if stage["state"] != "running"]
        if deployment["id"] != self._deployment and (deployment["title"] or ended):
            self._deployment, self._told = deployment["id"], set()
            show(self._console, [display.headline(preview, deployment)])
        for stage in ended:
            if stage["name"] not in self._told:
                self._told.add(stage["name"])
                if display.shown(stage):
                    show(self._console, [display.stage_line(stage)])

    def log(self, entry: LogEntry) -> None:
        """Only a terminal can show lines that come and go."""

    def trouble(self, text: str | None) -> None:
        if text and text != self._trouble:
            show(self._console, [Text(f"! {text} Trying again.")])
        self._trouble = text


def _id(deployment: Deployment | None) -> int | None:
    return deployment["id"] if deployment else None

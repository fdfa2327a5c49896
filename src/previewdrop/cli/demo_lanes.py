"""Several previews asked for at the same moment and followed side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from previewdrop.cli import demo_display, display, screen
from previewdrop.cli.client import Api, project_path
from previewdrop.cli.demo_display import Progress
from previewdrop.cli.follow import Outcome, answers, follow, outcome
from previewdrop.cli.story import Change
from previewdrop.cli.views import LogEntry, Preview
from previewdrop.domain.errors import PreviewDropError, Unavailable

_REFRESH = 12
_LOOK = 0.1


class Lane:
    """One engineer's preview on its way: what the server said of it last.

    `show` prints lines; without it nothing is printed and `progress` tells where it is.
    """

    def __init__(
        self,
        change: Change,
        show: Callable[[Text], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.change = change
        self.latest: Preview | None = None
        self.outcome: Outcome | None = None
        self.error: PreviewDropError | None = None
        self.live_before = False
        self._show = show
        self._clock = clock
        self._began = clock()
        self._ended: float | None = None
        self._told: set[str] = set()
        self._said: dict[str, str] = {}
        self._trouble: str | None = None
        self._generation = 0

    def run(self, api: Api, project: str, begin: threading.Barrier) -> None:
        """Asks for the preview when all lanes are there, and follows it to its end."""
        try:
            begin.wait()
            self._began = self._clock()
            path = project_path(project, "previews")
            wanted: Preview = api.post(path, {"branch": self.change.branch})
            self.latest, self._generation = wanted, wanted["generation"]
            self.outcome = self._until(wanted)
            self.live_before = self.outcome is Outcome.READY
            if self.outcome is None:
                self.outcome, last = follow(api, wanted["name"], self._until, self)
                self.latest = last or wanted
        except PreviewDropError as error:
            self.error, self.outcome = error, Outcome.FAILED
        except threading.BrokenBarrierError:
            self.error = Unavailable("The demo was interrupted before it had asked.")
            self.outcome = Outcome.FAILED
        finally:
            self._ended = self._clock()
            if self._show:
                self._show(demo_display.lane(self.progress(), 0))

    def preview(self, preview: Preview) -> None:
        self.latest = preview
        deployment = preview["deployment"]
        if self._show is None or deployment is None or not answers(preview, self._generation):
            return
        for stage in deployment["stages"]:
            if stage["state"] != "running" and stage["name"] not in self._told:
                self._told.add(stage["name"])
                if display.shown(stage):
                    self._show(demo_display.stage_ended(self.change.author, stage))

    def log(self, entry: LogEntry) -> None:
        if entry["line"].strip():
            self._said[entry["source"]] = entry["line"]

    def trouble(self, text: str | None) -> None:
        self._trouble = text

    def progress(self) -> Progress:
        """Where the preview is at this moment."""
        stage = self._stage()
        return Progress(
            who=self.change.author,
            branch=self.change.branch,
            outcome=self.outcome,
            stage=stage,
            seconds=(self._ended or self._clock()) - self._began,
            remark=self._remark(stage),
        )

    def _until(self, preview: Preview) -> Outcome | None:
        return outcome(preview, self._generation)

    def _stage(self) -> str | None:
        """The first stage that runs; between two of them the one that ended last."""
        preview = self.latest
        if preview is None or not answers(preview, self._generation):
            return None
        stages = preview["deployment"]["stages"] if preview["deployment"] else []
        running = [each["name"] for each in stages if each["state"] == "running"]
        return running[0] if running else stages[-1]["name"] if stages else None

    def _remark(self, stage: str | None) -> str | None:
        preview = self.latest
        if self.outcome is Outcome.READY and preview:
            return preview["url"]
        if self.error:
            return self.error.message
        if self.outcome is not None and preview:
            deployment = preview["deployment"]
            failure = deployment["error"] if deployment else None
            return failure["message"] if failure else preview["waiting"]
        return self._trouble or (self._said.get(stage) if stage else None)


def run_together(lanes: Sequence[Lane], connect: Callable[[], Api], project: str) -> None:
    """Runs all lanes until each has ended. Ctrl-C ends the wait and not the deployments."""
    begin = threading.Barrier(len(lanes))
    threads = [
        # A daemon does not keep the process when the user has pressed Ctrl-C.
        threading.Thread(target=lane.run, args=(connect(), project, begin), daemon=True)
        for lane in lanes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(_LOOK)


@contextmanager
def shown(terminal: Console, changes: Sequence[Change]) -> Generator[list[Lane]]:
    """A lane for each change: moving lines on a terminal, finished ones elsewhere."""
    if not terminal.is_terminal:
        lock = threading.Lock()

        def show(line: Text) -> None:
            with lock:
                screen.show(terminal, [line])

        yield [Lane(change, show) for change in changes]
        return
    lanes = [Lane(change) for change in changes]

    def render() -> Group:
        now = time.monotonic()
        lines = [demo_display.lane(each.progress(), now) for each in lanes]
        lines += [Text(), Text("  The dependencies are installed once, for all of them.", "dim")]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)

    with Live(get_renderable=render, console=terminal, refresh_per_second=_REFRESH, transient=True):
        yield lanes

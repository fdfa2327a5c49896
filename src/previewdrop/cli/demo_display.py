"""The demo as lines of text, from what is known of each engineer's preview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from previewdrop.cli import display, tables
from previewdrop.cli.demo_runtime import NOUNS
from previewdrop.cli.follow import Outcome
from previewdrop.cli.printable import plain
from previewdrop.cli.story import Story
from previewdrop.cli.views import Preview, Stage

_WHO, _BRANCH, _STAGE = 7, 20, 12
_MARKS = {Outcome.READY: ("✓", "green"), Outcome.REMOVED: ("–", "yellow")}


@dataclass(frozen=True, slots=True)
class Progress:
    """One engineer's preview at a moment: where it is, for how many seconds, what was said last."""

    who: str
    branch: str
    outcome: Outcome | None = None
    stage: str | None = None
    seconds: float | None = None
    remark: str | None = None


def heading(story: Story, runtime: str) -> list[Text]:
    """What the four of them do, and what becomes of it."""
    return [
        Text(story.title, "bold"),
        *(Text(f"  {change.tell}") for change in story.branches),
        Text(
            "On one shared server they break each other. "
            f"Here each branch gets its own {NOUNS[runtime]},"
        ),
        Text("PostgreSQL database, Redis database and HTTPS URL, all four at the same moment."),
        Text(),
    ]


def lane(progress: Progress, now: float) -> Text:
    """`⠹ Ali    ali/rename-email    build        2.3 s   Installing 33 packages`."""
    ended = progress.outcome is not None
    mark, style = (
        _MARKS.get(progress.outcome, ("✗", "red"))
        if progress.outcome
        else (display.frame(now), "cyan")
    )
    stage = progress.outcome.value if progress.outcome else progress.stage or "queued"
    line = Text.assemble(
        "  ", (mark, style), f" {progress.who:<{_WHO}}", f"{plain(progress.branch):<{_BRANCH}}"
    )
    line.append(f"{stage:<{_STAGE}}", style if ended else "")
    line.append(f"{progress.seconds:>5.1f} s" if progress.seconds is not None else " " * 7)
    if remark := plain(progress.remark or ""):
        line.append(f"   {remark}", "" if progress.outcome is Outcome.READY else "dim")
    line.rstrip()
    return line


def stage_ended(who: str, stage: Stage) -> Text:
    """A finished stage where lines cannot move: `  Ali     ✓ build         4.1 s   …`."""
    return Text(f"  {who:<{_WHO}}").append_text(display.stage_line(stage))


def table(rows: Sequence[tuple[str, Preview, bool]], width: int | None = None) -> list[Text]:
    """Who has which URL, database and Redis number; the flag says that it was live before.

    When the table is wider than `width` cells each URL stands below its row.
    """
    header = ["WHO", "URL", "DATABASE", "REDIS", "READY IN"]
    cells = [
        [
            who,
            preview["url"],
            preview["database"]["name"] if preview["database"] else "–",
            str(preview["redis"]["db"]) if preview["redis"] else "–",
            "live before" if before else _seconds(preview),
        ]
        for who, preview, before in rows
    ]
    lines = tables.columns(header, cells)
    if width is None or max(line.cell_len for line in lines) <= width:
        return lines
    narrow = tables.columns(_without_url(header), [_without_url(row) for row in cells])
    below = [Text(f"  {each[1]}") for each in cells]
    return [narrow[0], *(line for pair in zip(narrow[1:], below, strict=True) for line in pair)]


def environment_note(previews: Sequence[Preview]) -> str | None:
    """How often the dependencies were installed; None if no build says so."""
    builds = [stage for each in previews for stage in _stages(each) if stage["name"] == "build"]
    notes = [plain(stage["note"]) for stage in builds if stage["note"] and not stage["cached"]]
    if len(builds) != len(previews) or len(notes) > 1:
        return None
    if not notes:
        return "No dependency was installed: the environment was there already, for all of them."
    return f"The dependencies were installed once and are shared: {notes[0]}."


def next_steps(
    cast: Mapping[str, Preview], program: str, ca_file: str, more: Sequence[tuple[str, str]] = ()
) -> list[Text]:
    """What to try with each engineer's preview, the runtime's own commands, and how to stop."""
    ali, ben, chloe = (cast[name] for name in ("Ali", "Ben", "Chloe"))
    tries = [
        (ali["docs_url"], "Ali's API in Swagger UI"),
        (f"{program} list", "all previews"),
        (f"{program} psql {_slug(ali)} -- -c '\\d users'", "the renamed column"),
        (f"{program} redis-cli {_slug(chloe)} -- KEYS '*'", "empty until somebody reads a user"),
        (f"{program} logs {_slug(ben)} --follow", "what the app prints"),
        *more,
        (f"{program} up", "in your own repository"),
    ]
    stops = [
        (f"{program} down --all", "removes all previews"),
        (f"{program} shutdown", "stops the server; data is kept"),
    ]
    width = max(len(command) for command, _ in (*tries, *stops)) + 3
    return [
        Text(),
        Text("What to try next", "bold"),
        *_commands(tries, width),
        Text("How to stop", "bold"),
        *_commands(stops, width),
        Text(),
        Text(f"The certificates are of this installation's own authority: {ca_file}", "dim"),
        Text("Browsers warn until they trust it; curl takes it with --cacert.", "dim"),
    ]


def _commands(rows: Sequence[tuple[str, str]], width: int) -> list[Text]:
    return [
        Text.assemble(
            f"  {command:<{width}}".rstrip(" "), " " * (width - len(command)), (why, "dim")
        )
        for command, why in rows
    ]


def _without_url(row: list[str]) -> list[str]:
    return [row[0], *row[2:]]


def _slug(preview: Preview) -> str:
    return preview["name"].partition("/")[2]


def _stages(preview: Preview) -> Sequence[Stage]:
    return preview["deployment"]["stages"] if preview["deployment"] else ()


def _seconds(preview: Preview) -> str:
    seconds = preview["deployment"]["seconds"] if preview["deployment"] else None
    return f"{seconds:.1f} s" if seconds is not None else "–"

"""A deployment as lines of text, from its state alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from rich.text import Text

from previewdrop.cli.ages import ago, moment
from previewdrop.cli.printable import plain
from previewdrop.cli.views import Deployment, Failure, Preview, Stage

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_PER_SECOND = 12
_MARKS = {"done": ("✓", "green"), "failed": ("✗", "red"), "cancelled": ("–", "yellow")}
_TOO_SHORT_TO_MENTION = 0.05


def headline(preview: Preview, deployment: Deployment | None) -> Text:
    """`shop · feature/new-auth · a1b2c3d Add contact e-mail`."""
    line = Text.assemble((preview["project"], "bold"), " · ", plain(preview["branch"]))
    if preview["number"] is not None:
        line.append(f" · #{preview['number']}")
    commit = deployment["commit"] if deployment else preview["desired_commit"]
    if commit:
        line.append(f" · {commit[:7]}")
    if deployment and deployment["title"]:
        line.append(f" {plain(deployment['title'])}")
    return line


def stage_lines(
    deployment: Deployment | None,
    *,
    now: float,
    elapsed: Mapping[str, float],
    said: Mapping[str, str],
) -> list[Text]:
    """One line for each stage worth showing, and one that turns when nothing has begun yet.

    `now` is any running clock in seconds; it turns the mark of what is running. `elapsed` holds
    the seconds of each running stage, `said` the last log line of each.
    """
    if deployment is None or not deployment["stages"]:
        return [Text.assemble("  ", (frame(now), "cyan"), " queued")]
    return [
        stage_line(stage, now=now, elapsed=elapsed.get(stage["name"]), said=said.get(stage["name"]))
        for stage in deployment["stages"]
        if shown(stage)
    ]


def stage_line(
    stage: Stage, *, now: float = 0, elapsed: float | None = None, said: str | None = None
) -> Text:
    """`  ✓ build         0.4 s   environment 3f9a reused`."""
    running = stage["state"] == "running"
    mark, style = (frame(now), "cyan") if running else _MARKS.get(stage["state"], ("·", "dim"))
    seconds = elapsed if running and elapsed is not None else stage["seconds"]
    line = Text.assemble("  ", (mark, style), f" {stage['name']:<12}")
    line.append(f"{seconds:>5.1f} s" if seconds is not None else " " * 7)
    if remark := plain((said if running else None) or stage["note"] or "").strip():
        line.append(f"   {remark}", "dim")
    line.rstrip()
    return line


def shown(stage: Stage) -> bool:
    """Whether people want to read about a stage: not if it was skipped or took no time."""
    if stage["state"] == "done":
        return bool(stage["note"]) or (stage["seconds"] or 0) >= _TOO_SHORT_TO_MENTION
    return stage["state"] != "skipped"


def ready_block(preview: Preview) -> list[Text]:
    """The three links that the work was for, then what the server wants to be known."""
    deployment = preview["deployment"]
    seconds = deployment["seconds"] if deployment else None
    title = "🚀 Preview ready" + (f" in {seconds:.1f} s" if seconds is not None else "")
    rows = [
        (title, preview["url"]),
        ("📚 API docs", preview["docs_url"]),
        ("🔍 Health", preview["health_url"]),
    ]
    lines = [Text.assemble(f"{label:<{len(title)}}   ", (url, "bold")) for label, url in rows]
    notes = deployment["notes"] if deployment else []
    return [*lines, *(Text(f"  {plain(note)}", "dim") for note in notes), *warnings(preview)]


def warnings(preview: Preview) -> list[Text]:
    """What weakens the preview, one line each."""
    return [Text.assemble(("! ", "yellow"), plain(each)) for each in preview["warnings"]]


def failure_block(
    preview: Preview, failure: Failure, *, live_since: datetime | None, now: datetime
) -> list[Text]:
    """Why it failed, what to do, what is live meanwhile, and where to read more."""
    stage, message = plain(failure["stage"]), plain(failure["message"])
    if not message.startswith(f"{stage} "):
        message = f"{stage} failed: {message}"
    lines = [Text.assemble(("✗ ", "red"), (message, "bold"))]
    lines += [Text(f"    {plain(line)}") for line in failure["log_tail"]]
    if failure["hint"]:
        lines.append(Text(f"  {plain(failure['hint'])}"))
    return [*lines, Text(f"  {still_live(preview, live_since, now)} {full_log(preview)}", "dim")]


def still_live(preview: Preview, since: datetime | None, now: datetime) -> str:
    """`Still live: 9f8e7d6 (yesterday).`"""
    if preview["commit"] is None:
        return "Nothing is live yet."
    age = f" ({ago(since, now)})" if since else ""
    return f"Still live: {preview['commit'][:7]}{age}."


def full_log(preview: Preview) -> str:
    return f"Full log: previewdrop logs {preview['name']} --build"


def went_live(preview: Preview, deployments: list[Deployment]) -> datetime | None:
    """When the commit that is live now became so."""
    times = [
        moment(each["finished_at"])
        for each in deployments
        if each["state"] == "ready" and each["commit"] == preview["commit"] and each["finished_at"]
    ]
    return max(times, default=None)


def frame(now: float) -> str:
    """The turning mark at a moment."""
    return FRAMES[int(now * _FRAMES_PER_SECOND) % len(FRAMES)]

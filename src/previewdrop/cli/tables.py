"""Previews, projects and variables as lines of text: lists, and one preview in full."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len
from rich.text import Text

from previewdrop.cli import display
from previewdrop.cli.ages import ago, moment, short, until
from previewdrop.cli.printable import plain
from previewdrop.cli.settings import written
from previewdrop.cli.views import Preview, Project, Variable

_STYLES = {"ready": "green", "failed": "red", "pending": "yellow", "sleeping": "cyan"}


def columns(header: Sequence[str], rows: Sequence[Sequence[Text | str]]) -> list[Text]:
    """A table whose last column is left ragged; nothing is cut, so that it copies well."""
    cells = [[Text(name, "dim") for name in header]]
    cells += [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    widths = [max(cell_len(row[at].plain) for row in cells) for at in range(len(header))]
    lines: list[Text] = []
    for row in cells:
        line = Text()
        for cell, width in zip(row, widths, strict=True):
            line.append_text(cell).append(" " * (width - cell_len(cell.plain) + 2))
        line.rstrip()
        lines.append(line)
    return lines


def previews_table(previews: Sequence[Preview], now: datetime) -> list[Text]:
    """Name, state, URL, live commit and age of each preview."""
    rows = [
        (
            preview["name"],
            _state(preview),
            preview["url"],
            (preview["commit"] or "–")[:7],
            short(moment(preview["created_at"]), now),
        )
        for preview in previews
    ]
    return columns(("NAME", "STATE", "URL", "COMMIT", "AGE"), rows)


def projects_table(projects: Sequence[Project]) -> list[Text]:
    rows = [(each["name"], str(each["previews"]), each["source"]) for each in projects]
    return columns(("NAME", "PREVIEWS", "SOURCE"), rows)


def project_facts(project: Project) -> list[Text]:
    """A project's source, its previews and its settings by their dotted names."""
    facts = [("source", project["source"]), ("previews", str(project["previews"]))]
    facts += [(key, plain(written(value))) for key, value in project["settings"].items()]
    width = max(len(label) for label, _ in facts) + 2
    return [Text.assemble("  ", (f"{label:<{width}}", "dim"), value) for label, value in facts]


def variables_table(variables: Sequence[Variable]) -> list[Text]:
    """Name, value and scope of each variable; a secret's value is •••."""
    rows = [
        (
            each["name"],
            "•••" if each["value"] is None else plain(each["value"]),
            each["preview"] or each["branch"] or "every preview",
        )
        for each in variables
    ]
    return columns(("NAME", "VALUE", "FOR"), rows)


def preview_in_full(preview: Preview, now: datetime) -> list[Text]:
    """Everything about one preview: links, commits, data, times, stages and warnings."""
    deployment = preview["deployment"]
    facts: list[tuple[str, str]] = [
        ("URL", preview["url"]),
        ("API docs", preview["docs_url"]),
        ("Health", preview["health_url"]),
        ("branch", plain(preview["branch"]) + _number(preview)),
        ("commit", _commit(preview)),
    ]
    if database := preview["database"]:
        where = f", schema {database['schema']}" if database.get("schema") else ""
        facts.append(("database", f"{database['name']} (user {database['user']}{where})"))
    if redis := preview["redis"]:
        facts.append(("redis", f"database {redis['db']}"))
    facts.append(("created", ago(moment(preview["created_at"]), now)))
    if requested := preview["last_request_at"]:
        facts.append(("last request", ago(moment(requested), now)))
    if expires := preview["expires_at"]:
        facts.append(("expires", until(moment(expires), now)))
    lines = [Text.assemble((preview["name"], "bold"), "   ", _state(preview))]
    lines += [Text.assemble("  ", (f"{label:<14}", "dim"), value) for label, value in facts]
    if preview["waiting"]:
        lines += [Text(), Text.assemble(("! ", "yellow"), plain(preview["waiting"]))]
    if deployment:
        title = f"deployment {deployment['id']} of {deployment['commit'][:7]}: "
        took = f" in {deployment['seconds']:.1f} s" if deployment["seconds"] is not None else ""
        lines += [Text(), Text(f"{title}{deployment['state']}{took}")]
        lines += [
            display.stage_line(stage)
            for stage in deployment["stages"]
            if stage["state"] != "skipped"
        ]
        lines += [Text(f"  {plain(note)}", "dim") for note in deployment["notes"]]
        if deployment["error"]:
            lines += [
                Text(),
                *display.failure_block(preview, deployment["error"], live_since=None, now=now),
            ]
    warnings = display.warnings(preview)
    return [*lines, Text(), *warnings] if warnings else lines


def _state(preview: Preview) -> Text:
    state = preview["state"]
    deployment = preview["deployment"]
    text = Text(state, _STYLES.get(state, ""))
    if deployment and deployment["state"] in ("queued", "building", "deploying"):
        text.append(f" ({deployment['state']})", "dim")
    elif deployment and deployment["state"] == "failed" and state != "failed":
        text.append(" (last deployment failed)", "red")
    return text


def _number(preview: Preview) -> str:
    return f" (#{preview['number']})" if preview["number"] is not None else ""


def _commit(preview: Preview) -> str:
    live, wanted = preview["commit"], preview["desired_commit"]
    deployment = preview["deployment"]
    text = live[:7] if live else "nothing is live yet"
    if live and deployment and deployment["commit"] == live and deployment["title"]:
        text += f" {plain(deployment['title'])}"
    return f"{text}, wanted: {wanted[:7]}" if wanted and wanted != live else text

"""The list of commands: what each is for, and which module has it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A command or a group of commands, as the overview shows it.

    `module` is a module of this package; its `commands` is the typer application that has it.
    """

    name: str
    module: str
    summary: str
    group: bool = False


SECTIONS: dict[str, tuple[Entry, ...]] = {
    "Previews": (
        Entry("up", "up", "Deploy a branch and print its URL."),
        Entry("down", "previews", "Remove previews and everything of theirs."),
        Entry("list", "previews", "List the previews."),
        Entry("status", "previews", "Show one preview in full, with the timings of its stages."),
        Entry("open", "previews", "Open a preview in the browser."),
        Entry("redeploy", "deploy", "Deploy a preview's newest commit again."),
        Entry("reset-db", "deploy", "Recreate a preview's database and deploy again."),
    ),
    "Inside a preview": (
        Entry("logs", "logs", "Print what a preview or its build has logged."),
        Entry("exec", "logs", "Run a command inside a preview, with its environment."),
        Entry("psql", "data", "Open a preview's PostgreSQL database."),
        Entry("redis-cli", "data", "Open a preview's Redis database."),
    ),
    "Projects": (
        Entry("project", "projects", "Add, show, set up and remove projects.", group=True),
        Entry("github", "github", "Connect GitHub: pull requests get previews.", group=True),
        Entry("env", "variables", "Set the variables and secrets of a project.", group=True),
        Entry("init", "init", "Write the files that a FastAPI repository lacks for previews."),
    ),
    "Server": (
        Entry("serve", "server", "Run the control plane in the foreground."),
        Entry("dashboard", "dashboard", "Open the dashboard in the browser, signed in."),
        Entry("demo", "demo", "Show four branches of an example live at the same time."),
        Entry("shutdown", "server", "Stop the server; previews are stopped, data is kept."),
    ),
}

_WIDTH = 12


def entries() -> tuple[Entry, ...]:
    """Every entry, in the order of the overview."""
    return tuple(entry for section in SECTIONS.values() for entry in section)


def find(name: str) -> Entry | None:
    """The entry called `name`, if there is one."""
    return next((entry for entry in entries() if entry.name == name), None)


def overview() -> str:
    """The text of `previewdrop --help`."""
    lines = [
        "Usage: previewdrop COMMAND [OPTIONS] [ARGUMENTS]",
        "",
        "Every branch of a FastAPI repository gets its own live environment: its own process,",
        "PostgreSQL database, Redis database and HTTPS URL.",
    ]
    for title, section in SECTIONS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {entry.name:<{_WIDTH}}{entry.summary}" for entry in section]
    lines += [
        "",
        "Options:",
        f"  {'-h, --help':<14}Show this text; `previewdrop COMMAND --help` shows a command's.",
        f"  {'--version':<14}Show the version.",
        "",
        "Examples:",
        "  previewdrop up                            deploy the current branch of this repository",
        "  previewdrop logs feature-new-auth --follow",
        "  previewdrop exec shop/pr-42 -- alembic current",
        "",
        "PREVIEWDROP_HOME is the data folder. PREVIEWDROP_URL and PREVIEWDROP_TOKEN name another",
        "server than the one of the data folder.",
    ]
    return "\n".join(lines) + "\n"


def unknown(name: str) -> str:
    """What to say about a command that does not exist."""
    close = difflib.get_close_matches(name, [entry.name for entry in entries()], n=2)
    hint = (
        f" Did you mean {' or '.join(f'`previewdrop {each}`' for each in close)}?" if close else ""
    )
    return f"Error: There is no command {name!r}.{hint or ' See `previewdrop --help`.'}\n"

"""docs/github.md says what the code does: permissions, rules, commands and settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from previewdrop.cli import github
from previewdrop.config.pull_rules import PREFIX, PullRules
from previewdrop.config.settings import Settings
from previewdrop.forge.github.manifest import EVENTS, PERMISSIONS
from previewdrop.report.answers import help_text

PAGE = (Path(__file__).parents[2] / "docs" / "github.md").read_text(encoding="utf-8")


def rows(title: str) -> list[str]:
    """The rows of the first table below a title."""
    _, _, below = PAGE.partition(f"\n## {title}\n")
    table = below[below.index("|---|") :].split("\n\n")[0]
    return table.splitlines()[1:]


def test_every_permission_and_no_other():
    told = [f"| `{each.name}` | {each.level} | {each.why} |" for each in PERMISSIONS]
    assert rows("What the App may do") == told


def test_every_rule_and_no_other():
    told = [
        f"| `{PREFIX}{name}` | `{json.dumps(field.default)}` | {field.description} |"
        for name, field in PullRules.model_fields.items()
    ]
    assert rows("Rules") == told


def test_every_command_of_comments():
    told = [
        "| {} | {} |".format(*line.removeprefix("- ").split(": ", 1))
        for line in help_text().splitlines()
        if line.startswith("- ")
    ]
    assert rows("Commands") == told


def test_every_command_of_the_terminal():
    names = [each.name for each in github.commands.registered_commands]
    told = "\n".join(rows("Connect in two minutes"))
    assert [name for name in names if f"`previewdrop github {name}" not in told] == []
    assert told.count("\n") + 1 == len(names)


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if "github" in name])
def test_every_setting(name: str):
    assert f"| `PREVIEWDROP_{name.upper()}` |" in PAGE


def test_the_events_of_webhooks_made_by_hand():
    assert ", ".join(f"`{each}`" for each in EVENTS[:-1]) + f" and `{EVENTS[-1]}`" in PAGE

"""The overview, each command's help, and how little they load."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import typer
from typer.models import CommandInfo

from previewdrop.cli import catalogue, run


def commands_of(entry: catalogue.Entry) -> dict[str, CommandInfo]:
    app: typer.Typer = importlib.import_module(f"previewdrop.cli.{entry.module}").commands
    return {info.name or "": info for info in app.registered_commands}


def all_command_lines() -> list[list[str]]:
    lines: list[list[str]] = []
    for entry in catalogue.entries():
        lines += (
            [[entry.name, name] for name in commands_of(entry)] if entry.group else [[entry.name]]
        )
    return lines


def test_the_overview_names_every_command_within_80_columns_or_a_few_more() -> None:
    text = catalogue.overview()
    for entry in catalogue.entries():
        assert f"  {entry.name} " in text
        assert entry.summary in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("entry", catalogue.entries(), ids=lambda entry: entry.name)
def test_the_overview_says_what_the_command_says(entry: catalogue.Entry) -> None:
    if entry.group:
        assert commands_of(entry)
    else:
        callback = commands_of(entry)[entry.name].callback
        assert callback is not None
        assert (callback.__doc__ or "").splitlines()[0] == entry.summary


@pytest.mark.parametrize("line", all_command_lines(), ids=" ".join)
def test_every_command_has_help_with_an_example(
    line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*line, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example" in text
    assert f"previewdrop {' '.join(line)}" in text.split("Example")[1]


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from previewdrop.cli import run; run(['--help']); run(['--version']);"
        "heavy = {'typer', 'click', 'rich', 'httpx2', 'pydantic', 'pydantic_settings', 'asyncio',"
        " 'subprocess', 'valkey', 'fastapi'} & set(sys.modules); sys.exit(' '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_command_does_not_load_the_servers_settings() -> None:
    code = (
        "import sys; from previewdrop.cli import run; code = run(['list']);"
        "heavy = {'pydantic', 'pydantic_settings', 'sqlalchemy', 'fastapi'} & set(sys.modules);"
        "sys.exit(' '.join(heavy) or code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: No PreviewDrop server is running for ")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("previewdrop ")


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["staus"]) == 2
    assert capsys.readouterr().err == (
        "Error: There is no command 'staus'. Did you mean `previewdrop status`?\n"
    )


def test_an_unknown_option_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "--jsn"]) == 2
    assert "No such option: --jsn" in capsys.readouterr().err


def test_a_missing_argument_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["exec"]) == 2
    assert capsys.readouterr().err == (
        "Error: Missing argument 'NAME'. See `previewdrop exec --help`.\n"
    )

"""Every command in the documentation is run; what cannot be run here is named, with the reason."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from previewdrop.config.settings import Settings
from repositories import make_repository

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))

NOT_RUN = {
    "make test": "it runs this test",
    "sudo useradd --create-home --shell /bin/bash previewdrop": "changes the machine's users",
    "sudo -iu previewdrop": "becomes another user",
    "sudo sysctl -w net.ipv4.ip_unprivileged_port_start=80": "changes the machine's kernel",
    "sudo systemctl enable --now previewdrop": "changes the machine's services",
    "ssh -L 7780:127.0.0.1:7780 previewdrop.example.com": "needs another machine",
    **dict.fromkeys(
        (
            "previewdrop github connect --organization acme --address https://previews.acme.com",
            "previewdrop github connect --url https://github.acme.com",
            "pass github | previewdrop github connect --token - "
            "--address https://previews.acme.com",
            "previewdrop github repositories",
            "previewdrop github add acme/shop",
            "previewdrop project set -P shop github.drafts=false github.bases=main,release/*",
        ),
        "needs GitHub, and somebody at a browser",
    ),
}
ELSEWHERE = {"https://github.com/acme/shop": "~/code/shop"}
"""What stands in the documentation for a reader's own repository, and its place here."""


def commands(document: Path) -> list[str]:
    """The lines that begin with `$ ` in a document's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", document.read_text(), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def session(document: Path) -> str:
    """A document's commands as one script that stops at the first one that fails."""
    lines = ["set -euo pipefail"]
    for command in commands(document):
        if command in NOT_RUN:
            continue
        for shown, here in ELSEWHERE.items():
            command = command.replace(shown, here)
        lines += [f"echo '$ '{_quoted(command)}", command]
    return "\n".join(lines)


@pytest.fixture
def newcomer(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody with an empty home, and a repository of their own in it."""
    (tmp_path / "code").mkdir()
    make_repository(tmp_path / "code", "shop", name="shop")
    (tmp_path / "previewdrop").symlink_to(ROOT)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREVIEWDROP_", "PYTEST_", "VIRTUAL_ENV", "PYTHONDONTWRITE"))
    }
    ports = ("PORT", "EDGE_PORT", "EDGE_HTTP_PORT", "POSTGRES_PORT", "REDIS_PORT")
    return {
        **kept,
        **{f"PREVIEWDROP_{name}": "0" for name in ports},
        "HOME": str(tmp_path),
        "PREVIEWDROP_HOME": str(tmp_path / "data"),
        "PREVIEWDROP_RUNTIME": "process",
    }


@pytest.mark.timeout(600)
def test_the_readme_works_as_printed(newcomer: dict[str, str]) -> None:
    said = _run(session(ROOT / "README.md"), ROOT, newcomer)
    assert "All 4 are live at the same time" in said
    assert "Preview ready in" in said
    assert "0003 (head)" in said


@pytest.mark.timeout(600)
def test_a_server_is_installed_as_printed(newcomer: dict[str, str]) -> None:
    home = Path(newcomer["HOME"])
    path = f"{home}/venv/bin:{newcomer['PATH']}"
    script = session(ROOT / "docs/server.md") + "\npreviewdrop down --all\npreviewdrop shutdown"
    said = _run(script, home, {**newcomer, "PATH": path})
    assert "Preview ready in" in said


def test_the_servers_settings_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/server.md").read_text()
    shown = dict(re.findall(r"^PREVIEWDROP_(\w+)=(.*)$", text, re.MULTILINE))
    for name, value in shown.items():
        monkeypatch.setenv(f"PREVIEWDROP_{name}", value)
    settings = Settings()
    known = {name.upper() for name in Settings.model_fields}
    assert set(shown) <= known
    assert (settings.domain, settings.edge_port) == ("preview.example.com", 443)


def test_every_command_is_run_or_named() -> None:
    runs = {ROOT / "README.md", ROOT / "docs/server.md", ROOT / "docs/github.md"}
    assert not set(commands(ROOT / "docs/github.md")) - set(NOT_RUN)
    elsewhere = [
        (each, found) for each in DOCUMENTS if each not in runs if (found := commands(each))
    ]
    assert elsewhere == []
    shown = {command for document in runs for command in commands(document)}
    assert set(NOT_RUN) <= shown


def test_links_lead_somewhere() -> None:
    broken = [
        (document.name, link)
        for document in DOCUMENTS
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text())
        if "://" not in link and not (document.parent / link).exists()
    ]
    assert broken == []


def _run(script: str, folder: Path, environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=550,
        )
    finally:
        stop = [str(ROOT / ".venv/bin/previewdrop"), "shutdown"]
        subprocess.run(stop, env=environment, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"

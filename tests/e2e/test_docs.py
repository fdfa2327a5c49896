"""Every command in the documentation is run; what cannot be run here is named, with the reason."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from e2e.form import Form
from github_standin.server import standing_in
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
}
GITHUB = ROOT / "docs/github.md"
SERVER = """\
previewdrop serve >server.log 2>&1 &
until previewdrop list >/dev/null 2>&1; do kill -0 $!; sleep 0.1; done"""
ELSEWHERE = {"https://github.com/acme/shop": "~/code/shop"}
"""What stands in the documentation for a reader's own repository, and its place here."""


def commands(document: Path) -> list[str]:
    """The lines that begin with `$ ` in a document's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", document.read_text(), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def session(document: Path, elsewhere: Mapping[str, str] = ELSEWHERE) -> str:
    """A document's commands as one script that stops at the first one that fails.

    Those that need GitHub are run with its own document, and stand in no other alone.
    """
    lines = ["set -euo pipefail"]
    left_out = set(NOT_RUN) | (set(commands(GITHUB)) if document != GITHUB else set())
    for command in commands(document):
        if command in left_out:
            continue
        for shown, here in elsewhere.items():
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


@pytest.mark.timeout(600)
def test_github_is_connected_as_printed(newcomer: dict[str, str], tmp_path: Path) -> None:
    home = Path(newcomer["HOME"])
    port = str(free_port())
    with standing_in(tmp_path / "github", enterprise=True) as github:
        shop = github.repository("acme/shop", "shop", private=True)
        ali = github.user("ali")
        shop.grant(ali, "admin")
        github.choice = shop.owner, [shop]
        programs = home / "programs"
        programs.mkdir()
        (programs / "pass").write_text(f"#!/bin/sh\necho {github.token_of(ali)}\n")
        (programs / "pass").chmod(0o700)
        here = {
            "https://previews.acme.com": f"http://127.0.0.1:{port}",
            "https://github.acme.com": github.web,
        }
        environment = {
            **newcomer,
            "PATH": f"{programs}:{ROOT}/.venv/bin:{newcomer['PATH']}",
            "PREVIEWDROP_PORT": port,
            "PREVIEWDROP_GITHUB_URL": github.web,
        }
        script = f"{SERVER}\n{session(GITHUB, here)}"
        with somebody_at_a_browser(home / "said"):
            said = _run(script, home, environment, home / "said")
        apps = list(github.apps.values())
        hooks = [each.url for each in shop.hooks.values()]
    assert said.count("is connected as the App") == 2
    assert "is connected with the token of ali" in said
    assert "acme/shop is the project shop." in said
    assert [each.owner.login for each in apps] == ["acme", github.signed_in.login]
    assert apps[0].hook_url == f"http://127.0.0.1:{port}/webhooks/github"
    assert hooks == []


@contextmanager
def somebody_at_a_browser(said: Path) -> Generator[None]:
    """Opens the pages that commands print, and installs the Apps that are made there."""
    ended = threading.Event()
    seen: set[str] = set()

    def browse() -> None:
        with httpx2.Client(trust_env=False, timeout=60, follow_redirects=True) as client:
            while not ended.wait(0.05):
                text = said.read_text() if said.exists() else ""
                for url in set(re.findall(r"http\S+/github/new\?state=\S+", text)) - seen:
                    seen.add(url)
                    form = Form(client.get(url).text)
                    made = client.post(form.action, data=form.fields)
                    client.get(Form(made.text).links[-1])

    thread = threading.Thread(target=browse)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


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
    runs = {ROOT / "README.md", ROOT / "docs/server.md", GITHUB}
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


def _run(script: str, folder: Path, environment: dict[str, str], said: Path | None = None) -> str:
    """What the script printed, which is written to `said` meanwhile."""
    said = said or Path(environment["HOME"]) / "said"
    try:
        with said.open("wb") as output:
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=550,
            )
    finally:
        stop = [str(ROOT / ".venv/bin/previewdrop"), "shutdown"]
        subprocess.run(stop, env=environment, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, said.read_text()
    return said.read_text()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"

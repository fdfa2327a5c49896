"""What the demo needs before it can begin: a server, the repository, and a project of it."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from previewdrop.cli import address, client, launch, screen
from previewdrop.cli.client import Api, project_path
from previewdrop.cli.demo_repository import make_repository
from previewdrop.cli.demo_runtime import Runtime, chosen
from previewdrop.cli.errors import WrongUsage
from previewdrop.cli.story import Story
from previewdrop.cli.views import Project
from previewdrop.config.home import Home
from previewdrop.domain.errors import Conflict, PreviewDropError
from previewdrop.domain.spec import DOCKER

if TYPE_CHECKING:
    from previewdrop.cli.demo_engine import Engine

PROJECT = "shop"

_MOST_PREVIEWS = 8
_NAMES = (PROJECT, f"{PROJECT}-demo", *(f"{PROJECT}-demo-{number}" for number in range(2, 10)))


@dataclass(frozen=True, slots=True)
class Scene:
    """`started` says that the server was started for the demo.

    `home` is the data folder of this command line, `server_home` that of the server, which is
    another one when PREVIEWDROP_URL says so.
    """

    api: Api
    home: Home
    server_home: Home
    story: Story
    repository: Path
    project: str
    started: bool
    runtime: Runtime


def settle(asked: str | None) -> str:
    """The runtime that the demo is about to show: see `chosen`. Unavailable if it cannot be."""
    home, api = address.home(), client.connect()
    server = api.get("/api/v1/server")["runtime"] if launch.running(api) else None
    name = chosen(asked, server, lambda: _engine_answers(home))
    if name == DOCKER and server is None:
        _engine(home).check()
    return name


def set_up(story: Story, terminal: Console, name: str, *, check: bool) -> Scene:
    """Makes what is missing and says what it made. A server is started for the runtime `name`.

    A check has a repository and a project of its own, made anew each time, so that a demo that
    is live stays as it is.
    """
    home, api = address.home(), client.connect()
    began = time.monotonic()
    with screen.spinner(terminal) as tell:
        runtime = {"PREVIEWDROP_RUNTIME": name}
        started = launch.ensure_server(api, home, tell, runtime)
    if started:
        _tell(terminal, "PreviewDrop started", time.monotonic() - began)
    found = address.find_address(home)
    if found and not found.loopback:
        raise WrongUsage(
            f"The demo needs a server of this machine; PREVIEWDROP_URL is {found.url}.",
            "Unset PREVIEWDROP_URL.",
        )
    folder = home.path / "demo" / ("check" if check else "") / PROJECT
    if check and folder.exists():
        shutil.rmtree(folder)
    began = time.monotonic()
    made = make_repository(folder, story)
    what = f"{len(story.branches)} branches of {story.example} in {folder}"
    _tell(terminal, what, time.monotonic() - began if made else None)
    project = the_project(api, str(folder.resolve()))
    server_home = Home(Path(api.get("/api/v1/server")["home"]))
    runtime = _runtime(name, api, server_home)
    return Scene(api, home, server_home, story, folder, project["name"], started, runtime)


def the_project(api: Api, source: str) -> Project:
    """The project of the demo's repository, added under the first free name if it is new."""
    room: dict[str, Any] = {"max_previews": _MOST_PREVIEWS}
    known: list[Project] = api.get("/api/v1/projects", source=source)
    if known:
        if known[0]["settings"].get("max_previews", 0) >= _MOST_PREVIEWS:
            return known[0]
        changed: Project = api.patch(project_path(known[0]["name"]), {"settings": room})
        return changed
    for name in _NAMES:
        body = {"source": source, "name": name, "settings": room}
        try:
            added: Project = api.post("/api/v1/projects", body)
        except Conflict:
            continue
        return added
    raise Conflict(
        f"The projects {_NAMES[0]} to {_NAMES[-1]} belong to other repositories.",
        "Remove one with `previewdrop project remove`.",
    )


def _runtime(name: str, api: Api, home: Home) -> Runtime:
    # Only one of them is needed, and what reads settings takes its time to load.
    if name == DOCKER:
        from previewdrop.cli.demo_in_containers import InContainers

        return InContainers(api, _engine(home))
    from previewdrop.cli.demo_in_processes import InProcesses

    return InProcesses()


def _engine(home: Home) -> Engine:
    from previewdrop.cli.demo_engine import Engine

    return Engine(home.installation)


def _engine_answers(home: Home) -> bool:
    try:
        _engine(home).check()
    except PreviewDropError:
        return False
    return True


def _tell(terminal: Console, text: str, seconds: float | None) -> None:
    line = Text.assemble(("✓ ", "green"), text)
    if seconds is not None:
        line.append(f"   {seconds:.1f} s", "dim")
    screen.show(terminal, [line])

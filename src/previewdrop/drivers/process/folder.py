"""The folder of one deployment: where everything lies that belongs to its run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewdrop.domain.spec import RunSpec
from previewdrop.drivers.process import child, commands
from previewdrop.drivers.process.overlay import overlay_for
from previewdrop.drivers.process.sandbox import Sandbox
from previewdrop.drivers.process.tree import give
from previewdrop.drivers.process.walls import HOME, TEMPORARY, Walls

WEB = "web"
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths under `Home.runs/<deployment>`. The app sees `home`, `tmp` and `overlay` of them."""

    path: Path

    @property
    def facts(self) -> Path:
        """JSON about the run: names of its preview and processes, its port, its cgroups."""
        return self.path / "run.json"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def overlay(self) -> Path:
        return self.path / "overlay"

    def record(self, name: str) -> Path:
        return self.path / "state" / f"{name}.pid"

    def status(self, name: str) -> Path:
        return self.path / "state" / f"{name}.status"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def prepare(self, spec: RunSpec, sandbox: Sandbox) -> None:
        """Makes everything, and gives the app's own folders to their owner, once."""
        owner = sandbox.owner(spec.deployment)
        for name in ("state", "logs", "etc", "home", "tmp", "overlay"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        overlay_for(spec.artifact.get("project"), str(spec.artifact["python"])).write(self.overlay)
        sandbox.furnish(self.path / "etc", sandbox.account(spec.deployment))
        for folder in (Path(spec.source), self.path / "home", self.path / "tmp"):
            if folder.stat().st_uid != owner:
                give(folder, owner)

    def write_facts(self, facts: Mapping[str, object]) -> None:
        """All or nothing: a server that dies here leaves the former ones."""
        draft = self.facts.with_suffix(".draft")
        draft.write_text(json.dumps(facts))
        draft.replace(self.facts)

    def read_facts(self) -> dict[str, Any]:
        try:
            return json.loads(self.facts.read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return {}

    def open_log(self, name: str, owner: int | None) -> int:
        """A descriptor that appends. The app may open it again by /dev/stdout, so it owns it."""
        descriptor = os.open(self.log(name), _APPEND, 0o600)
        if owner is not None:
            os.fchown(descriptor, owner, owner)
        return descriptor


def mark_for(installation: str, deployment: int, name: str) -> str:
    return f"{installation}-{deployment}.{name}"


def walls_for(
    spec: RunSpec, folder: RunFolder, sandbox: Sandbox, name: str, *, memory: int, bound: bool
) -> Walls:
    """The walls of one of a deployment's processes. Half of `memory` may be shared, as on Linux."""
    environment = str(spec.artifact["path"])
    return Walls(
        folder=str(Path(spec.source, spec.root)),
        home=str(folder.path / "home"),
        temporary=str(folder.path / "tmp"),
        etc=str(folder.path / "etc"),
        environment=run_environment(spec, folder, walled=sandbox.active)
        | {child.MARK: mark_for(spec.installation, spec.deployment, name)},
        read=(str(spec.artifact["prefix"]), environment, str(folder.overlay)),
        write=(spec.source,),
        account=sandbox.account(spec.deployment),
        shared=memory // 2,
        bound=bound,
    )


def run_environment(spec: RunSpec, folder: RunFolder, *, walled: bool) -> dict[str, str]:
    """The preview's variables, and what Python needs to find the code and the packages."""
    given = spec.environment
    environment = str(spec.artifact["path"])
    importable = [str(Path(spec.source, part)) for part in spec.import_path]
    python_path = [*importable, str(folder.overlay / "lib"), given.get("PYTHONPATH", "")]
    programs = [
        str(folder.overlay / "bin"),
        str(Path(commands.python_of(environment)).parent),
        given.get("PATH", ""),
        "/usr/local/bin:/usr/bin:/bin",
    ]
    return {
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        **{name: value for name, value in given.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "PATH": ":".join(part for part in programs if part),
        "PYTHONPATH": ":".join(part for part in python_path if part),
        "VIRTUAL_ENV": environment,
        "HOME": HOME if walled else str(folder.path / "home"),
        "TMPDIR": TEMPORARY if walled else str(folder.path / "tmp"),
    }

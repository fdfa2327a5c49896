"""Control groups: what bounds a deployment's memory, CPUs and processes, and finds all of them.

Both versions are used where this process may make groups: version 1 per controller, version 2
below the highest group that is ours. https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from previewdrop.domain.errors import Unavailable
from previewdrop.domain.spec import Limits

_NEEDED = ("memory", "pids")
_WANTED = ("memory", "pids", "cpu")
_PERIOD = 100_000
"""Microseconds, the kernel's default."""

_UNKILLABLE = 30.0
_BETWEEN_ATTEMPTS = 0.01
_OWN_PROCESSES = 16
"""Room for the sandboxes' own processes, which count too."""


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Where groups can be made: a folder a controller. Version 2 has one folder, "unified"."""

    folders: tuple[tuple[str, Path], ...]

    @property
    def controllers(self) -> frozenset[str]:
        names = {name for name, _ in self.folders}
        return frozenset(_WANTED if "unified" in names else names)

    def group(self, name: str) -> Group:
        return Group(tuple((controller, path / name) for controller, path in self.folders))

    def names(self, prefix: str) -> set[str]:
        """Names of the groups that begin with `prefix`."""
        return {path.name for _, parent in self.folders for path in parent.glob(f"{prefix}*")}


@dataclass(frozen=True, slots=True)
class Group:
    """One deployment's group, with a group for each of its processes inside."""

    folders: tuple[tuple[str, Path], ...]

    def create(self, limits: Limits, weight: int | None = None) -> None:
        """Makes the group if need be, and sets its limits. OSError if the system refuses.

        `weight` is its share of busy CPUs, in percent of what a group has otherwise.
        """
        for controller, path in self.folders:
            path.mkdir(exist_ok=True)
            if controller == "unified":
                _enable(path)
            for file, value in settings(controller, limits, weight):
                if (path / file).exists():
                    (path / file).write_text(value)

    def entries(self, name: str) -> tuple[str, ...]:
        """The files that a process writes itself into, to be in the group of that name."""
        files: list[str] = []
        for _, path in self.folders:
            (path / name).mkdir(exist_ok=True)
            files.append(str(path / name / "cgroup.procs"))
        return tuple(files)

    def pids(self) -> set[int]:
        found: set[int] = set()
        for _, path in self.folders:
            for file in _below(path, "cgroup.procs"):
                found.update(int(line) for line in _read(file).split())
        return found

    def killed_for_memory(self, name: str) -> bool:
        """Whether the kernel ever killed a process of that name for memory."""
        return any(
            int(fields[1]) > 0
            for controller, path in self.folders
            for file in _oom_files(controller, path / name)
            for line in _read(file).splitlines()
            if len(fields := line.split()) == 2 and fields[0] == "oom_kill"
        )

    def memory(self, name: str) -> int | None:
        """Bytes that the processes of that name hold, without the page cache."""
        for controller, path in self.folders:
            if controller in ("memory", "unified"):
                fields = dict(
                    line.split()[:2] for line in _read(path / name / "memory.stat").splitlines()
                )
                if (value := fields.get("total_rss") or fields.get("anon")) is not None:
                    return int(value)
        return None

    def kill(self) -> bool:
        """Kills everything in the group at one stroke, where the kernel can (version 2, 5.14)."""
        for controller, path in self.folders:
            if controller == "unified" and (path / "cgroup.kill").exists():
                (path / "cgroup.kill").write_text("1")
                return True
        return False

    def remove(self) -> bool:
        """Removes the group, innermost folders first. False while a process is still in it."""
        gone = True
        for _, path in self.folders:
            for folder in (*_subfolders(path), path):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    continue
                except OSError:
                    gone = False
        return gone


async def removed(group: Group) -> None:
    """Removes the group; a process that was killed leaves it a moment after it is gone."""
    try:
        async with asyncio.timeout(_UNKILLABLE):
            while not group.remove():  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(_BETWEEN_ATTEMPTS)
    except TimeoutError as error:
        raise Unavailable("The cgroup of a preview cannot be removed.") from error


def settings(
    controller: str, limits: Limits, weight: int | None = None
) -> Iterator[tuple[str, str]]:
    """The files of a group's folder and what to write into them.

    Version 1 wants memory before memory with swap; swap is not to be a way around the limit.
    """
    quota, tasks = int(limits.cpus * _PERIOD), str(limits.processes + _OWN_PROCESSES)
    if controller == "memory":
        yield ("memory.limit_in_bytes", str(limits.memory))
        yield ("memory.memsw.limit_in_bytes", str(limits.memory))
    if controller == "pids":
        yield ("pids.max", tasks)
    if controller == "cpu":
        yield ("cpu.cfs_period_us", str(_PERIOD))
        yield ("cpu.cfs_quota_us", str(quota))
        if weight is not None:
            yield ("cpu.shares", str(1024 * weight // 100))
    if controller == "unified":
        yield ("memory.max", str(limits.memory))
        yield ("memory.swap.max", "0")
        yield ("pids.max", tasks)
        yield ("cpu.max", f"{quota} {_PERIOD}")
        if weight is not None:
            yield ("cpu.weight", str(weight))


@cache
def find_cgroups() -> Cgroups | None:
    """The groups this process may use, tried by really using them; None where there are none."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
        memberships = Path("/proc/self/cgroup").read_text()
    except FileNotFoundError:
        return None
    probe = f"previewdrop-probe-{os.getpid()}"
    own = own_folders(mounts, memberships)
    usable = {
        name: path for name in _WANTED if (path := own.get(name)) and _works(name, path, probe)
    }
    if all(name in usable for name in _NEEDED):
        return Cgroups(tuple(usable.items()))
    if (start := own.get("unified")) and not usable:
        candidates = [path for path in (start, *start.parents) if (path / "cgroup.procs").exists()]
        for path in reversed(candidates):
            if os.access(path, os.W_OK) and _works("unified", path, probe):
                return Cgroups((("unified", path),))
    return None


def own_folders(mounts: str, memberships: str) -> dict[str, Path]:
    """This process's own group under each controller ("unified" for version 2).

    `mounts` is /proc/self/mountinfo, `memberships` is /proc/self/cgroup.
    """
    own: dict[str, str] = {}
    for line in memberships.splitlines():
        number, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own["unified" if number == "0" else controller] = path
    found: dict[str, Path] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        names = ["unified"] if kind == "cgroup2" else options.split(",") if kind == "cgroup" else []
        for name in names:
            if name in own and name not in found:
                below = os.path.relpath(own[name], root) if own[name].startswith(root) else "."
                found[name] = Path(point, below)
    return found


def _works(controller: str, parent: Path, probe: str) -> bool:
    """Whether a group with this controller can be made below `parent` and entered."""
    files = {"memory": "memory.limit_in_bytes", "pids": "pids.max", "cpu": "cpu.cfs_quota_us"}
    needed = ["memory.max", "pids.max"] if controller == "unified" else [files[controller]]
    folder = parent / probe
    try:
        if controller == "unified":
            _enable(parent)
        folder.mkdir()
    except OSError:
        return False
    try:
        if not all((folder / name).exists() for name in needed):
            return False
        entering = subprocess.run(
            ("/bin/sh", "-c", 'echo 0 > "$0"', str(folder / "cgroup.procs")),
            capture_output=True,
            check=False,
        )
        return entering.returncode == 0
    finally:
        folder.rmdir()


def _enable(path: Path) -> None:
    """Hands the controllers that a group has on to those inside it."""
    available = _read(path / "cgroup.controllers").split()
    missing = set(available) & set(_WANTED) - set(_read(path / "cgroup.subtree_control").split())
    if missing:
        (path / "cgroup.subtree_control").write_text(" ".join(f"+{n}" for n in sorted(missing)))


def _oom_files(controller: str, path: Path) -> tuple[Path, ...]:
    names = {"memory": "memory.oom_control", "unified": "memory.events"}
    return (path / names[controller],) if controller in names else ()


def _subfolders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return [Path(folder) for folder, _, _ in os.walk(path, topdown=False) if Path(folder) != path]


def _below(path: Path, name: str) -> list[Path]:
    return [folder / name for folder in (path, *_subfolders(path))]


def _read(path: Path) -> str:
    """A file's text; nothing if its group is gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, OSError):
        return ""

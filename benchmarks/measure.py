"""The measurements: each a plain dictionary of seconds, bytes and counts."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.bare import Bare, data_services
from benchmarks.repository import Repository
from benchmarks.server import Server, running

Result = dict[str, Any]
Tell = Callable[[str], None]

WARM_ROUNDS = 7
COLD_ROUNDS = 3
AT_ONCE = 10


def push_to_live(folder: Path, tell: Tell) -> Result:
    """Cold and warm, ours and the bare tools in turn: medians, with our stages and their steps."""
    repository = Repository(folder / "shop")
    cold: list[tuple[float, float]] = []
    with data_services(folder / "bare-services") as services:
        bare = Bare(folder / "bare", repository.path, services)
        for number in range(COLD_ROUNDS):
            tell(f"cold {number + 1} of {COLD_ROUNDS}")
            theirs = bare.up("cold")["total"]
            with running(folder / f"cold-{number}") as server:
                server.add_project("shop", repository.path)
                cold.append((deploy(server)[0], theirs))
        with running(folder / "warm") as server:
            server.add_project("shop", repository.path)
            deploy(server)
            rounds = [
                _warm_round(repository, server, bare, tell, number) for number in range(WARM_ROUNDS)
            ]
            memory = server.memory_of_previews()
        bare.down()
    return {
        "cold": _compared(cold),
        "warm": _compared([(ours, theirs["total"]) for ours, _, theirs in rounds]),
        "stages": medians([stages for _, stages, _ in rounds]),
        "steps": medians([theirs["steps"] for _, _, theirs in rounds]),
        "preview_bytes": memory[0] if memory else None,
    }


def ten_at_once(folder: Path, tell: Tell) -> Result:
    """One first deployment on empty caches, then ten at the same moment on empty caches."""
    repository = Repository(folder / "shop")
    branches = [f"feature/{number}" for number in range(AT_ONCE)]
    for branch in branches:
        repository.branch(branch)
    tell("one first deployment")
    with running(folder / "one") as server:
        server.add_project("shop", repository.path)
        one, _ = deploy(server)
    tell(f"{AT_ONCE} first deployments at once")
    with running(folder / "ten") as server:
        server.add_project("shop", repository.path)
        began = time.perf_counter()
        names = {server.push("shop", branch) for branch in branches}
        previews = server.wait(names)
        ten = time.perf_counter() - began
        memory = server.memory_of_previews()
    built = sum(not stage(preview, "build")["cached"] for preview in previews.values())
    return {
        "one": one,
        "ten": ten,
        "ratio": ten / one,
        "environments_built": built,
        "preview_bytes": statistics.median(memory) if memory else None,
    }


def server_start(folder: Path, tell: Tell) -> Result:
    """The first start, which makes the data folder, and later ones; memory when idle."""
    tell("server start")
    server = Server(folder / "start")
    first = server.start()
    server.stop()
    later: list[float] = []
    memory: list[int] = []
    for _ in range(5):
        later.append(server.start())
        memory.append(server.memory())
        server.stop()
    return {"first": first, "later": statistics.median(later), "idle_bytes": max(memory)}


def command_line(_: Path, tell: Tell) -> Result:
    """`previewdrop --help` and `--version`, whole processes."""
    tell("command line")
    command = str(Path(sys.executable).with_name("previewdrop"))
    return {
        option: _median_of(lambda o=option: _run(command, o)) for option in ("--help", "--version")
    }


def deploy(server: Server, project: str = "shop") -> tuple[float, dict[str, float]]:
    """Seconds from the push to the answer that it is live, and those of each stage."""
    began = time.perf_counter()
    name = server.push(project, "main")
    preview = server.wait({name})[name]
    seconds = time.perf_counter() - began
    return seconds, {one["name"]: one["seconds"] for one in preview["deployment"]["stages"]}


def _warm_round(
    repository: Repository, server: Server, bare: Bare, tell: Tell, number: int
) -> tuple[float, dict[str, float], Result]:
    tell(f"warm {number + 1} of {WARM_ROUNDS}")
    repository.change()
    theirs = bare.up("warm")
    ours, stages = deploy(server)
    return ours, stages, theirs


def _compared(pairs: list[tuple[float, float]]) -> Result:
    """Medians of ours and theirs, and the median of the ratios pair by pair."""
    return {
        "previewdrop": statistics.median(ours for ours, _ in pairs),
        "bare": statistics.median(theirs for _, theirs in pairs),
        "ratio": statistics.median(ours / theirs for ours, theirs in pairs),
        "pairs": pairs,
    }


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def _median_of(run: Callable[[], None]) -> float:
    run()
    times: list[float] = []
    for _ in range(15):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def stage(preview: Result, name: str) -> Result:
    return next(stage for stage in preview["deployment"]["stages"] if stage["name"] == name)

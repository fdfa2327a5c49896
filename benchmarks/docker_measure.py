"""The measurements of the docker runtime: each a plain dictionary, as those of `measure`."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import docker_compose, docker_engine, docker_load
from benchmarks.docker_bare import BareDocker, Yard, yard
from benchmarks.docker_repository import named, salts, unbuilt, word
from benchmarks.docker_server import DockerServer, docker_running
from benchmarks.measure import AT_ONCE, Result, Tell, deploy, medians, stage
from benchmarks.repository import Repository

WARM_ROUNDS = 9
COLD_ROUNDS = 3
LOAD_ROUNDS = 5
CONNECTIONS = (1, 8)


def push_to_live(folder: Path, tell: Tell) -> Result:
    """Cold and warm, ours and the bare tools in turn, never with what the other has built."""
    docker = docker_engine.client() or "docker"
    with (
        salts() as salt,
        yard(docker, word()) as bare,
        docker_running(folder / "home") as server,
    ):
        cold = [
            _cold_round(folder / f"cold_{number}", salt, server, bare, tell)
            for number in range(COLD_ROUNDS)
        ]
        ours, theirs = (named(folder / name, word()) for name in ("warm-ours", "warm-theirs"))
        script = BareDocker(bare, folder / "warm", theirs.path)
        server.api.add_project("warm", ours.path)
        deploy(server.api, "warm")
        script.up()
        rounds = [
            _warm_round((ours, theirs), server, script, tell, number)
            for number in range(WARM_ROUNDS)
        ]
        script.down()
    return {
        "cold": compared(cold),
        "warm": compared([(seconds, other["total"]) for seconds, _, other in rounds]),
        "stages": medians([stages for _, stages, _ in rounds]),
        "steps": medians([other["steps"] for _, _, other in rounds]),
        "bare_stop": statistics.median(other["stop"] for _, _, other in rounds),
    }


def compose(folder: Path, tell: Tell) -> Result:
    """Code-only pushes, ours and docker compose's in turn; empty where there is no compose."""
    program, docker = docker_compose.program(), docker_engine.client() or "docker"
    if program is None:
        return {}
    ours, theirs = (named(folder / name, word()) for name in ("ours", "theirs"))
    name = word()
    pairs: list[tuple[float, float]] = []
    steps: list[dict[str, float]] = []
    with (
        docker_running(folder / "home") as server,
        docker_compose.composed(program, docker, folder / "compose", theirs.path, name) as other,
    ):
        server.api.add_project("shop", ours.path)
        for number in range(WARM_ROUNDS + 1):
            tell(f"docker compose, {number} of {WARM_ROUNDS}")
            for repository in (ours, theirs):
                repository.change()
            seconds, _ = _pushed(server, "shop")
            done = other.up()
            pairs.append((seconds, done["total"]))
            steps.append(done["steps"])
    return {**compared(pairs[1:]), "steps": medians(steps[1:])}


def ten_at_once(folder: Path, tell: Tell) -> Result:
    """One first deployment with nothing built, then ten at the same moment; then their removal."""
    with salts() as salt:
        tell("docker: one first deployment")
        one_repository = unbuilt(folder / "repository-one", salt())
        with docker_running(folder / "one") as server:
            server.api.add_project("shop", one_repository.path)
            one, _ = deploy(server.api, "shop")
        tell(f"docker: {AT_ONCE} first deployments at once")
        repository = unbuilt(folder / "repository-ten", salt())
        branches = [f"feature/{number}" for number in range(AT_ONCE)]
        for branch in branches:
            repository.branch(branch)
        with docker_running(folder / "ten") as server:
            server.api.add_project("shop", repository.path)
            began = time.perf_counter()
            names = {server.api.push("shop", branch) for branch in branches}
            previews = server.api.wait(names)
            ten = time.perf_counter() - began
            memory, services = server.memory()
            first, *others = sorted(names)
            alone = server.api.remove(first)
            together = server.api.remove(*others)
            left = server.left()
    notes = [str(stage(preview, "build")["note"]) for preview in previews.values()]
    return {
        "one": one,
        "ten": ten,
        "ratio": ten / one,
        "steps_run": [_steps_run(note) for note in notes],
        "preview_bytes": statistics.median(memory),
        "services_bytes": services,
        "teardown_one": alone,
        "teardown_others": together,
        "left": left,
    }


def requests(folder: Path, tell: Tell) -> Result:
    """Through the edge and straight to the container in turn; empty where there is no wrk."""
    program = docker_load.program()
    if program is None:
        return {}
    found: Result = {}
    with docker_running(folder / "home") as server:
        repository = Repository(folder / "shop")
        server.api.add_project("shop", repository.path)
        name = server.api.push("shop", "main")
        preview = server.api.wait({name})[name]
        urls = {"edge": str(preview["url"]), "direct": server.address(name)}
        for path in ("/health", "/docs"):
            for connections in CONNECTIONS:
                tell(f"requests of {path}, {connections} at a time")
                rounds = [
                    {
                        way: docker_load.load(program, f"{url}{path}", connections)
                        for way, url in urls.items()
                    }
                    for _ in range(LOAD_ROUNDS)
                ]
                found[f"{path}, {connections} at a time"] = {
                    way: medians([one[way] for one in rounds]) for way in urls
                }
    return found


def compared(pairs: list[tuple[float, float]]) -> Result:
    """Medians of ours and theirs, and their ratio."""
    ours = statistics.median(mine for mine, _ in pairs)
    theirs = statistics.median(other for _, other in pairs)
    return {"previewdrop": ours, "bare": theirs, "ratio": ours / theirs, "pairs": pairs}


def _cold_round(
    folder: Path, salt: Callable[[], str], server: DockerServer, bare: Yard, tell: Tell
) -> tuple[float, float]:
    """Who begins changes from round to round."""
    tell(f"docker, {folder.name}")
    folder.mkdir()
    ours, theirs = (unbuilt(folder / name, salt()) for name in ("ours", "theirs"))
    project = folder.name.replace("_", "-")
    server.api.add_project(project, ours.path)
    script = BareDocker(bare, folder / folder.name, theirs.path)
    if folder.name[-1] in "13579":
        seconds, _ = deploy(server.api, project)
        other = script.up()["total"]
    else:
        other = script.up()["total"]
        seconds, _ = deploy(server.api, project)
    script.down()
    server.api.remove(f"{project}/main")
    return seconds, other


def _warm_round(
    repositories: tuple[Repository, Repository],
    server: DockerServer,
    bare: BareDocker,
    tell: Tell,
    number: int,
) -> tuple[float, dict[str, float], Result]:
    """Who begins changes from round to round."""
    tell(f"docker, warm {number + 1} of {WARM_ROUNDS}")
    for repository in repositories:
        repository.change()
    if number % 2:
        seconds, stages = _pushed(server, "warm")
        return seconds, stages, bare.up()
    theirs = bare.up()
    return *_pushed(server, "warm"), theirs


def _pushed(server: DockerServer, project: str) -> tuple[float, dict[str, float]]:
    """As `deploy`; returns when the container of before has ended too, which nobody waits for."""
    seconds, stages = deploy(server.api, project)
    while len(server.webs(f"{project}/main")) > 1:
        time.sleep(0.02)
    return seconds, stages


def _steps_run(note: str) -> int:
    """2 of `image 3f9a built, 2 of 7 steps`."""
    found = re.search(r"built, (\d+) of", note)
    return int(found[1]) if found else 0

"""Each call reaches the driver of the runtime that it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from previewdrop.domain.app import AppFacts, AppObject, Dependencies, Lock
from previewdrop.domain.errors import Unavailable
from previewdrop.domain.naming import names_for
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import CacheSpec, DatabaseSpec, Process, RunSpec
from previewdrop.drivers.base import BuildSpec, ImageSpec
from previewdrop.drivers.chosen import ChosenBuilder, ChosenCache, ChosenDatabase, ChosenRuntime
from previewdrop.drivers.memory import MemoryBuilder, MemoryCache, MemoryDatabase, MemoryRuntime
from previewdrop.misbehaviour import Misbehaviour

FACTS = AppFacts("", AppObject("main", "app"), Dependencies(Lock.REQUIREMENTS, ()))


def run(deployment: int, runtime: str) -> RunSpec:
    return RunSpec(
        installation="i",
        names=names_for("shop", f"pr-{deployment}", "{project}.localhost"),
        deployment=deployment,
        source="/nowhere",
        root="",
        import_path=("",),
        artifact={"runtime": runtime},
        environment={},
        port=3000,
        web=Process("web", ("serve",)),
    )


async def test_deployments_run_where_their_artifact_was_built_for() -> None:
    process, docker = MemoryRuntime(), MemoryRuntime()
    chosen = ChosenRuntime({"process": process, "docker": docker})
    here = await chosen.ensure(run(1, "process"))
    there = await chosen.ensure(run(2, "docker")) | {"runtime": "docker"}
    assert (process.started, docker.started) == ([1], [2])
    assert (await chosen.observe(here)).running
    await chosen.remove(here)
    assert (await chosen.observe(there)).running
    assert await chosen.sweep([]) == ["2"]


async def test_an_image_is_built_by_the_builder_of_images(tmp_path: Path) -> None:
    process, docker = MemoryBuilder(), MemoryBuilder()
    chosen = ChosenBuilder({"process": process, "docker": docker})
    docker.misbehave(Misbehaviour.UNAVAILABLE, call="ensure")
    await chosen.ensure(BuildSpec(tmp_path, FACTS), print)
    with pytest.raises(Unavailable):
        await chosen.ensure(BuildSpec(tmp_path, FACTS, image=ImageSpec("Dockerfile", "")), print)


async def test_databases_and_numbers_are_on_their_runtime_s_server() -> None:
    process, docker = MemoryDatabase(), MemoryDatabase()
    chosen = ChosenDatabase({"process": process, "docker": docker})
    await chosen.ensure(DatabaseSpec("a", "a", Secret("x")))
    await chosen.ensure(DatabaseSpec("b", "b", Secret("x"), server="docker"))
    assert (list(process.databases), list(docker.databases)) == (["a"], ["b"])
    few, many = MemoryCache(8), MemoryCache(16)
    caches = ChosenCache({"process": few, "docker": many})
    assert await caches.capacity() == 7
    await caches.ensure(CacheSpec("u", Secret("x"), 3, "docker"))
    assert (list(few.users), list(many.users)) == ([], ["u"])
    await caches.remove(CacheSpec("u", Secret("x"), 3, None))
    assert not many.users


async def test_a_runtime_that_cannot_be_used_passes_by_itself() -> None:
    chosen = ChosenRuntime({"process": MemoryRuntime()})
    with pytest.raises(Unavailable, match="runs in docker, which cannot be used now"):
        await chosen.observe({"deployment": 1, "runtime": "docker"})


async def test_sweeps_end_everywhere_before_an_error_is_told() -> None:
    process, docker = MemoryRuntime(), MemoryRuntime()
    chosen = ChosenRuntime({"docker": docker, "process": process})
    await chosen.ensure(run(1, "process"))
    docker.misbehave(Misbehaviour.UNAVAILABLE, call="sweep")
    with pytest.raises(Unavailable):
        await chosen.sweep([])
    assert not process.runs

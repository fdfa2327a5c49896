"""What every Database driver promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from previewdrop.domain.errors import StageFailed
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import DatabaseSpec
from previewdrop.drivers.base import Database
from previewdrop.drivers.memory import MemoryDatabase
from previewdrop.drivers.postgres.driver import PostgresDatabase


@pytest.fixture(params=["memory", "superuser", "ordinary administrator", "container"])
def url(request: pytest.FixtureRequest) -> Secret | None:
    if request.param == "superuser":
        return request.getfixturevalue("postgres_service").admin_url
    if request.param == "ordinary administrator":
        return request.getfixturevalue("postgres_ordinary_admin")
    if request.param == "container":
        return request.getfixturevalue("container_services").database.admin_url
    return None


@pytest_asyncio.fixture
async def database(url: Secret | None) -> AsyncGenerator[Database]:
    if url is None:
        yield MemoryDatabase()
        return
    driver = PostgresDatabase(url, "contract")
    yield driver
    await driver.sweep([])
    await driver.aclose()


@pytest.fixture(params=["database", "schema"])
def isolation(request: pytest.FixtureRequest) -> str:
    return request.param


def spec(number: int, isolation: str, **more: Any) -> DatabaseSpec:
    role = f"shop_pr_{number}"
    name = role if isolation == "database" else "shared__shop"
    return DatabaseSpec(name, role, Secret(f"password {number}"), isolation, **more)


async def test_nothing_is_there_at_first(database: Database, isolation: str):
    assert not (await database.observe(spec(1, isolation))).exists


async def test_ensure_makes_it_and_says_how_to_reach_it(database: Database, isolation: str):
    wanted = spec(1, isolation)
    endpoint, there = await database.ensure(wanted)
    assert not there
    assert (endpoint.name, endpoint.user) == (wanted.name, wanted.role)
    assert endpoint.password == wanted.password
    assert endpoint.schema == (wanted.role if isolation == "schema" else None)
    observed = await database.observe(wanted)
    assert observed.exists
    assert observed.revisions == ()


async def test_ensure_twice_is_ensure_once(database: Database, isolation: str):
    first, _ = await database.ensure(spec(1, isolation))
    second, there = await database.ensure(spec(1, isolation))
    assert there
    assert second == first


async def test_ten_at_once(database: Database, isolation: str):
    specs = [spec(number, isolation) for number in range(1, 11)]
    results = await asyncio.gather(*(database.ensure(each) for each in specs))
    assert [there for _, there in results] == [False] * 10
    assert all([(await database.observe(each)).exists for each in specs])


async def test_the_same_at_once_is_one(database: Database, isolation: str):
    results = await asyncio.gather(*(database.ensure(spec(1, isolation)) for _ in range(3)))
    assert len({endpoint for endpoint, _ in results}) == 1
    assert (await database.observe(spec(1, isolation))).exists


async def test_removing_leaves_the_others(database: Database, isolation: str):
    await database.ensure(spec(1, isolation))
    await database.ensure(spec(2, isolation))
    await database.remove(spec(1, isolation))
    assert not (await database.observe(spec(1, isolation))).exists
    assert (await database.observe(spec(2, isolation))).exists


async def test_removing_nothing_succeeds(database: Database, isolation: str):
    await database.remove(spec(1, isolation))
    await database.ensure(spec(1, isolation))
    await database.remove(spec(1, isolation))
    await database.remove(spec(1, isolation))


async def test_sweep_removes_what_is_not_wanted(database: Database, isolation: str):
    for number in (1, 2, 3):
        await database.ensure(spec(number, isolation))
    assert sorted(await database.sweep(["shop_pr_2"])) == ["shop_pr_1", "shop_pr_3"]
    assert (await database.observe(spec(2, isolation))).exists
    assert not (await database.observe(spec(3, isolation))).exists
    assert await database.sweep(["shop_pr_2"]) == []


async def test_an_extension_that_the_server_lacks(database: Database, isolation: str):
    with pytest.raises(StageFailed, match="no extension"):
        await database.ensure(spec(1, isolation, extensions=("nonesuch",)))


async def test_after_a_failure_ensure_completes(database: Database, isolation: str):
    with pytest.raises(StageFailed):
        await database.ensure(spec(1, isolation, extensions=("nonesuch",)))
    await database.ensure(spec(1, isolation))
    assert (await database.observe(spec(1, isolation))).exists

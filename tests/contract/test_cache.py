"""What every Cache driver promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import CacheSpec
from previewdrop.drivers.base import Cache
from previewdrop.drivers.memory import MemoryCache
from previewdrop.drivers.valkey.driver import ValkeyCache


@pytest.fixture(params=["memory", "valkey", "container"])
def url(request: pytest.FixtureRequest) -> Secret | None:
    if request.param == "memory":
        return None
    if request.param == "container":
        return request.getfixturevalue("container_services").cache.admin_url
    return request.getfixturevalue("valkey_service").admin_url


@pytest_asyncio.fixture
async def cache(url: Secret | None) -> AsyncGenerator[Cache]:
    if url is None:
        yield MemoryCache(64)
        return
    driver = ValkeyCache(url, "contract")
    yield driver
    await driver.sweep([])
    await driver.aclose()


def spec(number: int) -> CacheSpec:
    return CacheSpec(f"shop_pr_{number}", Secret(f"password {number}"), number)


async def test_number_zero_is_not_counted(cache: Cache):
    assert await cache.capacity() == 63


async def test_ensure_makes_it_and_says_how_to_reach_it(cache: Cache):
    endpoint, there = await cache.ensure(spec(3))
    assert not there
    assert (endpoint.name, endpoint.user) == ("3", "shop_pr_3")
    assert endpoint.password == Secret("password 3")


async def test_ensure_twice_is_ensure_once(cache: Cache):
    first, _ = await cache.ensure(spec(3))
    second, there = await cache.ensure(spec(3))
    assert there
    assert second == first


async def test_another_number_is_a_new_start(cache: Cache):
    await cache.ensure(spec(3))
    endpoint, there = await cache.ensure(CacheSpec("shop_pr_3", Secret("password"), 4))
    assert not there
    assert endpoint.name == "4"


async def test_ten_at_once(cache: Cache):
    results = await asyncio.gather(*(cache.ensure(spec(number)) for number in range(1, 11)))
    assert [there for _, there in results] == [False] * 10


async def test_removing_nothing_succeeds(cache: Cache):
    await cache.remove(spec(3))
    await cache.ensure(spec(3))
    await cache.remove(spec(3))
    await cache.remove(spec(3))
    assert not (await cache.ensure(spec(3)))[1]


async def test_sweep_removes_what_is_not_wanted(cache: Cache):
    for number in (1, 2, 3):
        await cache.ensure(spec(number))
    assert sorted(await cache.sweep(["shop_pr_2"])) == ["shop_pr_1", "shop_pr_3"]
    assert (await cache.ensure(spec(2)))[1]
    assert not (await cache.ensure(spec(3)))[1]

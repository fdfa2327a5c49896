"""The in-memory drivers fit the contracts and misbehave as they are told."""

import asyncio

import pytest

from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import CacheSpec, DatabaseSpec, Route
from previewdrop.drivers.base import Builder, Cache, Database, Edge, Runtime
from previewdrop.drivers.memory import (
    MemoryBuilder,
    MemoryCache,
    MemoryDatabase,
    MemoryEdge,
    MemoryRuntime,
)
from previewdrop.misbehaviour import Misbehaviour

DATABASE = DatabaseSpec("shop_pr_1", "shop_pr_1", Secret("password"))


def test_each_fits_its_contract():
    builder: Builder = MemoryBuilder()
    runtime: Runtime = MemoryRuntime()
    database: Database = MemoryDatabase()
    cache: Cache = MemoryCache()
    edge: Edge = MemoryEdge()
    assert [builder, runtime, database, cache, edge]


async def test_a_call_misbehaves_as_often_as_told():
    database = MemoryDatabase()
    database.misbehave(Misbehaviour.UNAVAILABLE, times=2)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await database.ensure(DATABASE)
    assert (await database.ensure(DATABASE))[1] is False
    assert database.calls == ["ensure"] * 3


async def test_halfway_leaves_a_part_that_the_next_call_completes():
    database = MemoryDatabase()
    database.misbehave(Misbehaviour.HALFWAY, times=1)
    with pytest.raises(Unavailable):
        await database.ensure(DATABASE)
    assert not (await database.observe(DATABASE)).exists
    assert DATABASE.role in database.databases
    await database.ensure(DATABASE)
    assert (await database.observe(DATABASE)).exists


async def test_a_liar_says_it_is_done():
    cache = MemoryCache()
    cache.misbehave(Misbehaviour.LYING)
    await cache.ensure(CacheSpec("shop_pr_1", Secret("password"), 1))
    assert cache.users == {}


async def test_a_slow_call_waits_until_it_may_go_on():
    edge = MemoryEdge()
    edge.misbehave(Misbehaviour.SLOW)
    call = asyncio.create_task(edge.ensure(Route("a.localhost", "127.0.0.1:1")))
    await edge.reached("ensure")
    assert not call.done()
    assert edge.routes == {}
    edge.go_on()
    await call
    assert "a.localhost" in edge.routes


async def test_a_broken_call_changes_nothing_until_it_behaves():
    edge = MemoryEdge()
    edge.misbehave(Misbehaviour.BROKEN)
    route = Route("a.localhost", "127.0.0.1:1")
    with pytest.raises(StageFailed):
        await edge.ensure(route)
    edge.behave()
    await edge.ensure(route)
    assert edge.switches == [route]

"""What every Edge driver promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from previewdrop.domain.spec import Route
from previewdrop.drivers.base import Edge
from previewdrop.drivers.caddy.driver import CaddyEdge
from previewdrop.drivers.memory import MemoryEdge
from previewdrop.services.caddy import CaddyService


@pytest.fixture(params=["memory", "folder", "admin API"])
def table(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def service(request: pytest.FixtureRequest, table: str) -> CaddyService | None:
    return None if table == "memory" else request.getfixturevalue("caddy_service")


@pytest_asyncio.fixture
async def edge(service: CaddyService | None, table: str) -> AsyncGenerator[Edge]:
    if service is None:
        yield MemoryEdge()
        return
    folder = service.routes if table == "folder" else None
    driver = CaddyEdge(service.admin, "contract", service.https, service.access_log, folder)
    yield driver
    await driver.sweep([])
    await driver.aclose()


def route(number: int, port: int = 20000) -> Route:
    return Route(f"pr-{number}.shop.localhost", f"127.0.0.1:{port}")


async def test_no_route_at_first(edge: Edge):
    assert await edge.observe("pr-1.shop.localhost") is None


async def test_a_route_is_there_after_ensure(edge: Edge):
    await edge.ensure(route(1))
    await edge.ensure(route(1))
    assert await edge.observe("pr-1.shop.localhost") == route(1)


async def test_a_route_is_switched(edge: Edge):
    await edge.ensure(route(1))
    await edge.ensure(route(1, 20001))
    assert await edge.observe("pr-1.shop.localhost") == route(1, 20001)


async def test_a_socket_is_an_upstream_too(edge: Edge):
    for path in ("/tmp/old.sock", "/tmp/new.sock"):
        wanted = Route("pr-1.shop.localhost", f"unix/{path}")
        await edge.ensure(wanted)
        assert await edge.observe("pr-1.shop.localhost") == wanted
    await edge.ensure(route(1))
    assert await edge.observe("pr-1.shop.localhost") == route(1)


async def test_ten_at_once(edge: Edge):
    routes = [route(number) for number in range(1, 11)]
    await asyncio.gather(*(edge.ensure(each) for each in routes))
    assert [await edge.observe(each.host) for each in routes] == routes


async def test_removing_leaves_the_others(edge: Edge):
    await edge.ensure(route(1))
    await edge.ensure(route(2))
    await edge.remove("pr-1.shop.localhost")
    await edge.remove("pr-1.shop.localhost")
    assert await edge.observe("pr-1.shop.localhost") is None
    assert await edge.observe("pr-2.shop.localhost") == route(2)


async def test_sweep_removes_what_is_not_wanted(edge: Edge):
    for number in (1, 2, 3):
        await edge.ensure(route(number))
    gone = await edge.sweep(["pr-2.shop.localhost"])
    assert sorted(gone) == ["pr-1.shop.localhost", "pr-3.shop.localhost"]
    assert await edge.observe("pr-2.shop.localhost") == route(2)
    assert await edge.sweep(["pr-2.shop.localhost"]) == []


async def test_nobody_has_asked_yet(edge: Edge):
    assert "pr-9.shop.localhost" not in await edge.last_requests()

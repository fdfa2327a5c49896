"""What a preview can and cannot do in the shared Valkey, tried with real clients."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from valkey.asyncio import Valkey
from valkey.exceptions import AuthenticationError, ConnectionError, NoPermissionError, ResponseError

from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import CacheSpec
from previewdrop.drivers.base import Endpoint
from previewdrop.drivers.valkey.driver import ValkeyCache

OURS = CacheSpec("shop_pr_1", Secret("password 1"), 11)
THEIRS = CacheSpec("shop_pr_2", Secret("password 2"), 12)


@dataclass(frozen=True)
class Server:
    """A Valkey as its administrator and its previews see it."""

    admin_url: Secret
    host: str
    port: int

    def reach(self) -> tuple[str, int]:
        return self.host, self.port


@pytest.fixture(params=["embedded", "container"])
def server(request: pytest.FixtureRequest) -> Server:
    if request.param == "embedded":
        service = request.getfixturevalue("valkey_service")
        return Server(service.admin_url, *service.reach())
    services = request.getfixturevalue("container_services")
    host = request.getfixturevalue("container_addresses")["cache"]
    return Server(services.cache.admin_url, host, 6379)


@pytest_asyncio.fixture
async def cache(server: Server) -> AsyncGenerator[ValkeyCache]:
    driver = ValkeyCache(server.admin_url, "walls", server.reach)
    yield driver
    await driver.sweep([])
    await driver.aclose()


@pytest_asyncio.fixture
async def admin(server: Server) -> AsyncGenerator[Any]:
    client = Valkey.from_url(server.admin_url.reveal(), decode_responses=True)
    yield client
    await client.aclose()


@pytest_asyncio.fixture
async def ours(cache: ValkeyCache) -> AsyncGenerator[Any]:
    endpoint, _ = await cache.ensure(OURS)
    client = client_of(endpoint)
    yield client
    await client.aclose()


def numbered(server: Server, number: int) -> Any:
    """The administrator in that number."""
    return Valkey.from_url(server.admin_url.reveal().replace("db=0", f"db={number}"))


def client_of(endpoint: Endpoint, **more: Any) -> Any:
    return Valkey(
        host=endpoint.host,
        port=endpoint.port,
        db=int(endpoint.name),
        username=endpoint.user,
        password=endpoint.password.reveal(),
        decode_responses=True,
        **more,
    )


@pytest.mark.parametrize("protocol", [2, 3])
async def test_an_ordinary_client_gets_in(cache: ValkeyCache, protocol: int):
    endpoint, _ = await cache.ensure(OURS)
    client = client_of(endpoint, protocol=protocol, client_name="web")
    async with client:
        assert await client.ping()
        assert (await client.info())["server_name"] == "valkey"


async def test_what_an_application_needs_works(ours: Any):
    await ours.set("greeting", "hello", ex=60)
    await ours.rpush("queue", "b", "a")
    await ours.xadd("stream", {"n": 1})
    assert sorted(await ours.keys("*")) == ["greeting", "queue", "stream"]
    assert [key async for key in ours.scan_iter("gr*")] == ["greeting"]
    assert await ours.dbsize() == 3
    assert await ours.sort("queue", alpha=True) == ["a", "b"]
    assert await ours.eval("return redis.call('GET', KEYS[1])", 1, "greeting") == "hello"
    async with ours.pipeline(transaction=True) as pipeline:
        assert await pipeline.incr("count").incr("count").execute() == [1, 2]
    await ours.flushdb()
    assert await ours.dbsize() == 0


@pytest.mark.parametrize(
    "command",
    [
        "SELECT 12",
        "SELECT 0",
        "COPY key key DB 12",
        "MOVE key 12",
        "SWAPDB 11 12",
        "FLUSHALL",
        "CONFIG GET *",
        "CONFIG SET requirepass x",
        "ACL LIST",
        "ACL SETUSER shop_pr_1 alldbs",
        "CLIENT LIST",
        "CLIENT KILL TYPE normal",
        "CLIENT TRACKING on BCAST",
        "SCRIPT FLUSH",
        "SCRIPT KILL",
        "FUNCTION LIST",
        "FUNCTION FLUSH",
        "PUBSUB CHANNELS",
        "PUBLISH news hello",
        "PUBLISH shop_pr_2:news hello",
        "MONITOR",
        "DEBUG SLEEP 0",
        "SHUTDOWN NOSAVE",
        "BGREWRITEAOF",
        "REPLICAOF 127.0.0.1 1",
        "MIGRATE 127.0.0.1 1 key 0 1",
        "SLOWLOG GET",
        "COMMANDLOG GET 10 slow",
        "MODULE LIST",
        "EVAL redis.call('SELECT',12) 0",
    ],
)
async def test_what_reaches_others_is_denied(ours: Any, command: str):
    await ours.set("key", "value")
    with pytest.raises(ResponseError) as raised:
        await ours.execute_command(*command.split(" "))
    words = str(raised.value).lower()
    assert isinstance(raised.value, NoPermissionError) or "permission" in words or "debug" in words


async def test_its_own_channels_work_and_nobody_else_hears(
    cache: ValkeyCache, ours: Any, admin: Any
):
    async with ours.pubsub() as listener:
        await listener.subscribe("shop_pr_1:news")
        await listener.get_message(timeout=5)
        assert await ours.publish("shop_pr_1:news", "hello") == 1
        message = await listener.get_message(timeout=5)
        assert message["data"] == "hello"
    endpoint, _ = await cache.ensure(THEIRS)
    async with client_of(endpoint) as theirs, theirs.pubsub() as listener:
        await listener.psubscribe("*")
        with pytest.raises(NoPermissionError):
            await listener.get_message(timeout=5)


async def test_a_new_user_finds_its_number_empty(cache: ValkeyCache, server: Server):
    async with numbered(server, OURS.number) as left:
        await left.set("left over", 1)
        endpoint, there = await cache.ensure(OURS)
        assert not there
        assert await left.dbsize() == 0
    async with client_of(endpoint) as client:
        await client.set("kept", 1)
        assert (await cache.ensure(OURS))[1]
        assert await client.get("kept") == "1"


async def test_removing_ends_connections_and_empties(cache: ValkeyCache, ours: Any, server: Server):
    await ours.set("key", 1)
    await cache.remove(OURS)
    with pytest.raises((AuthenticationError, ConnectionError)):
        await ours.get("key")
    async with numbered(server, OURS.number) as left:
        assert await left.dbsize() == 0


async def test_a_number_out_of_range_empties_no_other(cache: ValkeyCache, admin: Any):
    await admin.set("ours at zero", 1)
    with pytest.raises(StageFailed, match="out of range"):
        await cache.ensure(CacheSpec("shop_pr_1", Secret("password"), 4000))
    assert await admin.get("ours at zero") == "1"


async def test_somebody_else_s_user_is_left_alone(cache: ValkeyCache, admin: Any):
    await admin.execute_command("ACL", "SETUSER", "shop_pr_1", "on", ">theirs")
    with pytest.raises(StageFailed, match="did not make"):
        await cache.ensure(OURS)
    await cache.remove(OURS)
    assert await cache.sweep([]) == []
    assert await admin.execute_command("ACL", "DELUSER", "shop_pr_1") == 1


async def test_no_server_is_unavailable():
    cache = ValkeyCache(Secret("redis://:x@127.0.0.1:1"), "walls")
    with pytest.raises(Unavailable):
        await cache.capacity()
    await cache.aclose()


async def test_a_wrong_password_says_what_to_check(server: Server):
    cache = ValkeyCache(Secret(f"redis://:wrong@{server.host}:{server.port}"), "walls")
    with pytest.raises(Unavailable, match="PREVIEWDROP_REDIS_URL"):
        await cache.capacity()
    await cache.aclose()

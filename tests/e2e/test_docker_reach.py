"""From inside a preview's container: whom it reaches over the network, and whom it does not."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from e2e.containers import containers_of, engine, stranger, told, web_of
from e2e.server import Json, Server

Pair = tuple[Json, Json]

REACH = """
import concurrent.futures, json, socket, sys

def reach(target):
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 2).close()
    except OSError as error:
        return type(error).__name__
    return "reached"

with concurrent.futures.ThreadPoolExecutor(len(sys.argv)) as pool:
    print(json.dumps(dict(zip(sys.argv[1:], pool.map(reach, sys.argv[1:])))))
"""

OWN_DATA = """
import json, os, psycopg, valkey
with psycopg.connect(os.environ["DATABASE_URL"]) as database:
    (user, name) = database.execute("SELECT current_user, current_database()").fetchone()
cache = valkey.Valkey.from_url(os.environ["REDIS_URL"])
cache.set("mine", "yes")
print(json.dumps([user, name, cache.get("mine").decode(), cache.acl_whoami()]))
"""

INDEX = """
import json, urllib.parse
from pip._internal.configuration import Configuration
from pip._internal.models.index import PyPI
configured = Configuration(isolated=False)
configured.load()
url = dict(configured.items()).get("global.index-url", PyPI.url)
parts = urllib.parse.urlsplit(url)
print(json.dumps(f"{parts.hostname}:{parts.port or 443}"))
"""


LISTED: set[str] = set()
"""What has ever been an address of this machine."""


async def reach(server: Server, preview: Json, targets: Iterable[str]) -> dict[str, str]:
    """What becomes of a connection from the preview to each `host:port`."""
    return await told(server, preview, REACH, *targets)


async def reach_from_here(targets: Iterable[str]) -> None:
    """Asserts that somebody listens at each of them, so that not to reach them means something.

    A bridge that was listed may be gone by now, with the preview of another test.
    """
    for target in targets:
        host, _, port = target.rpartition(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            if host in LISTED and host not in addresses():
                continue
            raise
        writer.close()


async def reaches_none(server: Server, preview: Json, targets: list[str]) -> None:
    await reach_from_here(targets)
    seen = await reach(server, preview, targets)
    assert {one for one, how in seen.items() if how == "reached"} == set(), seen


def addresses() -> list[str]:
    """Those of this machine that are not loopback, each bridge's own among them."""
    lines = Path("/proc/net/fib_trie").read_text().splitlines()
    local = (at for at, line in enumerate(lines) if line.strip() == "/32 host LOCAL")
    found = {lines[at - 1].split()[-1] for at in local}
    LISTED.update(found)
    return sorted(one for one in found if not one.startswith("127."))


async def test_reaches_its_own_data_and_the_internet(
    docker_server: Server, docker_pair: Pair
) -> None:
    mine, _ = docker_pair
    user, name, kept, cache_user = await told(docker_server, mine, OWN_DATA)
    assert (user, name) == (mine["database"]["user"], mine["database"]["name"])
    assert (kept, cache_user) == ("yes", user)
    index = await told(docker_server, mine, INDEX)
    targets = ("db:5432", "cache:6379", index)
    assert await reach(docker_server, mine, targets) == dict.fromkeys(targets, "reached")


async def test_reaches_no_other_preview(docker_server: Server, docker_pair: Pair) -> None:
    mine, other = docker_pair
    theirs = await web_of(docker_server, other)
    (network,) = theirs["NetworkSettings"]["Networks"].values()
    web = f"{network['IPAddress']}:3000"
    async with engine() as docker:
        found = await docker.get(f"/networks/{network['NetworkID']}")
    services = {one["Name"]: one["IPv4Address"] for one in found["Containers"].values()}
    ports = {"db": 5432, "cache": 6379}
    data = [
        f"{address.partition('/')[0]}:{port}"
        for role, port in ports.items()
        for name, address in services.items()
        if name.endswith(f"-{role}")
    ]
    assert len(data) == 2
    await reaches_none(docker_server, mine, [web, *data])
    names = [theirs["Name"].strip("/"), theirs["Id"][:12], theirs["Config"]["Hostname"]]
    seen = await reach(docker_server, mine, [f"{name}:3000" for name in names])
    assert set(seen.values()) == {"gaierror"}
    ours = (await web_of(docker_server, mine))["NetworkSettings"]["Networks"].values()
    code = "import json, socket; print(json.dumps(socket.gethostbyname('web')))"
    assert await told(docker_server, mine, code) in [one["IPAddress"] for one in ours]


async def test_reaches_nothing_of_this_machine(docker_server: Server, docker_pair: Pair) -> None:
    """Its API, its data services, its edge, and whatever else listens on one of its addresses."""
    mine, _ = docker_pair
    api = urlsplit((await docker_server.get("/server"))["url"]).port
    record = json.loads(docker_server.home.server_file.read_text())
    services = json.loads((docker_server.home.path / "ports.json").read_text())
    loopback = {record["edge_port"], record["edge_http_port"]}
    loopback |= {services[name][1] for name in ("postgres", "valkey")}
    await reach_from_here(f"127.0.0.1:{port}" for port in loopback)
    async with await asyncio.start_server(lambda _, writer: writer.close(), "0.0.0.0", 0) as ours:  # noqa: S104
        port = ours.sockets[0].getsockname()[1]
        everywhere = [f"{host}:{one}" for host in addresses() for one in (port, api)]
        assert len(everywhere) >= 6
        await reaches_none(docker_server, mine, everywhere)
    seen = await reach(
        docker_server, mine, [f"{host}:{one}" for host in addresses() for one in loopback]
    )
    assert "reached" not in seen.values()
    own = [f"127.0.0.1:{one}" for one in (port, api, *loopback)]
    assert set((await reach(docker_server, mine, own)).values()) == {"ConnectionRefusedError"}


async def test_sends_no_datagram_to_this_machine(docker_server: Server, docker_pair: Pair) -> None:
    mine, _ = docker_pair
    code = (
        "import json, socket, sys\n"
        "out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for host in sys.argv[2:]:\n"
        "    try: out.sendto(b'from inside', (host, int(sys.argv[1])))\n"
        "    except OSError: pass\n"
        "print(json.dumps('sent'))"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("0.0.0.0", 0))  # noqa: S104
        ours.setblocking(False)
        port = str(ours.getsockname()[1])
        assert await told(docker_server, mine, code, port, *addresses()) == "sent"
        with pytest.raises(BlockingIOError):
            ours.recvfrom(100)


async def test_reaches_no_sockets_of_this_machine(docker_server: Server, docker_pair: Pair) -> None:
    mine, _ = docker_pair
    home = docker_server.home
    for path in (
        home.socket("caddy.sock"),
        home.socket("valkey.sock"),
        Path("/run/docker.sock"),
        Path("/var/run/docker.sock"),
        Path("/run/containerd/containerd.sock"),
    ):
        answer = await docker_server.read(mine, "/connect-socket", path=str(path))
        assert answer == {"error": "FileNotFoundError"}, path
    name = f"\0previewdrop-{home.installation}"
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(name)
        abstract.listen()
        answer = await docker_server.read(mine, "/connect-socket", path=name)
    assert answer == {"error": "ConnectionRefusedError"}


async def test_is_refused_at_metadata_addresses(docker_server: Server, docker_pair: Pair) -> None:
    """Refused by our wall, that is, and not just out of reach on a machine that has none."""
    mine, _ = docker_pair
    metadata = ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200")
    seen = await reach(docker_server, mine, [f"{host}:80" for host in metadata])
    assert set(seen.values()) == {"ConnectionRefusedError"}, seen


@asynccontextmanager
async def strangers() -> AsyncGenerator[list[str]]:
    """Where somebody else's containers listen: on docker0, on a network, on a published port."""
    listens = ["python", "-m", "http.server", "8000"]
    published = {
        "ExposedPorts": {"8000/tcp": {}},
        "host": {"PortBindings": {"8000/tcp": [{"HostPort": "0"}]}},
    }
    async with AsyncExitStack() as stack:
        docker = await stack.enter_async_context(engine())
        name = f"strangers-{id(stack)}"
        await docker.post("/networks/create", {"Name": name})
        stack.push_async_callback(docker.delete, f"/networks/{name}")
        on_bridge = await stack.enter_async_context(stranger(listens, **published))
        on_network = await stack.enter_async_context(stranger(listens, name))
        inside = on_network["NetworkSettings"]["Networks"][name]["IPAddress"]
        bindings = on_bridge["NetworkSettings"]["Ports"]["8000/tcp"]
        port = next(one["HostPort"] for one in bindings if one["HostIp"] == "0.0.0.0")  # noqa: S104
        targets = [f"{on_bridge['NetworkSettings']['IPAddress']}:8000", f"{inside}:8000"]
        for target in targets:
            await answers(target)
        yield [*targets, *(f"{host}:{port}" for host in addresses())]


async def answers(target: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                return await reach_from_here([target])
            except OSError:
                await asyncio.sleep(0.05)


async def test_reaches_no_stranger_on_the_same_engine(
    docker_server: Server, docker_pair: Pair
) -> None:
    mine, _ = docker_pair
    async with strangers() as targets:
        await reaches_none(docker_server, mine, targets)


async def test_nothing_is_published(docker_server: Server, docker_pair: Pair) -> None:
    for each in docker_pair:
        assert (await web_of(docker_server, each))["State"]["Running"]
    for one in await containers_of(docker_server.home.installation):
        bound = one["NetworkSettings"]["Ports"] or {}
        assert [ports for ports in bound.values() if ports] == [], one["Name"]

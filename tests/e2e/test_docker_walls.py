"""From inside a preview's container: what it may do, see and use that is not its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from e2e.containers import app, command_of, told, web_of
from e2e.repository import Branches
from e2e.server import CANARY, Json, Server
from previewdrop.drivers.docker.commands import CAPABILITIES

Pair = tuple[Json, Json]

NUMBERS = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "KILL": 5, "SETGID": 6, "SETUID": 7}
NUMBERS |= {"NET_BIND_SERVICE": 10}
"""https://github.com/torvalds/linux/blob/master/include/uapi/linux/capability.h"""

FORBIDDEN = """
import ctypes, json, os, socket, stat, sys

libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    ctypes.set_errno(0)
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)

def write(path, text):
    with open(path, "w") as file:
        file.write(text)

NEWUSER, NEWNS, NEWNET = 0x10000000, 0x00020000, 0x40000000
attempts = {
    "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "remount of /proc/sys": lambda: call("mount", None, b"/proc/sys", None, 0x1000 | 32, None),
    "user namespace": lambda: call("unshare", NEWUSER),
    "mount namespace": lambda: call("unshare", NEWNS),
    "network namespace": lambda: call("unshare", NEWNET),
    "device": lambda: os.mknod("/tmp/memory", 0o600 | stat.S_IFCHR, os.makedev(1, 1)),
    "host name": lambda: socket.sethostname("mine"),
    "address": lambda: call("setns", os.open("/proc/1/ns/net", os.O_RDONLY), NEWNET),
    "/proc/sys/kernel/hostname": lambda: write("/proc/sys/kernel/hostname", "mine"),
    "/proc/sys/net/ipv4/ip_forward": lambda: write("/proc/sys/net/ipv4/ip_forward", "1"),
    "/proc/sysrq-trigger": lambda: write("/proc/sysrq-trigger", "h"),
    "/sys/kernel/profiling": lambda: write("/sys/kernel/profiling", "1"),
    "control group": lambda: os.mkdir("/sys/fs/cgroup/memory/mine"),
    "/proc/kcore": lambda: open("/proc/kcore", "rb").read(1) or write("/", ""),
    "clock": lambda: __import__("time").clock_settime(0, 0),
    "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, -10),
    "reboot": lambda: call("reboot", 0),
}
done = {}
for name, attempt in attempts.items():
    try:
        attempt()
    except OSError as error:
        done[name] = type(error).__name__
    else:
        done[name] = "done"
print(json.dumps(done))
"""

STATUS = """
import json
lines = open(f"/proc/self/status").read().splitlines()
print(json.dumps(dict(line.split(":", 1) for line in lines)))
"""

TRESPASS = """
import json, psycopg, sys
said = {}
for url in sys.argv[1:]:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        said[url] = str(error)
    else:
        said[url] = "connected"
print(json.dumps(list(said.values())))
"""

CACHE_KEY = """
import os, valkey
print(str(valkey.Valkey.from_url(os.environ["REDIS_URL"]).set("theirs", "yes")).lower())
"""
CACHE_TRESPASS = """
import json, os, sys, valkey
cache = valkey.Valkey.from_url(os.environ["REDIS_URL"])
cache.flushdb()
cache.set("ours", "yes")
theirs = sys.argv[1]
refused = {}
for command in (
    ("SELECT", theirs), ("MOVE", "ours", theirs), ("COPY", "ours", "x", "DB", theirs),
    ("SWAPDB", "1", theirs), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("ACL", "LIST"),
    ("SHUTDOWN",), ("REPLICAOF", "NO", "ONE"), ("CLIENT", "LIST"), ("MONITOR",), ("KEYS", "*"),
):
    try:
        refused[" ".join(command)] = str(cache.execute_command(*command))
    except valkey.exceptions.NoPermissionError:
        refused[" ".join(command)] = "no"
print(json.dumps(refused))
"""


async def test_runs_without_privileges(docker_server: Server, docker_pair: Pair) -> None:
    mine, _ = docker_pair
    assert set(NUMBERS) == set(CAPABILITIES)
    few = sum(1 << number for number in NUMBERS.values())
    app_itself = "1" if await command_of(docker_server, mine, "id", "-u") == ["0"] else "self"
    for which in ("self", app_itself):
        status = await told(docker_server, mine, STATUS.replace("self", which))
        assert int(status["CapBnd"], 16) == few
        assert int(status["CapEff"], 16) == few
        assert int(status["CapAmb"], 16) == 0
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Seccomp"].strip() == "2"


async def test_changes_nothing_of_the_machine(docker_server: Server, docker_pair: Pair) -> None:
    mine, _ = docker_pair
    done = await told(docker_server, mine, FORBIDDEN)
    assert len(done) == 19
    assert {name for name, how in done.items() if how == "done"} == set(), done


async def test_sees_only_its_own_processes_and_files(
    docker_server: Server, docker_pair: Pair
) -> None:
    mine, other = docker_pair
    seen = await docker_server.read(mine, "/processes")
    words = {word for command in seen.values() for word in command}
    assert "main:app" in words
    assert not [word for word in words if "postgres" in word or "serve" in word]
    inside = {int(pid) for pid in seen}
    foreign = (await web_of(docker_server, other))["State"]["Pid"]
    for pid in {docker_server.pid, foreign} - inside:
        answer = await docker_server.visit(mine, "/kill", method="POST", params={"pid": str(pid)})
        assert answer.json() == {"error": "ProcessLookupError"}
    assert await docker_server.read(mine, "/read", path="/app/secret.txt") == {"text": "of mine\n"}
    home = docker_server.home
    for path in (home.path, home.key_file, home.checkouts, Path("/var/lib/docker")):
        assert path.exists()
        answer = await docker_server.read(mine, "/read", path=str(path))
        assert answer == {"error": "FileNotFoundError"}


async def test_the_environment_is_its_own(docker_server: Server, docker_pair: Pair) -> None:
    mine, other = docker_pair
    names = await docker_server.read(mine, "/env-names")
    assert CANARY in docker_server.environment
    assert CANARY not in names
    assert [name for name in names if name.startswith("PREVIEWDROP_")] == ["PREVIEWDROP_RUN"]
    assert "DATABASE_URL" in names
    for name in ("DATABASE_URL", "REDIS_URL", "PREVIEW_DATABASE_PASSWORD", "PREVIEW_URL"):
        values = [await docker_server.read(each, f"/env/{name}") for each in (mine, other)]
        assert all(values)
        assert values[0] != values[1], name


async def test_uses_no_database_but_its_own(docker_server: Server, docker_pair: Pair) -> None:
    mine, other = docker_pair
    url = await docker_server.read(mine, "/env/DATABASE_URL")
    own, _, name = url.rpartition("/")
    assert name == mine["database"]["name"]
    foreign = other["database"]["user"]
    urls = [f"{own}/{name}" for name in (other["database"]["name"], "postgres", "template1")]
    password = await docker_server.read(mine, "/env/PREVIEW_DATABASE_PASSWORD")
    urls += [f"postgresql://{user}:{password}@db/{name}" for user in (foreign, "postgres")]
    said = await told(docker_server, mine, TRESPASS, *urls)
    assert ["permission denied for database" in one for one in said[:3]] == [True] * 3
    assert f'password authentication failed for user "{foreign}"' in said[3]
    assert "pg_hba.conf rejects connection" in said[4]


async def test_uses_no_cache_but_its_own(docker_server: Server, docker_pair: Pair) -> None:
    mine, other = docker_pair
    await told(docker_server, other, CACHE_KEY)
    refused = await told(docker_server, mine, CACHE_TRESPASS, str(other["redis"]["db"]))
    keys = refused.pop("KEYS *")
    assert "b'ours'" in keys
    assert "theirs" not in keys
    assert set(refused.values()) == {"no"}, refused


LOOK = """
import socket, sys

status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
routes = [line.split() for line in open("/proc/net/route").read().splitlines()[1:]]
gateway = next(words[2] for words in routes if words[1] == "00000000")

def possible(attempt):
    try:
        attempt()
    except OSError:
        return "no"
    return "yes"

address = (socket.inet_ntoa(bytes.fromhex(gateway)[::-1]), int(sys.argv[2]))
print(
    f"{sys.argv[1]}: capabilities {int(status['CapEff'], 16):x},",
    f"no new privileges {status['NoNewPrivs'].strip()},",
    f"packets {possible(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))},",
    f"API {possible(lambda: socket.create_connection(address, 3))}",
    flush=True,
)
"""


async def test_commands_and_processes_have_the_same_walls(
    docker_server: Server, docker_pair: Pair, repositories_folder: Path
) -> None:
    """Whatever runs of a repository tells what it may do and whether it reaches the API."""
    repository = Branches(repositories_folder, "looks")
    await docker_server.add_project("looks", repository.path)
    _, _, port = (await docker_server.get("/server"))["url"].rpartition(":")
    config = (
        f'release = "python look.py release {port}"\n'
        f'post_deploy = "python look.py post-deploy {port}"\n'
        f'[processes]\nworker = "python look.py worker {port}; exec sleep 1000"\n'
    )
    repository.write("main", app(**{"look.py": LOOK, "previewdrop.toml": config}))
    preview = await docker_server.deploy("looks", "main")
    assert preview["state"] == "ready", preview["deployment"]
    few = sum(1 << number for number in NUMBERS.values())
    told = f"capabilities {few:x}, no new privileges 1, packets no, API no"
    expected = {f"{place}: {told}" for place in ("release", "post-deploy", "worker")}
    async with asyncio.timeout(30):
        while expected - set(await printed(docker_server, preview)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await docker_server.remove(preview["name"])


async def printed(server: Server, preview: Json) -> list[str]:
    return [*await server.build_log(preview), *(line for _, line in await server.app_log(preview))]

"""A private Engine works, survives what tests do to it, and leaves nothing behind."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from docker_engine import PrivateEngine, ended, private_engine, wait_until

IMAGE = "valkey/valkey:9.1"
INTERFACES = Path("/sys/class/net")


def ask(api: httpx2.Client, method: str, path: str, body: object = None) -> Any:
    answer = api.request(method, path, json=body)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def start_container(api: httpx2.Client, engine: PrivateEngine) -> int:
    """Starts `cache` on the network `own`, whose bridge is pdtestown, and returns its process."""
    subnet = next(engine.subnets.subnets(new_prefix=26))
    bridge = {"com.docker.network.bridge.name": "pdtestown"}
    network = {"Name": "own", "IPAM": {"Config": [{"Subnet": str(subnet)}]}, "Options": bridge}
    ask(api, "POST", "/networks/create", network)
    container = {"Image": IMAGE, "HostConfig": {"NetworkMode": "own"}}
    ask(api, "POST", "/containers/create?name=cache", container)
    ask(api, "POST", "/containers/cache/start")
    return ask(api, "GET", "/containers/cache/json")["State"]["Pid"]


def answers(api: httpx2.Client) -> bool:
    """Whether the network's other end, which is this machine, is let in to the container."""
    found = ask(api, "GET", "/containers/cache/json")["NetworkSettings"]["Networks"]["own"]
    try:
        answer = httpx2.get(f"http://{found['IPAddress']}:6379/", timeout=5)
    except httpx2.RemoteProtocolError:  # it speaks another language, but it speaks
        return True
    except httpx2.TransportError:
        return False
    return answer.is_success


def left_by(engine: PrivateEngine) -> list[str]:
    rules = subprocess.run(["iptables-save"], check=True, capture_output=True, text=True).stdout
    mounts = Path("/proc/self/mountinfo").read_text()
    traces = (engine.name, str(engine.folder))
    return [
        *(line for line in (rules + mounts).splitlines() if any(each in line for each in traces)),
        *(str(each) for each in Path("/sys/fs/cgroup").glob(f"**/{engine.name}")),
        *(each.name for each in INTERFACES.glob("pdtestown")),
        *(each.name for each in INTERFACES.glob(engine.name)),
        *(str(each) for each in (engine.folder,) if each.exists()),
    ]


def test_one_that_is_killed_starts_again_and_leaves_nothing() -> None:
    shared_bridge = (INTERFACES / "docker0").exists()
    with private_engine() as engine, engine.client() as api:
        engine.load(IMAGE)
        pid = start_container(api, engine)
        wait_until(lambda: answers(api), 10, lambda: "the container is not reached")
        engine.kill()
        assert not engine.answers()
        assert not ended(pid)
        engine.start()
        assert not ask(api, "GET", "/containers/cache/json")["State"]["Running"]
        ask(api, "POST", "/containers/cache/start")
        pid = ask(api, "GET", "/containers/cache/json")["State"]["Pid"]
        engine.kill()
        sockets = [path.read_text() for path in engine.folder.glob("exec/containerd/**/address")]
        assert len(sockets) == 1
    assert left_by(engine) == []
    assert ended(pid)
    assert not Path(sockets[0].removeprefix("unix://")).exists()
    assert (INTERFACES / "docker0").exists() == shared_bridge


def test_one_has_no_more_disk_than_was_asked_for() -> None:
    with private_engine("64m") as engine, pytest.raises(AssertionError, match="no space left"):
        engine.load(IMAGE)
    assert left_by(engine) == []

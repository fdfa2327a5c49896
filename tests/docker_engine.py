"""The Docker Engine that all tests share, and private ones that a test may stop, kill or fill."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

import httpx2

SOCKET = "/var/run/docker.sock"
ENGINE = f"unix://{SOCKET}"
"""The Engine of the machine, which `make docker` starts where there is none."""

_POOL = IPv4Network("10.192.0.0/12")
_PREFIX = 18
_CGROUPS = Path("/sys/fs/cgroup")
_START = _STOP = 60.0
_TRANSFER = 300.0


class PrivateEngine:
    """A second dockerd, with nothing of its own outside `folder` but a bridge and a cgroup.

    `data` is its data folder, alone on a file system of the size that was asked for. `subnets` is
    for its networks: on the default one and on those with a subnet of it, containers reach one
    another and the outside, this machine reaches them, and published ports work; nothing keeps
    two networks apart. Every call blocks: from a coroutine, use `asyncio.to_thread`.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.name = f"pdtest{number}"
        self.network = list(_POOL.subnets(new_prefix=_PREFIX))[number]
        self._default, self.subnets = self.network.subnets()
        self.data = folder / "data"
        self.socket = str(folder / "docker.sock")
        self.host = f"unix://{self.socket}"
        self.log = folder / "dockerd.log"
        self._process: subprocess.Popen[bytes] | None = None

    def client(self) -> httpx2.Client:
        """A client of its API, in the newest version that it speaks."""
        return client(self.socket)

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as plain:
            if plain.connect_ex(self.socket):
                return False
        try:
            with self.client() as own:
                return own.get("/_ping").is_success
        except httpx2.TransportError:
            return False

    def start(self) -> None:
        """Starts dockerd and returns when it answers. What it had before is there again."""
        assert self._process is None, "it runs already"
        cgroup = self._cgroup / "daemon"
        cgroup.mkdir(parents=True, exist_ok=True)
        # In a cgroup from its first moment, it starts nothing that is not found there again.
        enter = f'echo 0 >{cgroup}/cgroup.procs && exec "$@"'
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ("sh", "-c", enter, "sh", *self._argv()), stdout=log, stderr=log, process_group=0
            )
        wait_until(self._started, _START, lambda: f"dockerd does not start: {self._last_words()}")

    def stop(self) -> None:
        """SIGTERM: its containers are stopped, each with its own grace, then it ends."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: its containers live on, until the next `start` ends them."""
        pid_file = self.folder / "exec/containerd/containerd.pid"
        containerd = int(pid_file.read_text())
        self._end(signal.SIGKILL)
        # Its containerd dies with it. Not every machine's init reaps that soon, and dockerd takes
        # a process that waits for this for one that runs.
        wait_until(lambda: ended(containerd), _STOP, lambda: "containerd outlived dockerd")
        pid_file.unlink()

    def load(self, tag: str) -> None:
        """Copies an image from the Engine that all tests share."""
        with client(SOCKET) as shared, self.client() as own:
            with shared.stream("GET", f"/images/{tag}/get") as image:
                image.raise_for_status()
                answer = own.post("/images/load", content=image.iter_bytes())
            assert answer.is_success, answer.text
            assert '"error"' not in answer.text, answer.text

    def prepare(self, size: str) -> None:
        """Makes what is outside `folder`; `remove` takes it away again."""
        self.data.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=711", self.name, str(self.data))
        _run("ip", "address", "add", f"{self._default[1]}/24", "dev", self.name)
        _run("ip", "link", "set", self.name, "up")
        for rule in self._rules():
            _run("iptables", "--wait", rule[0], "--insert", *rule[1:])

    def remove(self) -> None:
        """Ends it and all that it started, and takes away all that it made."""
        shims = [each.read_text() for each in self.folder.glob("exec/containerd/**/address")]
        bridges = {self.name, *self._bridges()}
        self._kill_all()
        if self._process is not None:
            self._process.wait()
        for path in shims:
            Path(path.removeprefix("unix://")).unlink(missing_ok=True)
        for mount in reversed(_mounts_below(self.folder)):
            _run("umount", "--lazy", mount)
        for bridge in bridges:
            with contextlib.suppress(subprocess.CalledProcessError):  # it has gone before
                _run("ip", "link", "delete", bridge)
        for rule in self._rules():
            with contextlib.suppress(subprocess.CalledProcessError):  # it came not that far
                _run("iptables", "--wait", rule[0], "--delete", *rule[1:])
        shutil.rmtree(self.folder)

    def _argv(self) -> tuple[str, ...]:
        """Docker's own rules in the firewall are for one daemon a machine.

        Without a bridge, or with address pools of its own, it deletes docker0, the other's:
        https://github.com/moby/moby/blob/v20.10.24/daemon/daemon_unix.go
        """
        config = self.folder / "daemon.json"
        config.write_text("{}")
        return (
            "dockerd",
            f"--config-file={config}",
            f"--host={self.host}",
            f"--data-root={self.data}",
            f"--exec-root={self.folder / 'exec'}",
            f"--pidfile={self.folder / 'dockerd.pid'}",
            f"--bridge={self.name}",
            "--iptables=false",
            "--ip-masq=false",
            "--ip-forward=false",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            f"--cgroup-parent=/{self.name}",
        )

    def _rules(self) -> tuple[tuple[str, ...], ...]:
        """What the shared Engine's firewall must let pass: its policy is to drop."""
        net, mark = str(self.network), ("-m", "comment", "--comment", self.name)
        back = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
        return (
            ("--table=filter", "FORWARD", "-s", net, *mark, "-j", "ACCEPT"),
            ("--table=filter", "FORWARD", "-d", net, *back, *mark, "-j", "ACCEPT"),
            ("--table=nat", "POSTROUTING", "-s", net, "!", "-d", net, *mark, "-j", "MASQUERADE"),
        )

    def _started(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"dockerd ended: {self._last_words()}"
        return self.answers()

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def _end(self, by: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._process.send_signal(by)
        self._process.wait(_STOP)
        self._process = None

    @property
    def _cgroup(self) -> Path:
        """Where its processes are counted; containers have theirs below it in each hierarchy."""
        version_2 = (_CGROUPS / "cgroup.procs").exists()
        return (_CGROUPS if version_2 else _CGROUPS / "pids") / self.name

    def _bridges(self) -> set[str]:
        """Those of its networks, as it has noted them: it leaves them when it is killed."""
        notes = self.data / "network/files/local-kv.db"
        found = re.findall(rb'"BridgeName":"([^"]+)"', notes.read_bytes()) if notes.exists() else []
        return {name.decode() for name in found} - {"docker0"}

    def _kill_all(self) -> None:
        def emptied() -> bool:
            there = [pid for each, _, _ in os.walk(self._cgroup) for pid in _pids(Path(each))]
            for pid in there:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self._process is not None:
                self._process.poll()
            return not there

        wait_until(emptied, _STOP, lambda: f"{self.name} has processes that do not end")
        for top in (_CGROUPS / self.name, *_CGROUPS.glob(f"*/{self.name}")):
            for folder, _, _ in os.walk(top, topdown=False):
                Path(folder).rmdir()


@contextmanager
def private_engine(size: str = "1g") -> Generator[PrivateEngine]:
    """A private Engine that answers, with `size` of memory as its disk; at the end nothing is left.

    Needs root. It has no images: see `PrivateEngine.load`.
    """
    number = _claim()
    folder = Path(tempfile.mkdtemp(prefix=f"pdtest{number}-"))  # short, for the sockets in it
    engine = PrivateEngine(folder, number)
    try:
        engine.prepare(size)
        engine.start()
        yield engine
    finally:
        engine.remove()


def client(path: str) -> httpx2.Client:
    """A client of the API of the Engine at a socket, in the newest version that it speaks."""
    transport = httpx2.HTTPTransport(uds=path)
    return httpx2.Client(transport=transport, base_url="http://docker", timeout=_TRANSFER)


def ended(pid: int) -> bool:
    """Also of a process that nobody has asked yet how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(fulfilled: Callable[[], bool], seconds: float, failure: Callable[[], str]) -> None:
    """AssertionError with `failure` when the condition does not come in time."""
    deadline = time.monotonic() + seconds
    while not fulfilled():
        assert time.monotonic() < deadline, failure()
        time.sleep(0.01)


def _claim() -> int:
    """A number that nobody else has: of the bridge, which is made, and of the addresses."""
    for number, _ in enumerate(_POOL.subnets(new_prefix=_PREFIX)):
        argv = ("ip", "link", "add", f"pdtest{number}", "type", "bridge")
        if subprocess.run(argv, capture_output=True, check=False).returncode == 0:
            return number
    raise AssertionError("No bridge can be made for a private Engine: is this root?")


def _mounts_below(folder: Path) -> list[str]:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [mount for mount in mounts if mount.startswith(f"{folder}/")]


def _pids(cgroup: Path) -> list[int]:
    try:
        return [int(line) for line in (cgroup / "cgroup.procs").read_text().split()]
    except OSError:  # its cgroup has gone meanwhile
        return []


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

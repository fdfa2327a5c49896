"""Starting a server in the background: once, however many ask, and what is said if it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from previewdrop.cli import launch
from previewdrop.cli.address import find_address, recorded_pid
from previewdrop.cli.client import Api
from previewdrop.config.home import Home
from previewdrop.domain.errors import ServerError

SERVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

home = Path(os.environ["PREVIEWDROP_HOME"])
with (home / "started").open("a") as file:
    file.write("x")

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        allowed = self.path == "/healthz" or self.headers["authorization"] == "Bearer tok"
        body = b"{}"
        self.send_response(200 if allowed else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
(home / "token").write_text("tok")
(home / "server.json.new").write_text(
    json.dumps({"url": f"http://127.0.0.1:{server.server_port}", "pid": os.getpid()})
)
os.replace(home / "server.json.new", home / "server.json")
server.serve_forever()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    monkeypatch.setattr(launch, "SERVE", (sys.executable, str(script)))
    for name in ("PREVIEWDROP_URL", "PREVIEWDROP_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    home = Home(tmp_path / "home")
    yield home
    if pid := recorded_pid(home):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def api(home: Home) -> Api:
    return Api(lambda: find_address(home))


def test_starts_a_server_that_outlives_us(home: Home) -> None:
    told: list[str] = []
    assert launch.ensure_server(api(home), home, told.append) is True
    assert told == ["Starting PreviewDrop. The first start prepares PostgreSQL, Valkey and Caddy."]
    pid = recorded_pid(home)
    assert pid is not None
    assert os.getsid(pid) == pid
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert launch.ensure_server(api(home), home, told.append) is False
    assert len(told) == 1


def test_several_at_the_same_moment_start_one(home: Home) -> None:
    started: list[bool] = []
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            started.append(launch.ensure_server(api(home), home, lambda _: None))
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(started) == [False, False, False, True]
    assert (home.path / "started").read_text() == "x"


def test_a_stale_record_is_no_server(home: Home) -> None:
    home.create()
    home.server_file.write_text('{"url": "http://127.0.0.1:9", "pid": 999999, "edge_port": 1}')
    assert launch.running(api(home)) is False
    assert launch.ensure_server(api(home), home, lambda _: None) is True


def test_a_server_that_dies_has_the_last_word(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = "import sys; print('Error: Port 7780 is taken.', file=sys.stderr); sys.exit(3)"
    monkeypatch.setattr(launch, "SERVE", (sys.executable, "-c", dying))
    home.create()
    home.logs.mkdir()
    (home.logs / "server.log").write_text("from an earlier start\n")
    with pytest.raises(ServerError, match="ended with 3 before it was ready") as caught:
        launch.ensure_server(api(home), home, lambda _: None)
    assert caught.value.hint is not None
    assert "    Error: Port 7780 is taken." in caught.value.hint
    assert "earlier" not in caught.value.hint
    assert str(home.logs / "server.log") in caught.value.hint


def test_a_server_of_the_environment_is_never_started(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREVIEWDROP_URL", "http://127.0.0.1:9")
    assert launch.ensure_server(api(home), home, lambda _: None) is False
    assert not home.path.exists()


def test_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert launch.alive(process.pid)
    process.communicate(b"\n")
    assert not launch.alive(process.pid)


def test_waits_until_the_process_and_its_answers_are_gone(home: Home) -> None:
    launch.ensure_server(api(home), home, lambda _: None)
    pid = recorded_pid(home)
    assert pid is not None
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            os.kill(pid, signal.SIGTERM)

    launch.wait_until_gone(api(home), home, pid, pause=pause)
    assert len(pauses) >= 2
    assert not launch.alive(pid)
    os.waitpid(pid, 0)
    home.server_file.unlink()

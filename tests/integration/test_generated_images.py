"""Generated Dockerfiles, one of each shape: built, run, stopped, and built again after a push."""

from __future__ import annotations

import base64
import io
import os
import re
import secrets
import shutil
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from uv import find_uv_bin

from docker_engine import ENGINE, wait_until
from image_shapes import SHAPES, Shape, app, write
from previewdrop.source.detect import detect
from previewdrop.source.image import generated

CACHE = "previewdrop-tests"
PASSWORD = "hunter2-hunter2"


@dataclass
class Built:
    """An image of a shape; `push` changes its code and builds it again, and returns the log."""

    shape: Shape
    tag: str
    push: Callable[[], str]


@pytest.fixture(scope="module")
def client() -> str:
    """A client that can use BuildKit: newer ones need a plug-in for that."""
    names = [shutil.which("docker", path=part) for part in os.get_exec_path()]
    for name in filter(None, names):
        if docker(name, "build", "--help", check=False).returncode == 0:
            return name
    raise AssertionError("No Docker client here can use BuildKit: install docker.io or buildx.")


@pytest.fixture(scope="module", params=SHAPES)
def built(
    request: pytest.FixtureRequest, client: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Built]:
    shape = SHAPES[request.param]
    folder = tmp_path_factory.mktemp("repository")
    tag = f"previewdrop-generated:{secrets.token_hex(6)}"
    write(folder, {**shape.files, shape.code: app(imports=shape.imports)})
    if shape.lock:
        subprocess.run((find_uv_bin(), "lock", "--quiet"), cwd=folder, check=True)

    def push() -> str:
        write(folder, {shape.code: app(secrets.randbelow(10**9), shape.imports)})
        return build(client, folder, tag, shape)

    build(client, folder, tag, shape)
    yield Built(shape, tag, push)
    docker(client, "image", "rm", "--force", tag)


@pytest.fixture
def running(built: Built, client: str) -> Iterator[tuple[str, str]]:
    """A container of the image, and the app's URL."""
    environment = "--env=FORWARDED_ALLOW_IPS=*"
    name = docker(client, "run", "--detach", environment, built.tag).stdout.strip()
    shown = docker(client, "inspect", "--format={{.NetworkSettings.IPAddress}}", name)
    yield name, f"http://{shown.stdout.strip()}:3000/"
    docker(client, "rm", "--force", name)


def test_it_serves_as_a_plain_user_and_stops_when_asked(
    built: Built, running: tuple[str, str], client: str
) -> None:
    name, url = running
    said = ask(client, name, url)
    assert said["uid"] == 10001
    assert said["folder"] == built.shape.folder
    assert said["script"] == built.shape.script
    assert said["versions"] == {**said["versions"], **built.shape.versions}
    assert said["versions"]["uvicorn"]
    assert said["client"] == "203.0.113.7"
    begun = time.monotonic()
    docker(client, "stop", "--time=10", name)
    assert time.monotonic() - begun < 2


def test_a_push_of_code_alone_rebuilds_the_last_step_alone(built: Built) -> None:
    if built.shape.whole:
        assert len(executed(built.push())) > 1
        return
    ran: list[list[str]] = []
    # Somebody else may take away the cache, or a base image, just in between.
    while not ran or (ran[-1] != ["COPY"] and len(ran) < 3):
        ran.append([step.split()[0] for step in executed(built.push())])
    assert ran[-1] == ["COPY"]


class Index(BaseHTTPRequestHandler):
    """A package index with one package, for those who know the password."""

    def do_GET(self) -> None:
        login = base64.b64encode(f"bob:{PASSWORD}".encode()).decode()
        if self.headers["authorization"] != f"Basic {login}":
            self._answer(401, b"")
        elif self.path.endswith(".whl"):
            self._answer(200, wheel())
        elif self.path == "/simple/acme/":
            self._answer(200, b'<a href="/acme-1-py3-none-any.whl">acme-1-py3-none-any.whl</a>')
        else:
            self._answer(404, b"")

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    thread.join()
    server.server_close()


def test_secrets_reach_the_installer_and_stay_out_of_the_image(
    client: str, index: str, tmp_path: Path
) -> None:
    given = {
        "UV_INDEX": f"acme={index}",
        "UV_INDEX_ACME_USERNAME": "bob",
        "UV_INDEX_ACME_PASSWORD": PASSWORD,
    }
    folder, tag = tmp_path / "repository", f"previewdrop-generated:{secrets.token_hex(6)}"
    write(folder, {"requirements.txt": f"# {index}\nuvicorn\nacme\n", "main.py": app()})
    log = build(client, folder, tag, Shape({}), given)
    try:
        asked = docker(client, "run", "--rm", tag, "python", "-c", "import acme; print(acme.name)")
        assert asked.stdout == "acme\n"
        told = docker(client, "history", "--no-trunc", tag).stdout
        told += docker(client, "image", "inspect", tag).stdout
        search = (
            "grep",
            "-rls",
            PASSWORD,
            "/app",
            "/etc",
            "/home",
            "/root",
            "/run",
            "/tmp",
            "/venv",
        )
        found = docker(client, "run", "--rm", "--user=0", tag, *search, check=False).stdout
        assert PASSWORD not in log + told
        assert found == ""
    finally:
        docker(client, "image", "rm", "--force", tag)


def build(
    client: str, folder: Path, tag: str, shape: Shape, given: dict[str, str] | None = None
) -> str:
    """Builds the image of a repository, `given` some secrets; what BuildKit says meanwhile."""
    facts = detect(folder, root=shape.root, app=shape.app)
    image = generated(folder, facts, python="3.11", secrets=given or (), cache=CACHE)
    context = folder / image.context
    (context / ".dockerignore").write_text(image.ignore)
    aside = folder.parent / f"{folder.name}-image"
    write(aside, {"Dockerfile": image.text, **(given or {})})
    mine = [f"--secret=id={name},src={aside / name}" for name in given or ()]
    # Only so does a build reach a server of this test.
    network = ("--network=host",) if given else ()
    options = ("--progress=plain", f"--tag={tag}", f"--file={aside / 'Dockerfile'}")
    done = docker(client, "build", *options, *network, *mine, str(context), check=False)
    assert done.returncode == 0, f"{done.stdout}\n{image.text}"
    return done.stdout


def docker(client: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (client, f"--host={ENGINE}", *arguments),
        env=os.environ | {"DOCKER_BUILDKIT": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=check,
    )


def executed(log: str) -> list[str]:
    """The instructions that ran, in a log of `--progress=plain`, without those of FROM."""
    steps = dict(re.findall(r"^#(\d+) \[(?:\S+ )?\d+/\d+\] (.+)$", log, re.MULTILINE))
    cached = set(re.findall(r"^#(\d+) CACHED$", log, re.MULTILINE))
    return [text for step, text in steps.items() if step not in cached and text[:4] != "FROM"]


def ask(client: str, name: str, url: str) -> dict[str, Any]:
    """What the app says, once it does."""
    answers: list[httpx2.Response] = []

    def answered() -> bool:
        try:
            answers.append(httpx2.get(url, headers={"X-Forwarded-For": "203.0.113.7"}))
        except httpx2.TransportError:
            return False
        return True

    wait_until(answered, 20, lambda: docker(client, "logs", name).stdout)
    assert answers[0].status_code == 200, docker(client, "logs", name).stdout
    return answers[0].json()


def wheel() -> bytes:
    """A package `acme`; https://packaging.python.org/en/latest/specifications/binary-distribution-format/"""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        info = "acme-1.dist-info"
        archive.writestr("acme.py", "name = 'acme'\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return content.getvalue()

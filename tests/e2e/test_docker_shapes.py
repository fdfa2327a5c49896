"""Repositories of many shapes go live as containers, with a Dockerfile of their own and without."""

from __future__ import annotations

import asyncio
import base64
import io
import zipfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.containers import BASE, PYTHON, app, containers_of, engine, web_of
from e2e.locks import poetry_lock, uv_lock
from e2e.repository import HEALTHY, Branches
from e2e.server import Json, Server
from previewdrop.drivers.docker import labels
from repositories import Files

CONFIG = "previewdrop.toml"
ALONE = '[database]\nisolation = "none"\n[cache]\nenabled = false\n'
BARE = f"FROM {PYTHON}\nCOPY --from={BASE} /usr/local /usr/local\nWORKDIR /app\nCOPY . .\n"
"""A Dockerfile that says neither how the app starts nor where it listens."""

FROM_REQUIREMENTS = f"""\
FROM {PYTHON}
WORKDIR /app
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt
COPY . .
EXPOSE 3000
CMD exec uvicorn main:app --host 0.0.0.0 --port $PORT
"""
FROM_STAGES = f"""\
ARG BASE={PYTHON}
FROM $BASE AS builder
RUN --mount=type=cache,target=/root/.cache/pip pip install uv
ENV UV_LINK_MODE=copy
RUN --mount=type=cache,target=/root/.cache/uv \\
    --mount=type=bind,source=requirements.txt,target=requirements.txt \\
    uv venv /venv && VIRTUAL_ENV=/venv uv pip install -r requirements.txt

FROM builder AS tests
RUN exit 1

FROM $BASE
RUN useradd --uid 4711 runner
WORKDIR /srv
COPY --from=builder /venv /venv
COPY --chown=runner . .
USER runner
ENV PATH=/venv/bin:$PATH
ENTRYPOINT ["./start.sh"]
CMD ["main:app"]
"""
FROM_POETRY = f"""\
FROM {PYTHON} AS builder
RUN --mount=type=cache,target=/root/.cache/pip \\
    pip install --no-compile poetry poetry-plugin-export
WORKDIR /app
COPY pyproject.toml poetry.lock ./
RUN poetry export --output requirements.txt

FROM {PYTHON}
WORKDIR /app
COPY --from=builder /app/requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.txt
COPY . .
CMD exec uvicorn main:app --host 0.0.0.0 --port $PORT
"""
FROM_WORKSPACE = f"""\
FROM {PYTHON} AS builder
RUN --mount=type=cache,target=/root/.cache/pip pip install uv
ENV UV_LINK_MODE=copy
WORKDIR /app
COPY . .
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --package api

FROM {PYTHON}
WORKDIR /app/services/api
COPY --from=builder /app /app
ENV PATH=/app/.venv/bin:$PATH
EXPOSE 3000
CMD ["uvicorn", "api.main:app", "--host", "0.0.0.0", "--port", "3000"]
"""
FROM_TARGETS = f"""\
FROM {BASE} AS runner
ARG GREETING=nothing
ENV GREETING=$GREETING
COPY . .

FROM runner AS broken
RUN exit 1
"""

FROM_INDEX = f"""\
FROM {BASE}
RUN --mount=type=secret,id=INDEX_TOKEN,required=true \\
    token=$(cat /run/secrets/INDEX_TOKEN) && \\
    echo "the token has ${{{{#token}}}} characters, it is $token" && \\
    pip install --index-url "http://ci:$token@{{place}}/simple" --trusted-host {{place}} private
COPY . .
"""
TOKEN = "pypi-AgENdGVzdC5weXBpLm9y"
WHEEL = "private-1-py3-none-any.whl"

START = '#!/bin/sh\nexec uvicorn "$1" --host 0.0.0.0 --port "$PORT"\n'
RELEASE = """\
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("CREATE TABLE released AS SELECT 42 AS answer")
print("released", flush=True)
"""
CHECK = """\
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    print("answer", connection.execute("SELECT answer FROM released").fetchone()[0])
"""


@dataclass(frozen=True)
class Shape:
    """The files of a commit, what its app answers, and texts of its build log."""

    files: Files
    answers: Mapping[str, object] = field(default_factory=lambda: {"/env/PORT": "3000"})
    log: tuple[str, ...] = ()
    roles: tuple[str, ...] = ("web",)
    lock: Callable[[Path, Files], Files] | None = None


def plain(more: Files) -> Files:
    """The healthy app with these files."""
    return {**HEALTHY, CONFIG: ALONE, **more}


def below(folder: str, files: Files) -> Files:
    return {f"{folder}/{path}": content for path, content in files.items()}


def settings(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines) + ALONE


def text(name: str) -> str:
    """A file of the healthy app."""
    content = HEALTHY[name]
    assert isinstance(content, bytes)
    return content.decode()


PINNED = text("requirements.txt").split()
LISTED = ", ".join(f'"{one}"' for one in PINNED)
PACKAGE = '[project]\nversion = "1"\nrequires-python = ">=3.11"\n'
BUILT = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
WORKSPACE: Files = {
    "pyproject.toml": '[tool.uv.workspace]\nmembers = ["services/*", "libs/*"]\n',
    "services/api/pyproject.toml": (
        f'{PACKAGE}name = "api"\ndependencies = [{LISTED}, "common"]\n'
        f"[tool.uv.sources]\ncommon = {{ workspace = true }}\n{BUILT}"
    ),
    "services/api/src/api/__init__.py": "",
    "services/api/src/api/main.py": f"import common\n{text('main.py')}",
    "services/worker/pyproject.toml": f'{PACKAGE}name = "worker"\ndependencies = ["six"]\n',
    "libs/common/pyproject.toml": f'{PACKAGE}name = "common"\ndependencies = []\n{BUILT}',
    "libs/common/src/common/__init__.py": "",
    CONFIG: settings('root = "services/api"'),
}
"""An app that is one of several packages, and needs another one of them."""
POETRY: Files = {
    "main.py": HEALTHY["main.py"],
    "pyproject.toml": (
        '[tool.poetry]\nname = "shop"\nversion = "1.0"\npackage-mode = false\n'
        '[tool.poetry.dependencies]\npython = ">=3.11"\n'
        + "".join('{} = "{}"\n'.format(*one.split("==")) for one in PINNED)
    ),
    CONFIG: ALONE,
}

SHAPES = {
    "dockerfile": Shape(
        plain({"Dockerfile": FROM_REQUIREMENTS}),
        log=("RUN --mount=type=cache,target=/root/.cache/pip pip install",),
    ),
    "stages": Shape(
        plain({"Dockerfile": FROM_STAGES, "start.sh": START}),
        {"/whoami": {"folder": "/srv", "uid": 4711}},
    ),
    "monorepo": Shape(
        {**below("backend", app()), "frontend/app.js": "", CONFIG: settings('root = "backend"')},
        {"/read?path=.": {"names": ["Dockerfile", "__pycache__", "main.py", "requirements.txt"]}},
    ),
    "build-settings": Shape(
        {
            **below("backend", HEALTHY),
            "docker/api.Dockerfile": FROM_TARGETS,
            CONFIG: settings(
                'root = "backend"',
                "[build]",
                'dockerfile = "docker/api.Dockerfile"',
                'context = "backend"',
                'target = "runner"',
                'args = { GREETING = "good morning" }',
            ),
        },
        {"/env/GREETING": "good morning", "/read?path=backend": {"error": "FileNotFoundError"}},
    ),
    "dockerignore": Shape(
        {
            **app(),
            CONFIG: ALONE,
            ".dockerignore": "notes/*\n!notes/kept.txt\n*.md\n",
            "notes/private.txt": "private",
            "notes/kept.txt": "kept",
            "README.md": "read me",
        },
        {
            "/read?path=notes": {"names": ["kept.txt"]},
            "/read?path=README.md": {"error": "FileNotFoundError"},
        },
    ),
    "exposed": Shape(
        plain(
            {
                "Dockerfile": f"{BARE}EXPOSE 8000\n"
                'CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]\n'
            }
        ),
        {"/env/PORT": "8000"},
    ),
    "port": Shape({**app(), CONFIG: settings("port = 9000")}, {"/env/PORT": "9000"}),
    "processes": Shape(
        {**app("worker_process"), CONFIG: f'[processes]\nworker = "python worker.py"\n{ALONE}'},
        {"/health": {"status": "ok"}},
        roles=("web", "worker"),
    ),
    "release": Shape(
        {
            **app(),
            "release.py": RELEASE,
            "check.py": CHECK,
            CONFIG: 'release = "python release.py"\npost_deploy = "python check.py"\n',
        },
        log=("\nreleased\n", "\nanswer 42"),
    ),
    "poetry": Shape({**POETRY, "Dockerfile": FROM_POETRY}, lock=poetry_lock),
    "uv-workspace": Shape(
        {**WORKSPACE, "Dockerfile": FROM_WORKSPACE}, {"/env/PORT": "3000"}, lock=uv_lock
    ),
    "requirements-alone": Shape(plain({})),
    "poetry-alone": Shape(POETRY, lock=poetry_lock),
    "uv-workspace-alone": Shape(WORKSPACE, lock=uv_lock),
}


Live = dict[str, "asyncio.Task[Json]"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def repository(docker_server: Server, repositories_folder: Path) -> Branches:
    repository = Branches(repositories_folder, "shapes")
    await docker_server.add_project("shapes", repository.path)
    return repository


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def live(
    docker_server: Server, repository: Branches, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Live]:
    """All of them, deployed three at a time."""
    for name, shape in SHAPES.items():
        files = shape.files
        if shape.lock:
            files = await asyncio.to_thread(shape.lock, tmp_path_factory.mktemp("lock"), files)
        repository.write(name, files)
    turns = asyncio.Semaphore(3)

    async def deploy(name: str) -> Json:
        async with turns:
            wanted = await docker_server.want("shapes", name)
            return await docker_server.answered(wanted, timeout=240)

    tasks = {name: asyncio.create_task(deploy(name)) for name in SHAPES}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("name", SHAPES)
async def test_a_repository_of_any_shape_goes_live(
    docker_server: Server, live: Live, name: str
) -> None:
    server, shape, preview = docker_server, SHAPES[name], await live[name]
    assert preview["state"] == "ready", preview["deployment"]["error"]
    for path, answer in shape.answers.items():
        said = (await server.visit(preview, path)).json()
        assert (said | answer if isinstance(answer, dict) else answer) == said
    log = "\n".join(await server.build_log(preview))
    for expected in shape.log:
        assert expected in log
    deployment = preview["deployment"]["id"]
    found = await containers_of(server.home.installation, deployment=deployment)
    assert sorted(one["Config"]["Labels"][labels.ROLE] for one in found) == sorted(shape.roles)
    for role in shape.roles[1:]:
        assert role in {source for source, _ in await server.app_log(preview)}
    if name.endswith("-alone"):
        assert (await server.read(preview, "/whoami"))["uid"] != 0
    await server.remove(preview["name"])


async def test_a_private_index_is_asked_with_a_secret_that_nobody_finds_again(
    docker_server: Server, repository: Branches
) -> None:
    server = docker_server
    body = {"value": TOKEN, "secret": True}
    await server.ask("PUT", "/projects/shapes/variables/INDEX_TOKEN", json=body)
    async with private_index() as place:
        files = {**app(), "Dockerfile": FROM_INDEX.format(place=place), CONFIG: ALONE}
        repository.write("index", {**files, "main.py": f"import private\n{text('main.py')}"})
        preview = await server.deploy("shapes", "index")
    assert preview["state"] == "ready", preview["deployment"]["error"]
    log = "\n".join(await server.build_log(preview))
    assert f"the token has {len(TOKEN)} characters, it is •••" in log
    image = (await web_of(server, preview))["Image"]
    async with engine() as docker:
        told = (
            await docker.get(f"/images/{image}/history"),
            await docker.get(f"/images/{image}/json"),
        )
        assert "private" in str(told[0])
        seen = log + str(told) + str(preview) + server.output.read_text()
        assert TOKEN not in seen
        async with docker.stream("GET", f"/images/{image}/get") as saved:
            layers = await saved.aread()
    assert b"private-1.dist-info" in layers
    assert TOKEN.encode() not in layers
    await server.remove(preview["name"])


@asynccontextmanager
async def private_index() -> AsyncGenerator[str]:
    """An index with one package, for those who know the token: its address as builds reach it."""
    login = base64.b64encode(f"ci:{TOKEN}".encode()).decode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path, status, body = head.split()[1], "404 Not Found", b""
        if f"Authorization: Basic {login}" not in head:
            status = "401 Unauthorized"
        elif path == "/simple/private/":
            status, body = "200 OK", f'<a href="/{WHEEL}">{WHEEL}</a>'.encode()
        elif path == f"/{WHEEL}":
            status, body = "200 OK", wheel()
        more = "Content-Type: text/html\r\nConnection: close\r\nWWW-Authenticate: Basic\r\n"
        length = f"Content-Length: {len(body)}\r\n"
        writer.write(f"HTTP/1.1 {status}\r\n{more}{length}\r\n".encode() + body)
        await writer.drain()
        writer.close()

    async with engine() as docker:
        bridge = await docker.get("/networks/bridge")
    gateway = str(IPv4Network(bridge["IPAM"]["Config"][0]["Subnet"])[1])
    serving = await asyncio.start_server(answer, gateway, 0)
    async with serving:
        yield f"{gateway}:{serving.sockets[0].getsockname()[1]}"


def wheel() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = "private-1.dist-info"
        archive.writestr("private.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: private\nVersion: 1\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "private.py,,\n")
    return buffer.getvalue()

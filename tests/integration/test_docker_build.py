"""Images built by the real Engine: cached, with secrets, failing, stopped half-way, bounded."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import tarfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

import docker_images
from docker_images import PYTHON, SOCKET
from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.domain.secret import REDACTED, Secret
from previewdrop.domain.spec import MIB
from previewdrop.drivers.docker.buildkit import steps
from previewdrop.drivers.docker.buildkit.build import Built, build
from previewdrop.drivers.docker.buildkit.limits import Bounds
from previewdrop.drivers.docker.buildkit.logins import Logins
from previewdrop.drivers.docker.buildkit.order import Order
from previewdrop.drivers.docker.engine import Engine

TINY = "previewdrop-tests/tiny:1"
TINY_DOCKERFILE = f"""\
FROM {PYTHON} AS all
RUN mkdir /tiny && cd /bin && programs=$(realpath sh cat sleep tail true) \\
    && cp --parents -L $programs $(ldd $programs | grep -o '/[^ :]*' | sort -u) /tiny \\
    && mkdir -p /tiny/bin && cp sh cat sleep tail true /tiny/bin
FROM scratch
COPY --from=all /tiny /
"""
"""A shell and a few programs in 4 MB, so that images can be looked through quickly."""

LABEL = "previewdrop.tests.build"
TLS = b"\x16"
Files = Mapping[str, str]


@pytest.fixture(scope="module", autouse=True)
def tiny() -> str:
    docker_images.build(TINY, {}, TINY_DOCKERFILE)
    return TINY


@pytest_asyncio.fixture
async def engine() -> AsyncGenerator[Engine]:
    one = Engine(SOCKET)
    yield one
    await one.aclose()


@pytest_asyncio.fixture
async def order(engine: Engine) -> AsyncGenerator[Order]:
    """An order whose images are gone after the test."""
    name = f"previewdrop-tests/build-{uuid4().hex[:9]}"
    yield Order((f"{name}:1",), labels={LABEL: name}, timeout=60)
    found = await engine.get("/images/json", {"filters": {"label": [f"{LABEL}={name}"]}})
    for image in found:
        await engine.delete(f"/images/{image['Id']}", {"force": True})


def unique() -> str:
    """A number of seconds that no other process sleeps, and that no cached layer has."""
    return str(10**9 + time.time_ns() % 10**9)


async def tarred(files: Files) -> AsyncIterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    yield buffer.getvalue()


class Lines(list[str]):
    """A log on whose lines a test can wait."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.append(line)
        self._grown.set()

    def has(self, printed: str) -> bool:
        """Whether a step has printed this line."""
        return any(line.endswith(f" {printed}") for line in self)

    async def until(self, printed: str) -> None:
        while not self.has(printed):
            self._grown.clear()
            await self._grown.wait()


async def run(engine: Engine, order: Order, files: Files, log: Lines | None = None) -> Built:
    nobody = Logins(Path("/nonexistent/config.json"))
    return await build(engine, order, tarred(files), Lines() if log is None else log, nobody)


def dockerfile(*lines: str) -> dict[str, str]:
    return {"Dockerfile": "\n".join((f"FROM {TINY}", *lines, ""))}


def processes(argument: str) -> list[str]:
    """Processes of this machine that have an argument."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if argument.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


async def inspected(engine: Engine, name: str) -> dict[str, Any] | None:
    return await engine.get(f"/images/{name}/json")


async def saved(engine: Engine, image: str) -> list[tuple[str, bytes]]:
    """Every file of an image, of its layers too."""
    async with engine.stream("GET", f"/images/{image}/get") as answer:
        content = await answer.aread()
    return list(_unpacked(content))


def _unpacked(content: bytes) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for entry in tar:
            if not entry.isfile():
                continue
            inside = tar.extractfile(entry)
            assert inside is not None
            data = inside.read()
            found.append((entry.name, data))
            with suppress(tarfile.ReadError):
                found += _unpacked(data)
    return found


async def test_what_was_built_is_cached(engine: Engine, order: Order) -> None:
    files = dockerfile("COPY one /one", f"RUN echo {unique()}", 'CMD ["/bin/true"]')
    files["one"] = unique()
    two = replace(order, tags=(*order.tags, order.tags[0].replace(":1", ":2")))
    first, again = Lines(), Lines()
    built = await run(engine, two, files, first)
    assert built == Built(built.image, executed=2, cached=0)
    assert built.image.startswith("sha256:")
    assert await run(engine, two, files, again) == Built(built.image, executed=0, cached=2)
    assert "[2/3] COPY one /one CACHED" in again
    for tag in two.tags:
        image = await inspected(engine, tag)
        assert image is not None
        assert image["Id"] == built.image
    files["one"] = unique()
    assert (await run(engine, two, files)).executed == 2


async def test_a_stage_with_arguments_and_labels(engine: Engine, order: Order) -> None:
    files = {
        "docker/app.Dockerfile": f"FROM {TINY} AS base\nARG WHO=nobody\nFROM base AS wanted\n"
        "ARG WHO\nRUN echo hello $WHO\nENV WHO=$WHO\nFROM base AS other\nRUN exit 9\n"
    }
    log = Lines()
    asked = replace(
        order,
        dockerfile="docker/app.Dockerfile",
        target="wanted",
        args={"WHO": "you & me"},
        labels={**order.labels, "previewdrop.key": "k=1"},
    )
    await run(engine, asked, files, log)
    image = await inspected(engine, order.tags[0])
    assert image is not None
    assert image["Config"]["Labels"] == asked.labels
    assert "WHO=you & me" in image["Config"]["Env"]
    assert not any("exit 9" in line for line in log)


async def test_a_cache_mount_outlives_the_build(engine: Engine, order: Order) -> None:
    mount = f"RUN --mount=type=cache,target=/c,id={unique()}"
    await run(engine, order, dockerfile(f"{mount} echo kept > /c/file"))
    log = Lines()
    await run(engine, order, dockerfile(f"{mount} cat /c/file; echo {unique()}"), log)
    assert log.has("kept")


async def test_a_secret_is_seen_by_its_step_alone(engine: Engine, order: Order) -> None:
    value = f"s3cret-{uuid4().hex}"
    files = dockerfile(
        "RUN --mount=type=secret,id=token [ -s /run/secrets/token ] && cat /run/secrets/token"
        f" && echo {unique()} && echo ' is what it is' > /after",
        "RUN [ ! -e /run/secrets/token ]",
    )
    log = Lines()
    asked = replace(order, secrets={"token": Secret(value), "other": Secret("other-value")})
    built = await run(engine, asked, files, log)
    assert any(f" {REDACTED}" in line for line in log)
    assert value not in "\n".join(log)
    history = await engine.get(f"/images/{built.image}/history")
    assert value not in json.dumps([history, await inspected(engine, built.image)])
    content = await saved(engine, built.image)
    assert any(data == b" is what it is\n" for _, data in content)
    assert [name for name, data in content if value.encode() in data] == []


async def test_a_secret_that_is_not_there(engine: Engine, order: Order) -> None:
    files = dockerfile(f"RUN --mount=type=secret,id=none,required=true echo {unique()}")
    with pytest.raises(StageFailed, match="asks for the secret none"):
        await run(engine, order, files)


async def test_a_step_that_fails(engine: Engine, order: Order) -> None:
    value = f"s3cret-{uuid4().hex}"
    step = f"RUN --mount=type=secret,id=token echo {unique()}; cat /run/secrets/token; exit 3"
    asked = replace(order, secrets={"token": Secret(value)})
    with pytest.raises(StageFailed, match=r"exit 3 ended with exit code 3") as raised:
        await run(engine, asked, dockerfile(step))
    assert raised.value.exit_code == 3
    assert raised.value.log_tail[-1] == REDACTED
    assert await inspected(engine, order.tags[0]) is None


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"other": ""}, "no file Dockerfile"),
        (dockerfile("COPY requirements.txt ."), "needs requirements.txt, which is not there"),
        (dockerfile("RUNN true"), "Dockerfile, line 2: there is no instruction RUNN"),
        ({"Dockerfile": "FROM scratch\nCOPY a /\nRUN true", "a": ""}, "needs /bin/sh"),
    ],
)
async def test_what_the_author_can_mend(
    engine: Engine, order: Order, files: Files, says: str
) -> None:
    with pytest.raises(StageFailed) as raised:
        await run(engine, order, files)
    assert says in raised.value.message


async def test_an_endless_step_runs_out_of_time(engine: Engine, order: Order) -> None:
    log, seconds = Lines(), unique()
    files = dockerfile(f"RUN echo begun; sleep {seconds}")
    with pytest.raises(StageFailed, match=r"took longer than 2 s.*BUILD_TIMEOUT") as it:
        await run(engine, replace(order, timeout=2), files, log)
    assert it.value.log_tail == ("begun",)
    assert processes(seconds) == []
    assert await inspected(engine, order.tags[0]) is None


async def test_an_endless_step_is_cancelled(engine: Engine, order: Order) -> None:
    log, seconds = Lines(), unique()
    files = dockerfile(f"RUN echo begun; sleep {seconds}")
    running = asyncio.create_task(run(engine, order, files, log))
    await log.until("begun")
    assert processes(seconds)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert processes(seconds) == []
    assert await inspected(engine, order.tags[0]) is None


async def test_a_build_that_shares_a_step_with_a_cancelled_one_goes_on(
    engine: Engine, order: Order
) -> None:
    """BuildKit runs a step once for both, and 20.10 tells of it to one of them only."""
    log = Lines()
    files = dockerfile(f"RUN echo {unique()}; echo begun; sleep 1.5")
    one, other = (asyncio.create_task(run(engine, order, files, log)) for _ in range(2))
    await log.until("begun")
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one
    assert await inspected(engine, (await other).image)


class Deaf(Engine):
    """An Engine that loses the cancellation, as BuildKit does when it comes as a step starts."""

    async def post(self, path: str, *args: Any, **kwargs: Any) -> Any:
        return None if path == "/build/cancel" else await super().post(path, *args, **kwargs)


async def test_a_step_that_buildkit_forgets_is_ended(order: Order) -> None:
    engine, log, seconds = Deaf(SOCKET), Lines(), unique()
    assert await steps.folder_of(engine), "needs root on the Engine's machine"
    files = dockerfile(f"RUN echo begun; sleep {seconds}")
    running = asyncio.create_task(run(engine, order, files, log))
    await log.until("begun")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert processes(seconds) == []
    assert not any(line.startswith("warning") for line in log)
    await engine.aclose()


async def test_a_cancelled_upload_ends(engine: Engine, order: Order) -> None:
    sent = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for chunk in tarred(dockerfile()):
            yield chunk[:1024]
        sent.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(build(engine, order, endless(), Lines()))
    await sent.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_error_of_the_context_is_the_builds(engine: Engine, order: Order) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 1024
        raise StageFailed("The repository has a file that cannot be sent.")

    with pytest.raises(StageFailed, match="cannot be sent"):
        await build(engine, order, broken(), Lines())


async def test_a_step_takes_no_more_than_its_bounds(engine: Engine, order: Order) -> None:
    assert await steps.folder_of(engine), "needs root on the Engine's machine"
    bounded = replace(order, bounds=Bounds(memory=64 * MIB, cpus=0.5, processes=100))
    limit = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
    quota = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max"
    waiting = (
        f'RUN until [ "$(cat {limit} 2>/dev/null)" = {64 * MIB} ]; do sleep 0.05; done; '
        f"cat {quota} 2>/dev/null; echo {unique()}"
    )
    log = Lines()
    await run(engine, bounded, dockerfile(waiting), log)
    assert any("50000" in line.split() for line in log)
    with pytest.raises(StageFailed, match="was killed for memory"):
        await run(engine, bounded, dockerfile(f"RUN echo {unique()}; tail /dev/zero"))


async def test_bounds_leave_the_cache_as_it_is(engine: Engine, order: Order) -> None:
    files = dockerfile(f"RUN echo {unique()}")
    await run(engine, order, files)
    assert (await run(engine, replace(order, bounds=Bounds(memory=64 * MIB)), files)).executed == 0


@asynccontextmanager
async def registry(status: str, login: str = "") -> AsyncIterator[tuple[str, list[str]]]:
    """A registry on loopback with one answer; asks for a login first if there has to be one.

    Gives its address and the logins that came.
    """
    came: list[str] = []
    needs = base64.b64encode(login.encode()).decode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while (first := await reader.readexactly(1)) != TLS:
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                given = fields.get("Authorization", "")
                came.append(given)
                line, more = status, ""
                if login and given != f"Basic {needs}":
                    line, more = "401 Unauthorized", 'WWW-Authenticate: Basic realm="test"\r\n'
                writer.write(f"HTTP/1.1 {line}\r\n{more}Content-Length: 0\r\n\r\n".encode())
                await writer.drain()
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")  # So newer Engines try without TLS.
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}", came


async def test_a_base_image_that_there_is_not(engine: Engine, order: Order) -> None:
    async with registry("404 Not Found") as (host, _):
        with pytest.raises(StageFailed) as raised:
            await run(engine, order, {"Dockerfile": f"FROM {host}/nothing:1\n"})
    assert raised.value.message == f"There is no image {host}/nothing:1."


async def test_a_registry_that_fails_or_is_gone_passes_by_itself(
    engine: Engine, order: Order
) -> None:
    async with registry("503 Service Unavailable") as (host, _):
        with pytest.raises(Unavailable, match=f"{host} did not answer"):
            await run(engine, order, {"Dockerfile": f"FROM {host}/nothing:1\n"})
    with pytest.raises(Unavailable, match=f"{host} did not answer"):
        await run(engine, order, {"Dockerfile": f"FROM {host}/nothing:2\n"})


async def test_the_users_login_goes_to_its_registry(
    engine: Engine, order: Order, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    async with registry("404 Not Found", login="deploy:hunter2") as (host, came):
        files = {"Dockerfile": f"FROM {host}/private:1\n"}
        with pytest.raises(StageFailed, match=f"{host} does not give"):
            await run(engine, order, files)
        auth = base64.b64encode(b"deploy:hunter2").decode()
        config.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
        with pytest.raises(StageFailed, match="There is no image"):
            await build(engine, order, tarred(files), Lines(), Logins(config))
    assert came[-1] == f"Basic {auth}"


async def test_an_engine_that_is_not_there(order: Order, tmp_path: Path) -> None:
    engine = Engine(str(tmp_path / "none.sock"))
    with pytest.raises(Unavailable):
        await run(engine, order, dockerfile())
    await engine.aclose()

"""What every runtime does: `stage` cases hold in memory too, `real` ones need processes."""

# ruff: noqa: ASYNC110, ASYNC240 - tests wait on the system's state and look at small files

from __future__ import annotations

import asyncio
import itertools
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from docker_images import SOCKET, left_on_engine, uvicorn_image
from previewdrop.config.home import Home
from previewdrop.domain.app import AppFacts, AppObject, Dependencies, Lock
from previewdrop.domain.errors import StageFailed
from previewdrop.domain.naming import names_for
from previewdrop.domain.spec import Limits, Process, RunSpec
from previewdrop.drivers.base import BuildSpec, Handle, ProcessState, Runtime
from previewdrop.drivers.docker.engine import Engine
from previewdrop.drivers.docker.runtime import DockerRuntime, Settings
from previewdrop.drivers.memory import MemoryRuntime
from previewdrop.drivers.process import child
from previewdrop.drivers.process.builder import ProcessBuilder
from previewdrop.drivers.process.cgroups import find_cgroups
from previewdrop.drivers.process.commands import server_command
from previewdrop.drivers.process.runtime import ProcessRuntime

APP = """
import asyncio, contextlib, os, pathlib, signal, sys

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        pathlib.Path("shut-down").write_text("yes")
        await send({"type": "lifespan.shutdown.complete"})
        return
    path = scope["path"]
    if path == "/slow":
        pathlib.Path("slow-began").touch()
        await asyncio.sleep(1)
    if path == "/hog":
        hog = bytearray(1)
        while True:
            hog += b"x" * (8 << 20)
    if path == "/crash":
        os._exit(3)
    body = os.environ.get(path[5:], "").encode() if path.startswith("/env/") else b"hello"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""
FACTS = AppFacts(
    root="",
    app=AppObject("main", "app"),
    dependencies=Dependencies(
        Lock.REQUIREMENTS, ("requirements.txt",), requirements=("requirements.txt",)
    ),
    project_name="Shop_Api",
    project_version="1.2.3",
    scripts={"shop": "cli:main"},
)
_deployments = itertools.count(1)


@dataclass
class Stage:
    """One kind of runtime with a way to make another one on the same data, as after a restart."""

    make: Callable[[], Runtime]
    runtime: Runtime
    artifact: dict[str, object]
    folder: Path
    installation: str
    image: bool = False
    handles: list[Handle] = field(default_factory=list[Handle])

    def spec(self, app: str = APP, **more: object) -> RunSpec:
        number = next(_deployments)
        source = self.folder / f"checkout-{number}"
        source.mkdir()
        files = {"main.py": app, "cli.py": "def main():\n    print('shop script')\n"}
        for name, text in files.items():
            (source / name).write_text(text)
        artifact = {"image": uvicorn_image(files)} if self.image else self.artifact
        port = self.runtime.choose_port(3000, artifact)
        spec = RunSpec(
            installation=self.installation,
            names=names_for("shop", f"pr-{number}", "{project}.localhost"),
            deployment=number,
            source=str(source),
            root="",
            import_path=("",),
            artifact=artifact,
            environment={"PORT": str(port), "PREVIEW_NAME": f"shop/pr-{number}"},
            port=port,
            web=Process("web", () if self.image else server_command(FACTS, port)),
        )
        environment = {**spec.environment, **more.pop("environment", {})}  # type: ignore[dict-item]
        return replace(spec, environment=environment, **more)  # type: ignore[arg-type]

    async def read(self, spec: RunSpec, name: str) -> str | None:
        """A file that the app wrote into its folder; None if it did not."""
        path = Path(spec.source, name)
        if self.image:
            return await in_container(self.installation, spec.deployment, f"/app/{name}")
        return path.read_text() if path.exists() else None

    async def start(self, spec: RunSpec) -> Handle:
        handle = await self.runtime.ensure(spec)
        self.handles.append(handle)
        await answers(handle)
        return handle


@pytest.fixture(scope="module")
async def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, object]]:
    home = Home(tmp_path_factory.mktemp("home")).create()
    source = tmp_path_factory.mktemp("source")
    (source / "requirements.txt").write_text("uvicorn\n")
    artifact = await ProcessBuilder(home).ensure(BuildSpec(source, FACTS, project="shop"), print)
    return home, artifact.handle


PROCESSES = ["process", "process without a sandbox"]
REAL = [*PROCESSES, "docker"]


@pytest.fixture(params=["memory", *REAL])
async def stage(
    request: pytest.FixtureRequest, built: tuple[Home, dict[str, object]], tmp_path: Path
) -> AsyncIterator[Stage]:
    if request.param in REAL:
        async with staged(request.param, built, tmp_path) as stage:
            yield stage
        return
    runtime = MemoryRuntime(serve=True)
    yield Stage(lambda: runtime, runtime, {"key": "k"}, tmp_path, "contract")
    await runtime.aclose()


@pytest.fixture(params=REAL)
async def real(
    request: pytest.FixtureRequest, built: tuple[Home, dict[str, object]], tmp_path: Path
) -> AsyncIterator[Stage]:
    async with staged(request.param, built, tmp_path) as stage:
        yield stage


def staged(kind: str, built: tuple[Home, dict[str, object]], folder: Path):
    return containers(folder) if kind == "docker" else processes(kind, built, folder)


@asynccontextmanager
async def containers(folder: Path) -> AsyncIterator[Stage]:
    installation, engine = uuid.uuid4().hex[:10], Engine(SOCKET)

    async def companions() -> Mapping[str, str]:
        return {}

    def make() -> DockerRuntime:
        settings = Settings(IPv4Network("10.213.0.0/16"))
        return DockerRuntime(engine, installation, settings, companions)

    stage = Stage(make, make(), {}, folder, installation, image=True)
    try:
        yield stage
        for handle in stage.handles:
            await stage.runtime.remove(handle)
        assert await left_on_engine(installation) == []
    finally:
        await stage.runtime.sweep([])
        await engine.aclose()


@asynccontextmanager
async def processes(
    kind: str, built: tuple[Home, dict[str, object]], folder: Path
) -> AsyncIterator[Stage]:
    home, artifact = built
    made: list[ProcessRuntime] = []

    def make() -> ProcessRuntime:
        made.append(ProcessRuntime(home, "auto" if kind == REAL[0] else "off"))
        return made[-1]

    stage = Stage(make, make(), artifact, folder, home.installation)
    yield stage
    for handle in stage.handles:
        await stage.runtime.remove(handle)
    for runtime in made:
        await runtime.close()
    assert not list(home.runs.glob("*"))
    assert not child.marked(f"{home.installation}-")
    if cgroups := find_cgroups():
        assert not cgroups.names(f"previewdrop-{home.installation}-")


async def in_container(installation: str, deployment: int, path: str) -> str | None:
    """A file of a web container, whether it runs or not."""
    import io
    import tarfile

    import httpx2

    place = f"/v1.41/containers/previewdrop-{installation}-{deployment}-web/archive"
    async with httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=SOCKET)) as client:
        answer = await client.get(f"http://docker{place}", params={"path": path})
    if not answer.is_success:
        return None
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        content = tar.extractfile(Path(path).name)
        return content.read().decode() if content else None


async def get(handle: Handle, path: str = "/") -> str:
    def fetch() -> str:
        with urllib.request.urlopen(f"http://{handle['upstream']}{path}", timeout=30) as answer:
            return answer.read().decode()

    return await asyncio.to_thread(fetch)


async def answers(handle: Handle) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await get(handle)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                return


async def test_starts_the_app_and_says_where_it_is(stage: Stage) -> None:
    spec = stage.spec()
    handle = await stage.start(spec)
    assert handle["port"] == spec.port
    assert str(handle["upstream"]).endswith(f":{spec.port}")
    assert (await stage.runtime.observe(handle)).running
    (address,) = (await stage.runtime.listening(handle)).addresses
    assert address == f"{'0.0.0.0' if stage.image else '127.0.0.1'}:{spec.port}"  # noqa: S104


async def test_ensuring_twice_is_ensuring_once(stage: Stage) -> None:
    spec = stage.spec()
    first, second = await asyncio.gather(stage.runtime.ensure(spec), stage.runtime.ensure(spec))
    stage.handles.append(first)
    await answers(first)
    assert first == second == await stage.runtime.ensure(spec)


async def test_a_new_server_finds_what_runs(stage: Stage) -> None:
    spec = stage.spec()
    handle = await stage.start(spec)
    stage.runtime = stage.make()
    assert (await stage.runtime.observe(handle)).running
    assert await stage.runtime.ensure(spec) == handle
    waiting = asyncio.create_task(stage.runtime.wait(handle))
    await stage.runtime.stop(handle, 10)
    assert (await waiting).state is ProcessState.EXITED
    assert not (await stage.runtime.observe(handle)).running
    await stage.runtime.stop(handle, 10)


async def test_what_runs_is_not_started_again(real: Stage) -> None:
    spec = real.spec(APP.replace("async def app", "print('began', flush=True)\n\nasync def app"))
    handle, _ = await asyncio.gather(real.runtime.ensure(spec), real.runtime.ensure(spec))
    real.handles.append(handle)
    await answers(handle)
    real.runtime = real.make()
    await real.runtime.ensure(spec)
    assert [line async for _, line in real.runtime.logs(handle)].count("began") == 1
    assert await get(handle, "/env/PREVIEW_NAME") == spec.names.full
    memory = (await real.runtime.observe(handle)).web.memory
    assert memory is None or memory > 1_000_000


async def test_restarts_what_ended(real: Stage) -> None:
    spec = real.spec()
    handle = await real.start(spec)
    with pytest.raises(OSError):
        await get(handle, "/crash")
    ended = await real.runtime.wait(handle)
    assert (ended.state, ended.exit_code) == (ProcessState.EXITED, 3)
    await real.runtime.ensure(spec)
    await answers(handle)


async def test_stopping_lets_the_app_shut_down_and_requests_finish(real: Stage) -> None:
    spec = real.spec()
    handle = await real.start(spec)
    request = asyncio.create_task(get(handle, "/slow"))
    async with asyncio.timeout(30):
        while await real.read(spec, "slow-began") is None:
            await asyncio.sleep(0.02)
    await real.runtime.stop(handle, 20)
    assert await request == "hello"
    assert await real.read(spec, "shut-down") == "yes"
    observed = await real.runtime.observe(handle)
    assert observed.web.state is ProcessState.EXITED
    await real.runtime.stop(handle, 20)


async def test_stopping_without_grace_kills(real: Stage) -> None:
    spec = real.spec()
    handle = await real.start(spec)
    await real.runtime.stop(handle, 0)
    assert (await real.runtime.observe(handle)).web.exit_code == -9
    assert await real.read(spec, "shut-down") is None


async def test_an_app_that_ignores_sigterm_is_killed_after_the_grace(real: Stage) -> None:
    stubborn = (
        "python",
        "-c",
        "import signal,time; signal.signal(15, 1); print('up'); time.sleep(999)",
    )
    handle = await real.runtime.ensure(real.spec(web=Process("web", stubborn)))
    real.handles.append(handle)
    async for _, line in real.runtime.logs(handle, follow=True):
        assert line == "up"
        break
    await real.runtime.stop(handle, 0.2)
    assert (await real.runtime.observe(handle)).web.exit_code == -9


async def test_removing_leaves_nothing_and_removing_nothing_succeeds(stage: Stage) -> None:
    spec = stage.spec(processes=(Process("worker", "sleep 1000 & sleep 1000"),))
    handle = await stage.start(spec)
    observed = await stage.runtime.observe(handle)
    assert [each.state for each in observed.processes] == [ProcessState.RUNNING]
    await stage.runtime.remove(handle)
    await stage.runtime.remove(handle)
    assert (await stage.runtime.observe(handle)).web.state is ProcessState.MISSING
    assert (await stage.runtime.wait(handle)).state is ProcessState.MISSING
    await stage.runtime.stop(handle, 1)


async def test_runs_a_command_and_tells_its_exit_code(real: Stage) -> None:
    spec, lines = real.spec(), list[str]()
    command = Process("release", "echo $PREVIEW_NAME; echo err >&2; printf 'no end'; exit 7")
    assert await real.runtime.run(spec, command, lines.append, 30) == 7
    assert sorted(lines) == ["err", "no end", spec.names.full]
    assert await real.runtime.run(spec, Process("x", "no-such-program"), lines.append, 30) == 127
    assert await real.runtime.run(spec, Process("x", ("true",)), lines.append, 30) == 0
    assert await real.runtime.run(spec, Process("x", "kill -9 $$"), lines.append, 30) == 137
    real.handles.append({"deployment": spec.deployment})


async def test_the_project_looks_installed(real: Stage) -> None:
    if real.image:
        return  # what is installed in an image is the image's own
    spec, lines = real.spec(), list[str]()
    code = "import importlib.metadata as m; print(m.version('shop-api'))"
    assert await real.runtime.run(spec, Process("x", ("python", "-c", code)), lines.append, 30) == 0
    assert await real.runtime.run(spec, Process("x", "shop"), lines.append, 30) == 0
    assert lines == ["1.2.3", "shop script"]
    real.handles.append({"deployment": spec.deployment})


async def test_a_command_that_takes_too_long_is_stopped_with_all_it_started(real: Stage) -> None:
    spec, lines = real.spec(), list[str]()
    real.handles.append({"deployment": spec.deployment})
    with pytest.raises(TimeoutError):
        await real.runtime.run(
            spec, Process("x", "echo begun; (setsid sleep 4321 &) ; sleep 4321"), lines.append, 1
        )
    assert lines == ["begun"]
    assert not sleeping("4321")


async def test_a_command_that_is_cancelled_is_gone(real: Stage) -> None:
    spec, begun = real.spec(), asyncio.Event()
    real.handles.append({"deployment": spec.deployment})
    command = Process("x", "echo begun; sleep 4322")
    running = asyncio.create_task(real.runtime.run(spec, command, lambda _: begun.set(), 60))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not sleeping("4322")


async def test_what_a_command_leaves_behind_is_gone(real: Stage) -> None:
    spec = real.spec()
    real.handles.append({"deployment": spec.deployment})
    assert await real.runtime.run(spec, Process("x", "sleep 4323 & exit 0"), print, 30) == 0
    assert not sleeping("4323")


async def test_output_is_bounded(real: Stage) -> None:
    spec, lines = real.spec(limits=Limits(log_bytes=100_000)), list[str]()
    real.handles.append({"deployment": spec.deployment})
    command = Process(
        "x", "head -c 100000000 /dev/zero | tr '\\0' 'x'; yes | head -n 1000000; echo end"
    )
    assert await real.runtime.run(spec, command, lines.append, 60) == 0
    assert sum(map(len, lines)) < 110_000
    assert max(map(len, lines)) <= 8192
    assert lines[-1] == "… output beyond 100000 bytes dropped"


async def test_logs_of_all_processes_can_be_followed_to_the_end(real: Stage) -> None:
    worker = Process("worker", "echo '\x1b[31mred\x1b[0m'; printf 'at 1\\rat 99\\n'; sleep 1000")
    handle = await real.start(real.spec(processes=(worker,)))
    seen = asyncio.Event()
    lines: list[tuple[str, str]] = []

    async def follow() -> None:
        async for each in real.runtime.logs(handle, follow=True):
            lines.append(each)
            if "GET /marker" in each[1]:
                seen.set()

    following = asyncio.create_task(follow())
    await get(handle, "/marker")
    await asyncio.wait_for(seen.wait(), 10)
    await real.runtime.stop(handle, 10)
    await asyncio.wait_for(following, 10)
    assert ("worker", "red") in lines
    assert ("worker", "at 99") in lines
    assert any("Application shutdown complete" in line for _, line in lines)


async def test_two_previews_do_not_see_each_other_s_environment(real: Stage) -> None:
    first = await real.start(real.spec(environment={"COLOUR": "red"}))
    second = await real.start(real.spec(environment={"COLOUR": "blue"}))
    assert first["upstream"] != second["upstream"]
    assert [await get(first, "/env/COLOUR"), await get(second, "/env/COLOUR")] == ["red", "blue"]
    assert await get(first, "/env/PREVIEWDROP_HOME") == ""


async def test_sweeping_removes_what_is_not_wanted(stage: Stage) -> None:
    kept, lost = await stage.start(stage.spec()), await stage.start(stage.spec())
    stage.runtime = stage.make()
    swept = await stage.runtime.sweep([int(str(kept["deployment"]))])
    assert len(swept) == 1
    assert str(lost["deployment"]) in swept[0]
    assert (await stage.runtime.observe(kept)).running
    assert (await stage.runtime.observe(lost)).web.state is ProcessState.MISSING


async def test_observing_what_never_was(stage: Stage) -> None:
    observed = await stage.runtime.observe({"deployment": 987654})
    assert observed.web.state is ProcessState.MISSING
    assert [each async for each in stage.runtime.logs({"deployment": 987654}, follow=True)] == []


def sleeping(seconds: str) -> bool:
    """Whether any process of this machine is `sleep <seconds>`."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes() == f"sleep\0{seconds}\0".encode():
                return True
        except OSError:
            continue
    return False


async def test_a_program_that_an_image_lacks_is_named(tmp_path: Path) -> None:
    async with containers(tmp_path) as stage:
        spec = stage.spec(web=Process("web", ("sleep", "1000")))
        stage.handles.append(await stage.runtime.ensure(spec))
        with pytest.raises(StageFailed, match="The image has no program no-such-program"):
            await stage.runtime.run(spec, Process("x", ("no-such-program",)), print, 30)

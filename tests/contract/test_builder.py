"""What every builder does: the same content is built once, whoever asks and how often."""

# ruff: noqa: ASYNC240 - tests look at small files

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from docker_images import SOCKET
from previewdrop.config.home import Home
from previewdrop.domain.app import AppFacts, AppObject, Dependencies, Lock
from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.drivers.base import Builder, BuildSpec, ImageSpec
from previewdrop.drivers.docker.builder import DockerBuilder, Room
from previewdrop.drivers.docker.engine import Engine
from previewdrop.drivers.memory import MemoryBuilder
from previewdrop.drivers.process import child
from previewdrop.drivers.process.builder import ProcessBuilder

DOCKERFILE = "FROM python:3.12-slim\nCOPY requirements.txt .\nRUN cat requirements.txt\n"


@dataclass
class Bench:
    builder: Builder
    folder: Path
    image: ImageSpec | None = None

    def spec(self, requirements: str, **more: str) -> BuildSpec:
        source = self.folder / f"commit-{len(list(self.folder.iterdir()))}"
        source.mkdir()
        (source / "requirements.txt").write_text(requirements)
        facts = AppFacts(
            root="",
            app=AppObject("main", "app"),
            dependencies=Dependencies(
                Lock.REQUIREMENTS, ("requirements.txt",), requirements=("requirements.txt",)
            ),
        )
        if self.image:
            (source / "Dockerfile").write_text(DOCKERFILE)
        spec = BuildSpec(source, facts, project="shop", image=self.image)
        return replace(spec, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One package cache for all tests: what they install is fetched once."""
    return Home(tmp_path_factory.mktemp("home")).create()


@pytest.fixture(params=["memory", "process", "process without a sandbox", "docker"])
async def bench(
    request: pytest.FixtureRequest, shared_home: Home, tmp_path: Path
) -> AsyncIterator[Bench]:
    if request.param == "memory":
        yield Bench(MemoryBuilder(), tmp_path)
    elif request.param == "docker":
        async with images(tmp_path) as bench:
            yield bench
    else:
        kind = "auto" if request.param == "process" else "off"
        yield Bench(ProcessBuilder(Home(shared_home.path / kind).create(), kind), tmp_path)


@asynccontextmanager
async def images(folder: Path) -> AsyncIterator[Bench]:
    """A builder of images, which are gone at the end."""
    engine, installation = Engine(SOCKET), uuid.uuid4().hex[:10]
    builder = DockerBuilder(engine, installation, Room())
    try:
        yield Bench(builder, folder, ImageSpec("Dockerfile", ""))
    finally:
        await DockerBuilder(engine, installation, Room(images=0)).sweep([])
        await engine.aclose()


@pytest.fixture
def real(shared_home: Home, tmp_path: Path) -> Bench:
    return Bench(ProcessBuilder(Home(shared_home.path / "auto").create()), tmp_path)


async def test_the_same_content_is_built_once(bench: Bench) -> None:
    specs = [bench.spec("h11\nuvicorn\n") for _ in range(10)]
    made = await asyncio.gather(*(bench.builder.ensure(spec, print) for spec in specs))
    assert len({str(each.handle["key"]) for each in made}) == 1
    assert [each.cached for each in made].count(False) <= 1
    again = await bench.builder.ensure(bench.spec("h11\nuvicorn\n"), print)
    assert again.cached
    key = str(again.handle["key"])
    assert again.note == f"{'image' if bench.image else 'environment'} {key[:4]} reused"


async def test_other_content_is_another_artifact(bench: Bench) -> None:
    first = await bench.builder.ensure(bench.spec("uvicorn\n"), print)
    second = await bench.builder.ensure(bench.spec("uvicorn\nidna\n"), print)
    assert first.handle["key"] != second.handle["key"]


async def test_what_is_discarded_is_built_again_if_it_is_no_cache(bench: Bench) -> None:
    first = await bench.builder.ensure(bench.spec("h11\n"), print)
    await bench.builder.discard({str(first.handle["key"])})
    await bench.builder.discard({"unknown"})
    again = await bench.builder.ensure(bench.spec("h11\n"), print)
    assert again.handle["key"] == first.handle["key"]
    assert again.cached == isinstance(bench.builder, ProcessBuilder)


async def test_when_the_one_that_builds_is_cancelled_another_takes_over(bench: Bench) -> None:
    spec = bench.spec("uvicorn\nsniffio==1.3.1\n")
    first = asyncio.create_task(bench.builder.ensure(spec, print))
    second = asyncio.create_task(bench.builder.ensure(spec, print))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).handle["key"]
    await asyncio.gather(first, return_exceptions=True)


async def test_it_can_be_imported_and_run(real: Bench) -> None:
    artifact = await real.builder.ensure(real.spec("idna==3.7\n"), print)
    python, code = str(artifact.handle["python"]), "import idna, uvicorn; print(idna.__version__)"
    process = await asyncio.create_subprocess_exec(
        python, "-I", "-c", code, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert printed == b"3.7\n"
    assert list(Path(python).parents[1].glob("lib/*/site-packages/idna/__pycache__/*.pyc"))


async def test_uvicorn_is_added_if_need_be(real: Bench) -> None:
    lines: list[str] = []
    await real.builder.ensure(real.spec("idna==3.8\n"), lines.append)
    assert "uvicorn added, the repository does not lock it" in lines
    lines.clear()
    await real.builder.ensure(real.spec("idna==3.9\nuvicorn\n"), lines.append)
    assert "uvicorn added, the repository does not lock it" not in lines


@pytest.mark.parametrize(
    ("requirements", "sentence"),
    [
        ("idna==99.0\n", "The dependencies cannot be satisfied: Because there is no version of"),
        ("idna==\n", "requirements.txt has a line that is no requirement: Unexpected end"),
    ],
)
async def test_what_cannot_be_installed_is_said_plainly(
    real: Bench, requirements: str, sentence: str
) -> None:
    with pytest.raises(StageFailed) as failed:
        await real.builder.ensure(real.spec(requirements), print)
    assert failed.value.message.startswith(sentence)
    assert failed.value.hint
    assert failed.value.log_tail


async def test_an_index_that_does_not_answer_passes_by_itself(
    real: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9 did not answer"):
        await real.builder.ensure(real.spec("idna==3.6\n"), print)


async def test_a_build_sees_nothing_of_the_server_s(
    real: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source distribution runs code of its own, here the repository's own build backend."""
    monkeypatch.setenv("PREVIEWDROP_TEST_SECRET", "of the server")
    spec = real.spec("./evil.tar.gz\n")
    witness = real.folder / "witness"
    evil_sdist(spec.source, witness)
    lines: list[str] = []
    with pytest.raises(StageFailed, match="could not be built"):
        await real.builder.ensure(
            replace(spec, secrets=(("UV_INDEX_X_PASSWORD", Secret("hush-hush")),)), lines.append
        )
    told = "\n".join(lines)
    assert "SEES secret=None home=/home/app others=[]" in told
    assert "hush-hush" not in told
    assert not witness.exists()


def evil_sdist(folder: Path, witness: Path) -> None:
    import io
    import tarfile

    backend = (
        "import os\n"
        "def build_wheel(*a, **k):\n"
        f"    try: open({str(witness)!r}, 'w').close()\n"
        "    except OSError: pass\n"
        "    others = [p for p in os.listdir('/proc') if p.isdigit() and b'bin/pytest' in "
        "open(f'/proc/{p}/cmdline', 'rb').read()]\n"
        "    raise SystemExit(f\"SEES secret={os.environ.get('PREVIEWDROP_TEST_SECRET')} "
        "home={os.environ['HOME']} others={others} {os.environ['UV_INDEX_X_PASSWORD']}\")\n"
        "prepare_metadata_for_build_wheel = build_wheel\n"
    )
    pyproject = (
        '[project]\nname="evil"\ndynamic=["version"]\n[build-system]\nrequires=[]\n'
        'build-backend="backend"\nbackend-path=["."]\n'
    )
    with tarfile.open(folder / "evil.tar.gz", "w:gz") as archive:
        for name, text in (("backend.py", backend), ("pyproject.toml", pyproject)):
            entry = tarfile.TarInfo(f"evil-1/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


@pytest.mark.parametrize("timeout", [0.0, 0.01, 0.05])
async def test_a_build_that_takes_too_long_is_gone(real: Bench, timeout: float) -> None:
    """Also when it is stopped while its sandbox is half made."""
    spec = replace(real.spec("idna==3.5\n"), timeout=timeout)
    with pytest.raises(StageFailed, match=f"took longer than {timeout:g} s"):
        await real.builder.ensure(spec, print)
    home = real.builder._home  # type: ignore[attr-defined]
    assert not child.marked(f"{home.installation}-build-")


async def test_sweeping_clears_what_died_half_way_and_keeps_what_is_new(real: Bench) -> None:
    artifact = await real.builder.ensure(real.spec("uvicorn\n"), print)
    assert isinstance(real.builder, ProcessBuilder)
    home = Path(str(artifact.handle["path"])).parents[1]
    (home / "environments" / "half").mkdir()
    (home / "cache" / "uv" / "shop" / "building-half-0").mkdir()
    (home / "cache" / "uv" / "shop" / "building-half-1").touch()
    (home / "builds" / "half-0" / "etc").mkdir(parents=True)
    assert await real.builder.sweep([]) == ["half"]
    assert not list((home / "cache" / "uv").glob("*/building-*"))
    assert not list((home / "builds").iterdir())
    assert (await real.builder.ensure(real.spec("uvicorn\n"), print)).cached


async def test_sweeping_removes_the_least_recently_used_beyond_the_limit(
    real: Bench, monkeypatch: pytest.MonkeyPatch, shared_home: Home
) -> None:
    home = Home(shared_home.path / "auto")
    used = await real.builder.ensure(real.spec("uvicorn\n"), print)
    unused = await real.builder.ensure(real.spec("uvicorn\nidna\n"), print)
    monkeypatch.setattr("previewdrop.drivers.process.environments.RECENT", -1.0)
    small = ProcessBuilder(home, keep_bytes=0)
    removed = await small.sweep([str(used.handle["key"])])
    assert unused.handle["key"] in removed
    assert used.handle["key"] not in removed
    assert not Path(str(unused.handle["path"])).exists()


def test_without_a_file_it_says_which(real: Bench) -> None:
    spec = real.spec("uvicorn\n")
    (spec.source / "requirements.txt").unlink()
    check: Callable[[], object] = lambda: asyncio.run(real.builder.ensure(spec, print))  # noqa: E731
    with pytest.raises(StageFailed, match=r"requirements\.txt is needed"):
        check()

"""What a package cannot do to the server while it is built, tried by one that is."""

# ruff: noqa: ASYNC240 - tests look at small files

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import sandbox_modes
from previewdrop.config.home import Home
from previewdrop.domain.app import AppFacts, AppObject, Dependencies, Lock
from previewdrop.domain.errors import StageFailed
from previewdrop.domain.spec import MIB, Limits
from previewdrop.drivers.base import BuildSpec
from previewdrop.drivers.process import environments
from previewdrop.drivers.process.builder import ProcessBuilder, read_files
from previewdrop.drivers.process.cgroups import find_cgroups
from previewdrop.drivers.process.runtime import ProcessRuntime
from previewdrop.drivers.process.sandbox import Sandbox, find_sandbox

pytestmark = pytest.mark.skipif(
    not find_sandbox("auto").active, reason="this machine has no sandbox"
)

BACKEND = """
import os, pathlib, time, zipfile

environment = pathlib.Path(os.environ["UV_PROJECT_ENVIRONMENT"])
cache = environment.parent
builds = cache.parents[2] / "builds"

def attempt(what):
    try:
        return what()
    except OSError as error:
        return error.strerror

def tell(*what):
    with open(cache / "told", "a") as file:
        print(*what, file=file)

def build_wheel(folder, *a, **k):
    {attack}
    name = "{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        info = "{name}-1.dist-info/"
        wheel.writestr("{name}.py", "")
        metadata = ("Metadata-Version: 2.1", "Name: {name}", "Version: 1", "")
        wheel.writestr(info + "METADATA", "\\n".join(metadata))
        tags = ("Wheel-Version: 1.0", "Generator: x", "Root-Is-Purelib: true", "Tag: py3-none-any")
        wheel.writestr(info + "WHEEL", "\\n".join((*tags, "")))
        wheel.writestr(info + "RECORD", "")
    return name
"""


@dataclass
class Range:
    """A data folder of its own, and repositories whose one package attacks."""

    home: Home
    folder: Path

    @property
    def cache(self) -> Path:
        return self.home.package_cache / "shop"

    def attack(self, name: str, code: str) -> BuildSpec:
        """`code` runs while `name` is built, with the names that stand before it in BACKEND."""
        source = self.folder / name
        source.mkdir()
        text = BACKEND.replace("{name}", name)
        text = text.replace("{attack}", textwrap.indent(textwrap.dedent(code), "    ").strip())
        files = {
            "backend.py": text,
            "pyproject.toml": f'[project]\nname = "{name}"\nversion = "1"\n[build-system]\n'
            'requires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        }
        with tarfile.open(source / f"{name}-1.tar.gz", "w:gz") as archive:
            for path, content in files.items():
                entry = tarfile.TarInfo(f"{name}-1/{path}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content.encode()))
        (source / "requirements.txt").write_text(f"./{name}-1.tar.gz\nuvicorn\n")
        facts = AppFacts(
            root="",
            app=AppObject("main", "app"),
            dependencies=Dependencies(
                Lock.REQUIREMENTS, ("requirements.txt",), requirements=("requirements.txt",)
            ),
        )
        return BuildSpec(source, facts, project="shop")

    def told(self) -> list[str]:
        return (self.cache / "told").read_text().splitlines()

    def nothing_left(self) -> bool:
        return not list(self.home.builds.glob("*")) and not list(self.cache.glob("building-*"))


@pytest.fixture(scope="module", params=sandbox_modes.usable(), ids=sandbox_modes.name)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return request.param


@pytest.fixture
def field(tmp_path: Path, shared: Home, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Range:
    sandbox_modes.use(sandbox, monkeypatch)
    (shared.package_cache / "shop" / "told").unlink(missing_ok=True)
    return Range(shared, tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Home:
    """One for each mode: what an account wrote is closed to the others."""
    return Home(tmp_path_factory.mktemp(f"range-{sandbox.mode}") / "home").create()


@pytest.fixture
def builder(field: Range) -> ProcessBuilder:
    return ProcessBuilder(field.home)


async def test_a_planted_mark_is_never_written_through(
    field: Range, builder: ProcessBuilder
) -> None:
    victim = field.home.path / "secret.key"
    victim.write_text("key")
    spec = field.attack("marks", f"""
        for name in ("previewdrop.json", "record", "status"):
            (environment / name).symlink_to({str(victim)!r})
            (cache / name).symlink_to({str(victim)!r})
    """)  # fmt: skip
    artifact = await builder.ensure(spec, print)
    for name in ("record", "status", "previewdrop.json"):
        (field.cache / name).unlink()
    assert victim.read_text() == "key"
    assert environments.complete(Path(str(artifact.handle["path"]))) is not None
    assert field.nothing_left()


async def test_an_environment_that_became_a_link_is_refused(
    field: Range, builder: ProcessBuilder
) -> None:
    spec = field.attack("links", """
        moved = cache / "moved"
        environment.rename(moved)
        environment.symlink_to(moved)
    """)  # fmt: skip
    with pytest.raises(StageFailed, match="replaced the environment"):
        await builder.ensure(spec, print)
    assert field.nothing_left()
    assert not [path for path in field.home.environments.glob("*") if path.is_symlink()]


async def test_the_server_s_folder_of_a_build_is_out_of_reach(
    field: Range, builder: ProcessBuilder
) -> None:
    spec = field.attack("reaches", """
        (token,) = os.listdir(builds)
        tell(sorted(os.listdir(builds / token)))
        for path in (builds / token, builds / token / "repository", "/etc", builds, cache.parent):
            tell(attempt(lambda: pathlib.Path(path, "planted").touch()))
    """)  # fmt: skip
    await builder.ensure(spec, print)
    first, *others = field.told()
    assert first == "['repository']"
    assert set(others) <= {"Read-only file system", "Permission denied"}
    assert len(others) == 5


async def test_builds_of_a_project_never_meet(field: Range, builder: ProcessBuilder) -> None:
    code = """
        for _ in range(40):
            seen = [path.name for path in cache.glob("building-*")]
            tell(len(seen), len(os.listdir(builds)))
            time.sleep(0.01)
    """
    specs = [field.attack(f"meets{number}", code) for number in range(2)]
    await asyncio.gather(*(builder.ensure(spec, print) for spec in specs))
    assert set(field.told()) == {"1 1"}
    assert len(field.told()) == 80


async def test_what_is_counted_and_swept_is_not_led_astray(
    field: Range, builder: ProcessBuilder
) -> None:
    """Links for packages, folders nested deeper than Python can follow, odd leavings."""
    spec = field.attack("nests", """
        os.chdir(cache)
        os.mkdir("building-deep")
        os.chdir("building-deep")
        for _ in range(3000):
            os.mkdir("deeper")
            os.chdir("deeper")
        os.mkfifo(cache / "building-fifo")
        (cache / "building-link").symlink_to("/etc")
        (environment / "lib" / "python0").mkdir()
        (environment / "lib" / "python0" / "site-packages").symlink_to("/proc/1")
    """)  # fmt: skip
    artifact = await builder.ensure(spec, print)
    facts = environments.complete(Path(str(artifact.handle["path"])))
    assert facts is not None
    assert facts["packages"] >= 2
    await builder.sweep([])
    assert not list(field.cache.glob("building-*"))
    assert Path("/etc/passwd").exists()


@pytest.mark.skipif(find_cgroups() is None, reason="this machine has no cgroups")
async def test_a_build_that_takes_too_much_memory_is_killed_and_named(
    field: Range, builder: ProcessBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it shares it out among processes, none of which takes much."""
    limits = Limits(memory=256 * MIB, processes=64, files=4096)
    monkeypatch.setattr("previewdrop.drivers.process.builder._LIMITS", limits)
    spec = field.attack("hogs", """
        for _ in range(4):
            if os.fork() == 0:
                hog = b"x" * (100 << 20)
                time.sleep(60)
        os.wait()
    """)  # fmt: skip
    with pytest.raises(StageFailed, match="killed for memory"):
        await builder.ensure(replace(spec, timeout=8), print)
    groups = find_cgroups()
    assert groups is not None
    assert not groups.names(f"previewdrop-{field.home.installation}-")


@pytest.mark.skipif(find_cgroups() is None, reason="this machine has no cgroups")
async def test_groups_of_builds_that_died_half_way_are_swept(
    field: Range, builder: ProcessBuilder
) -> None:
    groups = find_cgroups()
    assert groups is not None
    prefix = f"previewdrop-{field.home.installation}-"
    groups.group(f"{prefix}build-0123456789abcdef-12345678").create(Limits())
    runtime = ProcessRuntime(field.home)
    assert await runtime.sweep([]) == []
    await builder.sweep([])
    assert not groups.names(prefix)


async def test_files_are_hard_links_into_the_cache(field: Range, builder: ProcessBuilder) -> None:
    artifact = await builder.ensure(field.attack("plain", "pass"), print)
    (file,) = Path(str(artifact.handle["path"])).glob("lib/*/site-packages/uvicorn/main.py")
    assert file.stat().st_nlink > 1


def test_dependency_files_are_read_and_nothing_else(tmp_path: Path) -> None:
    """A FIFO would hang whoever reads it; a link may stay inside of the repository."""
    source = tmp_path / "source"
    (source / "real").mkdir(parents=True)
    (source / "real" / "prod.txt").write_text("idna")
    (source / "inside.txt").symlink_to("real/prod.txt")
    (source / "outside.txt").symlink_to("/etc/hostname")
    os.mkfifo(source / "fifo.txt")

    def read(name: str) -> dict[str, bytes]:
        return read_files(source, Dependencies(Lock.REQUIREMENTS, (name,)))

    assert read("inside.txt") == {"inside.txt": b"idna"}
    with pytest.raises(StageFailed, match=r"fifo\.txt is not a regular file"):
        read("fifo.txt")
    for name in ("outside.txt", "../source/real/prod.txt"):
        with pytest.raises(StageFailed, match="leads out of the repository"):
            read(name)

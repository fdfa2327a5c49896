"""What users get wrong with images: each is told in one sentence, and what was live stays live."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from docker_engine import private_engine
from e2e.containers import BASE, app, containers_of, docker_served
from e2e.foreign import ELSEWHERE, make_elsewhere, registry
from e2e.repository import Branches
from e2e.server import Json, Server, preview_path, served
from previewdrop.domain.errors import StageFailed
from previewdrop.drivers.docker.context.survey import survey
from repositories import Files, commit, fixture, git, make_repository

CONFIG = "previewdrop.toml"
SCRIPT = "bin/preview-entrypoint.sh"
ALONE = '[database]\nisolation = "none"\n[cache]\nenabled = false\n'
"""Settings of previews whose data services nobody looks at."""
MIB = 1024 * 1024
SETTINGS = {"BUILD_TIMEOUT": "20", "CONTEXT_BYTES": "5MiB", "GRACE": "1"}
BARE = f"FROM python:3.12-slim\nCOPY --from={BASE} /usr/local /usr/local\nWORKDIR /app\nCOPY . .\n"
"""A Dockerfile that says nothing of ports."""
NO_SHELL = f"""\
FROM {BASE}
COPY . .
RUN rm /usr/bin/sh /usr/bin/dash /usr/bin/bash
CMD ["python", "-m", "uvicorn", "main:app", "--host", "0.0.0.0", "--port", "3000"]
"""


@dataclass(frozen=True)
class Case:
    """A push that cannot work, and what is said: patterns of the sentence, the hint, the log."""

    stage: str
    message: str
    hint: str
    dockerfile: str = f"FROM {BASE}\nCOPY . .\n"
    settings: str = ""
    files: Files = field(default_factory=dict[str, "str | bytes | None"])
    log: str = ""
    exit_code: int | None = None

    @property
    def push(self) -> Files:
        """What is pushed over the app that is live."""
        return {"Dockerfile": self.dockerfile, CONFIG: self.settings + ALONE, **self.files}


def run(command: str) -> str:
    return f"FROM {BASE}\nRUN {command}\nCOPY . .\n"


CASES = {
    "syntax-error": Case(
        "build",
        r"^Dockerfile, line 2: there is no instruction RNU\b",
        "Mend that line",
        dockerfile=f"FROM {BASE}\nRNU pip install .\n",
    ),
    "unknown-base": Case(
        "build",
        r"^There is no image 127\.0\.0\.1:\d+/nowhere:1\.$",
        "Correct the name or tag",
        dockerfile="FROM {registry}/nowhere:1\nCOPY . .\n",
    ),
    "failing-run": Case(
        "build",
        "^RUN echo compiling.* ended with exit code 3",
        "The build log has all that it printed",
        dockerfile=run("echo compiling && echo ffi.h: no such header && exit 3"),
        log="ffi.h: no such header",
        exit_code=3,
    ),
    "missing-program": Case(
        "build",
        "^RUN gcc --version calls what is not there: .*gcc: not found",
        "Install it in an earlier step",
        dockerfile=run("gcc --version"),
        exit_code=127,
    ),
    "endless-run": Case(
        "build",
        r"^The build took longer than 20 s",
        "PREVIEWDROP_BUILD_TIMEOUT",
        dockerfile=run("echo waiting for the licence server && exec sleep 86421"),
        log="waiting for the licence server",
    ),
    "no-shell": Case(
        "post-deploy",
        "^The image has no shell, and the command needs /bin/sh",
        "^Use a base image that has one, or drop release, post_deploy",
        dockerfile=NO_SHELL,
        settings='post_deploy = "echo ready"\n',
    ),
    "no-shell-for-release": Case(
        "release",
        "`echo ready` ended with 127",
        r"^The image has no shell, and commands need /bin/sh\.",
        dockerfile=NO_SHELL,
        settings='release = "echo ready"\n',
        exit_code=127,
    ),
    "curl-missing": Case(
        "post-deploy",
        f"`bash {SCRIPT}` ended with 127",
        "^The image has no curl.*drop the line, or install curl in the Dockerfile: `RUN apt-get ",
        files={SCRIPT: "#!/bin/bash\ncurl -sf localhost:$PORT/health\n"},
        log="line 2: curl: command not found",
        exit_code=127,
    ),
    "script-left-out": Case(
        "post-deploy",
        f"`bash {SCRIPT}` ended with 127",
        f"^The image has no {SCRIPT} where commands run, in its WORKDIR.*dockerignore",
        files={SCRIPT: "#!/bin/bash\n", ".dockerignore": "bin\n"},
        exit_code=127,
    ),
    "no-bash": Case(
        "post-deploy",
        f"`bash {SCRIPT}` ended with 127",
        f'^The image has no bash.*`post_deploy = "sh {SCRIPT}"`',
        dockerfile=f"FROM {BASE}\nCOPY . .\nRUN rm /usr/bin/bash\n",
        files={SCRIPT: "#!/bin/bash\n"},
        exit_code=127,
    ),
    "no-program": Case(
        "health",
        "the app ended with exit code 127 before /health answered 200",
        r"^The image has no program gunicornn\. Correct CMD or ENTRYPOINT in the Dockerfile",
        dockerfile=f'FROM {BASE}\nCOPY . .\nCMD ["gunicornn", "main:app"]\n',
        exit_code=127,
    ),
    "list-with-variable": Case(
        "health",
        "the app ended with exit code 2 before /health answered 200",
        "CMD as a list replaces no variables",
        dockerfile=f'FROM {BASE}\nCOPY . .\nCMD ["uvicorn", "main:app", "--port", "$PORT"]\n',
        exit_code=2,
    ),
    "out-of-memory": Case(
        "health",
        "the app was killed for memory, limit 96 MiB, before /health answered 200",
        "raise `memory` under .limits.",
        settings="limits = {memory = '96MiB'}\n",
        files={"main.py": fixture("memory_hog")["main.py"]},
        exit_code=-9,
    ),
    "loopback-only": Case(
        "health",
        r"/health did not answer 200 within 15 s \(the app listens on 127\.0\.0\.1:3000\)",
        r"^The app listens on 127\.0\.0\.1 only, .*Start it with --host 0\.0\.0\.0\.$",
        dockerfile=f'FROM {BASE}\nCOPY . .\nCMD ["uvicorn", "main:app", "--port", "3000"]\n',
    ),
    "another-port": Case(
        "health",
        r"/health did not answer 200 within 15 s \(the app listens on 0\.0\.0\.0:8000\)",
        r"^The app listens on 0\.0\.0\.0:8000, not on port 3000\. Start it with --port \$PORT, or "
        r"set `port = 8000` in previewdrop\.toml\.$",
        dockerfile=f'{BARE}CMD ["uvicorn", "main:app", "--host", "0.0.0.0"]\n',
    ),
    "another-platform": Case(
        "build",
        "^RUN pip --version is a program for another processor than this server's",
        "without --platform",
        dockerfile=f"FROM --platform=linux/arm64 {ELSEWHERE}\nRUN pip --version\n",
        exit_code=1,
    ),
    "another-platform-without-run": Case(
        "build",
        "^The image is made for arm64 processors, and this server has amd64",
        "Drop --platform",
        dockerfile=f"FROM --platform=linux/arm64 {ELSEWHERE}\nCOPY . .\n",
    ),
    "large-context": Case(
        "build",
        r"^The build context is at least 6\.\d MiB large and may be 5\.0 MiB at the most\. "
        r"Largest in it: data 6\.0 MiB",
        r"\.dockerignore",
        files={"data/dump.sql": b"0" * 6 * MIB},
    ),
    "no-such-dockerfile": Case(
        "build",
        r"^There is no docker/api\.Dockerfile in the commit",
        r"`dockerfile` under \[build\] in previewdrop\.toml",
        settings="build = {dockerfile = 'docker/api.Dockerfile'}\n",
    ),
    "no-such-target": Case(
        "build",
        "^Dockerfile has no stage runer",
        r"FROM … AS runer.*build\.target in previewdrop\.toml",
        settings="build = {target = 'runer'}\n",
    ),
}

Verdicts = dict[str, "asyncio.Task[tuple[Json, Json]]"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server]:
    async with docker_served(tmp_path_factory.mktemp("docker") / "home", SETTINGS) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mistakes(server: Server, repositories_folder: Path) -> Branches:
    repository = Branches(repositories_folder, "images")
    await server.add_project("images", repository.path)
    return repository


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def verdicts(server: Server, mistakes: Branches) -> AsyncGenerator[Verdicts]:
    """For each case the preview that was live, and what became of the push; all at once."""
    await asyncio.to_thread(make_elsewhere)
    async with registry() as address:
        for name in CASES:
            mistakes.write(name, app(**{CONFIG: ALONE}))
        turns = asyncio.Lock()

        async def verdict(name: str) -> tuple[Json, Json]:
            good = await server.deploy("images", name)
            push = dict(CASES[name].push)
            push["Dockerfile"] = str(push["Dockerfile"]).replace("{registry}", address)
            async with turns:
                mistakes.push(name, push)
            return good, await server.deploy("images", name)

        tasks = {name: asyncio.create_task(verdict(name)) for name in CASES}
        yield tasks
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("name", CASES)
async def test_a_mistake_is_told_and_what_was_live_stays(
    server: Server, verdicts: Verdicts, name: str
) -> None:
    case = CASES[name]
    good, preview = await verdicts[name]
    assert good["state"] == "ready", good["deployment"]
    deployment = preview["deployment"]
    error = deployment["error"]
    assert (preview["state"], deployment["state"]) == ("ready", "failed"), deployment
    assert re.fullmatch(case.stage, error["stage"]), error
    assert re.search(case.message, error["message"]), error
    assert "\n" not in error["message"]
    assert re.search(case.hint, error["hint"] or ""), error
    assert error["exit_code"] == case.exit_code, error
    if case.log:
        assert case.log in "\n".join(error["log_tail"])
        assert case.log in "\n".join(await server.build_log(preview))
    assert await containers_of(server.home.installation, deployment=deployment["id"]) == []
    assert name != "endless-run" or processes("86421") == []
    assert preview["commit"] == good["commit"] != preview["desired_commit"]
    assert (await server.read(preview, "/health"))["commit"] == good["commit"]


async def test_up_says_what_to_do_and_what_is_still_live(server: Server, tmp_path: Path) -> None:
    shop = make_repository(tmp_path, app(**{CONFIG: ALONE}), name="terminal")
    code, said = await server.run("up", str(shop))
    assert code == 0, said
    live = git(shop, "rev-parse", "--short=7", "HEAD")
    commit(shop, CASES["failing-run"].push)
    code, said = await server.run("up", str(shop))
    assert code == 1
    told = f"""\
✗ build failed: RUN echo compiling && echo ffi.h: no such header && exit 3 ended with exit code 3.
    compiling
    ffi.h: no such header
  The build log has all that it printed.
  Still live: {live}"""
    assert told in said
    assert said.rstrip().endswith("Full log: previewdrop logs terminal/main --build")
    code, said = await server.run("status", "terminal/main")
    assert "ready (last deployment failed)" in said
    assert told in said
    code, said = await server.run("logs", "terminal/main", "--build")
    assert re.search(r"build +\|   ffi\.h: no such header\nbuild +\|   failed after .* 3\n", said)


async def test_a_newer_push_ends_the_build_that_runs(server: Server, mistakes: Branches) -> None:
    slow = run("echo compiling && exec sleep 86422")
    mistakes.write("superseded", {**app(**{CONFIG: ALONE}), "Dockerfile": slow})
    preview = await server.want("images", "superseded")
    async with asyncio.timeout(60):
        while not processes("86422"):  # noqa: ASYNC110 - the machine tells nobody
            await asyncio.sleep(0.05)
    mended = mistakes.push("superseded", app())
    preview = await server.deploy("images", "superseded")
    assert (preview["state"], preview["commit"]) == ("ready", mended), preview["deployment"]
    found = await server.get(preview_path(preview["name"]) + "/deployments")
    assert [one["state"] for one in found] == ["ready", "cancelled"]
    assert processes("86422") == []


async def test_a_commit_of_2_gb_is_refused_before_it_is_written(
    server: Server, mistakes: Branches
) -> None:
    mistakes.write("large", {**app(), CONFIG: ALONE, "model.bin": b"0" * MIB})
    large = await asyncio.to_thread(many_times, mistakes.path, "model.bin", 2048)
    git(mistakes.path, "update-ref", "refs/heads/large", large)
    preview = await server.deploy("images", "large")
    error = preview["deployment"]["error"]
    assert error["stage"] == "checkout", error
    assert "have 2048.0 MiB, more than the 512.0 MiB that are allowed" in error["message"]
    assert "keep large files out of the repository" in error["hint"]


def test_a_sparse_file_of_2_gb_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with (tmp_path / "model.bin").open("wb") as file:
        file.truncate(2 * 1024 * MIB)
    began = time.process_time()
    with pytest.raises(StageFailed, match=r"Largest in it: model\.bin 2\.0 GiB") as refused:
        survey(tmp_path, "Dockerfile", 1024 * MIB)
    assert ".dockerignore" in (refused.value.hint or "")
    assert time.process_time() - began < 0.5


async def test_a_full_disk_is_said_and_the_next_push_is_built(
    tmp_path: Path, repositories_folder: Path
) -> None:
    full = Branches(repositories_folder, "full")
    with private_engine("800m") as engine:
        for image in (BASE, "postgres:18", "valkey/valkey:9.1"):
            await asyncio.to_thread(engine.load, image)
        settings = {"RUNTIME": "docker", "DOCKER_HOST": engine.host}
        settings |= {"DOCKER_SUBNETS": str(engine.subnets), "GRACE": "1"}
        async with served(tmp_path / "home", settings) as server:
            await server.add_project("full", full.path)
            full.write("main", app(**{CONFIG: ALONE}))
            good = await server.deploy("full", "main")
            assert good["state"] == "ready", good["deployment"]

            full.push("main", {"Dockerfile": run("dd if=/dev/zero of=/big bs=1M")})
            preview = await server.deploy("full", "main")
            error = preview["deployment"]["error"]
            assert error["message"] == "RUN dd if=/dev/zero of=/big bs=1M found the disk full."
            assert "Free space on the server" in error["hint"]
            assert (await server.read(preview, "/health"))["commit"] == good["commit"]

            full.push("main", {"Dockerfile": app()["Dockerfile"], "data.bin": b"0" * 30 * MIB})
            with ballast(engine.data, spare=10 * MIB):
                preview = await server.deploy("full", "main")
                error = preview["deployment"]["error"]
                assert error["message"] == "The disk of the Docker Engine is full."
                assert "docker builder prune" in error["hint"]
                assert (await server.read(preview, "/health"))["commit"] == good["commit"]

            preview = await server.deploy("full", "main")
            assert preview["deployment"]["state"] == "ready", preview["deployment"]
            assert preview["commit"] == preview["desired_commit"] != good["commit"]


@contextmanager
def ballast(folder: Path, spare: int) -> Generator[None]:
    """The folder's file system has only `spare` bytes left."""
    free = os.statvfs(folder)
    file = folder / "ballast"
    with file.open("wb") as content:
        os.posix_fallocate(content.fileno(), 0, free.f_bavail * free.f_frsize - spare)
    try:
        yield
    finally:
        file.unlink()


def many_times(repository: Path, name: str, count: int) -> str:
    """A commit that has a file of HEAD `count` times, which Git keeps once."""
    blob = git(repository, "rev-parse", f"HEAD:{name}")
    entries = "".join(f"100644 blob {blob}\t{number}.bin\n" for number in range(count))
    making = ("git", "-C", str(repository), "mktree")
    tree = subprocess.run(making, input=entries.encode(), capture_output=True, check=True).stdout
    return git(repository, "commit-tree", tree.decode().strip(), "-p", "HEAD", "-m", "Large")


def processes(mark: str) -> list[int]:
    """Processes of the whole machine, those in containers and builds too, that name `mark`."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words:
            found.append(int(folder.name))
    return found

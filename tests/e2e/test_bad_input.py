"""What users get wrong: each is told in one sentence, costs nothing that serves, leaves nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.repository import Branches, healthy
from e2e.server import Json, Server, preview_path
from repositories import Files, git, make_repository

CONFIG, TEMPLATE = "previewdrop.toml", ".env.preview"
MIB = 1024 * 1024


@dataclass(frozen=True)
class Case:
    """Files that cannot work, and what is said: patterns of the sentence, the hint, the log."""

    files: Files | str
    stage: str
    message: str
    hint: str = ""
    log: str = ""
    exit_code: int | None = None
    status: int | None = None


def config(text: str) -> Files:
    return healthy(**{CONFIG: text})


def template(text: str | bytes) -> Files:
    return healthy(**{TEMPLATE: text})


CASES = {
    "not-fastapi": Case(
        "not_fastapi", "detect", "No FastAPI was found.*requirements.txt", "previewdrop.toml"
    ),
    "syntax-error": Case("syntax_error", "detect", "main.py has a syntax error in line 7"),
    "unsatisfiable": Case(
        "unsatisfiable_requirements",
        "build",
        "dependencies cannot be satisfied: .*pydantic<2",
        "Change the versions",
        "No solution found",
        exit_code=1,
    ),
    "malformed": Case(
        "malformed_requirements",
        "build",
        "requirements.txt has a line that is no requirement",
        "Mend that line",
        "uvicorn => 0.54",
        exit_code=2,
    ),
    "import-error": Case(
        "import_error",
        "health",
        "the app ended with exit code 1 before /health answered 200",
        "package_that_nobody_installed is not installed",
        "ModuleNotFoundError",
        exit_code=1,
    ),
    "missing-variable": Case(
        "missing_variable",
        "health",
        "the app ended with exit code 1",
        "API_KEY is not set.*previewdrop env set API_KEY=",
        "KeyError: 'API_KEY'",
        exit_code=1,
    ),
    "exits-at-once": Case(
        "exits_at_once", "health", "the app ended with exit code 3 before", exit_code=3
    ),
    "never-listens": Case(
        "never_listens",
        "health",
        r"/health did not answer 200 within 15 s \(nothing listens\)",
        "Nothing listens on port",
        "Waiting for application startup",
    ),
    "always-500": Case(
        "always_500",
        "health",
        r"did not answer 200 within 15 s \(HTTP 500\)",
        "fails inside the app",
        "The flux capacitor is empty",
        status=500,
    ),
    "wrong-port": Case(
        "wrong_port", "health", "did not answer 200", r"listens on 0.0.0.0:8000, not on port \d+"
    ),
    "listens-elsewhere": Case(
        "listens_elsewhere", "health", "did not answer 200", "listens on 127.0.0.2 only"
    ),
    "release-fails": Case(
        "release_fails",
        "release",
        r"release failed: `echo .*` ended with 4 after \d+\.\d s",
        log="Compiling translations\nde.po is broken",
        exit_code=4,
    ),
    "post-deploy-fails": Case(
        "post_deploy_fails",
        "post-deploy",
        r"post-deploy failed: `echo .*` ended with 3 after \d+\.\d s",
        log="Checking stock\nNo stock left",
        exit_code=3,
    ),
    "post-deploy-hangs": Case(
        "post_deploy_hangs",
        "post-deploy",
        "`echo Waiting for a lock; sleep 3600` was stopped after 15 s",
        "PREVIEWDROP_POST_DEPLOY_TIMEOUT",
        "Waiting for a lock",
    ),
    "curl-missing": Case(
        "post_deploy_curl_missing",
        "post-deploy",
        "`bash bin/preview-entrypoint.sh` ended with 127",
        "has no curl. PreviewDrop already checks /health; drop the line, or install curl",
        "line 8: curl: command not found",
        exit_code=127,
    ),
    "migration-error": Case(
        "migration_error", "post-deploy", "ended with 1", "no table orders", "ALTER TABLE", 1
    ),
    "unknown-variable": Case(
        template("API=https://x/${PREVIEW_BRANHC}\n"),
        "detect",
        r"\.env\.preview.*line 1.*PREVIEW_BRANHC",
        "PREVIEW_BRANCH",
    ),
    "template-cycle": Case(template("A=${B}\nB=${C}\nC=${A}\n"), "detect", r"\.env\.preview.*A.*B"),
    "template-line": Case(
        template("GOOD=1\nthis is no variable\n"), "detect", r"\.env\.preview.*line 2"
    ),
    "template-bytes": Case(template(b"A=\xff\xfe\x00\n"), "detect", r"\.env\.preview"),
    "own-variable": Case(template("PORT=8000\n"), "detect", "PORT"),
    "unknown-key": Case(
        config('post_deplyo = "true"\n'), "detect", "previewdrop.toml.*post_deplyo", "post_deploy"
    ),
    "wrong-type": Case(config('port = "3000"\n'), "detect", "previewdrop.toml.*port.*whole number"),
    "wrong-choice": Case(
        config('[database]\nisolation = "shared"\n'), "detect", "previewdrop.toml.*isolation"
    ),
    "not-toml": Case(config("port = = 3000\n"), "detect", "previewdrop.toml.*line 1"),
    "leads-out": Case(config('root = "../.."\n'), "detect", "previewdrop.toml.*root"),
}

Verdicts = dict[str, "asyncio.Task[Json]"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mistakes(server: Server, repositories_folder: Path) -> Branches:
    repository = Branches(repositories_folder, "mistakes")
    await server.add_project("mistakes", repository.path)
    return repository


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def verdicts(server: Server, mistakes: Branches) -> AsyncGenerator[Verdicts]:
    """All of them, deployed at the same time."""
    for name, case in CASES.items():
        mistakes.write(name, case.files)
    tasks = {name: asyncio.create_task(server.deploy("mistakes", name)) for name in CASES}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("name", CASES)
async def test_a_mistake_is_told_and_leaves_nothing(
    server: Server, verdicts: Verdicts, name: str
) -> None:
    case = CASES[name]
    preview = await verdicts[name]
    deployment = preview["deployment"]
    error = deployment["error"]
    assert (preview["state"], preview["commit"]) == ("failed", None), deployment
    assert error["stage"] == case.stage, error
    assert re.search(case.message, error["message"]), error
    assert "\n" not in error["message"]
    assert re.search(case.hint, error["hint"] or ""), error
    if case.log:
        assert case.log in "\n".join(error["log_tail"])
        assert case.log in "\n".join(await server.build_log(preview))
    assert (error["exit_code"], error["status"]) == (case.exit_code, case.status)
    assert server.left_of(deployment["id"]) == []
    assert preview["url"].removeprefix("https://").partition(":")[0] not in server.routes()


async def test_what_cannot_be_deployed_is_refused_at_once(
    server: Server, mistakes: Branches, repositories_folder: Path
) -> None:
    before = await server.get("/previews")

    async def refusal(project: str, **body: str) -> tuple[str, str]:
        answer = await server.ask("POST", f"/projects/{project}/previews", json=body)
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert "\n" not in answer.json()["detail"]
        return answer.json()["detail"], answer.json()["hint"] or ""

    detail, hint = await refusal("mistakes", branch="man")
    assert "man" in detail
    assert "main" in detail + hint
    detail, _ = await refusal("mistakes", branch="main", commit="0123456789abcdef0123")
    assert "0123456789abcdef0123" in detail

    plain = repositories_folder / "plain"
    plain.mkdir()
    (plain / "main.py").write_text("from fastapi import FastAPI\n")
    await server.add_project("plain", plain)
    detail, _ = await refusal("plain", branch="main")
    assert "not in a Git repository" in detail

    empty = repositories_folder / "empty"
    git(repositories_folder, "init", "--quiet", "--initial-branch=main", str(empty))
    await server.add_project("empty", empty)
    detail, _ = await refusal("empty", branch="main")
    assert "no commit" in detail or "no branch" in detail or "empty" in detail
    assert len(await server.get("/previews")) == len(before)


async def test_up_says_the_same_and_ends_with_1(server: Server, tmp_path: Path) -> None:
    plain, empty = tmp_path / "plain", tmp_path / "empty"
    plain.mkdir()
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(empty))
    shop = make_repository(tmp_path, "healthy", name="shop")
    runs = [
        server.run("up", str(plain)),
        server.run("up", str(empty)),
        server.run("up", str(shop), "--branch", "mian"),
        server.run("up", str(tmp_path / "nowhere")),
    ]
    for (code, said), word in zip(
        await asyncio.gather(*runs),
        ("Git repository", "commit", "main", "nowhere"),
        strict=True,
    ):
        assert code == 1, said
        assert word in said
        assert "Traceback" not in said
        assert len(said.strip().splitlines()) <= 3, said


async def test_a_failed_push_is_told_by_up_with_what_to_do(server: Server, tmp_path: Path) -> None:
    broken = make_repository(tmp_path, "post_deploy_fails", name="broken")
    code, said = await server.run("up", str(broken))
    assert code == 1
    assert re.search(r"post-deploy failed: `echo .*` ended with 3 after", said)
    assert "No stock left" in said
    assert "previewdrop logs broken/main --build" in said


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffGREETING=hello ${PREVIEW_BRANCH}\n".encode(),
        b"GREETING=hello ${PREVIEW_BRANCH}\r\nOTHER=1\r\n",
        b'# a remark\n\nexport GREETING="hello ${PREVIEW_BRANCH}" # another\n',
    ],
    ids=["bom", "crlf", "export"],
)
async def test_a_template_of_any_editor_works(
    server: Server, mistakes: Branches, content: bytes, request: pytest.FixtureRequest
) -> None:
    branch = request.node.callspec.id
    mistakes.write(branch, template(content))
    preview = await server.deploy("mistakes", branch)
    assert preview["state"] == "ready", preview["deployment"]
    assert await server.read(preview, "/env/GREETING") == f"hello {branch}"
    await server.remove(preview["name"])


async def test_a_flood_is_cut_and_the_server_stays_small(
    server: Server, mistakes: Branches
) -> None:
    mistakes.write("flood", "post_deploy_floods")
    before = memory(server.pid)
    begin_peak_anew(server.pid)
    preview = await server.deploy("mistakes", "flood")
    assert preview["state"] == "ready", preview["deployment"]
    log = await server.build_log(preview)
    assert sum(len(line) + 1 for line in log) < 1.2 * MIB
    assert re.search("log is full|dropped", "\n".join(log[-3:]))
    assert memory(server.pid, "VmHWM") - before < 100 * MIB
    await server.remove(preview["name"])


def begin_peak_anew(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def memory(pid: int, field: str = "VmRSS") -> int:
    """Bytes that a process holds, or held at most."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


async def test_secrets_are_read_nowhere(server: Server, mistakes: Branches) -> None:
    value = "s3cr3t/with+odd=characters"
    body = {"value": value, "secret": True}
    assert (await server.ask("PUT", "/projects/mistakes/variables/API_KEY", json=body)).is_success
    mistakes.write("prints", "post_deploy_prints_secrets")
    mistakes.write(
        "prints-and-fails",
        {
            **healthy(),
            TEMPLATE: "DATABASE_URL=postgresql+asyncpg://preview:preview@db:5432/preview\n",
            CONFIG: 'post_deploy = "env; echo failed with $API_KEY at $DATABASE_URL; exit 9"\n',
        },
    )
    previews = await asyncio.gather(
        *(server.deploy("mistakes", branch) for branch in ("prints", "prints-and-fails"))
    )
    assert [preview["state"] for preview in previews] == ["ready", "failed"]
    connection = await server.get(preview_path(previews[0]["name"]) + "/connection")
    passwords = re.findall(r"://[^:]+:([^@]+)@", " ".join(connection.values()))
    assert len(passwords) == 2
    for preview in previews:
        log = "\n".join(await server.build_log(preview))
        assert "PREVIEW_NAME=" in log
        assert "failed with" in log or "url=" in log
        shown = log + str(await server.get(preview_path(preview["name"]))) + str(preview)
        for secret in (value, *passwords):
            assert secret not in shown
    tail = "\n".join(previews[1]["deployment"]["error"]["log_tail"])
    assert "failed with" in tail
    assert not re.search(r"postgresql\+asyncpg://[^:]+:[\w-]{20,}@", tail)
    variables = await server.get("/projects/mistakes/variables")
    assert variables == [
        {"name": "API_KEY", "value": None, "secret": True, "branch": None, "preview": None}
    ]
    assert value not in server.output.read_text()
    assert (await server.ask("DELETE", "/projects/mistakes/variables/API_KEY")).is_success


BRANCHES = (
    "feature/new-auth",
    "feature/🚀-größer",
    "x" * 250,
    'it\'s-"quoted"',
    "$(touch${IFS}pwned)",
    "`reboot`;a&b|c",
    "pr-7",
    "a.b.c",
)
SAME = ("Fix/Login", "fix/login", "fix-login", "fix--login", "fix_login")


async def test_any_branch_name_that_git_takes_is_deployed(
    server: Server, mistakes: Branches
) -> None:
    for branch in (*BRANCHES, *SAME):
        mistakes.write(branch, healthy())
    previews = await asyncio.gather(
        *(server.deploy("mistakes", branch) for branch in (*BRANCHES, *SAME))
    )
    for branch, preview in zip((*BRANCHES, *SAME), previews, strict=True):
        assert preview["state"] == "ready", preview["deployment"]
        assert preview["branch"] == branch
        assert await server.read(preview, "/env/PREVIEW_BRANCH") == branch
        label = preview["url"].removeprefix("https://").partition(".")[0]
        assert re.fullmatch(r"[a-z0-9-]{1,63}", label)
        assert len(preview["database"]["name"]) <= 63
    for key in ("name", "url"):
        assert len({preview[key] for preview in previews}) == len(previews)
    assert len({preview["database"]["name"] for preview in previews}) == len(previews)
    assert not list(server.home.path.rglob("pwned"))
    await asyncio.gather(*(server.remove(preview["name"]) for preview in previews))


@pytest.mark.parametrize(
    "branch",
    ["a..b", "..", "-rf", "--upload-pack=touch pwned", "a b", "x~1", "main^", "main:x", "a\nb",
     "x" * 1025, "@{-1}", "a\0b"],
)  # fmt: skip
async def test_a_name_that_git_does_not_take_is_refused(
    server: Server, mistakes: Branches, branch: str
) -> None:
    answer = await server.ask("POST", "/projects/mistakes/previews", json={"branch": branch})
    assert answer.status_code == 422, answer.text
    assert "\n" not in answer.json()["detail"]
    assert not list(server.home.path.rglob("pwned"))
    assert not (mistakes.path / "pwned").exists()

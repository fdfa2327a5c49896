"""Logins at registries: Docker's config.json, and the helpers it names."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from previewdrop.domain.errors import BadConfig
from previewdrop.domain.secret import Secret
from previewdrop.drivers.docker.buildkit import logins
from previewdrop.drivers.docker.buildkit.logins import Login, Logins, default_path


def encoded(login: str) -> dict[str, str]:
    return {"auth": base64.b64encode(login.encode()).decode()}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def helper(programs: Path, name: str, script: str) -> None:
    path = programs / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def text(config: Path, content: str) -> Logins:
    config.write_text(content)
    return Logins(config)


def write(config: Path, **content: object) -> Logins:
    return text(config, json.dumps(content))


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("https://index.docker.io/v1/", "registry-1.docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
    ],
)
async def test_a_login_is_found_by_its_registry(config: Path, key: str, host: str) -> None:
    found = await write(config, auths={key: encoded("deploy:pass:word")}).find(host)
    assert found == Login("deploy", Secret("pass:word"))


@pytest.mark.parametrize("host", ["evil.example", "ghcr.io.evil.example", "xghcr.io", "ghcr.io:81"])
async def test_no_other_registry_gets_it(config: Path, host: str) -> None:
    assert await write(config, auths={"ghcr.io": encoded("deploy:pass")}).find(host) is None


async def test_an_identity_token_has_no_user(config: Path) -> None:
    entry = {**encoded("00000000-0000-0000-0000-000000000000:"), "identitytoken": "token"}
    assert await write(config, auths={"a.azurecr.io": entry}).find("a.azurecr.io") == Login(
        "", Secret("token")
    )


async def test_a_password_may_be_written_out(config: Path) -> None:
    entry = {"username": "deploy", "password": "pass"}
    assert await write(config, auths={"r.example": entry}).find("r.example") == Login(
        "deploy", Secret("pass")
    )


@pytest.mark.parametrize("content", [{}, {"auths": {"ghcr.io": {}}}, {"auths": None}, [], None])
async def test_there_may_be_none(config: Path, content: object) -> None:
    found = Logins(config) if content is None else text(config, json.dumps(content))
    assert await found.find("ghcr.io") is None


async def test_a_file_that_is_no_json_is_an_error(config: Path) -> None:
    with pytest.raises(BadConfig, match=r"config\.json cannot be read.*docker login"):
        await text(config, "{").find("ghcr.io")


async def test_a_login_that_cannot_be_read_is_an_error(config: Path) -> None:
    with pytest.raises(BadConfig, match="base64") as raised:
        await write(config, auths={"ghcr.io": {"auth": "hunter2!"}}).find("ghcr.io")
    assert "hunter2" not in str(raised.value)


async def test_the_helper_of_a_registry_comes_first(config: Path, programs: Path) -> None:
    helper(
        programs,
        "cloud",
        'read server; echo "{\\"Username\\": \\"$server\\", \\"Secret\\": \\"$1\\"}"',
    )
    helper(programs, "store", "exit 1")
    both = write(
        config,
        credHelpers={"gcr.io": "cloud"},
        credsStore="store",
        auths={"gcr.io": encoded("old:old"), "ghcr.io": encoded("deploy:pass")},
    )
    assert await both.find("gcr.io") == Login("gcr.io", Secret("get"))
    assert await both.find("ghcr.io") == Login("deploy", Secret("pass"))


async def test_a_store_gets_the_hub_by_its_old_name(config: Path, programs: Path) -> None:
    helper(
        programs,
        "desktop",
        'read s; echo "{\\"Username\\": \\"<token>\\", \\"Secret\\": \\"$s\\"}"',
    )
    found = await write(config, credsStore="desktop").find("registry-1.docker.io")
    assert found == Login("", Secret("https://index.docker.io/v1/"))


@pytest.mark.parametrize(
    "script", ["echo credentials not found in native keychain; exit 1", "cat; exit 7", "echo {}"]
)
async def test_a_helper_may_know_nothing(config: Path, programs: Path, script: str) -> None:
    helper(programs, "desktop", script)
    assert await write(config, credsStore="desktop").find("ghcr.io") is None


async def test_a_helper_that_is_not_installed_is_passed_over(config: Path, programs: Path) -> None:
    both = write(config, credsStore="gone", auths={"ghcr.io": encoded("deploy:pass")})
    assert await both.find("ghcr.io") == Login("deploy", Secret("pass"))


@pytest.mark.parametrize("name", ["../evil", "-evil", "a b", ""])
def test_a_helper_is_a_name_and_no_path(name: str) -> None:
    assert logins.helper_for({"credsStore": name}, "ghcr.io") is None


async def test_a_helper_that_hangs_is_ended(
    config: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "_HELPER_WITHIN", 0.2)
    helper(programs, "slow", "exec sleep 1000")
    with pytest.raises(BadConfig, match="docker-credential-slow did not answer"):
        await write(config, credsStore="slow").find("ghcr.io")


@pytest.mark.parametrize(("script", "says"), [("echo nonsense", "no JSON"), ("", "no JSON")])
async def test_a_helper_that_answers_nonsense(
    config: Path, programs: Path, script: str, says: str
) -> None:
    helper(programs, "odd", script)
    with pytest.raises(BadConfig, match=says):
        await write(config, credsStore="odd").find("ghcr.io")


async def test_a_helper_that_cannot_be_run(config: Path, programs: Path) -> None:
    path = programs / "docker-credential-bad"
    path.write_text("#!/nonexistent/interpreter\n")
    path.chmod(0o755)
    with pytest.raises(BadConfig, match="docker-credential-bad cannot be run"):
        await write(config, credsStore="bad").find("ghcr.io")


def test_where_docker_keeps_it() -> None:
    assert default_path({}, Path("/home/me")) == Path("/home/me/.docker/config.json")
    assert default_path({"DOCKER_CONFIG": "/etc/dc"}, Path("/x")) == Path("/etc/dc/config.json")

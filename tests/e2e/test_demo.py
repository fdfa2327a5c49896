"""The demo proves itself: with nothing but Python and Git, and with a Docker Engine."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.containers import forget
from previewdrop.config.home import Home

CLAIMS = (
    "Four previews are ready at the same time",
    "All four URLs answer over HTTPS, /health with 200",
    "/docs is Swagger UI",
    "HTTP redirects to HTTPS",
    "Browsers get HTTP/2",
    "users.email is contact_email in Ali's database alone",
    "Ben's search by the old column works",
    "Chloe's key format is in her Redis database alone",
    "Nobody gets into another's database",
    "Nobody gets into another's Redis database",
    "A push to you/health-version goes live",
    "The URL answered all the while",
    "The push kept the database",
    "Removing three leaves the fourth as it was",
    "The URLs are gone",
    "PostgreSQL and Redis know none of their users",
    "No folder of theirs is left",
    "The server that was started for this stops",
)
CLAIMS_OF = {
    "process": (
        "One environment serves all four",
        "The push built no environment anew",
        "No process of theirs runs",
        "It leaves no process behind",
    ),
    "docker": (
        "Nobody reaches another's container or services",
        "One layer of dependencies serves all four",
        "The push installed no dependency anew",
        "No container, network or image of theirs is left",
        "It leaves no process and no running container behind",
    ),
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a command line with a data folder and ports of its own."""
    inherited = {key: value for key, value in os.environ.items() if "PREVIEWDROP" not in key}
    ports = ("PORT", "EDGE_PORT", "EDGE_HTTP_PORT", "POSTGRES_PORT", "REDIS_PORT")
    own = {f"PREVIEWDROP_{name}": "0" for name in ports}
    return {**inherited, **own, "PREVIEWDROP_HOME": str(tmp_path / "home")}


def test_every_claim_of_the_demo_holds(environment: dict[str, str], tmp_path: Path) -> None:
    """Without being asked for it, wherever an Engine answers, it shows processes."""
    prove("process", (), environment, tmp_path)


async def test_every_claim_holds_for_containers(
    environment: dict[str, str], tmp_path: Path
) -> None:
    try:
        await asyncio.to_thread(prove, "docker", ("--runtime", "docker"), environment, tmp_path)
    finally:
        await forget(Home(tmp_path / "home").installation)


def prove(runtime: str, asked: tuple[str, ...], environment: dict[str, str], folder: Path) -> None:
    """`demo --check` of a runtime, each claim in its JSON and on the screen."""
    home = folder / "home"
    done = subprocess.run(
        (sys.executable, "-m", "previewdrop", "demo", "--check", "--json", *asked),
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    log = home / "logs" / "server.log"
    told = f"{done.stderr}\n{log.read_text()[-4000:] if log.exists() else 'no server log'}"
    assert done.returncode == 0, told
    result = json.loads(done.stdout)
    assert result["runtime"] == runtime
    assert [check["claim"] for check in result["checks"] if not check["passed"]] == []
    claims = {*CLAIMS, *CLAIMS_OF[runtime]}
    assert {check["claim"] for check in result["checks"]} >= claims
    for claim in claims:
        assert f"✓ {claim}" in done.stderr
    assert [each["name"] for each in result["previews"]] == [
        "shop/ali-rename-email",
        "shop/ben-email-search",
        "shop/chloe-cache-keys",
        "shop/you-health-version",
    ]
    assert {each["state"] for each in result["previews"]} == {"ready"}
    assert len({each["database"]["name"] for each in result["previews"]}) == 4
    assert len({each["redis"]["db"] for each in result["previews"]}) == 4
    before, after = result["held"]["before"], result["held"]["after"]
    kept = {"data services"} if runtime == "docker" else set[str]()
    assert {what for what, names in before.items() if len(names) < 4} == kept
    assert {what for what, names in after.items() if names} == kept
    assert not (home / "server.json").exists()
    assert not (home / "demo" / "check").exists()

"""The demo proves itself on a machine that has nothing but Python and Git."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    "One environment serves all four",
    "A push to you/health-version goes live",
    "The URL answered all the while",
    "The push kept the database",
    "The push built no environment anew",
    "Removing three leaves the fourth as it was",
    "The URLs are gone",
    "PostgreSQL and Redis know none of their users",
    "No process of theirs runs",
    "No folder of theirs is left",
    "The server that was started for this stops",
    "It leaves no process behind",
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a command line with a data folder and ports of its own."""
    inherited = {key: value for key, value in os.environ.items() if "PREVIEWDROP" not in key}
    ports = ("PORT", "EDGE_PORT", "EDGE_HTTP_PORT", "POSTGRES_PORT", "REDIS_PORT")
    own = {f"PREVIEWDROP_{name}": "0" for name in ports}
    return {**inherited, **own, "PREVIEWDROP_HOME": str(tmp_path / "home")}


def test_every_claim_of_the_demo_holds(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        (sys.executable, "-m", "previewdrop", "demo", "--check", "--json"),
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    log = tmp_path / "home" / "logs" / "server.log"
    told = f"{done.stderr}\n{log.read_text()[-4000:] if log.exists() else 'no server log'}"
    assert done.returncode == 0, told
    result = json.loads(done.stdout)
    assert [check["claim"] for check in result["checks"] if not check["passed"]] == []
    assert {check["claim"] for check in result["checks"]} >= set(CLAIMS)
    for claim in CLAIMS:
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
    assert not (tmp_path / "home" / "server.json").exists()
    assert not (tmp_path / "home" / "demo" / "check").exists()

"""Requests by wrk, for a few seconds and to this machine alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("edge.lua")
SECONDS = 3


def program() -> str | None:
    return shutil.which("wrk")


def load(program: str, url: str, connections: int) -> dict[str, Any]:
    """`{"rate", "p50", "p99", "failed"}`: requests per second, seconds, and a count."""
    options = ("--threads", "1", "--connections", str(connections), "--duration", f"{SECONDS}s")
    done = subprocess.run(
        (program, *options, "--timeout", "10s", "--script", str(SCRIPT), url),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "rate": found["requests"] / found["seconds"],
        "p50": found["p50"],
        "p99": found["p99"],
        "failed": found["failed"],
    }

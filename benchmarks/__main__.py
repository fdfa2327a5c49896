"""`make bench`: runs every measurement and writes JSON, a table and a picture."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    comments,
    docker_engine,
    docker_measure,
    docker_report,
    measure,
    report,
    webhooks,
)

RESULTS = Path(__file__).parent / "results"
PROCESS: dict[str, Callable[[Path, measure.Tell], measure.Result]] = {
    "command_line": measure.command_line,
    "server_start": measure.server_start,
    "push_to_live": measure.push_to_live,
    "ten_at_once": measure.ten_at_once,
    "webhooks": webhooks.webhooks,
    "comments": comments.comments,
}
DOCKER: dict[str, Callable[[Path, measure.Tell], measure.Result]] = {
    "docker_push_to_live": docker_measure.push_to_live,
    "docker_compose": docker_measure.compose,
    "docker_ten_at_once": docker_measure.ten_at_once,
    "docker_requests": docker_measure.requests,
}


def main() -> None:
    """Measures, prints the table, and writes `benchmarks/results/latest.*`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *PROCESS, *DOCKER], help="else: all")
    parser.add_argument("--keep", action="store_true", help="the other results stay as they are")
    arguments = parser.parse_args()
    docker = docker_engine.Engine().answers() and docker_engine.client() is not None
    chosen = arguments.only or [*PROCESS, *(DOCKER if docker else ())]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    latest = RESULTS / "latest.json"
    results: dict[str, Any] = json.loads(latest.read_text()) if arguments.keep else {}
    results["machine"] = f"{platform.platform()}, {os.cpu_count()} cores"
    results |= _measured(chosen)
    if not results.keys() >= PROCESS.keys():
        print(json.dumps(results, indent=2))
        return
    RESULTS.mkdir(exist_ok=True)
    latest.write_text(json.dumps(results, indent=2) + "\n")
    text = report.table(results)
    if results.keys() >= DOCKER.keys():
        text += "\n" + docker_report.table(results)
    (RESULTS / "latest.md").write_text(text)
    print(text)
    report.picture(results, RESULTS / "latest.png")
    if not docker:
        _tell("docker was not measured: it takes an Engine and a client that builds with BuildKit")


def _measured(chosen: list[str]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="previewdrop-bench-"))
    try:
        for name in chosen:
            place = folder / name
            place.mkdir()
            results[name] = {**PROCESS, **DOCKER}[name](place, _tell)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return results


def _tell(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


main()

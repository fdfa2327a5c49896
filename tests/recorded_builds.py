"""Recorded answers of `POST /build`, from the Engines in `fixtures/docker-build`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from previewdrop.drivers.docker.buildkit.progress import Progress

ENGINES = ("20.10", "26.1", "28.5")
_FOLDER = Path(__file__).parent / "fixtures/docker-build"


@cache
def answers(engine: str) -> dict[str, list[dict[str, Any]]]:
    """The records of each case, as the Engine sent them."""
    lines = (_FOLDER / f"engine-{engine}.jsonl").read_text().splitlines()
    return {case["case"]: case["answer"] for case in map(json.loads, lines)}


def traces(engine: str, case: str) -> Iterator[bytes]:
    """The StatusResponse messages of one case."""
    for record in answers(engine)[case]:
        if record.get("id") == "moby.buildkit.trace":
            yield base64.b64decode(record["aux"])


def followed(engine: str, case: str) -> tuple[Progress, list[str]]:
    """The progress at the end of one case, and its lines."""
    progress = Progress()
    return progress, [line for trace in traces(engine, case) for line in progress.feed(trace)]


def error(engine: str, case: str) -> str:
    """What the Engine said in the end."""
    return next(record["error"] for record in answers(engine)[case] if "error" in record)

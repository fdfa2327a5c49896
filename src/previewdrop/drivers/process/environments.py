"""Complete environments: `<key>`, and beside it the mark `<key>.json` that no build can reach."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Collection
from pathlib import Path

from previewdrop.drivers.process.reading import names_in
from previewdrop.drivers.process.tree import free_size, remove_tree

RECENT = 3600.0
"""Seconds for which an environment is kept though no deployment is known to use it yet."""


def complete(path: Path) -> dict[str, int] | None:
    """`packages` and `bytes` of the environment at `path`; None if it is not there as a whole."""
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            return None
        return json.loads(_mark(path).read_text())
    except (FileNotFoundError, ValueError):
        return None


def keep(built: Path, path: Path) -> dict[str, int]:
    """Moves what was built to `path`, where it is complete from then on."""
    facts = {
        "packages": sum(name.endswith(".dist-info") for name in installed(built)),
        "bytes": free_size(built),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    discard(path)
    built.rename(path)
    draft = _mark(path).with_suffix(".draft")
    draft.write_text(json.dumps(facts))
    draft.replace(_mark(path))
    return facts


def used(path: Path) -> None:
    """Notes that the environment is used now."""
    os.utime(_mark(path))


def spare(folder: Path, in_use: Collection[str], keep_bytes: int) -> list[Path]:
    """What may go: halves, and the least recently used beyond `keep_bytes`."""
    unused: list[tuple[float, Path, int]] = []
    found: list[Path] = []
    for path in folder.glob("*"):
        if path.name in in_use or path.suffix:
            continue
        facts = complete(path)
        if facts is None:
            found.append(path)
        elif time.time() - (at := _mark(path).stat().st_mtime) > RECENT:
            unused.append((at, path, facts["bytes"]))
    kept = 0
    for _, path, size in sorted(unused, reverse=True):
        kept += size
        if kept > keep_bytes:
            found.append(path)
    return found


def discard(path: Path) -> None:
    _mark(path).unlink(missing_ok=True)
    remove_tree(path)


def installed(environment: Path) -> list[str]:
    """What is in the environment's site-packages. Links are not followed."""
    return [
        name
        for python in names_in(environment, "lib")
        for name in names_in(environment, "lib", python, "site-packages")
    ]


def programs(environment: Path) -> list[str]:
    return names_in(environment, "bin")


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")

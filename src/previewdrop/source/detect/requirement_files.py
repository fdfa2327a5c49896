"""Which requirements files a folder has, the one meant for production first."""

from __future__ import annotations

import re
from collections.abc import Collection

from previewdrop.source.detect.tree import Tree, join

_PRODUCTION = frozenset({"prod", "production", "deploy", "deployment", "release", "live"})
_SHARED = frozenset({"base", "common", "core", "main", "app", "web", "api", "server", "backend"})
_LOCKED = frozenset({"lock", "locked", "freeze", "frozen", "pinned"})
_OTHER = frozenset(
    {"ci", "dev", "develop", "development", "doc", "docs", "lint", "local", "test", "testing",
     "tests", "typing"}
)  # fmt: skip


def ranked_files(tree: Tree, folder: str, installed: Collection[str] = ()) -> tuple[str, ...]:
    """The requirements files of a folder and of its `requirements/`, best first.

    Those that a Dockerfile installs (`installed`) come first, then production, plain, shared,
    anything else, and development last. `.in` files count only where nothing was compiled.
    """
    found = [
        join(folder, name)
        for name in tree.names(folder)
        if re.search(r"require?ments?", name, re.IGNORECASE) and name.endswith((".txt", ".in"))
    ]
    for inner in ("requirements", "reqs"):
        nested = join(folder, inner)
        found += [
            join(nested, name) for name in tree.names(nested) if name.endswith((".txt", ".in"))
        ]
    compiled = {path.rpartition(".")[0] for path in found if path.endswith(".txt")}
    kept = [path for path in found if path.endswith(".txt") or path[:-3] not in compiled]
    return tuple(sorted(kept, key=lambda path: (path not in installed, _rank(path, folder), path)))


def _rank(path: str, folder: str) -> tuple[int, int]:
    name = path.removeprefix(f"{folder}/") if folder else path
    stem = name.rpartition(".")[0].lower()
    words = set(re.split(r"[^a-z]+", stem)) - {"requirements", "reqs", ""}
    source = int(name.endswith(".in"))
    for rank, kind in enumerate((_OTHER, _PRODUCTION, _LOCKED)):
        if words & kind:
            return (9 if kind is _OTHER else rank, source)
    if not words:
        return (3, source)
    return (4 if words & _SHARED else 5, source)

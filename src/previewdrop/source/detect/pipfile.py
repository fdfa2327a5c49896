"""Pipfile and Pipfile.lock."""

from __future__ import annotations

import json
from typing import cast

from previewdrop.domain.app import Dependencies, Lock
from previewdrop.domain.errors import StageFailed
from previewdrop.source.detect import toml
from previewdrop.source.detect.listed import Listed
from previewdrop.source.detect.requirements import normalised
from previewdrop.source.detect.tree import Tree, join


def locked_pipfile(tree: Tree, folder: str) -> Listed | None:
    """What Pipfile.lock installs; StageFailed when it is not JSON."""
    path = join(folder, "Pipfile.lock")
    text = tree.text(path)
    if text is None:
        return None
    try:
        document = cast("object", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise StageFailed(
            f"{path} is not valid JSON: {error}.", "Lock again with `pipenv lock`."
        ) from error
    names = frozenset(normalised(name) for name in toml.table(document, "default"))
    requires = toml.table(document, "_meta", "requires")
    pipfile = join(folder, "Pipfile")
    files = (path, pipfile) if tree.has(pipfile) else (path,)
    return Listed(path, names, _dependencies(folder, files, requires))


def unlocked_pipfile(tree: Tree, folder: str) -> Listed | None:
    """What a Pipfile without a lock asks for; StageFailed when it is not TOML."""
    path = join(folder, "Pipfile")
    if not tree.has(path) or tree.has(join(folder, "Pipfile.lock")):
        return None
    document = toml.read(tree, path)
    names = frozenset(normalised(name) for name in toml.table(document, "packages"))
    dependencies = _dependencies(folder, (path,), toml.table(document, "requires"))
    warning = f"{path} has no Pipfile.lock: builds may differ. Commit one with `pipenv lock`."
    return Listed(path, names, dependencies, (warning,))


def _dependencies(folder: str, files: tuple[str, ...], requires: toml.Table) -> Dependencies:
    full = toml.string(requires.get("python_full_version"))
    version = toml.string(requires.get("python_version"))
    return Dependencies(
        lock=Lock.PIPFILE,
        files=files,
        folder=folder,
        python=full or version,
        requires_python=f"=={version}.*" if version else None,
    )

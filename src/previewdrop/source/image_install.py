"""What an image installs, read from the files that decide about a repository's dependencies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from previewdrop.domain import poetry
from previewdrop.domain.app import AppFacts, Dependencies, Lock
from previewdrop.domain.dockerfile_install import Install
from previewdrop.source.detect import toml
from previewdrop.source.detect.pyproject import Pyproject, read_pyproject
from previewdrop.source.detect.requirements import (
    normalised,
    parse_requirements,
    read_requirements,
)
from previewdrop.source.detect.tree import Tree, inside, join, parents
from previewdrop.source.detect.workspace import local_projects, workspace_of
from previewdrop.source.image_local import built_from, described_by, setup_cfg

_ARCHIVES = (".whl", ".tar.gz", ".zip")
_UV_ARCHIVE = re.compile(r'source = \{ path = "([^"]+)" \}')
_POETRY_LOCAL = re.compile(r'type = "(?:directory|file)"\s+url = "([^"]+)"')
_PIPFILE_LOCAL = re.compile(r'"(?:path|file)":\s*"([^"]+)"')


def read_install(tree: Tree, facts: AppFacts) -> Install:
    """The installation for what detection found; its paths are relative to the repository's top.

    StageFailed when a file that decides is not what its name says.
    """
    wanted = facts.dependencies
    plain = Install(
        lock=wanted.lock,
        folder=wanted.folder,
        files=wanted.files,
        package=wanted.package,
        extras=wanted.extras,
        groups=wanted.groups,
        serves="uvicorn" in _asked(tree, facts),
    )
    match wanted.lock:
        case Lock.UV:
            return _with_archives(tree, plain, _UV_ARCHIVE, installed=True)
        case Lock.POETRY:
            return _with_archives(tree, plain, _POETRY_LOCAL)
        case Lock.PIPFILE if wanted.files[0].endswith(".lock"):
            return _with_archives(tree, plain, _PIPFILE_LOCAL)
        case Lock.PIPFILE:
            packages = toml.table(toml.read(tree, wanted.files[0]), "packages")
            table = {"tool": {"poetry": {"dependencies": packages}}}
            return _listed(plain, poetry.requirements(table, pinned=False))
        case Lock.REQUIREMENTS:
            return _requirements(tree, facts, plain)
        case Lock.PYPROJECT:
            return _pyproject(tree, facts, plain)
        case Lock.SETUP_CFG:
            lines = setup_cfg(tree, wanted.folder, wanted.extras)
            return _whole(plain, wanted.files[0]) if lines is None else _listed(plain, lines)


def project_file(facts: AppFacts) -> str | None:
    """The pyproject.toml of the app's own project, the nearest that takes part."""
    paths = (join(folder, "pyproject.toml") for folder in parents(facts.root))
    return next((path for path in paths if path in facts.dependencies.files), None)


def _requirements(tree: Tree, facts: AppFacts, install: Install) -> Install:
    """Code of the repository is left out where its own requirements can be read."""
    wanted = facts.dependencies
    found = [*_local_lines(tree, wanted)]
    folders = {folder for _, _, folder, _ in found if not folder.endswith(_ARCHIVES)}
    install = replace(install, requirements=wanted.requirements)
    local: dict[str, tuple[str, ...]] = {}
    for path, line, folder, extras in found:
        if folder.endswith(_ARCHIVES):
            install = replace(install, files=(*install.files, folder))
            continue
        if tree.has_folder(folder):
            described = described_by(tree, folder, install)
            # uv looks for an extra in every pyproject.toml that it is given.
            alone = described is not None and len(folders) == 1 and not described.listed
            if described is None or (extras and not alone):
                install = built_from(install, folder, facts, named=False)
                continue
            install = replace(described, extras=tuple(dict.fromkeys((*install.extras, *extras))))
        local[path] = (*local.get(path, ()), line)
    return replace(install, local=local)


def _pyproject(tree: Tree, facts: AppFacts, install: Install) -> Install:
    """pyproject.toml without a lock; one that leaves its dependencies to its build is built."""
    wanted = facts.dependencies
    path = wanted.files[0]
    document, project = toml.read(tree, path) or {}, read_pyproject(tree, wanted.folder)
    if project is None:
        return install
    others = local_projects(tree, project, (*wanted.extras, *wanted.groups))
    if "dependencies" in toml.strings(toml.table(document, "project").get("dynamic")):
        if not project.dynamic or wanted.extras or not all(map(tree.has, project.dynamic)):
            return _whole(install, path)
        files = (*wanted.files, *project.dynamic)
        return replace(install, files=files, requirements=project.dynamic)
    if "project" in document:
        install = replace(install, requirements=(path,))
        if project.workspace and (workspace := workspace_of(tree, project)):
            install = replace(install, files=(*install.files, workspace.path))
    elif project.poetry:
        lines = poetry.requirements(document, wanted.extras, wanted.groups, pinned=False)
        install = replace(_listed(install, lines), extras=(), groups=())
    return _with_others(tree, facts, install, others)


def _with_others(
    tree: Tree, facts: AppFacts, install: Install, others: Iterable[Pyproject]
) -> Install:
    for other in others:
        described = described_by(tree, other.folder, install)
        if described is None:
            install = built_from(install, other.folder, facts)
        elif other.name:
            install = replace(described, excluded=(*described.excluded, normalised(other.name)))
    return install


def _whole(install: Install, path: str) -> Install:
    """What only the app's own build can tell: every change of its code installs again."""
    return replace(install, requirements=(path,), whole=True)


def _listed(install: Install, lines: Iterable[str]) -> Install:
    """Requirements that the Dockerfile itself names: no file decides about them besides."""
    return replace(install, files=(), listed=tuple(lines), origin=install.files[0])


def _with_archives(
    tree: Tree, install: Install, pattern: re.Pattern[str], *, installed: bool = False
) -> Install:
    """With the archives of the repository that a lock names; its folders are left out."""
    named = pattern.findall(tree.text(install.files[0]) or "")
    paths = dict.fromkeys(join(install.folder, path) for path in named)
    archives = tuple(path for path in paths if path.endswith(_ARCHIVES) and tree.has(path))
    return replace(
        install,
        files=(*install.files, *archives),
        archives=archives if installed else (),
        excluded=tuple(path for path in paths if path not in archives) if not installed else (),
    )


def _local_lines(
    tree: Tree, wanted: Dependencies
) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """(file, line, path, extras) of each line of the requirements that installs local code."""
    for path in wanted.files:
        if path.endswith((".toml", ".cfg", ".py")):
            continue
        for raw in (tree.text(path) or "").splitlines():
            for item in parse_requirements(raw).requirements:
                place = join(wanted.folder, item.path) if item.path is not None else "/"
                if inside(place):
                    extras = re.search(r"\[([\w\s,.-]+)\]", item.text)
                    names = re.split(r"\s*,\s*", extras[1].strip()) if extras else []
                    yield path, raw.strip(), place, tuple(names)


def _asked(tree: Tree, facts: AppFacts) -> frozenset[str]:
    """Names of the distributions that the app's project asks for itself."""
    wanted = facts.dependencies
    if wanted.lock is Lock.REQUIREMENTS:
        read = (read_requirements(tree, path, wanted.folder) for path in wanted.requirements)
        return frozenset(name for closure in read for name in closure.names)
    path = project_file(facts)
    project = read_pyproject(tree, path.rpartition("/")[0]) if path else None
    if project is None:
        return frozenset()
    return project.dependencies.union(
        *(project.extras.get(name, ()) for name in wanted.extras),
        *(project.groups.get(name, ()) for name in wanted.groups),
    )

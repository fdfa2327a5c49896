"""A folder with dependency files: how they are installed, and whether FastAPI is among them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from previewdrop.domain.app import Dependencies, Lock
from previewdrop.source.detect.listed import Listed
from previewdrop.source.detect.pipfile import locked_pipfile, unlocked_pipfile
from previewdrop.source.detect.pyproject import Pyproject, read_pyproject
from previewdrop.source.detect.requirement_files import ranked_files
from previewdrop.source.detect.requirements import Closure, normalised, read_requirements
from previewdrop.source.detect.setup_cfg import read_setup_cfg
from previewdrop.source.detect.tree import Tree, join
from previewdrop.source.detect.workspace import local_projects, source_folders, workspace_of

_DEVELOPMENT = re.compile(r"dev|test|doc|lint|ci|typing|check", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Project:
    """How the dependencies of the folder `folder` are installed.

    `evidence` is the sentence that says where FastAPI stands, None if it does not; `direct` is
    False when only a lock file knows it. `names` are the distributions it asks for by name.
    `sources` are the importable folders of local dependencies.
    """

    folder: str
    dependencies: Dependencies
    names: frozenset[str] = frozenset()
    evidence: str | None = None
    direct: bool = True
    sources: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_project(tree: Tree, folder: str, installed: Collection[str] = ()) -> Project | None:
    """The best way to install what `folder` declares; None if it holds no dependency file.

    Locks come before requirements, these before pyproject.toml; the first that brings FastAPI is
    taken. `installed` are requirements files that a Dockerfile of the repository installs.
    StageFailed when a file that decides cannot be read.
    """
    ways = list(_ways(tree, folder, installed))
    for way in ways:
        if way.evidence and way.direct:
            return way
    return next((way for way in ways if way.evidence), ways[0] if ways else None)


def is_fastapi(name: str) -> bool:
    """FastAPI itself, or a package that is no use without it (fastapi-slim, fastapi-users…)."""
    return name == "fastapi" or name.startswith("fastapi-")


def _ways(tree: Tree, folder: str, installed: Collection[str]) -> Iterator[Project]:
    pyproject = read_pyproject(tree, folder)
    if pyproject is not None:
        yield from _locked(tree, pyproject)
    yield from _listed(folder, locked_pipfile(tree, folder))
    files = ranked_files(tree, folder, installed)
    if pyproject is not None:
        files = (*(name for name in pyproject.dynamic if tree.has(name)), *files)
    for path in files:
        yield _from_requirements(tree, folder, path, pyproject)
    if pyproject is not None and pyproject.declares:
        yield _from_pyproject(tree, pyproject, Lock.PYPROJECT, (pyproject.path,), folder, None)
    yield from _listed(folder, read_setup_cfg(tree, folder))
    yield from _listed(folder, unlocked_pipfile(tree, folder))


def _listed(folder: str, listed: Listed | None) -> Iterator[Project]:
    if listed is None:
        return
    hit = _hit(listed.names)
    yield Project(
        folder=folder,
        dependencies=listed.dependencies,
        names=listed.names,
        evidence=f"{listed.where} lists {hit}." if hit else None,
        warnings=listed.warnings,
    )


def _locked(tree: Tree, pyproject: Pyproject) -> Iterator[Project]:
    folder = pyproject.folder
    workspace = workspace_of(tree, pyproject)
    home = workspace.folder if workspace else folder
    if tree.has(lock := join(home, "uv.lock")):
        files = (lock, workspace.path if workspace else pyproject.path, pyproject.path)
        yield _from_pyproject(tree, pyproject, Lock.UV, files, home, lock)
    if tree.has(lock := join(folder, "poetry.lock")):
        yield _from_pyproject(tree, pyproject, Lock.POETRY, (lock, pyproject.path), folder, lock)


def _from_pyproject(
    tree: Tree,
    pyproject: Pyproject,
    kind: Lock,
    files: tuple[str, ...],
    home: str,
    lock: str | None,
) -> Project:
    extras, groups, where = _selection(pyproject)
    others = local_projects(tree, pyproject, (*extras, *groups))
    wanted = pyproject.dependencies.union(
        *(pyproject.extras[name] for name in extras), *(pyproject.groups[name] for name in groups)
    )
    names = wanted.union(*(other.dependencies for other in others))
    hit, evidence, direct = _hit(wanted), None, True
    if hit:
        evidence = f"{pyproject.path} lists {hit}{where}."
    elif other := next((other for other in others if _hit(other.dependencies)), None):
        evidence = f"{other.path}, which {pyproject.path} depends on, lists FastAPI."
    locked = _locked_names(tree, lock)
    if evidence is None and "fastapi" in locked:
        evidence, direct = f"{lock} holds fastapi, which another dependency brings.", False
    warnings: list[str] = []
    if lock and (missing := sorted(wanted - locked - {normalised(pyproject.name or "")})):
        warnings.append(
            f"{lock} does not know {', '.join(missing)}, which {pyproject.path} asks for: "
            "lock again and commit the file."
        )
    if lock is None:
        warnings.append(_unpinned(pyproject.path))
    is_member = kind is Lock.UV and home != pyproject.folder
    return Project(
        folder=pyproject.folder,
        dependencies=Dependencies(
            lock=kind,
            files=tuple(dict.fromkeys((*files, *(other.path for other in others)))),
            folder=home,
            package=pyproject.name if is_member else None,
            extras=extras,
            groups=groups,
            requires_python=pyproject.requires_python,
        ),
        names=names | locked,
        evidence=evidence,
        direct=direct,
        sources=source_folders(tree, others, pyproject.local),
        warnings=tuple(warnings),
    )


def _selection(pyproject: Pyproject) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """The extra or group to install when FastAPI stands in no other place, and how to say so."""
    if _hit(pyproject.dependencies):
        return (), (), ""
    options = [
        (bool(_DEVELOPMENT.match(name)), kind, name)
        for kind, table in (("extra", pyproject.extras), ("group", pyproject.groups))
        for name, names in table.items()
        if _hit(names)
    ]
    if not options:
        return (), (), ""
    _, kind, name = min(options)
    where = f" in the {kind} {name!r}"
    return ((name,), (), where) if kind == "extra" else ((), (name,), where)


def _from_requirements(tree: Tree, folder: str, path: str, pyproject: Pyproject | None) -> Project:
    closure = read_requirements(tree, path, folder)
    others = tuple(
        other for name in closure.local if (other := read_pyproject(tree, name)) is not None
    )
    files = [*closure.files]
    for local in closure.local:
        described = (join(local, name) for name in ("pyproject.toml", "setup.cfg", "setup.py"))
        files += [name for name in described if tree.has(name)]
    names = closure.names.union(*(other.dependencies for other in others))
    warnings = [*closure.warnings]
    if any(b"\0" in (tree.data(name) or b"")[:4] for name in closure.files):
        warnings.append(f"{path} is UTF-16, which many tools cannot read: save it as UTF-8.")
    if not _pinned(closure, tree):
        warnings.append(_unpinned(path))
    hit = next((item for item in closure.requirements if item.name and is_fastapi(item.name)), None)
    requires = pyproject.requires_python if pyproject else None
    return Project(
        folder=folder,
        dependencies=Dependencies(
            lock=Lock.REQUIREMENTS,
            files=tuple(dict.fromkeys(files)),
            folder=folder,
            requirements=(path,),
            requires_python=requires,
        ),
        names=names,
        evidence=f"{path} lists {_short(hit.text)}." if hit else None,
        sources=source_folders(
            tree,
            tuple(other for other in others if other.folder != folder),
            tuple(local for local in closure.local if local != folder),
        ),
        warnings=tuple(warnings),
    )


def _pinned(closure: Closure, tree: Tree) -> bool:
    """Whether FastAPI's version is fixed, in a requirement or in a constraint."""
    line = re.compile(r"^fastapi(\[[^\]]*\])?\s*(===?|@)", re.IGNORECASE | re.MULTILINE)
    return any(line.search(tree.text(path) or "") for path in closure.files)


def _locked_names(tree: Tree, lock: str | None) -> frozenset[str]:
    """Distributions in a uv.lock or poetry.lock, without parsing megabytes of TOML for them."""
    if lock is None:
        return frozenset()
    found = re.findall(r'^name = "([^"]+)"$', tree.text(lock) or "", re.MULTILINE)
    return frozenset(normalised(name) for name in found)


def _hit(names: Collection[str]) -> str | None:
    return min((name for name in names if is_fastapi(name)), default=None)


def _short(text: str) -> str:
    return re.split(r"\s+--|\s*;", text, maxsplit=1)[0][:80].strip()


def _unpinned(path: str) -> str:
    return f"{path} does not pin versions and there is no lock file: builds may differ."

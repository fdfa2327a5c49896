"""uv workspaces and local path dependencies: which other projects of the repository take part."""

from __future__ import annotations

from collections.abc import Iterable

from previewdrop.source.detect.pyproject import Pyproject, read_pyproject
from previewdrop.source.detect.requirements import normalised
from previewdrop.source.detect.tree import Tree, join, parents

_MOST_PROJECTS = 200


def workspace_of(tree: Tree, pyproject: Pyproject) -> Pyproject | None:
    """The root of the uv workspace that a project is a member of, if any."""
    for folder in parents(pyproject.folder):
        above = pyproject if folder == pyproject.folder else read_pyproject(tree, folder)
        if above is not None and above.has_member(pyproject.folder):
            return above
    return None


def local_projects(
    tree: Tree, pyproject: Pyproject, selected: tuple[str, ...] = ()
) -> tuple[Pyproject, ...]:
    """The projects of the repository that `pyproject` depends on, through others too.

    `selected` are extras and groups whose dependencies count as well.
    """
    workspace = workspace_of(tree, pyproject)
    members = _members(tree, workspace) if workspace else {}
    found: dict[str, Pyproject] = {}
    waiting = [(pyproject, selected)]
    while waiting and len(found) < _MOST_PROJECTS:
        current, chosen = waiting.pop(0)
        names = current.dependencies.union(
            *(current.extras.get(name, frozenset()) for name in chosen),
            *(current.groups.get(name, frozenset()) for name in chosen),
        )
        provided = [members[name] for name in sorted(names) if name in members]
        provided += [
            other for folder in current.local if (other := read_pyproject(tree, folder)) is not None
        ]
        for other in provided:
            if other.folder != pyproject.folder and other.folder not in found:
                found[other.folder] = other
                waiting.append((other, ()))
    return tuple(found.values())


def source_folders(
    tree: Tree, projects: Iterable[Pyproject], folders: Iterable[str] = ()
) -> tuple[str, ...]:
    """The folders to import local projects from; `folders` may hold some without pyproject.toml."""
    found: list[str] = []
    described: set[str] = set()
    for project in projects:
        described.add(project.folder)
        found += importable(tree, project.folder, project.sources)
    for folder in folders:
        if folder not in described and tree.has_folder(folder):
            found += importable(tree, folder, ())
    return tuple(dict.fromkeys(found))


def importable(tree: Tree, folder: str, named: Iterable[str]) -> list[str]:
    """Where the packages of a project stand: what its build says, else `src`, else the folder."""
    there = [path for path in named if path != folder and tree.has_folder(path)]
    source = join(folder, "src")
    if not there and tree.has_folder(source) and not tree.has(join(source, "__init__.py")):
        there = [source]
    return there or [folder]


def _members(tree: Tree, workspace: Pyproject) -> dict[str, Pyproject]:
    found: dict[str, Pyproject] = {}
    for folder in tree.folders:
        if len(found) >= _MOST_PROJECTS:
            break
        if folder != workspace.folder and workspace.has_member(folder):
            member = read_pyproject(tree, folder)
            if member is not None and member.name:
                found[normalised(member.name)] = member
    return found

"""The folders of a repository that depend on FastAPI: where its applications may be."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from previewdrop.domain.errors import StageFailed
from previewdrop.source.detect.project import Project, read_project
from previewdrop.source.detect.tree import Tree, parents, shown, within

_MARKERS = re.compile(
    r"(.*require?ments?.*\.(txt|in)|pyproject\.toml|Pipfile(\.lock)?|setup\.cfg|(uv|poetry)\.lock)",
    re.IGNORECASE,
)
_MOST_FOLDERS = 300


@dataclass(frozen=True, slots=True)
class Folders:
    """The projects that depend on FastAPI, by folder, shallow ones first.

    `looked` are all dependency files there are; `broken` what could not be read on the way.
    """

    projects: dict[str, Project]
    looked: tuple[str, ...]
    broken: tuple[StageFailed, ...]


def find_folders(tree: Tree, installed: Collection[str]) -> Folders:
    """Every folder whose dependency files bring FastAPI."""
    projects: dict[str, Project] = {}
    looked: list[str] = []
    broken: list[StageFailed] = []
    folders = 0
    for folder in tree.folders:
        names = [name for name in tree.names(folder) if _MARKERS.fullmatch(name)]
        if not names and not tree.has_folder(f"{folder}/requirements".lstrip("/")):
            continue
        looked += [f"{folder}/{name}".lstrip("/") for name in names]
        folders += 1
        if folders > _MOST_FOLDERS:
            break
        try:
            project = read_project(tree, folder, installed)
        except StageFailed as error:
            broken.append(error)
            continue
        if project is not None and project.evidence:
            projects[folder] = project
    return Folders(projects, tuple(looked), tuple(broken))


def project_for(
    tree: Tree, root: str, installed: Collection[str], *, certain: bool
) -> Project | None:
    """The project whose dependencies serve an app in `root`: its own, else the nearest above.

    With `certain`, one that does not name FastAPI will do too.
    """
    found: Project | None = None
    for folder in parents(root):
        project = read_project(tree, folder, installed)
        if project is not None and project.evidence:
            return project
        found = found or project
    return found if certain else None


def nested(folder: str, others: Collection[str]) -> tuple[str, ...]:
    """Those of `others` that lie below `folder`, whose code is theirs."""
    return tuple(other for other in others if other != folder and within(other, folder))


def not_fastapi(root: str, looked: tuple[str, ...], importers: tuple[str, ...]) -> StageFailed:
    """Nothing declares FastAPI; `importers` are Python files that use it all the same."""
    if not looked:
        files = "requirements*.txt, pyproject.toml, uv.lock, poetry.lock, Pipfile, setup.cfg"
        seen = f"there is no dependency file (looked for {files})"
    else:
        more = f" and {len(looked) - 6} more" if len(looked) > 6 else ""
        seen = f"looked at {', '.join(looked[:6])}{more}"
    if importers:
        target = looked[0] if looked else "requirements.txt"
        return StageFailed(
            f"{importers[0]} uses FastAPI, but no dependency file lists it: {seen}.",
            f"Add fastapi to {target}; if another package brings it, name the app in "
            'previewdrop.toml: app = "app.main:app".',
        )
    return StageFailed(
        f"No FastAPI was found in {shown(root)}: {seen}.",
        "If the app is in another folder, name it in previewdrop.toml: "
        f'root = "{"backend" if not root else "."}".',
    )

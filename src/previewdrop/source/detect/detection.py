"""Detection: which folder, which app, which dependencies and which command a commit has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from previewdrop.domain.app import AppFacts
from previewdrop.domain.errors import StageFailed
from previewdrop.source.detect.candidates import Search, is_aside, search
from previewdrop.source.detect.code import Code
from previewdrop.source.detect.command import Command, fit_command
from previewdrop.source.detect.declarations import Declaration, Declared, read_declared
from previewdrop.source.detect.place import Place
from previewdrop.source.detect.project import Project
from previewdrop.source.detect.pyproject import Pyproject, read_pyproject
from previewdrop.source.detect.python_version import newer_than_this, with_python
from previewdrop.source.detect.revisions import migrations_in
from previewdrop.source.detect.roots import find_folders, nested, not_fastapi, project_for
from previewdrop.source.detect.serving import Served, configured_app, declared_app, found_app
from previewdrop.source.detect.setup_cfg import read_metadata
from previewdrop.source.detect.tree import Tree, inside, join, parents, shown, within
from previewdrop.source.detect.workspace import importable

_MATTERS = ("alembic", "migrat", "seed", "upgrade", "init_db", "prestart", "initial_data")


def detect(folder: Path, *, root: str | None = None, app: str | None = None) -> AppFacts:
    """What the commit exported to `folder` is, by reading its files and running none.

    `root` is the app's folder relative to `folder` and `app` its import string, where the project
    sets them. StageFailed, with what was looked at and the line of previewdrop.toml that mends it,
    when there is no FastAPI, no app object, or more than one folder with an app.
    """
    wanted = None if root is None else join("", root.strip().strip("/"))
    tree = Tree(folder, keep=wanted)
    if wanted is not None:
        _check_root(tree, root or "", wanted)
        found = _in_folder(tree, wanted, app)
    else:
        found = _anywhere(tree, app)
    return _facts(tree, found)


@dataclass(frozen=True, slots=True)
class _Found:
    root: str
    project: Project
    place: Place
    declared: Declared
    served: Served
    why: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def _in_folder(tree: Tree, root: str, app: str | None) -> _Found:
    """The app of a folder that the project's settings name."""
    declared = read_declared(tree, root)
    project = project_for(tree, root, _installed(declared), certain=app is not None)
    if project is None:
        code = Code(tree)
        users = tuple(item.path for item in search(code, root).candidates)
        found = find_folders(tree, ())
        inner = tuple(path for path in found.looked if path.startswith(f"{root}/") or not root)
        raise not_fastapi(root, inner or _dependency_files(found.looked, root), users)
    found = find_folders(tree, ())
    return _app_of(tree, root, project, declared, app, nested(root, found.projects))


def _anywhere(tree: Tree, app: str | None) -> _Found:
    """The app of the only folder that has one; of the top, if that has one too."""
    top = read_declared(tree, "")
    folders = find_folders(tree, _installed(top))
    projects = folders.projects
    if not projects:
        if folders.broken:
            raise folders.broken[0]
        if app is not None and (project := project_for(tree, "", (), certain=True)) is not None:
            return _app_of(tree, "", project, top, app, ())
        users = tuple(item.path for item in search(Code(tree), "").candidates)
        raise not_fastapi("", folders.looked, users)
    fits: list[_Found] = []
    failures: list[tuple[str, StageFailed]] = []
    for folder, project in projects.items():
        declared = top if not folder else read_declared(tree, folder)
        try:
            fits.append(_app_of(tree, folder, project, declared, app, nested(folder, projects)))
        except StageFailed as error:
            failures.append((folder, error))
    fits = [found for found in fits if not _is_below(found, fits)]
    serious = [found for found in fits if not is_aside(f"{found.root}/x", "")] or fits
    if not serious:
        raise min(failures, key=lambda item: is_aside(f"{item[0]}/x", ""))[1]
    chosen = serious[0]
    if len(serious) > 1 and chosen.root:
        raise _several(serious)
    others = ", ".join(found.root for found in serious[1:])
    if others:
        line = f"Folder: the repository's top; {others} hold apps too (set root for one of them)."
        return replace(chosen, why=(line, *chosen.why))
    return chosen


def _is_below(found: _Found, others: Iterable[_Found]) -> bool:
    """Whether the app is that of a project further down, which a file above it serves."""
    return any(
        other.root != found.root
        and within(other.root, found.root)
        and within(found.served.base, other.root)
        for other in others
    )


def _app_of(
    tree: Tree,
    root: str,
    project: Project,
    declared: Declared,
    app: str | None,
    without: tuple[str, ...],
) -> _Found:
    pyproject = read_pyproject(tree, project.folder)
    dependencies = with_python(tree, root, project.dependencies, declared.images)
    project = replace(project, dependencies=dependencies)
    place = Place(
        code=Code(tree, project.sources),
        root=root,
        sources=project.sources,
        installed=project.names,
        scripts=pyproject.scripts if pyproject else {},
        newer=newer_than_this(dependencies),
    )
    if app is not None:
        looked = search(place.code, root, without)
        served = configured_app(place, app, looked)
        same = _same_app(place, served, declared.declarations)
        return _Found(root, project, place, declared, replace(served, declaration=same))
    entrypoint = _entrypoint(tree, root, pyproject)
    served, warnings = declared_app(place, declared.declarations, entrypoint)
    if served is None:
        looked = search(place.code, root, without)
        if not looked.candidates:
            raise _no_app(place, looked, warnings)
        served = found_app(place, looked.candidates[0], looked.candidates[1:])
    return _Found(root, project, place, declared, served, warnings=tuple(warnings))


def _facts(tree: Tree, found: _Found) -> AppFacts:
    root, project, place, served = found.root, found.project, found.place, found.served
    pyproject = read_pyproject(tree, project.folder)
    metadata = read_metadata(tree, project.folder)
    migrations = migrations_in(tree, root)
    command = Command(None, "Command: uvicorn.")
    if served.declaration is not None:
        command = fit_command(place, served.app, served.declaration)
    warnings = [
        *found.warnings,
        *project.warnings,
        *command.warnings,
        *_left_out(tree, found),
        *_unparsed(place),
        *(migrations.warnings if migrations else ()),
    ]
    if tree.truncated:
        warnings.append("The repository has so many files that not all of them were looked at.")
    where = f"Folder: {shown(root)}."
    return AppFacts(
        root=root,
        app=served.app,
        dependencies=project.dependencies,
        import_path=_import_path(tree, found, pyproject),
        command=command.argv,
        dockerfile=found.declared.dockerfile,
        migrations=migrations,
        project_name=pyproject.name if pyproject and pyproject.name else metadata and metadata.name,
        project_version=(pyproject.version if pyproject else None)
        or (metadata.version if metadata else None),
        scripts=(pyproject.scripts if pyproject else {}) or (metadata.scripts if metadata else {}),
        why=(
            *(found.why or (where,)),
            f"FastAPI: {project.evidence or 'named by the settings.'}",
            _dependencies_line(project),
            served.why,
            command.why,
        ),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _import_path(tree: Tree, found: _Found, pyproject: Pyproject | None) -> tuple[str, ...]:
    """The app's own base first, then its folder, its packages, and local dependencies."""
    root, served = found.root, found.served
    folders = [served.base]
    if pyproject is not None and pyproject.folder == root and pyproject.sources:
        folders += importable(tree, root, pyproject.sources)
    if not served.app.module.startswith("src."):
        folders += found.place.own_sources()
    return tuple(dict.fromkeys([*folders, root, *found.project.sources]))


def _dependencies_line(project: Project) -> str:
    dependencies = project.dependencies
    files = ", ".join(dependencies.requirements or dependencies.files[:1])
    member = f", package {dependencies.package}" if dependencies.package else ""
    parts = [f"extra {name}" for name in dependencies.extras]
    parts += [f"group {name}" for name in dependencies.groups]
    chosen = f", with {', '.join(parts)}" if parts else ""
    python = f", Python {dependencies.python}" if dependencies.python else ""
    return f"Dependencies: {files}{member}{chosen}{python}."


def _left_out(tree: Tree, found: _Found) -> Iterable[str]:
    """Commands that the repository runs before the server and PreviewDrop does not."""
    declaration = found.served.declaration
    before = [*(declaration.run.before if declaration else ()), *found.declared.releases]
    scripts = (join(folder, "bin/preview-entrypoint.sh") for folder in (found.root, ""))
    script = "".join(tree.text(path) or "" for path in scripts)
    for command in dict.fromkeys(before):
        if command not in script and any(word in command for word in _MATTERS):
            yield (
                f"The repository runs `{command}` before the server and PreviewDrop does not: "
                f'if it should, set release = "{command}" in previewdrop.toml.'
            )


def _unparsed(place: Place) -> Iterable[str]:
    errors = [str(error) for error in place.code.broken.values()]
    if errors:
        more = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
        why = "it is written for a newer Python" if place.newer else "mend it, or leave it out"
        yield f"Not valid for this Python, {why}: {'; '.join(errors[:3])}{more}."


def _same_app(
    place: Place, served: Served, declarations: Iterable[Declaration]
) -> Declaration | None:
    """The declaration of the same app, so that its server command counts."""
    other, _ = declared_app(replace(place, newer=True), declarations, None)
    if other is None or (other.path, other.app.variable) != (served.path, served.app.variable):
        return None
    return other.declaration


def _entrypoint(tree: Tree, root: str, pyproject: Pyproject | None) -> str | None:
    own = pyproject if pyproject and pyproject.folder == root else read_pyproject(tree, root)
    return own.entrypoint if own else None


def _installed(declared: Declared) -> tuple[str, ...]:
    return tuple(join("", path) for image in declared.images for path in image.installs)


def _check_root(tree: Tree, text: str, root: str) -> None:
    if inside(root) and tree.has_folder(root):
        return
    near = difflib.get_close_matches(root, list(tree.folders), n=1)
    hint = (
        f'Name a folder of the repository in previewdrop.toml: root = "{near[0] if near else "."}".'
    )
    raise StageFailed(f'root = "{text}" is not a folder of the repository.', hint)


def _dependency_files(looked: tuple[str, ...], root: str) -> tuple[str, ...]:
    above = set(parents(root))
    return tuple(path for path in looked if path.rpartition("/")[0] in above)


def _several(found: list[_Found]) -> StageFailed:
    folders = ", ".join(f"{item.root} ({item.served.app.import_string})" for item in found)
    return StageFailed(
        f"{len(found)} folders hold a FastAPI app: {folders}.",
        f'Choose one in previewdrop.toml: root = "{found[0].root}".',
    )


def _no_app(place: Place, looked: Search, warnings: list[str]) -> StageFailed:
    broken = [path for path in place.code.broken if not is_aside(path, place.root)]
    if broken and not place.newer:
        return place.syntax_error(min(broken, key=lambda path: (path.count("/"), path)))
    root = shown(place.root)
    seen = " ".join((*looked.hidden[:3], *warnings[:2]))
    return StageFailed(
        f"No FastAPI app was found among the {looked.files} Python files of {root}."
        f"{f' {seen}' if seen else ''}",
        'Name module and variable in previewdrop.toml: app = "app.main:app" '
        '(a function that returns the app: app = "app.main:create_app()").',
    )

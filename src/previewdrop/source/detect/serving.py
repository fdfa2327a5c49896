"""Which app is served: the one that is configured, else one the repository declares, else found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from previewdrop.domain.app import AppObject
from previewdrop.domain.errors import StageFailed
from previewdrop.source.detect.candidates import Candidate, Search, python_files, run_symbols
from previewdrop.source.detect.code import Symbol
from previewdrop.source.detect.declarations import Declaration
from previewdrop.source.detect.importing import (
    infer_base,
    locate,
    locate_below,
    module_name,
)
from previewdrop.source.detect.place import Place
from previewdrop.source.detect.servers import FASTAPI, ServerCommand
from previewdrop.source.detect.shell import UNKNOWN
from previewdrop.source.detect.tree import join, parents, within

_EXPLICIT = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)(\(\))?")
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(\w[\w.]*)[ \t]+import|import[ \t]+(\w[\w.]*))", re.MULTILINE
)
_DEFAULT_FILES = ("main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py")
_NEIGHBOURS = 200
_OWN_WEIGHT = 5


@dataclass(frozen=True, slots=True)
class Served:
    """The app, the file it stands in, and the folder that must be importable.

    `declaration` is the place that names the app, whose server command may be used.
    """

    app: AppObject
    path: str
    base: str
    why: str
    declaration: Declaration | None = None


@dataclass(frozen=True, slots=True)
class _Target:
    path: str
    variable: str
    factory: bool = False
    base: str | None = None


def configured_app(place: Place, app: str, search: Search) -> Served:
    """The app that the project's settings name; StageFailed when it is not there."""
    match = _EXPLICIT.fullmatch(app.strip())
    if match is None:
        raise StageFailed(
            f'app = "{app}" is not an import string.',
            'Write module and variable in previewdrop.toml: app = "app.main:app".',
        )
    module, variable, call = match.groups()
    bases = [place.root, join(place.root, "src"), *place.sources, *parents(place.root)]
    found = locate(place.code.tree, module, bases)
    found = found or locate_below(place.code.tree, module, place.root)
    if found is None:
        wanted = join(place.root, module.replace(".", "/"))
        raise StageFailed(
            f'app = "{app}" names a module that is not there: looked for {wanted}.py '
            f"and {wanted}/__init__.py.",
            _suggestion(place, search),
        )
    base, path = found
    problem = place.unbound(path, variable)
    if problem:
        raise StageFailed(f'app = "{app}": {problem}', _suggestion(place, search))
    factory = bool(call) or place.is_function(path, variable)
    return Served(
        AppObject(module, variable, factory),
        path,
        base,
        f"App: {module}:{variable}, as configured.",
    )


def declared_app(
    place: Place, declarations: Iterable[Declaration], entrypoint: str | None
) -> tuple[Served | None, list[str]]:
    """The app of the first declaration that leads to one, and warnings about those that do not.

    StageFailed when a declaration leads to a file with a syntax error.
    """
    warnings: list[str] = []
    for written in declarations:
        declaration = (written.run.script and place.script(written)) or written
        target = _target(place, declaration, entrypoint)
        if target is None:
            if named := _named(declaration):
                warnings.append(
                    f"{declaration.origin} serves {named}, which is not in the repository."
                )
            continue
        if not within(target.path, place.root) and declaration.folder != place.root:
            continue
        if problem := place.unbound(target.path, target.variable):
            warnings.append(f"{declaration.origin} does not fit: {problem}")
            continue
        return _served(place, target, declaration), warnings
    if entrypoint is not None and (target := _import_string(place, entrypoint, [])) is not None:
        problem = place.unbound(target.path, target.variable)
        if problem is None:
            return _served(place, target, Declaration("[tool.fastapi] entrypoint", "")), warnings
        warnings.append(f"[tool.fastapi] entrypoint does not fit: {problem}")
    return None, warnings


def found_app(place: Place, candidate: Candidate, others: Iterable[Candidate]) -> Served:
    """The best candidate of a search, with the reasons against the others."""
    served = _served(place, _Target(candidate.path, candidate.variable, candidate.factory), None)
    where = f"{candidate.path} line {candidate.line}"
    why = f"App: {served.app.import_string}, {candidate.how} in {where}."
    passed = [f"{other.path} `{other.variable}` ({other.reason})" for other in others]
    if passed:
        more = f" and {len(passed) - 4} more" if len(passed) > 4 else ""
        why = f"{why} Passed over: {', '.join(passed[:4])}{more}."
    return Served(served.app, served.path, served.base, why)


def _served(place: Place, target: _Target, declaration: Declaration | None) -> Served:
    base = target.base
    name = module_name(target.path, base) if base is not None else None
    if base is None or name is None:
        base = _inferred(place, target.path)
        name = module_name(target.path, base)
    if name is None:
        raise StageFailed(
            f"{target.path} cannot be imported: a part of its path is not a Python name.",
            "Rename the folder or the file so that Python can import it.",
        )
    factory = target.factory or place.is_function(target.path, target.variable)
    app = AppObject(name, target.variable, factory)
    origin = declaration.origin if declaration else "the code"
    return Served(
        app, target.path, base, f"App: {app.import_string}, named by {origin}.", declaration
    )


def _inferred(place: Place, path: str) -> str:
    tree, root = place.code.tree, place.root
    module = place.code.module(path)
    imports = [*(module.absolute if module else ())] * _OWN_WEIGHT
    relative = path.removeprefix(f"{root}/") if root else path
    neighbourhood = join(root, relative.partition("/")[0]) if "/" in relative else root
    for index, neighbour in enumerate(python_files(tree, neighbourhood)):
        if index >= _NEIGHBOURS:
            break
        if neighbour != path:
            text = tree.text(neighbour) or ""
            imports += {first or second for first, second in _IMPORT.findall(text)}
    return infer_base(tree, path, root, imports, module.relative if module else 0, place.installed)


def _named(declaration: Declaration) -> str | None:
    """The import string a declaration is about, for people."""
    server = declaration.run.server
    target = declaration.target or (server.target if server else None)
    return target if target and UNKNOWN not in target and not target.startswith(":") else None


def _target(place: Place, declaration: Declaration, entrypoint: str | None) -> _Target | None:
    run, folder = declaration.run, declaration.working_folder
    if declaration.target:
        return _import_string(place, declaration.target, declaration.bases)
    if run.server is not None:
        return _server_target(place, declaration, run.server, entrypoint)
    if run.file is not None:
        path = declaration.repository_path(run.file)
        return _python_target(place, path, None) if path else None
    if run.module is not None or run.program in place.scripts:
        name = run.module or place.scripts[run.program or ""].partition(":")[0]
        found = locate(place.code.tree, name, [folder, *declaration.bases, *place.sources])
        main = locate(place.code.tree, f"{name}.__main__", [folder, *declaration.bases])
        located = (main if run.module else None) or found
        return _python_target(place, located[1], located[0]) if located else None
    return None


def _server_target(
    place: Place, declaration: Declaration, server: ServerCommand, entrypoint: str | None
) -> _Target | None:
    target = server.target
    if server.server is FASTAPI:
        return _fastapi_target(place, declaration, server, entrypoint)
    if target is None and server.server.name == "gunicorn":
        setting = place.gunicorn_setting(declaration, "wsgi_app")
        target = setting if isinstance(setting, str) else None
    if not target or UNKNOWN in target:
        return None
    if ":" not in target:
        target = f"{target}:{server.server.default}"
    found = _import_string(place, target, declaration.bases)
    if found is None or not server.factory:
        return found
    return _Target(found.path, found.variable, True, found.base)


def _fastapi_target(
    place: Place, declaration: Declaration, server: ServerCommand, entrypoint: str | None
) -> _Target | None:
    """fastapi-cli imports a file from above its outermost package."""
    tree = place.code.tree
    target = server.target or ""
    if ":" in target and not target.startswith(":"):
        return _import_string(place, target, declaration.bases)
    if server.path is None and entrypoint is not None:
        return _import_string(place, entrypoint, declaration.bases)
    folder = declaration.working_folder
    tried = [server.path] if server.path else [*_DEFAULT_FILES]
    paths = (declaration.repository_path(path) for path in tried)
    path = next((path for path in paths if path is not None and tree.has(path)), None)
    if path is None and server.path:
        below = (item for item in tree.walk(place.root) if item.endswith(f"/{server.path}"))
        path = next(below, None)
    if path is None:
        return None
    base = path.rpartition("/")[0]
    while base != folder and base and tree.has(join(base, "__init__.py")):
        base = base.rpartition("/")[0]
    variable = target.removeprefix(":") or place.preferred_variable(path)
    return _Target(path, variable, base=base)


def _python_target(place: Place, path: str, base: str | None) -> _Target | None:
    """What a Python file serves when it is run: its call of uvicorn, else an app it holds."""
    module = place.code.module(path)
    if module is None:
        return _Target(path, "app", base=base) if path in place.code.broken else None
    for symbol in run_symbols(place.code, module):
        return _Target(symbol.path, symbol.name, place.code.factory(symbol))
    for name in ("app", "application", "api"):
        if place.code.app(Symbol(path, name)):
            return _Target(path, name, base=base)
    return None


def _import_string(place: Place, target: str, bases: Iterable[str]) -> _Target | None:
    match = _EXPLICIT.fullmatch(target)
    if match is None:
        return None
    module, variable, call = match.groups()
    tree = place.code.tree
    usual = [*bases, place.root, join(place.root, "src"), *place.sources, ""]
    found = locate(tree, module, usual) or locate_below(tree, module, place.root)
    return _Target(found[1], variable, bool(call), found[0]) if found else None


def _suggestion(place: Place, search: Search) -> str:
    if not search.candidates:
        return 'Mend the line in previewdrop.toml: app = "module:variable".'
    best = found_app(place, search.candidates[0], ())
    return f'Mend the line in previewdrop.toml: app = "{best.app.import_string}".'

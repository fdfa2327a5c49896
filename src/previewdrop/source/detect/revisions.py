"""Alembic: its configuration and the graph of its revisions, by reading alone."""

from __future__ import annotations

import ast
import configparser
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from previewdrop.domain.app import Migrations
from previewdrop.source.detect import toml
from previewdrop.source.detect.syntax import assigned
from previewdrop.source.detect.tree import Tree, inside, join

_SEPARATORS = {"space": " ", "newline": "\n", "os": ":", ":": ":", ";": ";"}
"""https://alembic.sqlalchemy.org/en/latest/tutorial.html#editing-the-ini-file"""

_MOST_FILES = 5000
_PLAIN_REVISION = re.compile(r"""^revision\s*(?::[^=\n]+)?=\s*["']([^"'\0\n]+)["']""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Location:
    config: str
    folder: str
    versions: tuple[str, ...]
    recursive: bool


@dataclass(frozen=True, slots=True)
class _Revision:
    """One file: what it continues, what else it needs, and what could not be read of it."""

    id: str | None
    down: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    problem: str | None = None


def read_migrations(folder: Path, root: str) -> Migrations | None:
    """The revisions of the app in `root`, None if it has no Alembic configuration.

    `folder` is the repository's top, `root` relative to it. alembic.ini comes first, then
    `[tool.alembic]` in pyproject.toml, then an alembic.ini in a folder below. Files that cannot
    be parsed become warnings; the id of their revision is still read where it stands by itself.
    """
    return migrations_in(Tree(folder, keep=root or None), root)


def migrations_in(tree: Tree, root: str) -> Migrations | None:
    """The same for a tree that was read already."""
    location = _location(tree, root)
    if location is None:
        return None
    after: dict[str, tuple[str, ...]] = {}
    continued: set[str] = set()
    problems: list[str] = []
    for path in _files(tree, location):
        read = _read_revision(tree, path)
        if read.problem:
            problems.append(read.problem)
        if read.id:
            after[read.id] = (*read.down, *read.needs)
            continued.update(read.down)
    return Migrations(
        config=location.config,
        folder=location.folder,
        revisions=frozenset(after),
        heads=tuple(sorted(after.keys() - continued)),
        warnings=tuple(problems),
        after=after,
    )


def _location(tree: Tree, root: str) -> _Location | None:
    own = join(root, "alembic.ini")
    found = _from_ini(tree, own, root) or _from_pyproject(tree, root)
    if found is not None:
        return found
    for path in tree.walk(root):
        if path.endswith("/alembic.ini") and path != own:
            # `alembic -c` runs from the app's folder, but some change into the file's own.
            for start in (root, path.rpartition("/")[0]):
                found = _from_ini(tree, path, start)
                if found is not None and tree.has_folder(found.folder):
                    return found
    return None


def _from_ini(tree: Tree, path: str, root: str) -> _Location | None:
    text = tree.text(path)
    if text is None:
        return None
    ini = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        ini.read_string(text)
    except configparser.Error:
        return None
    sections = ["alembic", *ini.sections()]
    name = next((name for name in sections if ini.has_option(name, "script_location")), None)
    if name is None:
        return None
    script = ini.get(name, "script_location")
    listed = ini.get(name, "version_locations", fallback=None) or ""
    separator = ini.get(name, "path_separator", fallback=None) or ini.get(
        name, "version_path_separator", fallback=None
    )
    known = _SEPARATORS.get(separator or "")
    parts = listed.split(known) if known else re.split(r", *|\s+", listed)
    recursive = ini.get(name, "recursive_version_locations", fallback="") == "true"
    return _resolved(tree, path, root, script, [part.strip() for part in parts], recursive)


def _from_pyproject(tree: Tree, root: str) -> _Location | None:
    path = join(root, "pyproject.toml")
    table = toml.table(toml.read(tree, path) or {}, "tool", "alembic")
    script = toml.string(table.get("script_location"))
    if script is None:
        return None
    listed = toml.strings(table.get("version_locations"))
    recursive = table.get("recursive_version_locations") is True
    return _resolved(tree, path, root, script, listed, recursive)


def _resolved(
    tree: Tree, config: str, root: str, script: str, listed: Iterable[str], recursive: bool
) -> _Location | None:
    here = config.rpartition("/")[0]

    def path(text: str) -> str | None:
        text = text.strip()
        if ":" in text and "%(" not in text:
            package, _, rest = text.partition(":")
            name = join(package.replace(".", "/"), rest)
            options = [join(root, name), join(join(root, "src"), name)]
            return next((option for option in options if tree.has_folder(option)), options[0])
        inner = text.replace("%(here)s", "").lstrip("/") if "%(here)s" in text else None
        found = join(here, inner) if inner is not None else join(root, text)
        return found if inside(found) else None

    folder = path(script)
    if folder is None:
        return None
    versions = [found for text in listed if text and (found := path(text)) is not None]
    return _Location(config, folder, tuple(versions) or (join(folder, "versions"),), recursive)


def _files(tree: Tree, location: _Location) -> Iterator[str]:
    """The revision files, as Alembic picks them: not `__init__`, not an editor's lock file."""
    seen: set[str] = set()
    for folder in location.versions:
        folders = [folder]
        if location.recursive:
            folders += sorted(_below(tree, folder))
        for inner in folders:
            for name in tree.names(inner):
                path = join(inner, name)
                if not name.endswith(".py") or name.startswith(("__init__", ".#")) or path in seen:
                    continue
                seen.add(path)
                if len(seen) > _MOST_FILES:
                    return
                yield path


def _below(tree: Tree, folder: str) -> Iterator[str]:
    top = tree.top / folder
    if not tree.has_folder(folder):
        return
    for path in top.rglob("*"):
        name = path.relative_to(tree.top).as_posix()
        if path.is_dir() and path.name != "__pycache__" and tree.has_folder(name):
            yield name


def _read_revision(tree: Tree, path: str) -> _Revision:
    data = tree.data(path)
    if data is None:
        return _Revision(None, problem=f"{path} cannot be read; its revision is not known.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(data, path).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        plain = _PLAIN_REVISION.search(tree.text(path) or "")
        return _Revision(plain[1] if plain else None, problem=f"{path} is not valid Python.")
    values = {name: value for statement in body for name, value, _ in assigned(statement)}
    if "revision" not in values:
        # Alembic takes the id from the name of such a file, if it can.
        legacy = re.fullmatch(r"([a-f0-9]+)\.py", path.rpartition("/")[2])
        problem = None if legacy else f"{path} defines no revision."
        return _Revision(legacy[1] if legacy else None, problem=problem)
    revision = _strings(values["revision"], values)
    down = _strings(values.get("down_revision"), values)
    needs = _strings(values.get("depends_on"), values)
    problem = None if revision and down is not None else f"{path} computes its revisions."
    return _Revision(revision[0] if revision else None, down or (), needs or (), problem)


def _strings(node: ast.expr | None, values: dict[str, ast.expr]) -> tuple[str, ...] | None:
    """The strings that an expression spells out; None when it has to be run to know them."""
    if isinstance(node, ast.Name):
        node = values.get(node.id, node)
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return ()
    items = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    found = [item.value for item in items if isinstance(item, ast.Constant)]
    texts = tuple(value for value in found if isinstance(value, str))
    return texts if len(texts) == len(items) else None

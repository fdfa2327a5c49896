"""Every app object of a folder's code, the best first, with the reason for its place."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from previewdrop.source.detect.code import WRAPPERS, Code, Making, Symbol
from previewdrop.source.detect.syntax import Module, dotted
from previewdrop.source.detect.tree import Tree, within

_MOST_FILES = 3000
_MOST_BYTES = 64 * 1024 * 1024
_TELLING = re.compile(rb"FastAPI|uvicorn\.run|[Cc]adwyn")
_TEST_FILE = re.compile(r"(^|/)(test_[^/]*|[^/]*_test|conftest|setup)\.py$")
_ASIDE = frozenset(
    {"benchmark", "benchmarks", "demo", "demos", "example", "examples", "sample", "samples",
     "script", "scripts", "tool", "tools", "tutorial", "tutorials", "docs", "docs_src", "test",
     "tests", "testing", "template", "templates", "scratch", "playground"}
)  # fmt: skip
_MODULES = ("main", "asgi", "app", "server", "api", "application", "__init__", "run", "wsgi")
_VARIABLES = ("app", "application", "api", "asgi_app", "asgi", "server")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An app object in a file. `how` says in words what makes it one; `line` counts from 1.

    `aside` is true for folders of examples and scripts, `mounted` for an app that another mounts,
    `inner` for one that another wraps, `run` for one that the code itself gives to uvicorn.
    """

    path: str
    variable: str
    line: int
    how: str
    factory: bool = False
    aside: bool = False
    mounted: bool = False
    inner: bool = False
    run: bool = False
    routes: int = 0

    @property
    def place(self) -> tuple[object, ...]:
        """Sorts candidates: what comes first is more likely to be what the team deploys."""
        stem = self.path.rpartition("/")[2].removesuffix(".py")
        return (
            self.aside,
            self.mounted,
            self.inner,
            not self.run,
            self.factory,
            self.variable.startswith("_"),
            _MODULES.index(stem) if stem in _MODULES else len(_MODULES),
            self.path.count("/"),
            self.routes == 0,
            _VARIABLES.index(self.variable) if self.variable in _VARIABLES else len(_VARIABLES),
            self.path,
            self.line,
        )

    @property
    def reason(self) -> str:
        """Why it stands where it stands, in a few words."""
        if self.aside:
            return "in a folder of examples or scripts"
        if self.mounted:
            return "mounted in another app"
        if self.inner:
            return "wrapped by another app"
        return "a factory" if self.factory else self.how


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found: candidates, best first, and what was looked at.

    `hidden` describes apps that cannot be imported, in sentences for people.
    """

    candidates: tuple[Candidate, ...]
    files: int
    hidden: tuple[str, ...] = ()


def is_aside(path: str, root: str) -> bool:
    """Whether a file lies in a folder of examples, scripts or the like below `root`."""
    folder = path.rpartition("/")[0]
    inner = folder.removeprefix(root).strip("/") if root else folder
    return bool(_ASIDE & set(inner.lower().split("/")))


def python_files(tree: Tree, root: str, without: Collection[str] = ()) -> Iterator[str]:
    """The Python files of a folder that are not tests, nor in one of the folders `without`."""
    for path in tree.walk(root):
        skipped = any(within(path, other) for other in without)
        if path.endswith(".py") and not skipped and not _TEST_FILE.search(path):
            yield path


def search(code: Code, root: str, without: Collection[str] = ()) -> Search:
    """Looks for app objects in the Python files of `root`, but for the folders `without`.

    Only files that mention FastAPI are parsed, then those that import what these define.
    """
    texts: dict[str, bytes] = {}
    size = 0
    for path in python_files(code.tree, root, without):
        data = code.tree.data(path) or b""
        size += len(data)
        if len(texts) >= _MOST_FILES or size > _MOST_BYTES:
            break
        texts[path] = data
    looked = {path for path, data in texts.items() if _TELLING.search(data)}
    found = {path: _symbols(code, path) for path in sorted(looked)}
    for _ in range(3):
        names = {symbol.name for symbols in found.values() for symbol in symbols}
        importers = set(_importers(texts, names)) - looked
        if not importers:
            break
        looked |= importers
        found |= {path: _symbols(code, path) for path in sorted(importers)}
    modules = [module for path in sorted(looked) if (module := code.module(path)) is not None]
    names = {symbol.name for symbols in found.values() for symbol in symbols}
    candidates = [*_candidates(code, modules, root, names)]
    return Search(
        tuple(sorted(candidates, key=lambda item: item.place)),
        len(texts),
        () if candidates else tuple(_hidden(code, modules)),
    )


def _symbols(code: Code, path: str) -> list[Symbol]:
    """The apps, and what makes apps, that a file offers to others."""
    module = code.module(path)
    if module is None:
        return []
    names = dict.fromkeys([*module.values, *module.annotations, *module.functions, *module.classes])
    symbols = [Symbol(path, name) for name in names]
    return [
        symbol
        for symbol in symbols
        if code.app(symbol)
        or code.factory(symbol)
        or code.needs_arguments(symbol)
        or code.subclass(symbol)
        or code.builder(symbol)
    ]


def _importers(texts: dict[str, bytes], names: Iterable[str]) -> Iterator[str]:
    """Files that import one of the names, if they use it or are named as entry points."""
    wanted = "|".join(sorted(map(re.escape, names)))
    if not wanted:
        return
    named = rf"\b(?:{wanted})\b"
    # Bounded repetitions: a hostile file must not take forever.
    imports = re.compile(
        rf"import\s*(?:\([^)]{{0,4000}}|[^\n(]{{0,400}}){named}|import \*".encode()
    )
    uses = re.compile(
        rf"(?:=|return|class[^\n(]{{0,99}}\()[^\n]{{0,300}}{named}"
        rf"|(?:{'|'.join(WRAPPERS)})\s*\(".encode()
    )
    for path, data in texts.items():
        entry = path.rpartition("/")[2].removesuffix(".py") in _MODULES
        if imports.search(data) and (entry or uses.search(data)):
            yield path


def _candidates(
    code: Code, modules: list[Module], root: str, known: Collection[str]
) -> Iterator[Candidate]:
    made = [
        (module, name, making) for module in modules for name, making in _apps(code, module, known)
    ]
    mounted = {
        target
        for module in modules
        for name in module.mounted
        if isinstance(target := code.resolve(module, name), Symbol)
    }
    wrapped = {making.wraps for _, _, making in made if making.wraps}
    run = {symbol for module in modules for symbol in run_symbols(code, module)}
    for module, name, making in made:
        symbol = Symbol(module.path, name)
        yield Candidate(
            module.path,
            name,
            module.lines.get(name, 1),
            making.how,
            aside=is_aside(module.path, root),
            mounted=code.origin(symbol) in mounted,
            inner=symbol in wrapped,
            run=symbol in run,
            routes=module.routes.get(name, 0),
        )
    for module in modules:
        for name in module.functions:
            symbol = Symbol(module.path, name)
            if code.factory(symbol):
                yield Candidate(
                    module.path,
                    name,
                    module.lines.get(name, 1),
                    f"{name}() returns a FastAPI",
                    factory=True,
                    aside=is_aside(module.path, root),
                    run=symbol in run,
                    routes=sum(module.routes.values()),
                )


def _apps(code: Code, module: Module, known: Collection[str]) -> Iterator[tuple[str, Making]]:
    """The apps a file binds. Of imported names only those are followed that stand for an app."""
    origins = ((name, module.imports.get(name)) for name in module.exported)
    imported = [name for name, origin in origins if origin and origin.name in known]
    for name in dict.fromkeys([*module.values, *module.annotations, *imported]):
        making = code.app(Symbol(module.path, name))
        if making is not None:
            yield name, making


def run_symbols(code: Code, module: Module) -> Iterator[Symbol]:
    """What a file gives to `uvicorn.run()`: an object of its own, or an import string."""
    for argument in module.runs:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            target, _, variable = argument.value.partition(":")
            symbol = code.imported(module, target, variable or "app")
        else:
            name = dotted(argument)
            symbol = code.resolve(module, name) if name else None
        if isinstance(symbol, Symbol):
            yield symbol


def _hidden(code: Code, modules: list[Module]) -> Iterator[str]:
    for module in modules:
        for name, function in module.functions.items():
            symbol = Symbol(module.path, name)
            if code.needs_arguments(symbol):
                yield f"{name}() in {module.path} needs arguments, which no server gives it."
            elif not code.factory(symbol) and code.makes_inside(module, function):
                yield f"{name}() in {module.path} keeps its FastAPI to itself."

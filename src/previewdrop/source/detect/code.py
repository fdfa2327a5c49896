"""The repository's Python code as far as it has to be followed to know what is a FastAPI app."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from previewdrop.source.detect.importing import bases_of, locate
from previewdrop.source.detect.syntax import (
    BadSyntax,
    Function,
    Import,
    Module,
    assigned,
    dotted,
    own_statements,
    parse_module,
)
from previewdrop.source.detect.tree import Tree, join

_FASTAPI = frozenset(
    {
        "fastapi.FastAPI",
        "fastapi.applications.FastAPI",
        "fastapi_offline.FastAPIOffline",
        "cadwyn.Cadwyn",
    }
)
WRAPPERS = ("Middleware", "ASGIApp", "VersionedFastAPI")
_WRAPPED = ("app", "asgi_app", "other_asgi_app")
_DEEPEST = 40
_MOST_MODULES = 500

T = TypeVar("T")
Scope = Mapping[str, list[ast.expr]]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name in a file of the repository."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class Making:
    """How an app comes to be: in words, and the app inside if this one only wraps another."""

    how: str
    wraps: Symbol | None = None


class Code:
    """Parses files on demand, each once. `broken` collects those that cannot be parsed.

    `sources` are folders besides a file's own ones from which the repository imports.
    """

    def __init__(self, tree: Tree, sources: Iterable[str] = ()) -> None:
        self.tree = tree
        self.broken: dict[str, BadSyntax] = {}
        self._sources = tuple(sources)
        self._modules: dict[str, Module | None] = {}
        self._answers: dict[tuple[str, str, str], object] = {}
        self._depth = 0

    def module(self, path: str) -> Module | None:
        """The parsed file; None if it is not there or cannot be parsed."""
        if path not in self._modules:
            data = self.tree.data(path) if len(self._modules) < _MOST_MODULES else None
            parsed = None
            if data is not None:
                try:
                    parsed = parse_module(path, data)
                except BadSyntax as error:
                    self.broken[path] = error
            self._modules[path] = parsed
        return self._modules[path]

    def app(self, symbol: Symbol) -> Making | None:
        """How the name becomes a FastAPI app when its file is imported; None if it does not."""
        module = self.module(symbol.path)
        return self._variable(module, symbol.name) if module else None

    def factory(self, symbol: Symbol) -> bool:
        """Whether the name is a function that returns an app and needs no argument."""
        module = self.module(symbol.path)
        function = module.functions.get(symbol.name) if module else None
        if module is None or function is None or _needs_arguments(function):
            return False
        return self._makes(module, function)

    def needs_arguments(self, symbol: Symbol) -> bool:
        """Whether the name is a function that would return an app, if it were given arguments."""
        module = self.module(symbol.path)
        function = module.functions.get(symbol.name) if module else None
        if module is None or function is None or not _needs_arguments(function):
            return False
        return self._makes(module, function)

    def makes_inside(self, module: Module, function: Function) -> bool:
        """Whether a function makes an app that it keeps to itself."""
        values = (value for node in own_statements(function) for _, value, _ in assigned(node))
        return any(self._value(module, value, {}) for value in values)

    def subclass(self, symbol: Symbol) -> bool:
        """Whether the name is a class that inherits from FastAPI."""
        module = self.module(symbol.path)
        return module is not None and self._is_class(module, symbol.name)

    def builder(self, symbol: Symbol) -> bool:
        """Whether the name is a class with a method that is annotated as returning FastAPI."""
        module = self.module(symbol.path)
        owner = module.classes.get(symbol.name) if module else None
        methods = (
            (item for item in owner.body if isinstance(item, ast.FunctionDef)) if owner else ()
        )
        return module is not None and any(
            item.returns is not None and self._is_fastapi(module, item.returns) for item in methods
        )

    def origin(self, symbol: Symbol) -> Symbol:
        """Where a name that is only imported is defined."""
        module = self.module(symbol.path)
        if module is None or symbol.name in module.values or symbol.name in module.functions:
            return symbol
        target = self.resolve(module, symbol.name)
        return target if isinstance(target, Symbol) else symbol

    def resolve(self, module: Module, name: str) -> Symbol | str | None:
        """What a dotted name stands for: a symbol of the repository, or a foreign name."""
        return self._once("resolve", module, name, lambda: self._resolve(module, name), None)

    def imported(self, module: Module, target: str, name: str) -> Symbol | None:
        """The name that `module` would get by `from target import name`."""
        symbol = self._imported(module, Import(target, name), "")
        return symbol if isinstance(symbol, Symbol) else None

    def _once(
        self, question: str, module: Module, name: str, answer: Callable[[], T], otherwise: T
    ) -> T:
        """Answers each question once. What goes in a circle, or too deep, gets `otherwise`."""
        key = (question, module.path, name)
        if key in self._answers:
            return cast("T", self._answers[key])
        if self._depth >= _DEEPEST:
            return otherwise
        self._answers[key] = otherwise
        self._depth += 1
        try:
            self._answers[key] = found = answer()
        finally:
            self._depth -= 1
        return found

    def _resolve(self, module: Module, name: str) -> Symbol | str | None:
        head, _, rest = name.partition(".")
        if head in module.values or head in module.functions or head in module.classes:
            return None if rest else Symbol(module.path, head)
        if head in module.imports:
            return self._imported(module, module.imports[head], rest)
        for star in module.stars:
            target = self._imported(module, star, name)
            if isinstance(target, Symbol) or target in _FASTAPI:
                return target
        return None

    def _imported(self, module: Module, origin: Import, rest: str) -> Symbol | str | None:
        parts = [*filter(None, origin.module.split(".")), *filter(None, [origin.name])]
        parts += [part for part in rest.split(".") if part]
        bases = self._bases(module.path, origin.level)
        for end in range(len(parts) - 1, -1, -1):
            stem = ".".join(parts[:end])
            if not stem and not origin.level:
                break
            found = locate(self.tree, stem or "__init__", bases)
            other = self.module(found[1]) if found else None
            if other is None:
                continue
            if len(parts) - end != 1:
                return None
            name = parts[end]
            if name in other.values or name in other.functions or name in other.classes:
                return Symbol(other.path, name)
            return self.resolve(other, name)
        return None if origin.level else ".".join(parts)

    def _bases(self, path: str, level: int) -> list[str]:
        """Where the modules that a file imports may stand; `level` are the dots of the import."""
        folders = [*bases_of(path)]
        if level:
            return folders[level - 1 : level]
        return [*self._sources, *folders[::-1], *(join(folder, "src") for folder in folders)]

    def _variable(self, module: Module, name: str) -> Making | None:
        return self._once("app", module, name, lambda: self._bound(module, name), None)

    def _bound(self, module: Module, name: str) -> Making | None:
        """The last binding counts; where it wraps the name itself, the one before."""
        outer: Making | None = None
        for value in reversed(module.values.get(name, [])):
            making = self._value(module, value, {}, name)
            if making is None:
                continue
            if making.wraps != Symbol(module.path, name):
                return Making((outer or making).how, making.wraps)
            outer = outer or making
        annotation = module.annotations.get(name)
        if annotation is not None and self._is_fastapi(module, annotation):
            return Making("annotated as FastAPI")
        target: Symbol | str | None = None
        if name in module.imports and (outer or name not in module.values):
            target = self._imported(module, module.imports[name], "")
        elif module.stars and name not in module.values:
            target = self.resolve(module, name)
        other = self.module(target.path) if isinstance(target, Symbol) else None
        if other is None or other is module or not isinstance(target, Symbol):
            return None
        making = self._variable(other, target.name)
        return (outer or Making(f"imported from {target.path}")) if making else None

    def _value(
        self, module: Module, node: ast.expr, scope: Scope, name: str | None = None
    ) -> Making | None:
        """How an expression makes an app. `scope` are a function's own variables."""
        while isinstance(node, ast.IfExp):
            if making := self._value(module, node.body, scope, name):
                return making
            node = node.orelse
        if isinstance(node, ast.NamedExpr):
            return self._value(module, node.value, scope, name)
        if isinstance(node, ast.Call):
            return self._call(module, node, scope, name)
        if isinstance(node, ast.Name) and node.id in scope:
            inner = (self._value(module, value, {}) for value in scope[node.id])
            return next((making for making in inner if making), None)
        if (text := dotted(node)) and text != name:
            target = self.resolve(module, text)
            if isinstance(target, Symbol):
                other = self.module(target.path)
                making = self._variable(other, target.name) if other else None
                return Making(f"another name of {target.name}") if making else None
        return None

    def _call(
        self, module: Module, node: ast.Call, scope: Scope, name: str | None
    ) -> Making | None:
        text = dotted(node.func)
        if text is None:
            return self._method(module, node)
        target = self.resolve(module, text)
        short = text.rpartition(".")[2]
        if isinstance(target, str) and target in _FASTAPI:
            return Making(f"{short}(…)")
        if isinstance(target, Symbol):
            other = self.module(target.path)
            if other is not None and self._is_class(other, target.name):
                return Making(f"{short}(…), a subclass of FastAPI")
            function = other.functions.get(target.name) if other else None
            if other is not None and function and self._makes(other, function):
                return Making(f"made by {short}()")
        return self._wrapping(module, node, scope, name)

    def _method(self, module: Module, node: ast.Call) -> Making | None:
        """`Builder().build()`, where the method is annotated as returning FastAPI."""
        if not isinstance(node.func, ast.Attribute) or not isinstance(node.func.value, ast.Call):
            return None
        target = self.resolve(module, dotted(node.func.value.func) or "")
        other = self.module(target.path) if isinstance(target, Symbol) else None
        owner = other.classes.get(target.name) if other and isinstance(target, Symbol) else None
        for item in owner.body if owner else []:
            if isinstance(item, ast.FunctionDef) and item.name == node.func.attr:
                made = item.returns and other and self._is_fastapi(other, item.returns)
                return Making(f"made by {item.name}()") if made else None
        return None

    def _wrapping(
        self, module: Module, node: ast.Call, scope: Scope, name: str | None
    ) -> Making | None:
        """`app = Middleware(app)`: any callable may rewrap a name, others must look like ASGI."""
        text = dotted(node.func) or ""
        inner = [item.value for item in node.keywords if item.arg in _WRAPPED]
        for argument in (*inner, *node.args):
            label = dotted(argument)
            rewraps = name is not None and label == name
            if not rewraps and not text.endswith(WRAPPERS):
                continue
            making, wraps = None, None
            if label is None or label in scope:
                making = self._value(module, argument, scope)
            elif rewraps:
                making, wraps = Making("itself"), Symbol(module.path, label)
            else:
                symbol = self.resolve(module, label)
                other = self.module(symbol.path) if isinstance(symbol, Symbol) else None
                wraps = symbol if isinstance(symbol, Symbol) else None
                making = self._variable(other, wraps.name) if other and wraps else None
            if making is not None:
                return Making(f"wrapped by {text.rpartition('.')[2]}", wraps)
        return None

    def _is_class(self, module: Module, name: str) -> bool:
        bases = module.classes[name].bases if name in module.classes else []

        def inherits() -> bool:
            return any(self._is_fastapi(module, base) for base in bases)

        return self._once("class", module, name, inherits, False)

    def _is_fastapi(self, module: Module, node: ast.expr) -> bool:
        """Whether an expression names FastAPI or a subclass, as a base class or an annotation."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text: str | None = node.value.strip()
        else:
            text = dotted(node)
        target = self.resolve(module, text) if text else None
        if isinstance(target, Symbol):
            other = self.module(target.path)
            return other is not None and self._is_class(other, target.name)
        return target in _FASTAPI

    def _makes(self, module: Module, function: Function) -> bool:
        """Whether a function returns an app, by its annotation or by what it returns."""

        def returns() -> bool:
            if function.returns is not None and self._is_fastapi(module, function.returns):
                return True
            scope: dict[str, list[ast.expr]] = {}
            returned: list[ast.expr] = []
            for node in own_statements(function):
                for name, value, _ in assigned(node):
                    scope.setdefault(name, []).append(value)
                if isinstance(node, ast.Return) and node.value is not None:
                    returned.append(node.value)
            return any(self._value(module, value, scope) for value in returned)

        decorators = (dotted(getattr(node, "func", node)) for node in function.decorator_list)
        if isinstance(function, ast.AsyncFunctionDef) or any(
            name and name.endswith(("fixture", "contextmanager")) for name in decorators
        ):
            return False
        return self._once("makes", module, function.name, returns, False)


def _needs_arguments(function: Function) -> bool:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    required = len(positional) - len(given.defaults)
    return required > 0 or any(default is None for default in given.kw_defaults)

"""One Python file as its syntax tree shows it; nothing is imported or run."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef


class BadSyntax(Exception):
    """A file that this Python cannot parse; `line` counts from 1."""

    def __init__(self, path: str, line: int, message: str) -> None:
        super().__init__(f"{path}, line {line}: {message}")
        self.path = path
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Import:
    """Where a name comes from: `name` of `module`, `level` dots up; no name is the module."""

    module: str
    name: str | None
    level: int = 0


@dataclass(slots=True)
class Module:
    """What a file binds at module level, blocks of `if`, `try` and `with` included.

    The block of `if __name__ == "__main__"` is left out: importing does not run it. `imports`
    come from anywhere in the file, `exported` are those at module level. `absolute` are the
    dotted names that it imports, `relative` the most dots in front of one. `mounted` are dotted
    names given to `.mount()`, `routes` counts routers and route decorators by the name they are
    called on, `runs` are the first arguments of `uvicorn.run()`.
    """

    path: str
    imports: dict[str, Import] = field(default_factory=lambda: dict[str, Import]())
    exported: list[str] = field(default_factory=lambda: list[str]())
    stars: list[Import] = field(default_factory=lambda: list[Import]())
    values: dict[str, list[ast.expr]] = field(default_factory=lambda: dict[str, list[ast.expr]]())
    annotations: dict[str, ast.expr] = field(default_factory=lambda: dict[str, ast.expr]())
    functions: dict[str, Function] = field(default_factory=lambda: dict[str, Function]())
    classes: dict[str, ast.ClassDef] = field(default_factory=lambda: dict[str, ast.ClassDef]())
    lines: dict[str, int] = field(default_factory=lambda: dict[str, int]())
    absolute: list[str] = field(default_factory=lambda: list[str]())
    relative: int = 0
    mounted: set[str] = field(default_factory=lambda: set[str]())
    routes: dict[str, int] = field(default_factory=lambda: dict[str, int]())
    runs: list[ast.expr] = field(default_factory=lambda: list[ast.expr]())

    def binds(self, name: str) -> bool:
        """Whether the name exists after import, as far as can be seen."""
        known = (self.values, self.annotations, self.functions, self.classes, self.exported)
        return any(name in names for names in known) or bool(self.stars) or (
            "__getattr__" in self.functions
        )  # fmt: skip


def parse_module(path: str, data: bytes) -> Module:
    """Reads a file's bytes; BadSyntax when they are not Python as this interpreter knows it."""
    try:
        with warnings.catch_warnings():
            # Invalid escapes in other people's strings are not our business.
            warnings.simplefilter("ignore")
            tree = ast.parse(data, path)
    except SyntaxError as error:
        raise BadSyntax(path, error.lineno or 1, error.msg or "invalid syntax") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadSyntax(path, 1, str(error) or "nested too deeply") from error
    module = Module(path)
    for statement in module_level(tree.body):
        _bind(module, statement)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            _import(module, node)
        elif isinstance(node, ast.Call):
            _call(module, node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _count_routes(module, node)
    return module


def dotted(node: ast.expr | None) -> str | None:
    """`a.b.c` of a chain of attributes, None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def module_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that importing runs, those inside blocks too, in order."""
    waiting = list(body)[::-1]
    while waiting:
        statement = waiting.pop()
        yield statement
        inner: list[ast.stmt] = []
        if isinstance(statement, ast.If):
            inner = [*([] if _is_main(statement.test) else statement.body), *statement.orelse]
        elif isinstance(statement, ast.Try | ast.TryStar):
            inner = [*statement.body]
            for handler in statement.handlers:
                inner += handler.body
            inner += [*statement.orelse, *statement.finalbody]
        elif isinstance(statement, ast.With | ast.AsyncWith | ast.For | ast.While):
            inner = statement.body
        elif isinstance(statement, ast.Match):
            inner = [item for case in statement.cases for item in case.body]
        waiting += inner[::-1]


def own_statements(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions and classes inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def assigned(statement: ast.AST) -> Iterator[tuple[str, ast.expr, ast.expr | None]]:
    """(name, value, annotation) of each plain name that a statement assigns."""
    if isinstance(statement, ast.AnnAssign):
        if isinstance(statement.target, ast.Name) and statement.value is not None:
            yield statement.target.id, statement.value, statement.annotation
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name):
                yield target.id, statement.value, None
            elif isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
                for item, value in zip(target.elts, statement.value.elts, strict=False):
                    if isinstance(item, ast.Name):
                        yield item.id, value, None
            elif isinstance(target, ast.Tuple | ast.List):
                for item in target.elts:
                    if isinstance(item, ast.Name):
                        yield item.id, statement.value, None


def _bind(module: Module, statement: ast.stmt) -> None:
    for name, value, annotation in assigned(statement):
        module.values.setdefault(name, []).append(value)
        module.lines[name] = statement.lineno
        if annotation is not None:
            module.annotations[name] = annotation
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        module.functions[statement.name] = statement
        module.lines.setdefault(statement.name, statement.lineno)
    elif isinstance(statement, ast.ClassDef):
        module.classes[statement.name] = statement
        module.lines.setdefault(statement.name, statement.lineno)
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        names = (alias.asname or alias.name for alias in statement.names)
        module.exported += [name for name in names if name.isidentifier()]
    elif isinstance(statement, ast.With):
        for item in statement.items:
            if isinstance(item.optional_vars, ast.Name):
                module.values.setdefault(item.optional_vars.id, []).append(item.context_expr)


def _import(module: Module, node: ast.Import | ast.ImportFrom) -> None:
    if isinstance(node, ast.Import):
        for alias in node.names:
            module.absolute.append(alias.name)
            head = alias.name if alias.asname else alias.name.partition(".")[0]
            module.imports[alias.asname or head] = Import(head, None)
        return
    module.relative = max(module.relative, node.level)
    source = node.module or ""
    for alias in node.names:
        if alias.name == "*":
            module.stars.append(Import(source, None, node.level))
        else:
            module.imports[alias.asname or alias.name] = Import(source, alias.name, node.level)
    if not node.level:
        # `from app import api` may name a module of the package, which says more than `app`.
        module.absolute += [f"{source}.{alias.name}" for alias in node.names if "." not in source]
        module.absolute.append(source)


def _call(module: Module, node: ast.Call) -> None:
    name = dotted(node.func) or ""
    owner, _, method = name.rpartition(".")
    if method == "mount":
        named = [keyword.value for keyword in node.keywords if keyword.arg == "app"]
        mounted = (dotted(value) for value in (*node.args[1:2], *named))
        module.mounted.update(sub for sub in mounted if sub)
    elif method in ("include_router", "add_api_route"):
        module.routes[owner] = module.routes.get(owner, 0) + 1
    elif name == "uvicorn.run":
        named = [keyword.value for keyword in node.keywords if keyword.arg == "app"]
        module.runs += (node.args or named)[:1]


def _count_routes(module: Module, node: Function) -> None:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute):
            owner = dotted(decorator.func.value)
            if owner:
                module.routes[owner] = module.routes.get(owner, 0) + 1


def _is_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and dotted(test.left) == "__name__"

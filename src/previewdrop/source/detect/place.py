"""The folder an app is looked for in: its code, what it depends on, what its names stand for."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from previewdrop.domain.errors import StageFailed
from previewdrop.source.detect.code import Code, Symbol
from previewdrop.source.detect.declarations import Declaration
from previewdrop.source.detect.runs import read_line
from previewdrop.source.detect.tree import join

_LONGEST_SCRIPT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """One candidate for the app's folder.

    `sources` are importable folders besides `root`, `installed` the distributions that are
    depended on, `scripts` the project's console scripts. `newer` says that the repository wants a
    newer Python than this one, whose syntax errors prove nothing then.
    """

    code: Code
    root: str
    sources: tuple[str, ...] = ()
    installed: Collection[str] = frozenset()
    scripts: Mapping[str, str] = field(default_factory=lambda: dict[str, str]())
    newer: bool = False

    def unbound(self, path: str, variable: str) -> str | None:
        """Why `variable` cannot be taken from the file, None if it can; a syntax error raises."""
        head = variable.partition(".")[0]
        module = self.code.module(path)
        if module is not None:
            return None if module.binds(head) else f"{path} does not define `{head}`."
        if path in self.code.broken and not self.newer:
            raise self.syntax_error(path)
        text = self.code.tree.text(path) or ""
        bound = re.search(rf"^\s*(?:(?:def|class)\s+)?{head}\b", text, re.MULTILINE)
        return None if bound else f"{path} does not define `{head}`."

    def syntax_error(self, path: str) -> StageFailed:
        error = self.code.broken[path]
        return StageFailed(
            f"{path} has a syntax error in line {error.line}: {error.message}.",
            "Mend the file and push again.",
        )

    def is_function(self, path: str, variable: str) -> bool:
        """Whether the name is a plain function, which a server has to call first."""
        module = self.code.module(path)
        if module is None or variable not in module.functions or variable in module.values:
            return False
        return not isinstance(module.functions[variable], ast.AsyncFunctionDef)

    def preferred_variable(self, path: str) -> str:
        """The variable that fastapi-cli would take from a file."""
        module = self.code.module(path)
        names = dict.fromkeys(["app", "api", *sorted(module.values if module else ())])
        return next((name for name in names if self.code.app(Symbol(path, name))), "app")

    def script(self, declaration: Declaration) -> Declaration | None:
        """What a shell script of the repository starts, as a declaration of its own."""
        name = declaration.run.script or ""
        path = declaration.repository_path(name, moved=True)
        text = self.code.tree.text(path) if path else None
        if text is None:
            # Images often copy scripts to another place: the name decides.
            tail = f"/{name.rpartition('/')[2]}"
            files = (item for item in self.code.tree.walk() if f"/{item}".endswith(tail))
            path = next(files, None)
            text = self.code.tree.text(path) if path else None
        if text is None or len(text) > _LONGEST_SCRIPT:
            return None
        run = read_line(text, {})
        if run.script is not None or run.nothing:
            return None
        origin = f"{path} (run by {declaration.origin})"
        return replace(declaration, origin=origin, run=run, script=path)

    def gunicorn_setting(self, declaration: Declaration, name: str) -> object:
        """A literal in gunicorn's configuration file; None if absent, `...` if computed."""
        server = declaration.run.server
        config = (server.config if server else None) or "gunicorn.conf.py"
        path = declaration.repository_path(config.removeprefix("file:"), moved=True)
        module = self.code.module(path) if path and path.endswith(".py") else None
        values = module.values.get(name) if module else None
        if not values:
            return None
        try:
            return ast.literal_eval(values[-1])
        except (ValueError, TypeError, SyntaxError, RecursionError):
            return ...

    def own_sources(self) -> tuple[str, ...]:
        """`src` of the folder, when it holds packages and is not one itself."""
        source = join(self.root, "src")
        tree = self.code.tree
        plain = tree.has_folder(source) and not tree.has(join(source, "__init__.py"))
        return (source,) if plain else ()

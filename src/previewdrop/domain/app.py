"""What detection found out about a repository: plain facts, no file handles."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum


class Lock(StrEnum):
    """How the repository pins its dependencies, best first."""

    UV = "uv.lock"
    POETRY = "poetry.lock"
    PIPFILE = "Pipfile.lock"
    REQUIREMENTS = "requirements"
    PYPROJECT = "pyproject.toml"
    SETUP_CFG = "setup.cfg"


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Where the dependencies stand.

    `lock` says how to install them; `files` are all files that decide the result (the lock, the
    requirements files with everything they include by `-r` and `-c`, pyproject.toml), relative to
    the repository's top, in a fixed order; `folder` is where the installer runs, relative to the
    top (for a uv workspace its root); `package` the workspace member to install for, if any.
    `requirements` are the files to give to `pip install -r` when `lock` is REQUIREMENTS.
    `extras` and `groups` have to be installed too, because FastAPI stands only in them.
    PIPFILE without a lock file has only the Pipfile in `files`.

    `python` is what the interpreter must satisfy: the version in `.python-version` or
    `runtime.txt` ("3.12", "3.12.4"), else the specifier of the project's metadata
    (">=3.11,<3.13"). `requires_python` is that specifier alone. `image_python` is the version of
    the Dockerfile's base image: a wish, worth following where the machine has it.
    """

    lock: Lock
    files: tuple[str, ...]
    folder: str = ""
    package: str | None = None
    requirements: tuple[str, ...] = ()
    python: str | None = None
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    requires_python: str | None = None
    image_python: str | None = None


@dataclass(frozen=True, slots=True)
class AppObject:
    """The ASGI application: `module:variable`, called first if it is a factory."""

    module: str
    variable: str
    factory: bool = False

    @property
    def import_string(self) -> str:
        return f"{self.module}:{self.variable}"


@dataclass(frozen=True, slots=True)
class Migrations:
    """The Alembic revision graph, read without importing it.

    `config` is the path of alembic.ini relative to the repository's top, `folder` that of the
    script location. `revisions` are all known revision ids, `heads` those nobody continues;
    `after` has those that each one needs to be there before it. `warnings` name files that could
    not be read: the graph may lack their revisions then.
    """

    config: str
    folder: str
    revisions: frozenset[str]
    heads: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    after: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def applied(self, before: Collection[str], now: Collection[str]) -> int | None:
        """How many revisions a database has now that it did not have before.

        Both are what its alembic_version held. None where the graph does not know them all.
        """
        if self.warnings or not self.after.keys() >= {*before, *now}:
            return None
        return len(self._line(now) - self._line(before))

    def _line(self, tips: Collection[str]) -> set[str]:
        """These revisions and all that they need."""
        found: set[str] = set()
        waiting = list(tips)
        while waiting:
            one = waiting.pop()
            if one not in found and one in self.after:
                found.add(one)
                waiting += self.after[one]
        return found


@dataclass(frozen=True, slots=True)
class AppFacts:
    """A FastAPI application as detection sees it.

    `root` is the folder of the app relative to the repository's top (`""` is the top itself).
    `import_path` are the folders that must be importable, relative to the top, first one first.
    `command` is the server command the repository itself asks for (already without `--reload`),
    or None when uvicorn should serve `app`. Its items hold the placeholders `{host}` and `{port}`
    (`--bind {host}:{port}`): replace these two texts and nothing else, since other braces in the
    command are the repository's own. `why` explains each choice in one line each.
    """

    root: str
    app: AppObject
    dependencies: Dependencies
    import_path: tuple[str, ...] = ("",)
    command: tuple[str, ...] | None = None
    dockerfile: str | None = None
    migrations: Migrations | None = None
    project_name: str | None = None
    project_version: str | None = None
    scripts: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    why: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

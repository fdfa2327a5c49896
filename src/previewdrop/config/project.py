"""A project's settings: `previewdrop.toml`, or `[tool.previewdrop]` in `pyproject.toml`.

`docs/configuration.md` describes every key; a test loads its example.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from previewdrop.config.settings import size_in_bytes
from previewdrop.domain import spec
from previewdrop.domain.globs import touches

CONFIG_FILE = "previewdrop.toml"

_APP = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*(\(\))?")
_TAKEN = frozenset({"web", "command", "db", "cache"})
"""The app itself, commands beside it, and names that previews reach their data by."""

_PROCESS_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_EXTENSION = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_STAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_ARGUMENT = re.compile(r"[A-Za-z_]\w*")
_HEALTH = re.compile(r"/[^\s#\x00-\x1f\x7f]*")


def _inside(path: str) -> str:
    if path.startswith(("/", "~")) or "\\" in path or "\0" in path or re.match(r"[A-Za-z]:", path):
        raise ValueError("must be a path inside the repository")
    normal = posixpath.normpath(path) if path else "."
    if normal == ".." or normal.startswith("../"):
        raise ValueError("leads out of the repository")
    return "" if normal == "." else normal


def _file_inside(path: str) -> str:
    if not (normal := _inside(path)):
        raise ValueError("must name a file")
    return normal


def _app(text: str) -> str:
    if not _APP.fullmatch(text):
        raise ValueError("must be module:variable or module:factory()")
    return text


def _health(path: str) -> str:
    if not _HEALTH.fullmatch(path):
        raise ValueError("must be a path that begins with / and has no spaces")
    return path


def _command(text: str) -> str:
    if "\0" in text:
        raise ValueError("cannot hold a zero byte")
    return text.strip()


def _process_command(text: str) -> str:
    if not (command := _command(text)):
        raise ValueError("must be a command")
    return command


def _pattern(text: str) -> str:
    pattern = text.removeprefix("./")
    if not pattern or pattern.startswith(("/", "!")) or ".." in pattern.split("/"):
        raise ValueError("must be glob patterns of paths from the repository's top, without !")
    return pattern


def _extension(text: str) -> str:
    if not _EXTENSION.fullmatch(text):
        raise ValueError("must be names of PostgreSQL extensions")
    return text


def _process_name(name: str) -> str:
    if name in _TAKEN:
        raise ValueError("is taken; choose another name")
    if not _PROCESS_NAME.fullmatch(name):
        raise ValueError(
            "cannot be a name; use 1 to 31 lower-case letters, digits and hyphens, a letter first"
        )
    return name


def _stage(name: str) -> str:
    if not _STAGE.fullmatch(name):
        raise ValueError("must be the name or the number of a stage")
    return name


def _argument(name: str) -> str:
    if not _ARGUMENT.fullmatch(name):
        raise ValueError("must be the name of an ARG")
    return name


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


Command = Annotated[str, AfterValidator(_command)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class Database(_Section):
    """The preview's PostgreSQL."""

    isolation: Literal["database", "schema", "none"] = Field(
        default="database",
        examples=["schema"],
        description="A database of its own, a schema, or nothing.",
    )
    extensions: Annotated[
        tuple[Annotated[str, AfterValidator(_extension)], ...], BeforeValidator(_listed)
    ] = Field(default=(), examples=[["pg_trgm"]], description="Extensions to create.")
    connections: int = Field(
        default=8,
        ge=1,
        le=1000,
        examples=[8],
        description="CONNECTION LIMIT of the preview's role.",
    )


class Cache(_Section):
    """The preview's Redis database."""

    enabled: bool = Field(default=True, examples=[False], description="Whether there is one.")


class Build(_Section):
    """How the docker runtime builds the image. Paths are relative to the repository's top."""

    dockerfile: Annotated[str, AfterValidator(_file_inside)] | None = Field(
        default=None, examples=["docker/api.Dockerfile"], description="The Dockerfile."
    )
    context: Annotated[str, AfterValidator(_inside)] | None = Field(
        default=None, examples=["backend"], description="Folder that the image is built from."
    )
    target: Annotated[str, AfterValidator(_stage)] | None = Field(
        default=None, examples=["runner"], description="Stage of the Dockerfile to build."
    )
    args: dict[Annotated[str, AfterValidator(_argument)], str] = Field(
        default_factory=lambda: dict[str, str](),
        max_length=64,
        examples=[{"PYTHON_VERSION": "3.12"}],
        description="Build arguments. They are no place for secrets: an image shows them.",
    )


class Limits(_Section):
    """What a preview may use, never above the server's own ceilings."""

    memory: Annotated[int, BeforeValidator(size_in_bytes)] = Field(
        default=512 * spec.MIB, ge=32 * spec.MIB, examples=["512MiB"], description="Memory."
    )
    cpus: float = Field(default=1.0, gt=0, examples=[1.0], description="CPUs.")

    def capped(self, ceilings: spec.Limits) -> spec.Limits:
        """These limits under the server's; what a project cannot set is the server's."""
        wanted = replace(ceilings, memory=self.memory, cpus=self.cpus)
        return wanted.under(ceilings)


class ProjectConfig(_Section):
    """Everything that a repository or the server says about a project; all of it has a default.

    Paths are normalised: no `./`, no trailing slash, `""` for the repository's top. `root` is None
    when detection should find the folder. `post_deploy` is None when `bin/preview-entrypoint.sh`
    should run if there is one, and `""` when nothing should. `python` is `major.minor[.patch]`.
    """

    root: Annotated[str, AfterValidator(_inside)] | None = Field(
        default=None, examples=["backend"], description="Folder of the app."
    )
    app: Annotated[str, AfterValidator(_app)] | None = Field(
        default=None, examples=["app.main:app"], description="Import string of the app."
    )
    health: Annotated[str, AfterValidator(_health)] = Field(
        default="/health",
        examples=["/health"],
        description="Path that answers 200 when the app is well.",
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, examples=[3000], description="PORT of the app."
    )
    release: Command | None = Field(
        default=None, examples=["alembic upgrade head"], description="Command before traffic."
    )
    post_deploy: Command | None = Field(
        default=None,
        examples=["bash bin/preview-entrypoint.sh"],
        description="Command after the start.",
    )
    env_file: Annotated[str, AfterValidator(_file_inside)] = Field(
        default=".env.preview", examples=[".env.preview"], description="Environment template."
    )
    watch: Annotated[
        tuple[Annotated[str, AfterValidator(_pattern)], ...], BeforeValidator(_listed)
    ] = Field(
        default=(),
        examples=[["backend/**", "uv.lock"]],
        description="Paths that pushes must touch.",
    )
    python: str | None = Field(
        default=None,
        pattern=r"^\d+\.\d+(\.\d+)?$",
        examples=["3.12"],
        description="Version of Python.",
    )
    build: Build = Field(default_factory=lambda: Build(), examples=[{}])
    database: Database = Field(default_factory=lambda: Database(), examples=[{}])
    cache: Cache = Field(default_factory=lambda: Cache(), examples=[{}])
    processes: dict[
        Annotated[str, AfterValidator(_process_name)],
        Annotated[str, AfterValidator(_process_command)],
    ] = Field(
        default_factory=lambda: dict[str, str](),
        max_length=16,
        examples=[{"worker": "arq app.worker.Settings"}],
        description="Processes beside the web process.",
    )
    limits: Limits = Field(default_factory=lambda: Limits(), examples=[{}])

    def concerned_by(self, changed_paths: Sequence[str]) -> bool:
        """Whether a push that changes these paths, relative to the top, should deploy.

        Without `watch` every push does. A change of `previewdrop.toml` always does.
        """
        return not self.watch or touches((*self.watch, CONFIG_FILE), changed_paths)

    def env_files(self, root: str) -> tuple[str, ...]:
        """Where the template may be, relative to the top: in `root`, then at the top."""
        return tuple(dict.fromkeys((posixpath.join(root, self.env_file), self.env_file)))

"""How an image gets its dependencies: the instructions for each way of locking them."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from previewdrop.domain.app import Lock
from previewdrop.domain.dockerfile_lines import Runner, copies, place, printed

ENVIRONMENT = "/venv"
_EXPORTED = "/tmp/requirements.txt"  # noqa: S108 - inside an image
_EXCLUDED = "/tmp/excluded.txt"  # noqa: S108
_LISTED = " \\\n        "
_NOT_FILES = r"/^(-e |[^ ]+ @ )?(file:|\.)/{/\.(whl|tar\.gz|zip)( |$)/!d}"
"""For sed: deletes local folders from exported requirements, and keeps local archives."""


@dataclass(frozen=True, slots=True)
class Install:
    """What is installed. Paths are relative to the build context, in POSIX form.

    `folder` is where the installer runs. `files`, and folders that end with a slash, are all it
    reads; with `whole` it needs all code, so that every change of it installs again.
    `requirements` are files for `uv pip install -r`, pyproject.toml among them; `listed` are
    requirements by themselves, read from the file `origin`. `local` holds, by requirements file,
    the lines that install code of the repository, which is imported from where it stands instead;
    `excluded` names such packages. `archives` are files of the repository that uv.lock installs.
    `built` are folders to install by their own build. `serves` tells that uvicorn is among what
    is asked for.
    """

    lock: Lock
    folder: str = ""
    files: tuple[str, ...] = ()
    whole: bool = False
    requirements: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    origin: str = ""
    local: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: dict[str, tuple[str, ...]]()
    )
    excluded: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    built: tuple[str, ...] = ()
    package: str | None = None
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    serves: bool = False


def install_instructions(install: Install, runner: Runner) -> list[str]:
    """The instructions after `WORKDIR /app`, for a stage that has uv and /venv as its target."""
    copied = ["COPY . ."] if install.whole else copies(install.files)
    commands = [*_commands(install)]
    if not install.serves:
        commands.append(f"([ -x {ENVIRONMENT}/bin/uvicorn ] || uv pip install uvicorn)")
    moved = [f"WORKDIR {place(install.folder)}"] if install.folder else []
    note = [f"# As {install.origin} asks for: change both together."] if install.listed else []
    return [*copied, *moved, *note, runner.run(*commands)]


def _commands(install: Install) -> list[str]:
    if install.lock is Lock.UV:
        return _synchronised(install)
    # A .python-version may name a patch version that the image has not got.
    commands = [f"uv venv --python python3 {ENVIRONMENT}"]
    if install.lock is Lock.POETRY:
        return [*commands, *_exported(_poetry(install), install)]
    if install.lock is Lock.PIPFILE and not install.listed:
        lone = () if any(_named(path, "Pipfile") for path in install.files) else ("touch Pipfile",)
        export = f"uvx pipenv requirements --hash > {_EXPORTED}"
        return [*commands, *lone, *_exported(export, install)]
    for path, lines in install.local.items():
        commands.append(_without(lines, _from(install.folder, path)))
    if install.excluded:
        commands.append(printed(install.excluded, _EXCLUDED))
    given = [
        *_each("-r", [_from(install.folder, path) for path in install.requirements]),
        *_each("--extra", install.extras),
        *_each("--group", install.groups),
        *(("--excludes", _EXCLUDED) if install.excluded else ()),
        *(_local(_from(install.folder, path)) for path in install.built),
    ]
    words = " ".join(("uv pip install", *map(shlex.quote, given)))
    return [*commands, _LISTED.join((words, *map(shlex.quote, install.listed)))]


def _synchronised(install: Install) -> list[str]:
    """`uv sync` of what others wrote; the repository's own packages are imported as they stand."""
    words = [
        "uv sync --frozen --no-dev --no-install-local",
        *(("--package", shlex.quote(install.package)) if install.package else ()),
        *map(shlex.quote, _each("--extra", install.extras)),
        *map(shlex.quote, _each("--group", install.groups)),
    ]
    archives = [_local(_from(install.folder, path)) for path in install.archives]
    more = [f"uv pip install --no-deps {' '.join(map(shlex.quote, archives))}"] if archives else []
    return [" ".join(words), *more]


def _poetry(install: Install) -> str:
    words = [
        "uvx --from poetry --with poetry-plugin-export poetry export",
        "--only",
        shlex.quote(",".join(("main", *install.groups))),
        *map(shlex.quote, _each("--extras", install.extras)),
        "-o",
        _EXPORTED,
    ]
    return " ".join(words)


def _exported(command: str, install: Install) -> list[str]:
    """A lock of another tool, as exactly what it says."""
    drop = [f"sed -i -E {shlex.quote(_NOT_FILES)} {_EXPORTED}"] if install.excluded else []
    return [command, *drop, f"uv pip install --no-deps -r {_EXPORTED}"]


def _without(lines: tuple[str, ...], path: str) -> str:
    """A sed that deletes lines, given without the space around them, from a file."""
    escaped = (re.sub(r"([\\.*^$/\[\]])", r"\\\1", line) for line in lines)
    scripts = " ".join("-e " + shlex.quote(rf"/^\s*{each}\s*$/d") for each in escaped)
    return f"sed -i {scripts} {shlex.quote(path)}"


def _from(folder: str, path: str) -> str:
    return posixpath.relpath(path or ".", folder or ".")


def _local(path: str) -> str:
    return path if path.startswith(".") else f"./{path}"


def _named(path: str, name: str) -> bool:
    return posixpath.basename(path) == name


def _each(option: str, values: tuple[str, ...] | list[str]) -> list[str]:
    return [part for value in values for part in (option, value)]

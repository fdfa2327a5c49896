"""Single instructions of a Dockerfile that is generated: quoting, cache mounts, build secrets."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from previewdrop.domain.errors import BadName, StageFailed

TOP = "/app"
"""Where the build context lies in an image."""

_CONTINUED = " \\\n    "

_PLAIN = re.compile(r"[\w./@+-]+", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ALIASES = {
    "UV_DEFAULT_INDEX": "PIP_INDEX_URL",
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
}
"""uv and pip call the same index by different names."""


@dataclass(frozen=True, slots=True)
class Runner:
    """Writes RUN instructions that keep downloads and see build secrets while they run.

    `secrets` are names of environment variables; the same are the ids of BuildKit's secrets. One
    that the build is not given is left out. `cache` begins the id of the cache that builds share:
    those with another one do not see it. BadName for what cannot be a variable.
    """

    secrets: tuple[str, ...] = ()
    cache: str = ""

    def __post_init__(self) -> None:
        for name in self.secrets:
            if not _VARIABLE.fullmatch(name):
                raise BadName(f"{name!r} cannot be the name of an environment variable.")

    def run(self, *commands: str) -> str:
        """A RUN of shell commands, of which each runs only after the one before succeeded."""
        identity = f"id={self.cache}-packages," if self.cache else ""
        mounts = [f"--mount=type=cache,{identity}target=/root/.cache"]
        mounts += [f"--mount=type=secret,id={name}" for name in self.secrets]
        start = _CONTINUED.join(mounts)
        return _CONTINUED.join((f"RUN {start}", *self._exports(), chain(commands)))

    def _exports(self) -> list[str]:
        """Shell lines that make variables of the files that BuildKit puts secrets in."""
        if not self.secrets:
            return []
        lines = [
            f"for name in {' '.join(self.secrets)}; do",
            '  [ ! -f "/run/secrets/$name" ] || export "$name=$(cat "/run/secrets/$name")";',
            "done;",
        ]
        for name in self.secrets:
            other = _ALIASES.get(name)
            if other and other not in self.secrets:
                # uv's own variables may say name=URL.
                url = f'${{{name}#"${{{name}%%[!A-Za-z0-9_-]*}}"=}}'
                value = url if name.startswith("UV_") else f"${name}"
                lines.append(f'[ -z "${name}" ] || export {other}="{value}";')
        return lines


def chain(commands: Iterable[str]) -> str:
    """Shell commands, each only after the one before succeeded."""
    return f" &&{_CONTINUED}".join(commands)


def copies(paths: Iterable[str]) -> list[str]:
    """COPY instructions that put files and folders where they stand in the context.

    The working folder is the context's. Folders end with a slash.
    """
    files: dict[str, list[str]] = {}
    folders: list[str] = []
    for path in paths:
        if path.endswith("/"):
            folders.append(path)
        else:
            files.setdefault(posixpath.dirname(path), []).append(path)
    made = [_copy(*names, f"./{folder}/" if folder else "./") for folder, names in files.items()]
    return made + [_copy(path, f"./{path}") for path in folders]


def environment(variables: Mapping[str, str]) -> str:
    """One ENV instruction; values may use `$NAME`."""
    pairs = (
        f'{name}="{value}"' if " " in value else f"{name}={value}"
        for name, value in variables.items()
    )
    return f"ENV {_CONTINUED.join(pairs)}"


def place(folder: str) -> str:
    """The path in the image of a folder of the context; StageFailed if no line can hold it."""
    return posixpath.join(TOP, _checked(folder)) if folder else TOP


def listing(*words: str) -> str:
    """The JSON form of an instruction's words."""
    return json.dumps(words, ensure_ascii=False)


def printed(lines: Iterable[str], path: str) -> str:
    """A shell command that writes lines to a file."""
    return f"printf '%s\\n' {' '.join(shlex.quote(line) for line in lines)} > {shlex.quote(path)}"


def _copy(*paths: str) -> str:
    *sources, destination = (_checked(path) for path in paths)
    # Sources are patterns.
    words = [*(source.replace("[", "[[]") for source in sources), destination]
    if all(_PLAIN.fullmatch(word) for word in words):
        return f"COPY {' '.join(words)}"
    return f"COPY {listing(*words)}"


def _checked(path: str) -> str:
    if not path.isprintable() or any(character in path for character in '\\$"'):
        raise StageFailed(
            f"{path!a} cannot be named in a Dockerfile.", "Rename it, or add a Dockerfile."
        )
    return path

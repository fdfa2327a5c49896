"""The Python interpreters of this machine, and which of them fits what a repository asks for."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path

from uv import find_uv_bin

from previewdrop.domain.errors import StageFailed

Version = tuple[int, ...]

_CLAUSE = re.compile(r"\s*(===|==|!=|<=|>=|~=|<|>|\^|~|=)?\s*v?(\d+(?:\.\d+)*)(\.\*)?\S*\s*")
_PYENV = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython: its version, its program and the folder (prefix) it needs to run."""

    version: Version
    path: str
    prefix: str

    @property
    def text(self) -> str:
        return ".".join(map(str, self.version))


def own_interpreter() -> Interpreter:
    """The one this server runs on, outside its virtual environment."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return Interpreter(
        version=tuple(sys.version_info[:3]), path=os.path.realpath(base), prefix=sys.base_prefix
    )


def fits(version: Version, wanted: str) -> bool:
    """Whether a version satisfies "3.12", ">=3.11,<3.14", "^3.11" or alternatives with `||`.

    What is not understood is taken as satisfied: uv knows better and will say so.
    """
    return any(
        all(_satisfies(version, clause) for clause in part.split(",") if clause.strip())
        for part in wanted.split("||")
    )


async def choose(wanted: str | None) -> Interpreter:
    """The server's own interpreter if it fits, else the newest one of this machine that does.

    StageFailed, naming those there are, when none fits.
    """
    own = own_interpreter()
    if wanted is None or fits(own.version, wanted):
        return own
    found = await asyncio.to_thread(_installed)
    fitting = [each for each in found if fits(each.version, wanted)]
    if fitting:
        return max(fitting, key=lambda each: each.version)
    names = ", ".join(sorted({each.text for each in (own, *found)}, key=_numbers))
    raise StageFailed(
        f"The repository asks for Python {wanted}, and this machine has {names}.",
        "Install that Python on the server, or set `python` in previewdrop.toml to one it has.",
    )


def parse_listing(listing: str) -> list[tuple[Version, str]]:
    """Version and path of each CPython in what `uv python list --output-format json` prints."""
    return [
        (_numbers(each["version"]), each["path"])
        for each in json.loads(listing)
        if each["implementation"] == "cpython" and each["path"] and each["variant"] == "default"
    ]


@cache
def _installed() -> tuple[Interpreter, ...]:
    import subprocess

    listed = subprocess.run(
        (find_uv_bin(), "python", "list", "--only-installed", "--output-format", "json"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={name: value for name, value in os.environ.items() if not name.startswith("UV_")},
    )
    candidates = [path for _, path in parse_listing(listed.stdout)] if listed.stdout else []
    found: dict[str, Interpreter] = {}
    for path in (*candidates, *_pyenv()):
        interpreter = _ask(path)
        if interpreter and interpreter.version >= (3, 8):
            found.setdefault(interpreter.path, interpreter)
    return tuple(found.values())


def _ask(path: str) -> Interpreter | None:
    """What a program at `path` says of itself; shims stand for another program than they are."""
    import subprocess

    code = (
        "import sys,os;"
        "print(*sys.version_info[:3],sep='.');print(os.path.realpath(sys.executable));"
        "print(sys.base_prefix)"
    )
    try:
        asked = subprocess.run(
            (path, "-I", "-S", "-c", code),
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = asked.stdout.splitlines()
    if asked.returncode or len(lines) < 3:
        return None
    return Interpreter(_numbers(lines[0]), lines[1], lines[2])


def _pyenv() -> Iterable[str]:
    """pyenv puts only the chosen version on PATH; the others lie beside it."""
    root = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    if not root.is_dir():
        return ()
    return [
        str(folder / "bin" / "python")
        for folder in sorted(root.iterdir())
        if _PYENV.fullmatch(folder.name) and (folder / "bin" / "python").exists()
    ]


def _satisfies(version: Version, clause: str) -> bool:
    match = _CLAUSE.fullmatch(clause)
    if not match:
        return True
    operator, wanted = match[1] or "", _numbers(match[2])
    same = version[: len(wanted)] == wanted
    order = _compare(version, wanted)
    match operator:
        case "" | "=" | "==" | "===":
            return same
        case "!=":
            return not same
        case ">=":
            return order >= 0
        case "<=":
            return order <= 0
        case ">":
            return order > 0
        case "<":
            return order < 0
        case "^":
            return order >= 0 and version[0] == wanted[0]
        case "~":
            return order >= 0 and version[:2] == (*wanted, 0)[:2]
        case _:
            return order >= 0 and version[: max(len(wanted) - 1, 1)] == wanted[:-1]


def _compare(left: Version, right: Version) -> int:
    for a, b in zip_longest(left, right, fillvalue=0):
        if a != b:
            return 1 if a > b else -1
    return 0


def _numbers(text: str) -> Version:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])

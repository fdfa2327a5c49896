"""A Dockerfile's last stage: what it starts, where, with which variables, on which Python."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import cast

from previewdrop.source.detect.shell import UNKNOWN, expand

_HEREDOC = re.compile(r"<<-?\s*[\"']?([A-Za-z_]\w*)[\"']?")
_PAIR = re.compile(r"""([A-Za-z_]\w*)=((?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])*)""")
_PYTHON = re.compile(r"python[:-]?(3\.\d+(?:\.\d+)?)")
_INSTALL = re.compile(r"(?:-r|--requirements?)[\s=]*([\w./-]+\.(?:txt|in))")


@dataclass(frozen=True, slots=True)
class Start:
    """A CMD or ENTRYPOINT: its words in exec form, or one text for the shell. `line` from 1."""

    line: int
    words: tuple[str, ...] = ()
    shell: str | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """What a stage inherits and adds.

    `environment` holds ENV, and ARG below it. `installs` are requirements files that any stage
    installs, as written; `python` the version in the name of the base image.
    """

    environment: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    arguments: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    workdir: str = "/"
    entrypoint: Start | None = None
    command: Start | None = None
    python: str | None = None
    installs: tuple[str, ...] = ()

    @property
    def variables(self) -> dict[str, str]:
        return {**self.arguments, **self.environment}


def parse_dockerfile(text: str) -> Image:
    """The last stage of a Dockerfile; instructions that make no sense are left out."""
    stages: dict[str, Image] = {}
    arguments: dict[str, str] = {}
    installs: list[str] = []
    image, stage = Image(), ""
    for line, keyword, rest in instructions(text):
        if keyword == "FROM":
            words = [word for word in rest.split() if not word.startswith("--")]
            base = expand(words[0], arguments).replace(UNKNOWN, "") if words else ""
            image = stages.get(base.lower()) or Image(python=_python(base))
            stage = words[2].lower() if len(words) == 3 else f"stage {len(stages)}"
        elif keyword == "ARG" and not stage:
            arguments |= _assignments(rest, arguments)
        else:
            image = _apply(image, line, keyword, rest, arguments)
            installs += _INSTALL.findall(rest) if keyword == "RUN" else []
        if stage:
            stages[stage] = image
    return replace(image, installs=tuple(dict.fromkeys(installs)))


def instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, keyword, rest) of each instruction: continued lines joined, no here-documents."""
    escape = "`" if re.match(r"(?:#.*\n)*?#\s*escape\s*=\s*`", text) else "\\"
    lines = enumerate((line.strip() for line in text.split("\n")), start=1)
    for start, first in lines:
        if not first or first.startswith("#"):
            continue
        parts, line = [first.removesuffix(escape)], first
        while line.endswith(escape):
            # BuildKit skips comments and empty lines inside a continued instruction.
            _, line = next(((n, t) for n, t in lines if t and not t.startswith("#")), (0, ""))
            parts.append(line.removesuffix(escape))
        keyword, _, rest = " ".join(part.strip() for part in parts).partition(" ")
        if keyword.upper() in ("RUN", "COPY", "ADD"):
            for end in _HEREDOC.findall(rest):
                next((n for n, text in lines if text == end), None)
        yield start, keyword.upper(), rest.strip()


def _apply(image: Image, line: int, keyword: str, rest: str, arguments: dict[str, str]) -> Image:
    known = image.variables
    match keyword:
        case "ENV":
            return replace(image, environment={**image.environment, **_assignments(rest, known)})
        case "ARG":
            named = {name: arguments[name] for name in rest.split() if name in arguments}
            return replace(
                image, arguments={**image.arguments, **named, **_assignments(rest, known)}
            )
        case "WORKDIR":
            folder = expand(rest.strip("\"'"), known)
            return replace(
                image, workdir=folder if folder[:1] == "/" else f"{image.workdir}/{folder}"
            )
        case "CMD":
            return replace(image, command=_start(line, rest))
        case "ENTRYPOINT":
            return replace(image, entrypoint=_start(line, rest))
        case _:
            return image


def _start(line: int, rest: str) -> Start:
    if rest.startswith("["):
        try:
            value = cast("object", json.loads(rest))
        except (ValueError, RecursionError):
            return Start(line, shell=rest)
        if isinstance(value, list):
            return Start(line, words=tuple(str(word) for word in cast("list[object]", value)))
    return Start(line, shell=rest)


def _assignments(rest: str, known: dict[str, str]) -> dict[str, str]:
    pairs = _PAIR.findall(rest)
    if not pairs and " " in rest:
        name, _, value = rest.partition(" ")
        pairs = [(name, value.strip())]
    found: dict[str, str] = {}
    for name, value in cast("list[tuple[str, str]]", pairs):
        literal = value.startswith("'")
        plain = re.sub(r"\\(.)", r"\1", value.strip("\"'"))
        found[name] = plain if literal else expand(plain, known)
    return {name: value for name, value in found.items() if UNKNOWN not in value}


def _python(base: str) -> str | None:
    match = _PYTHON.search(base.rpartition("/")[2])
    return match[1] if match else None

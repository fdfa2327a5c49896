"""Requirements files: what they ask for, what they include, which local folders they name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from previewdrop.source.detect.tree import Tree, inside, join

_NAME = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?\s*(.*)", re.DOTALL
)
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_OPTION = re.compile(
    r"(-r|-c|-e|--requirement|--constraint|--editable)(?:\s*=\s*|\s+|(?<=^-[rce]))(.+)"
)
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")
_MOST_FILES = 50
_LONGEST_LINE = 8000


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line: its text, the distribution's normalised name if it shows, its folder if local."""

    text: str
    name: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """One requirements file by itself; includes and constraints as they are written."""

    requirements: tuple[Requirement, ...] = ()
    includes: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Closure:
    """A requirements file with everything it includes.

    `files` starts with the file itself; `requirements` are those of all files but constraints;
    `local` the folders of the repository that they install, relative to its top.
    """

    files: tuple[str, ...]
    requirements: tuple[Requirement, ...]
    local: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(item.name for item in self.requirements if item.name)


def normalised(name: str) -> str:
    """A distribution's name in its one form: https://packaging.python.org/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_requirement(text: str) -> Requirement:
    """One requirement, PEP 508 or pip's own forms: a URL, a wheel, a local folder."""
    text = text.strip()
    bare = re.split(r"\s+--?[A-Za-z]", text, maxsplit=1)[0].strip()
    if bare.startswith((".", "/", "file:")):
        return Requirement(text, path=_local_path(bare))
    if "://" in bare.split("@ ")[0] and not re.match(r"[A-Za-z0-9._-]+\s*(\[.*?\])?\s*@", bare):
        return Requirement(text, name=_name_in_url(bare))
    match = _NAME.match(bare)
    if match is None:
        return Requirement(text)
    rest = match[3]
    if rest.startswith("@"):
        url = rest[1:].strip()
        path = _local_path(url) if url.startswith(("file:", ".", "/")) else None
        return Requirement(text, normalised(match[1]), path)
    if rest.startswith(("/", "\\")):
        return Requirement(text, path=bare.split(";")[0].strip())
    return Requirement(text, normalised(match[1]))


def parse_requirements(text: str) -> Lines:
    """Reads pip's format; never fails, lines that make no sense are left out."""
    requirements: list[Requirement] = []
    includes: list[str] = []
    constraints: list[str] = []
    for raw in re.sub(r"\\\n", " ", text.lstrip("\ufeff")).splitlines():
        line = _COMMENT.sub("", raw[:_LONGEST_LINE]).strip()
        if not line:
            continue
        if not line.startswith("-"):
            requirements.append(parse_requirement(line))
            continue
        match = _OPTION.match(line)
        if match is None:
            continue
        option, value = match[1], match[2].strip().strip("'\"")
        if option in ("-r", "--requirement"):
            includes.append(value)
        elif option in ("-c", "--constraint"):
            constraints.append(value)
        else:
            requirements.append(_editable(value))
    return Lines(tuple(requirements), tuple(includes), tuple(constraints))


def read_requirements(tree: Tree, path: str, folder: str) -> Closure:
    """The file at `path` with everything it includes by `-r` and `-c`, each file once.

    `folder` is where the installer runs: local folders are relative to it.
    """
    files: list[str] = []
    found: list[Requirement] = []
    local: list[str] = []
    warnings: list[str] = []
    waiting = [(path, "", False)]
    while waiting and len(files) < _MOST_FILES:
        current, parent, constraint = waiting.pop(0)
        if current in files:
            continue
        text = tree.text(current) if inside(current) else None
        if text is None:
            warnings.append(f"{parent} includes {current}, which is not in the repository.")
            continue
        files.append(current)
        lines = parse_requirements(text)
        here = current.rpartition("/")[0]
        if not constraint:
            found.extend(lines.requirements)
            local.extend(
                join(folder, item.path) for item in lines.requirements if item.path is not None
            )
        included = [(name, constraint) for name in lines.includes]
        included += [(name, True) for name in lines.constraints]
        waiting[:0] = [
            (join(here, name), current, kind) for name, kind in included if "://" not in name
        ]
    return Closure(
        tuple(files), tuple(found), tuple(dict.fromkeys(filter(inside, local))), tuple(warnings)
    )


def _editable(value: str) -> Requirement:
    if "://" in value or value.startswith("file:"):
        return parse_requirement(value)
    return Requirement(f"-e {value}", path=_local_path(value))


def _local_path(text: str) -> str:
    path = text.split(";")[0].strip()
    if path.startswith("file:"):
        path = unquote(path.removeprefix("file:").removeprefix("//").split("#")[0])
    return re.sub(r"\[[^\]]*\]$", "", path).strip()


def _name_in_url(url: str) -> str | None:
    if egg := _EGG.search(url):
        return normalised(egg[1])
    try:
        name = unquote(urlsplit(url.split(";")[0].strip()).path).rpartition("/")[2]
    except ValueError:
        return None
    if name.endswith(".whl"):
        return normalised(name.split("-")[0])
    if sdist := re.match(r"(.+?)-\d[^/]*\.(?:tar\.gz|zip)$", name):
        return normalised(sdist[1])
    name = name.split("@")[0].removesuffix(".git")
    return normalised(name) if url.startswith("git+") and name else None

"""What to give to uv for each way a repository locks its dependencies."""

from __future__ import annotations

import configparser
import json
import posixpath
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from previewdrop.domain import poetry
from previewdrop.domain.app import Dependencies, Lock
from previewdrop.domain.errors import StageFailed

_ARCHIVES = (".whl", ".tar.gz", ".zip")
_LOCAL = re.compile(
    r"\s*(?:(?:-e|--editable)[=\s]\s*)?"
    r"(?:[A-Za-z0-9._-]+(?:\[[^\]]*\])?\s*@\s*)?"
    r"(?P<path>(?:file:(?://)?)?\.{0,2}/?[^\s;#\[]*)"
)
_OURS = "previewdrop"


@dataclass(frozen=True, slots=True)
class Installation:
    """How to fill an environment.

    `files` are written into a folder of their own, where uv runs; it sees nothing else of the
    repository. `lock` means `uv sync` there. `requirements`, `constraints` and `excludes` are
    files for `uv pip install`, `indexes` URLs of further indexes. `skipped` are local packages:
    they are imported from where they stand in the repository. `extras` and `groups` are the
    optional dependencies that are wanted, as options of uv: `--extra api`, `--group web`.
    """

    files: dict[str, bytes]
    lock: bool = False
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    dependencies: bool = True
    skipped: tuple[str, ...] = field(default=())
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def installation_for(dependencies: Dependencies, contents: Mapping[str, bytes]) -> Installation:
    """The installation for a repository's dependencies; `contents` are its files' by name.

    StageFailed when a file is not what its name says.
    """
    try:
        match dependencies.lock:
            case Lock.UV:
                return Installation(
                    dict(contents),
                    lock=True,
                    extras=dependencies.extras,
                    groups=dependencies.groups,
                )
            case Lock.POETRY:
                return _poetry(dependencies, contents)
            case Lock.PIPFILE:
                return _pipfile(dependencies, contents)
            case Lock.REQUIREMENTS:
                return _requirements(dependencies, contents)
            case Lock.PYPROJECT:
                return _pyproject(dependencies, contents)
            case Lock.SETUP_CFG:
                return _setup_cfg(contents)
    except (ValueError, configparser.Error, KeyError, TypeError, AttributeError) as error:
        raise StageFailed(
            f"{dependencies.lock.value} of the repository cannot be read: {error}.",
            "Write it again with the tool that made it, then push.",
        ) from error


def local_path(line: str) -> str | None:
    """The path in a requirement line that means a folder or file of the repository, or None."""
    text = line.split(" #")[0].strip()
    editable = re.match(r"(?:-e|--editable)[=\s]\s*", text)
    if not text or text.startswith("#") or (text.startswith("-") and not editable):
        return None
    match = _LOCAL.match(text)
    path = match["path"] if match else ""
    bare = re.sub(r"^file:(//)?", "", path)
    if "://" in bare or re.match(r"[a-z+]+:", bare):
        return None
    explicit = path.startswith(("file:", ".", "/"))
    archive = bare.endswith(_ARCHIVES) and "@" not in text
    return bare if bare and (explicit or archive or editable) else None


def local_files(dependencies: Dependencies, contents: Mapping[str, bytes]) -> list[str]:
    """Files of the repository that its requirements need besides: of local packages, archives."""
    if dependencies.lock is not Lock.REQUIREMENTS:
        return []
    found: list[str] = []
    for name, content in contents.items():
        if name.endswith((".txt", ".in")):
            for line in _text(content).splitlines():
                if path := local_path(line):
                    place = _inside(dependencies.folder, path)
                    found.append(place if place.endswith(_ARCHIVES) else f"{place}/pyproject.toml")
    return [posixpath.normpath(path) for path in dict.fromkeys(found)]


def _requirements(dependencies: Dependencies, contents: Mapping[str, bytes]) -> Installation:
    files: dict[str, bytes] = {}
    skipped: list[str] = []
    own: list[str] = []
    for name, content in contents.items():
        if not name.endswith((".txt", ".in")):
            files[name] = content
            continue
        kept: list[str] = []
        for line in _text(content).splitlines():
            path = local_path(line)
            place = _inside(dependencies.folder, path) if path else ""
            if path and not (place.endswith(_ARCHIVES) and place in contents):
                skipped.append(place or ".")
                project = posixpath.normpath(f"{place}/pyproject.toml")
                if project.lstrip("/") in contents:
                    own.append(project.lstrip("/"))
                continue
            kept.append(line)
        files[name] = "\n".join((*kept, "")).encode()
    return Installation(
        files,
        requirements=(*dependencies.requirements, *dict.fromkeys(own)),
        skipped=tuple(dict.fromkeys(skipped)),
    )


def _poetry(dependencies: Dependencies, contents: Mapping[str, bytes]) -> Installation:
    lock = tomllib.loads(_text(contents[_in(dependencies, "poetry.lock")]))
    pyproject = tomllib.loads(_text(contents[_in(dependencies, "pyproject.toml")]))
    wanted = poetry.requirements(pyproject, dependencies.extras, dependencies.groups, pinned=True)
    return Installation(
        {f"{_OURS}.in": _lines(wanted), f"{_OURS}.lock.txt": _lines(poetry.constraints(lock))},
        requirements=(f"{_OURS}.in",),
        constraints=(f"{_OURS}.lock.txt",),
        indexes=tuple(poetry.indexes(lock)),
        skipped=tuple(poetry.local_packages(lock)),
    )


def _pipfile(dependencies: Dependencies, contents: Mapping[str, bytes]) -> Installation:
    name = _in(dependencies, "Pipfile.lock")
    if name not in contents:
        packages = tomllib.loads(_text(contents[_in(dependencies, "Pipfile")]))
        wanted = {"tool": {"poetry": {"dependencies": packages.get("packages", {})}}}
        return Installation(
            {f"{_OURS}.in": _lines(poetry.requirements(wanted, pinned=False))},
            requirements=(f"{_OURS}.in",),
        )
    lock = cast("dict[str, Any]", json.loads(_text(contents[name])))
    lines: list[str] = []
    skipped: list[str] = []
    for package, entry in cast("dict[str, dict[str, Any]]", lock.get("default", {})).items():
        if path := entry.get("path") or entry.get("file"):
            skipped.append(str(path))
            continue
        extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
        line = f"{package}{extras}{entry.get('version', '')}"
        if "git" in entry:
            line = f"{package}{extras} @ git+{entry['git']}@{entry.get('ref', 'HEAD')}"
        line += f" ; {entry['markers']}" if entry.get("markers") else ""
        lines.append(line + "".join(f" --hash={each}" for each in entry.get("hashes", [])))
    sources = cast("list[dict[str, Any]]", lock.get("_meta", {}).get("sources", []))
    return Installation(
        {f"{_OURS}.lock.txt": _lines(lines)},
        requirements=(f"{_OURS}.lock.txt",),
        indexes=tuple(
            s["url"] for s in sources if "pypi.org" not in s["url"] and "$" not in s["url"]
        ),
        dependencies=False,
        skipped=tuple(skipped),
    )


def _pyproject(dependencies: Dependencies, contents: Mapping[str, bytes]) -> Installation:
    name = _in(dependencies, "pyproject.toml")
    pyproject = tomllib.loads(_text(contents[name]))
    project = cast("dict[str, Any]", pyproject.get("project") or {})
    tools = cast("dict[str, Any]", pyproject.get("tool") or {})
    if "dependencies" in cast("list[str]", project.get("dynamic", [])):
        table = tools.get("setuptools", {}).get("dynamic", {}).get("dependencies", {})
        listed = table.get("file", [])
        named = [
            _in(dependencies, each) for each in ([listed] if isinstance(listed, str) else listed)
        ]
        if not named or any(each not in contents for each in named):
            raise StageFailed(
                "pyproject.toml leaves its dependencies to the build backend.",
                "Lock them (uv lock), or list them under [project] dependencies.",
            )
        return Installation(dict(contents), requirements=tuple(named))
    if "dependencies" not in project:
        lines = poetry.requirements(
            pyproject, dependencies.extras, dependencies.groups, pinned=False
        )
        return Installation({f"{_OURS}.in": _lines(lines)}, requirements=(f"{_OURS}.in",))
    sources = cast("dict[str, Any]", tools.get("uv", {}).get("sources", {}))
    own = [n for n, source in sources.items() if "path" in source or "workspace" in source]
    files = dict(contents)
    if own:
        files[f"{_OURS}.excludes.txt"] = _lines(own)
    return Installation(
        files,
        requirements=(name,),
        excludes=(f"{_OURS}.excludes.txt",) if own else (),
        skipped=tuple(own),
        extras=dependencies.extras,
        groups=tuple(f"{name}:{group}" for group in dependencies.groups),
    )


def _setup_cfg(contents: Mapping[str, bytes]) -> Installation:
    parser = configparser.ConfigParser(interpolation=None)
    for name, content in contents.items():
        if posixpath.basename(name) == "setup.cfg":
            parser.read_string(_text(content))
    listed = parser.get("options", "install_requires", fallback="")
    lines = [line.strip() for line in listed.splitlines() if line.strip()]
    if listed.strip().startswith("file:"):
        named = [n.strip() for n in listed.strip().removeprefix("file:").split(",")]
        return Installation(dict(contents), requirements=tuple(named))
    return Installation({f"{_OURS}.in": _lines(lines)}, requirements=(f"{_OURS}.in",))


def _in(dependencies: Dependencies, name: str) -> str:
    return posixpath.join(dependencies.folder, name) if dependencies.folder else name


def _inside(folder: str, path: str) -> str:
    """A path relative to the repository's top; one that leads out of it is left at the top."""
    place = posixpath.normpath(posixpath.join(folder, path))
    return "" if place in (".", "..") or place.startswith(("../", "/")) else place


def _lines(lines: list[str]) -> bytes:
    return "\n".join((*lines, "")).encode()


def _text(content: bytes) -> str:
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding)
    return content.decode("utf-8-sig")

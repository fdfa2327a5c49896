"""A poetry.lock as requirements for uv: what is asked for, held to exactly what was locked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

Table = Mapping[str, Any]


def requirements(
    pyproject: Table,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    *,
    pinned: bool,
) -> list[str]:
    """Dependencies as requirement lines, without local ones: the main group's and those named.

    With `pinned` the versions are left out: the lock decides them.
    """
    lines: list[str] = []
    declared = _table(_table(pyproject, "project"), "").get("dependencies")
    if isinstance(declared, list):
        lines += [str(line) for line in cast("list[object]", declared)]
    poetry = _table(_table(pyproject, "tool"), "poetry")
    optional = _table(_table(pyproject, "project"), "optional-dependencies")
    for extra in extras:
        lines += [str(line) for line in cast("list[object]", optional.get(extra, []))]
    asked = {
        _normal(str(name))
        for extra in extras
        for name in cast("list[object]", _table(poetry, "extras").get(extra, []))
    }
    tables = [_table(_table(_table(poetry, "group"), group), "dependencies") for group in groups]
    for table in (_table(poetry, "dependencies"), *tables):
        for name, value in table.items():
            if name.lower() == "python" or any(_named(line, name) for line in lines):
                continue
            for each in cast("list[object]", value) if isinstance(value, list) else [value]:
                if line := _requirement(name, each, pinned, _normal(name) in asked):
                    lines.append(line)
    return lines


def constraints(lock: Table) -> list[str]:
    """Each locked package as an exact requirement, with its marker and hashes."""
    lines: list[str] = []
    for package in cast("list[Table]", lock.get("package", [])):
        source = _table(package, "source")
        if source.get("type") in ("directory", "file"):
            continue
        if source.get("type") in ("git", "url"):
            line = f"{package['name']} @ {_url(source)}"
        else:
            line = f"{package['name']}=={package['version']}"
        line += _marker(package.get("markers"))
        if not source or source.get("type") == "legacy":
            hashes = sorted(
                str(file["hash"])
                for file in cast("list[Table]", package.get("files", []))
                if "hash" in file
            )
            line += "".join(f" --hash={each}" for each in hashes)
        lines.append(line)
    return lines


def indexes(lock: Table) -> list[str]:
    """URLs of the private indexes that the lock refers to."""
    packages = cast("list[Table]", lock.get("package", []))
    sources = [_table(package, "source") for package in packages]
    return list(dict.fromkeys(str(s["url"]) for s in sources if s.get("type") == "legacy"))


def local_packages(lock: Table) -> list[str]:
    """Folders of the repository that the lock installs from."""
    packages = cast("list[Table]", lock.get("package", []))
    sources = [_table(package, "source") for package in packages]
    return [str(s["url"]) for s in sources if s.get("type") in ("directory", "file")]


def specifier(version: str) -> str:
    """A Poetry version constraint as PEP 440: `^1.2` is `>=1.2,<2`, `~1.2` is `>=1.2,<1.3`.

    https://python-poetry.org/docs/dependency-specification/
    """
    clauses: list[str] = []
    for clause in re.split(r"\s*,\s*|\s+(?=[<>=!~^])", version.strip()):
        match = re.fullmatch(r"(\^|~(?!=))\s*(\d+(?:\.\d+)*)(\S*)", clause)
        if match:
            clauses.append(f">={match[2]}{match[3]}")
            clauses.append(f"<{_next(match[1], [int(n) for n in match[2].split('.')])}")
        elif clause in ("*", ""):
            continue
        elif re.match(r"\d", clause):
            clauses.append(f"=={clause}")
        else:
            clauses.append(clause)
    return ",".join(clauses)


def _next(operator: str, numbers: list[int]) -> str:
    if operator == "~":
        at = 0 if len(numbers) == 1 else 1
    else:
        at = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
    return ".".join(str(n) for n in (*numbers[:at], numbers[at] + 1))


def _requirement(name: str, value: object, pinned: bool, asked: bool) -> str | None:
    if isinstance(value, str):
        return name if pinned else f"{name}{specifier(value)}"
    if not isinstance(value, dict):
        return None
    table = cast("Table", value)
    if (table.get("optional") and not asked) or "path" in table:
        return None
    extras = ",".join(cast("list[str]", table.get("extras", [])))
    full = f"{name}[{extras}]" if extras else name
    if "git" in table:
        url = _url({"type": "git", "url": table["git"], "reference": _reference(table)})
        full = f"{full} @ {url}"
    elif "url" in table:
        full = f"{full} @ {table['url']}"
    elif not pinned and "version" in table:
        full += specifier(str(table["version"]))
    return full + _marker(_condition(table))


def _condition(table: Table) -> str | None:
    parts = [f"({table['markers']})"] if table.get("markers") else []
    if platform := table.get("platform"):
        parts.append(f"sys_platform == '{platform}'")
    if python := table.get("python"):
        for clause in specifier(str(python)).split(","):
            match = re.fullmatch(r"(\W+)(\S+)", clause)
            if match:
                parts.append(f"python_full_version {match[1]} '{match[2]}'")
    return " and ".join(parts) or None


def _reference(table: Table) -> object:
    return table.get("rev") or table.get("tag") or table.get("branch") or ""


def _url(source: Table) -> str:
    if source.get("type") != "git":
        return str(source["url"])
    reference = source.get("resolved_reference") or source.get("reference") or ""
    folder = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
    return f"git+{source['url']}{f'@{reference}' if reference else ''}{folder}"


def _marker(markers: object) -> str:
    """Locks of 2.1 give a marker, or one a group."""
    if isinstance(markers, dict):
        markers = cast("Table", markers).get("main")
    return f" ; {markers}" if markers else ""


def _named(line: str, name: str) -> bool:
    found = re.match(r"[A-Za-z0-9._-]+", line)
    return found is not None and _normal(found[0]) == _normal(name)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _table(table: Table, name: str) -> Table:
    value = table.get(name) if name else table
    return cast("Table", value) if isinstance(value, Mapping) else {}

"""The key of an environment: everything that decides what is in it, and nothing else."""

from __future__ import annotations

import hashlib
import json
import sysconfig
import tomllib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, cast

from previewdrop.domain.app import Dependencies
from previewdrop.drivers.process.interpreters import Interpreter

FORMAT = 2
"""Raised when environments are built differently, so that older ones are not used any more."""

_TABLES = ("build-system", "dependency-groups")
_PROJECT = ("name", "dependencies", "optional-dependencies", "requires-python", "dynamic")
_TOOLS = ("uv", "poetry", "setuptools", "hatch", "pdm")
_UNIMPORTANT = ("version", "description", "authors", "readme", "scripts", "urls", "keywords")


def environment_key(
    dependencies: Dependencies,
    contents: Mapping[str, bytes],
    interpreter: Interpreter,
    project: str,
    secrets: tuple[str, ...] = (),
) -> str:
    """Sixteen hexadecimal digits. `contents` are those of the dependencies' files, by name.

    An environment belongs to one project, so a project can spoil only its own. `secrets` are the
    names of the variables that private indexes need.
    """
    facts = {
        "format": FORMAT,
        "project": project,
        "secrets": sorted(secrets),
        "lock": dependencies.lock.value,
        "folder": dependencies.folder,
        "package": dependencies.package,
        "requirements": dependencies.requirements,
        "extras": dependencies.extras,
        "groups": dependencies.groups,
        "python": [interpreter.text, interpreter.path],
        "platform": [sysconfig.get_platform(), *_libc()],
        "files": [[name, _digest(name, contents[name])] for name in sorted(contents)],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def deciding(pyproject: Mapping[str, Any]) -> dict[str, Any]:
    """What of a pyproject.toml decides about dependencies: not its version, scripts or linters."""
    project = cast("dict[str, Any]", pyproject.get("project") or {})
    tools = cast("dict[str, Any]", pyproject.get("tool") or {})
    kept: dict[str, Any] = {name: pyproject[name] for name in _TABLES if name in pyproject}
    kept["project"] = {name: project[name] for name in _PROJECT if name in project}
    kept["tool"] = {
        name: {
            key: value
            for key, value in cast("dict[str, Any]", tools[name]).items()
            if key not in _UNIMPORTANT
        }
        for name in _TOOLS
        if isinstance(tools.get(name), dict)
    }
    return kept


def _digest(name: str, content: bytes) -> str:
    if PurePosixPath(name).name == "pyproject.toml":
        try:
            kept = deciding(tomllib.loads(content.decode()))
        except ValueError:
            return hashlib.sha256(content).hexdigest()
        content = json.dumps(kept, sort_keys=True, default=str).encode()
    return hashlib.sha256(content).hexdigest()


def _libc() -> tuple[str, str]:
    import platform

    return platform.libc_ver()

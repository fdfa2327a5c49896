"""Locks of test repositories, made when they are needed: they name the index that was asked."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tomllib
from pathlib import Path

from uv import find_uv_bin

from repositories import Files

_POETRY_READS = ("dependencies", "source", "extras", "dev-dependencies")


def uv_lock(folder: Path, files: Files) -> Files:
    """The files and their uv.lock, made in an empty folder."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(
            content.encode() if isinstance(content, str) else content or b""
        )
    subprocess.run((find_uv_bin(), "lock", "--quiet"), cwd=folder, check=True)
    return {**files, "uv.lock": (folder / "uv.lock").read_bytes()}


def poetry_lock(folder: Path, files: Files) -> Files:
    """The files and what Poetry would lock; exact versions only, and `[tool.poetry]` only.

    Poetry asks PyPI and the project's own indexes, never the machine's, so uv is asked instead.
    https://github.com/python-poetry/poetry/blob/2.1.0/src/poetry/packages/locker.py
    """
    tables = tomllib.loads(str(files["pyproject.toml"]))["tool"]["poetry"]
    wanted = dict(tables["dependencies"])
    python = wanted.pop("python")
    listed = json.dumps([f"{name}=={version}" for name, version in wanted.items()])
    project = (
        f'[project]\nname = "{tables["name"]}"\nversion = "1"\nrequires-python = "{python}"\n'
        f"dependencies = {listed}\n"
    )
    locked = uv_lock(folder, {"pyproject.toml": project})["uv.lock"]
    assert isinstance(locked, bytes)
    packages = ""
    for package in tomllib.loads(locked.decode())["package"]:
        wheels = "".join(
            f'  {{file = "{wheel["url"].rpartition("/")[2]}", hash = "{wheel["hash"]}"}},\n'
            for wheel in package.get("wheels", ())
        )
        if wheels:
            packages += (
                f'[[package]]\nname = "{package["name"]}"\nversion = "{package["version"]}"\n'
                f'description = ""\noptional = false\npython-versions = "{python}"\n'
                f'groups = ["main"]\nfiles = [\n{wheels}]\n\n'
            )
    decisive = json.dumps({key: tables.get(key) for key in _POETRY_READS}, sort_keys=True)
    digest = hashlib.sha256(decisive.encode()).hexdigest()
    metadata = f'lock-version = "2.1"\npython-versions = "{python}"\ncontent-hash = "{digest}"\n'
    return {**files, "poetry.lock": f"{packages}[metadata]\n{metadata}"}

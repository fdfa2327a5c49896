"""setup.cfg: the declarative form of setuptools from before pyproject.toml."""

from __future__ import annotations

import configparser
from dataclasses import dataclass

from previewdrop.domain.app import Dependencies, Lock
from previewdrop.source.detect.listed import Listed
from previewdrop.source.detect.requirements import parse_requirements
from previewdrop.source.detect.tree import Tree, join


@dataclass(frozen=True, slots=True)
class Metadata:
    """What [metadata] and [options] say about the project."""

    name: str | None
    version: str | None
    scripts: dict[str, str]


def read_setup_cfg(tree: Tree, folder: str) -> Listed | None:
    """The dependencies that setup.cfg lists, None if it lists none."""
    path = join(folder, "setup.cfg")
    document = _read(tree, path)
    if document is None:
        return None
    names = _names(document.get("options", "install_requires", fallback=""))
    extras: tuple[str, ...] = ()
    if "fastapi" not in names and document.has_section("options.extras_require"):
        for extra, value in document.items("options.extras_require"):
            if "fastapi" in _names(value):
                extras, names = (extra,), names | _names(value)
                break
    if not names:
        return None
    setup = join(folder, "setup.py")
    dependencies = Dependencies(
        lock=Lock.SETUP_CFG,
        files=(path, setup) if tree.has(setup) else (path,),
        folder=folder,
        extras=extras,
        requires_python=document.get("options", "python_requires", fallback=None),
    )
    warning = f"{path} does not pin versions and there is no lock file: builds may differ."
    return Listed(path, names, dependencies, (warning,))


def read_metadata(tree: Tree, folder: str) -> Metadata | None:
    """The project as setup.cfg describes it; versions that have to be computed are left out."""
    document = _read(tree, join(folder, "setup.cfg"))
    if document is None:
        return None
    version = document.get("metadata", "version", fallback=None)
    lines = document.get("options.entry_points", "console_scripts", fallback="").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line)
    return Metadata(
        name=document.get("metadata", "name", fallback=None),
        version=None if version and ":" in version else version,
        scripts={name.strip(): target.strip() for name, _, target in pairs},
    )


def _read(tree: Tree, path: str) -> configparser.ConfigParser | None:
    text = tree.text(path)
    if text is None:
        return None
    document = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        document.read_string(text)
    except configparser.Error:
        # Linters keep their settings here too; a file that only they can read names nothing.
        return None
    return document


def _names(text: str | None) -> frozenset[str]:
    found = parse_requirements(text or "").requirements
    return frozenset(item.name for item in found if item.name)

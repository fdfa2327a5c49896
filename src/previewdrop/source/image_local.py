"""Projects of the repository that an image needs, described without building them if possible."""

from __future__ import annotations

import configparser
from collections.abc import Iterable
from dataclasses import replace

from previewdrop.domain import poetry
from previewdrop.domain.app import AppFacts
from previewdrop.domain.dockerfile_install import Install
from previewdrop.source.detect import toml
from previewdrop.source.detect.tree import Tree, join, within


def described_by(tree: Tree, folder: str, install: Install) -> Install | None:
    """With what a project of the repository asks for; None when only its build can tell."""
    path = join(folder, "pyproject.toml")
    document = toml.read(tree, path) or {}
    project = toml.table(document, "project")
    if "project" in document and "dependencies" not in toml.strings(project.get("dynamic")):
        files = tuple(dict.fromkeys((*install.files, path)))
        return replace(install, files=files, requirements=(*install.requirements, path))
    if toml.table(document, "tool", "poetry"):
        lines = poetry.requirements(document, pinned=False)
    else:
        lines = setup_cfg(tree, folder, ())
        path = join(folder, "setup.cfg")
    if lines is None:
        return None
    listed = (*install.listed, *lines)
    return replace(install, listed=listed, origin=install.origin or path)


def built_from(install: Install, folder: str, facts: AppFacts, *, named: bool = True) -> Install:
    """With a folder that is installed by its own build; `named` unless requirements name it."""
    built = (*install.built, folder) if named else install.built
    if within(facts.root, folder):
        return replace(install, built=built, whole=True)
    return replace(install, built=built, files=(*install.files, f"{folder}/"))


def setup_cfg(tree: Tree, folder: str, extras: Iterable[str]) -> list[str] | None:
    """What setup.cfg asks for; None where it has none or points elsewhere."""
    document = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        document.read_string(tree.text(join(folder, "setup.cfg")) or "")
    except configparser.Error:
        return None
    texts = [document.get("options", "install_requires", fallback=None)]
    texts += [document.get("options.extras_require", extra, fallback=None) for extra in extras]
    if any(text is None or text.strip().startswith("file:") for text in texts):
        return None
    return [line.strip() for text in texts for line in (text or "").splitlines() if line.strip()]

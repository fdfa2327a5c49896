"""The Python version a repository asks for."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from previewdrop.domain.app import Dependencies
from previewdrop.source.detect.dockerfile import Image
from previewdrop.source.detect.tree import Tree, join, parents

_VERSION = re.compile(r"(?:cpython-?|python-?)?@?(3\.\d+(?:\.\d+)?)")


def wanted_python(
    tree: Tree, root: str, dependencies: Dependencies, images: Iterable[Image]
) -> str | None:
    """The most exact version that the repository names.

    In this order: `.python-version` (the folder's, then those above), `runtime.txt`, the base
    image of the Dockerfile, Pipfile, and at last the specifier of the project's metadata.
    """
    for folder in parents(root):
        if version := _first(tree.text(join(folder, ".python-version"))):
            return version
    for folder in parents(root):
        if version := _first(tree.text(join(folder, "runtime.txt"))):
            return version
    exact = next((image.python for image in images if image.python), None)
    return exact or dependencies.python or dependencies.requires_python


def newer_than_this(python: str | None, requires: str | None) -> bool:
    """Whether the repository is written for a Python that knows more syntax than this one."""
    lowest = re.search(r"(?:>=?|~=|==)\s*3\.(\d+)", requires or "")
    exact = re.match(r"3\.(\d+)", python or "")
    minors = [int(match[1]) for match in (lowest, exact) if match]
    return any(minor > sys.version_info.minor for minor in minors)


def _first(text: str | None) -> str | None:
    for line in (text or "").splitlines():
        if match := _VERSION.fullmatch(line.split("#")[0].strip()):
            return match[1]
    return None

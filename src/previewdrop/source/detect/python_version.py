"""The Python version a repository asks for."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import replace

from previewdrop.domain.app import Dependencies
from previewdrop.source.detect.dockerfile import Image
from previewdrop.source.detect.tree import Tree, join, parents

_VERSION = re.compile(r"(?:cpython-?|python-?)?@?(3\.\d+(?:\.\d+)?)")


def with_python(
    tree: Tree, root: str, dependencies: Dependencies, images: Iterable[Image]
) -> Dependencies:
    """The dependencies with the version of Python that the repository names.

    In this order: `.python-version` (the folder's, then those above), `runtime.txt`, Pipfile, the
    specifier of the project's metadata. A Dockerfile's base image only says what the team uses
    there, so it is noted as a wish.
    """
    named = _named(tree, root, ".python-version") or _named(tree, root, "runtime.txt")
    return replace(
        dependencies,
        python=named or dependencies.python or dependencies.requires_python,
        image_python=next((image.python for image in images if image.python), None),
    )


def newer_than_this(dependencies: Dependencies) -> bool:
    """Whether the repository is written for a Python that knows more syntax than this one."""
    lowest = re.search(r"(?:>=?|~=|==)\s*3\.(\d+)", dependencies.requires_python or "")
    named = (dependencies.python, dependencies.image_python)
    exact = (re.match(r"3\.(\d+)", text or "") for text in named)
    minors = [int(match[1]) for match in (lowest, *exact) if match]
    return any(minor > sys.version_info.minor for minor in minors)


def _named(tree: Tree, root: str, name: str) -> str | None:
    """The first version in the nearest file of that name."""
    for folder in parents(root):
        for line in (tree.text(join(folder, name)) or "").splitlines():
            if match := _VERSION.fullmatch(line.split("#")[0].strip()):
                return match[1]
    return None

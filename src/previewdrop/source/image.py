"""The image of a repository that has no Dockerfile, from what detection and its files say."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from previewdrop.domain.app import AppFacts, Lock
from previewdrop.domain.dockerfile import Distribution, Generated, ImagePlan, dockerfile
from previewdrop.domain.dockerfile_install import Install
from previewdrop.domain.dockerfile_lines import Runner
from previewdrop.domain.python_version import image_python
from previewdrop.source.detect import toml
from previewdrop.source.detect.tree import Tree, inside, join, within
from previewdrop.source.image_install import project_file, read_install


def generated(
    top: Path,
    facts: AppFacts,
    *,
    python: str | None,
    secrets: Collection[str] = (),
    cache: str = "",
) -> Generated:
    """The Dockerfile for the repository exported to `top`, by reading its files and running none.

    `python` is the version or specifier that the project's settings ask for. `secrets` are names
    of variables that package indexes need: each RUN that installs sees those that the build is
    given as BuildKit secrets of the same ids, and no layer keeps them. Builds with the same
    `cache` share what they download; the default is shared by all of the machine.

    StageFailed when a file that decides cannot be read, BadName for a secret that is no variable.
    """
    tree = Tree(top, keep=facts.root)
    install = read_install(tree, facts)
    context = facts.root if _enough(tree, facts, install) else ""
    wanted = facts.dependencies
    plan = ImagePlan(
        python=image_python(python or wanted.python, wanted.image_python),
        app=facts.app,
        install=_below(install, context),
        root=_relative(facts.root, context),
        import_path=tuple(_relative(path, context) for path in facts.import_path),
        command=facts.command,
        distribution=_distribution(tree, facts),
    )
    runner = Runner(tuple(dict.fromkeys(secrets)), cache)
    return Generated(dockerfile(plan, runner), context)


def _enough(tree: Tree, facts: AppFacts, install: Install) -> bool:
    """Whether the app's folder holds all that it needs."""
    migrations = facts.migrations
    paths = [
        install.folder,
        *install.files,
        *install.requirements,
        *install.built,
        *facts.import_path,
        *((migrations.config, migrations.folder) if migrations else ()),
        *(join(facts.root, part) for part in facts.command or () if part.startswith("../")),
        *_linked(tree, facts.root),
    ]
    return all(within(path.rstrip("/"), facts.root) for path in paths)


def _linked(tree: Tree, folder: str) -> Iterator[str]:
    """Where symbolic links below a folder lead, as far as that is in the repository."""
    for below in tree.folders if folder else ():
        if within(below, folder):
            links = (entry for entry in os.scandir(tree.top / below) if entry.is_symlink())
            for link in links:
                path = os.path.relpath(os.path.realpath(link.path), tree.top)
                if inside(path):
                    yield path


def _below(install: Install, context: str) -> Install:
    """The same with paths relative to the context."""

    def moved(paths: Iterable[str]) -> tuple[str, ...]:
        return tuple(_relative(path, context) for path in paths)

    return replace(
        install,
        folder=_relative(install.folder, context),
        files=tuple(dict.fromkeys(moved(install.files))),
        requirements=tuple(dict.fromkeys(moved(install.requirements))),
        local={_relative(path, context): lines for path, lines in install.local.items()},
        archives=moved(install.archives),
        origin=_relative(install.origin, context) if install.origin else "",
        built=moved(install.built),
    )


def _relative(path: str, context: str) -> str:
    folder = "/" if path.endswith("/") else ""
    relative = posixpath.relpath(path or ".", context or ".")
    return "" if relative == "." else relative + folder


def _distribution(tree: Tree, facts: AppFacts) -> Distribution | None:
    """How the project looks when it is installed, if anything installs it."""
    path = project_file(facts)
    document = (toml.read(tree, path) if path else None) or {}
    poetry = toml.table(document, "tool", "poetry")
    package = (
        facts.dependencies.lock is Lock.SETUP_CFG
        or "build-system" in document
        or toml.table(document, "tool", "uv").get("package") is True
        or (bool(poetry) and poetry.get("package-mode") is not False)
    )
    if not facts.project_name or not (package or facts.scripts):
        return None
    return Distribution(facts.project_name, facts.project_version or "", dict(facts.scripts))

"""The example's repository with a Dockerfile whose steps nobody has run yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from benchmarks.docker_engine import Engine
from benchmarks.repository import Repository


def word() -> str:
    """A name that no other run has."""
    return f"bench{uuid4().hex[:8]}"


@contextmanager
def salts() -> Generator[Callable[[], str]]:
    """Names for `unbuilt`; what was built with one is taken out of the build cache afterwards."""
    given: list[str] = []

    def salt() -> str:
        given.append(word())
        return given[-1]

    try:
        yield salt
    finally:
        Engine().prune(given)


def named(path: Path, name: str) -> Repository:
    """A repository of the example that differs from all others by a name in its code.

    What is built of it is not what somebody else has built already.
    """
    repository = Repository(path)
    with (path / "app" / "main.py").open("a") as file:
        file.write(f'\nNAME = "{name}"\n')
    repository.change()
    return repository


def unbuilt(path: Path, salt: str) -> Repository:
    """A repository of the example, of whose image nothing is in any cache but the base image.

    Every RUN ends in a comment, `# salt`, which makes it another step, and its cache of packages
    is another one too.
    """
    repository = named(path, salt)
    dockerfile = path / "Dockerfile"
    text = dockerfile.read_text().replace("type=cache,", f"type=cache,id={salt},")
    dockerfile.write_text(re.sub(r"(?m)^(RUN .*)$", rf"\1 # {salt}", text))
    repository.change()
    return repository

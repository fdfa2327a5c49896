"""The story that the demo tells: who works on which branch, and what each of them changes."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from previewdrop.domain.errors import NotFound

FOUR_ENGINEERS = "four-engineers"

_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Change:
    """One commit of the story: `files` is a folder that is laid over what the branch has."""

    branch: str
    author: str
    email: str
    message: str
    tell: str
    files: Path


@dataclass(frozen=True, slots=True)
class Story:
    """`main` is the example itself, `branches` start at it, `pushes` come later to a branch."""

    title: str
    main: Change
    branches: tuple[Change, ...]
    pushes: tuple[Change, ...]

    @property
    def example(self) -> str:
        """The example's name, as its folder has it."""
        return self.main.files.name


def load_story(name: str = FOUR_ENGINEERS, examples: Path | None = None) -> Story:
    """A story of those that come with PreviewDrop; NotFound if the installation lacks it."""
    examples = examples or find_examples()
    folder = examples / "stories" / name
    told = tomllib.loads((folder / "story.toml").read_text())
    return Story(
        title=told["title"],
        main=_change({"name": "main", "tell": "", **told["main"]}, examples / told["example"]),
        branches=tuple(_change(each, folder / each["name"]) for each in told["branch"]),
        pushes=tuple(
            _change({"name": each["branch"], **each}, folder / "pushes" / each["branch"])
            for each in told.get("push", ())
        ),
    )


def find_examples() -> Path:
    """The folder of the examples: in the installed package, or at the top of a checkout."""
    for folder in (_PACKAGE / "examples", _PACKAGE.parents[1] / "examples"):
        if (folder / "stories" / FOUR_ENGINEERS / "story.toml").is_file():
            return folder
    raise NotFound(
        "The example that the demo deploys is not part of this installation.",
        "Install PreviewDrop again.",
    )


def _change(told: dict[str, Any], files: Path) -> Change:
    return Change(
        branch=told["name"],
        author=told["author"],
        email=told["email"],
        message=told["message"],
        tell=told["tell"],
        files=files,
    )

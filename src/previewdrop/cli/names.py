"""Which preview the user means: a full name, a slug or a branch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from previewdrop.cli.errors import WrongUsage
from previewdrop.cli.repository import Repository
from previewdrop.cli.views import Preview, Project
from previewdrop.domain.errors import NotFound


def named(name: str, previews: Sequence[Preview]) -> Preview:
    """The preview called `name`: `project/slug`, or a slug, branch or #number that only one has.

    NotFound names the nearest ones; WrongUsage lists them if there are several.
    """
    for preview in previews:
        if preview["name"] == name:
            return preview
    found = [preview for preview in previews if name in _short_names(preview)]
    if len(found) == 1:
        return found[0]
    if found:
        raise WrongUsage(f"{name!r} can be {_listed([each['name'] for each in found])}.")
    if not previews:
        raise NotFound(
            f"There is no preview {name!r}: there are none at all.", "Deploy with `previewdrop up`."
        )
    near = nearest(name, previews)
    hint = f"Did you mean {_listed(near)}?" if near else "`previewdrop list` lists them."
    raise NotFound(f"There is no preview {name!r}.", hint)


def here(
    repository: Repository, projects: Sequence[Project], previews: Sequence[Preview]
) -> Preview:
    """The one preview of the current folder's repository and branch; WrongUsage otherwise."""
    names = {each["name"] for each in projects if each["source"] == repository.source}
    found = [
        preview
        for preview in previews
        if preview["project"] in names and preview["branch"] == repository.branch
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise WrongUsage(
            f"The branch {repository.branch} has {len(found)} previews.",
            f"Say which: {_listed([each['name'] for each in found])}.",
        )
    raise WrongUsage(
        f"The branch {repository.branch or 'here'} has no preview.",
        "Say which preview by its NAME; `previewdrop list` lists them.",
    )


def nearest(name: str, previews: Sequence[Preview]) -> list[str]:
    """Full names of the previews whose names look like `name`, best first, three at most."""
    owner = {short: preview["name"] for preview in previews for short in _all_names(preview)}
    close = difflib.get_close_matches(name, list(owner), n=6, cutoff=0.5)
    return list(dict.fromkeys(owner[short] for short in close))[:3]


def _short_names(preview: Preview) -> set[str]:
    slug = preview["name"].partition("/")[2]
    short = {slug, preview["branch"], f"{preview['project']}/{preview['branch']}"}
    if preview["number"] is not None:
        short |= {f"#{preview['number']}", str(preview["number"])}
    return short


def _all_names(preview: Preview) -> set[str]:
    return _short_names(preview) | {preview["name"]}


def _listed(names: Sequence[str]) -> str:
    return " or ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} or {names[-1]}"

"""The image that a commit is built into: by its own Dockerfile, or by one made for it."""

from __future__ import annotations

from pathlib import Path

from previewdrop.domain.errors import BadConfig
from previewdrop.drivers.base import ImageSpec
from previewdrop.pipeline.deploying import Detected
from previewdrop.source.image import generated

_SECRETS = ("UV_", "PIP_")
"""Variables of the project that a generated Dockerfile gives to installers."""


def image_spec(folder: Path, found: Detected, project: str) -> ImageSpec:
    """What to build of the commit in `folder`. BadConfig when a Dockerfile that is set is missing.

    The context is the Dockerfile's own folder unless it is set. Generated builds share what they
    download with those of the same `project`.
    """
    build = found.config.build
    dockerfile = build.dockerfile or found.facts.dockerfile
    if dockerfile is None:
        names = [name for name, _ in found.recipe.values if name.startswith(_SECRETS)]
        python = found.config.python or found.facts.dependencies.python
        made = generated(folder, found.facts, python=python, secrets=names, cache=project)
        return ImageSpec("", made.context, generated=made.text, ignore=made.ignore)
    if not (folder / dockerfile).is_file():
        raise BadConfig(
            f"There is no {dockerfile} in the commit.",
            "Correct `dockerfile` under [build] in previewdrop.toml, from the repository's top.",
        )
    context = dockerfile.rpartition("/")[0] if build.context is None else build.context
    return ImageSpec(dockerfile, context, build.target, tuple(build.args.items()))

"""build: the environment or image that the app runs in, made once for the same content."""

from __future__ import annotations

import asyncio

from previewdrop.domain.preview import StageName
from previewdrop.domain.spec import DOCKER
from previewdrop.drivers.base import Artifact, BuildSpec
from previewdrop.pipeline.deploying import Deploying, Detected
from previewdrop.pipeline.image import image_spec
from previewdrop.pipeline.patience import patiently


async def build(work: Deploying, found: Detected) -> Artifact:
    """What the builder made, or found made already."""
    builder = work.shop.drivers.builder
    async with work.journal.stage(StageName.BUILD) as stage:
        spec = await asyncio.to_thread(_spec, work, found)
        artifact = await patiently(lambda: builder.ensure(spec, stage.log), stage.log)
        stage.cached, stage.note = artifact.cached, artifact.note
        return artifact


def _spec(work: Deploying, found: Detected) -> BuildSpec:
    project = work.row.project.name
    image = image_spec(work.folder, found, project) if found.runtime == DOCKER else None
    return BuildSpec(
        source=work.folder,
        project=project,
        facts=found.facts,
        python=found.config.python or found.facts.dependencies.python,
        timeout=work.shop.settings.build_timeout,
        secrets=found.recipe.values if image else found.recipe.build_secrets,
        image=image,
        trusted=work.row.preview.secrets,
    )

"""Builds images with the Engine's BuildKit, once for the same content."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from previewdrop.domain.errors import StageFailed
from previewdrop.domain.secret import Redactor, Secret
from previewdrop.domain.spec import DOCKER, MIB
from previewdrop.drivers.base import Artifact, BuildSpec, ImageSpec, LogLine
from previewdrop.drivers.docker import labels
from previewdrop.drivers.docker.buildkit.build import Order, build
from previewdrop.drivers.docker.buildkit.limits import Bounds
from previewdrop.drivers.docker.buildkit.logins import Logins
from previewdrop.drivers.docker.commands import Json
from previewdrop.drivers.docker.context.survey import Context, survey
from previewdrop.drivers.docker.engine import Engine, Refused
from previewdrop.drivers.docker.image import exposed_port, image_key, repository

GENERATED = "Dockerfile.previewdrop"
"""The name of a generated Dockerfile in the context."""

_NO_LOGINS = Path("/nonexistent/config.json")
_PROXIES = ("ALL_PROXY", "FTP_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
"""Arguments that every Dockerfile has; an image keeps those that it declares itself."""

_INDEXES = ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX")


@dataclass(frozen=True, slots=True)
class Room:
    """What building may take, in bytes, and each step of a build."""

    context: int = 1024 * MIB
    images: int = 10240 * MIB
    cache: int = 10240 * MIB
    bounds: Bounds = field(default_factory=Bounds)


class DockerBuilder:
    """Images named by what decides their content; those of a project are shared within it."""

    def __init__(self, engine: Engine, installation: str, room: Room) -> None:
        self._engine = engine
        self._installation = installation
        self._room = room
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def ensure(self, spec: BuildSpec, log: LogLine) -> Artifact:
        """See `Builder.ensure`. The handle has `key`, `image` (its id) and `port`, if it says."""
        image = spec.image
        if image is None:
            raise ValueError("An image is built from an ImageSpec.")
        context = await asyncio.to_thread(self._survey, spec, image)
        for note in context.notes:
            log(note)
        secrets = {**_machine(_INDEXES), **dict(spec.secrets)} if spec.trusted else {}
        key = image_key(context.digest, image, context.dockerfile, secrets)
        tag = f"{repository(self._installation, spec.project or 'shared')}:{key}"
        note = f"image {key[:4]} reused"
        async with self._lock(tag):
            found: Json | None = await self._engine.get(f"/images/{tag}/json")
            cached = found is not None
            if found is None:
                log(f"sending {context.files} files, {_size(context.bytes)}")
                order = self._order(spec, image, context, tag, key, secrets)
                redact = Redactor(_machine(_PROXIES).values())
                built = await build(
                    self._engine,
                    order,
                    _chunks(context.pack()),
                    lambda line: log(redact(line)),
                    Logins() if spec.trusted else Logins(_NO_LOGINS),
                )
                found = await self._engine.get(f"/images/{built.image}/json")
                steps = built.executed + built.cached
                note = f"image {key[:4]} built, {built.executed} of {steps} steps"
        if found is None:
            raise StageFailed("The image that was built is gone already.", "Redeploy.")
        await self._check_platform(found)
        log(note)
        handle: dict[str, object] = {
            "runtime": DOCKER,
            "key": key,
            "image": found["Id"],
            "port": exposed_port(found["Config"]),
        }
        return Artifact(handle, cached=cached, note=note)

    async def discard(self, keys: Collection[str]) -> None:
        """See `Builder.discard`: an image is one commit's. The build cache keeps its layers."""
        for image in await self._images() if keys else ():
            if image["Labels"].get(labels.KEY) in keys:
                await self._remove(image)

    async def sweep(self, in_use: Collection[str]) -> list[str]:
        """See `Builder.sweep`: the oldest images go first, then the Engine's spare build cache."""
        found = await self._images()
        spare = [one for one in found if one["Labels"].get(labels.KEY) not in in_use]
        removed: list[str] = []
        kept = 0
        for image in sorted(spare, key=lambda one: one["Created"], reverse=True):
            kept += image["Size"]
            if kept > self._room.images and await self._remove(image):
                removed.append(str(image["Labels"].get(labels.KEY)))
        prune = {"keep-storage": self._room.cache, "all": True}
        await self._engine.post("/build/prune", query=prune, timeout=300)
        return removed

    async def _images(self) -> list[Json]:
        filters = labels.selecting(self._installation)
        return await self._engine.get("/images/json", {"filters": filters})

    async def _remove(self, image: Json) -> bool:
        """Takes our names away, and with its last one the image; False when it is still used.

        Images that others made of ours have our labels, but not our names.
        """
        ours = repository(self._installation, "")
        names: list[str] = [name for name in image["RepoTags"] or () if name.startswith(ours)]
        try:
            for name in names:
                await self._engine.delete(f"/images/{name}")
        except Refused:
            return False
        return bool(names)

    def _survey(self, spec: BuildSpec, image: ImageSpec) -> Context:
        folder = spec.source / image.context
        if image.generated is None:
            inside = os.path.relpath(image.dockerfile, image.context or ".")
            return survey(folder, inside, self._room.context, top=spec.source)
        extra = {GENERATED: image.generated.encode()}
        return survey(
            folder, GENERATED, self._room.context, extra, top=spec.source, ignore=image.ignore
        )

    def _order(
        self,
        spec: BuildSpec,
        image: ImageSpec,
        context: Context,
        tag: str,
        key: str,
        secrets: Mapping[str, Secret],
    ) -> Order:
        proxies = {
            name: value.reveal()
            for name, value in _machine(_PROXIES).items()
            if spec.trusted or "@" not in value.reveal()
        }
        return Order(
            tags=(tag,),
            dockerfile=context.dockerfile,
            target=image.target,
            args=proxies | dict(image.args),
            labels={
                labels.INSTALLATION: self._installation,
                labels.PROJECT: spec.project,
                labels.KEY: key,
            },
            secrets=secrets,
            bounds=self._room.bounds,
            timeout=spec.timeout,
        )

    async def _check_platform(self, image: Json) -> None:
        ours, its = await self._engine.architecture(), str(image["Architecture"])
        if ours != its:
            raise StageFailed(
                f"The image is made for {its} processors, and this server has {ours}.",
                "Drop --platform from the Dockerfile, or build for the server's platform.",
            )

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


def _machine(names: Collection[str]) -> dict[str, Secret]:
    """The machine's own settings of these names; they may hold logins."""
    return {name: Secret(value) for name in names if (value := os.environ.get(name))}


async def _chunks(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, each read beside the event loop."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _size(count: int) -> str:
    return f"{count / MIB:.1f} MiB" if count >= MIB else f"{-(-count // 1024)} KiB"

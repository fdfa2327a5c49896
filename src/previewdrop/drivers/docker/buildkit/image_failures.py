"""Why an image that a build begins from could not be had: not there, not allowed, not reached."""

from __future__ import annotations

import re
from dataclasses import dataclass

from previewdrop.domain.errors import PreviewDropError, StageFailed, Unavailable

_ASKED = re.compile(
    r"^(?:resolve image config for|\[internal\] load metadata for|(?:\[[^\]]*\] )?FROM)"
    r" (?:docker-image://)?(?P<image>\S+)"
)
_NAMED = re.compile(r"failed to resolve source metadata for (?P<image>\S+): ")
_FRONTEND = "resolve image config for "
_PASSES = re.compile(
    r"(?i)\bdial (?:tcp|udp)\b|no such host|connection (?:refused|reset)|i/o timeout|timed out"
    r"|handshake timeout|deadline exceeded|network is unreachable|unexpected EOF|: EOF$"
    r"|server misbehaving|\b5\d\d [A-Z]|temporary failure|failed to do request"
)
_LIMITED = re.compile(r"(?i)\b429\b|too ?many ?requests|rate limit")
_DENIED = re.compile(
    r"(?i)\b40[13] |unauthorized|forbidden|denied|insufficient_scope|failed to authorize"
)
_UNTRUSTED = re.compile(r"x509: .*|tls: (?!handshake timeout).*")
_OWN = re.compile(r"(?:code = Internal desc = |Internal: )(?P<ours>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Image:
    """An image that a build needs; `frontend` is what a Dockerfile's `# syntax=` line names."""

    name: str
    frontend: bool = False

    def __str__(self) -> str:
        return f"{self.name} (the Dockerfile's # syntax)" if self.frontend else self.name

    @property
    def registry(self) -> str:
        first, slash, _ = self.name.partition("/")
        named = slash and ("." in first or ":" in first or first == "localhost")
        return first if named else "Docker Hub"


def image_of(step: str, error: str) -> Image | None:
    """The image that a failed step asked for; None when it asked for none."""
    if match := _ASKED.match(step) or _NAMED.search(error):
        return Image(familiar(match["image"]), step.startswith(_FRONTEND))
    return None


def explain(image: Image, error: str) -> PreviewDropError:
    """The error for an image that the Engine did not get."""
    registry = image.registry
    if ours := _OWN.search(error):
        return StageFailed(f"{image} cannot be pulled: {ours['ours'].rstrip('.')}.")
    if match := _UNTRUSTED.search(error):
        return StageFailed(
            f"The Docker Engine does not trust {registry}, from which {image} comes: {match[0]}.",
            "Give the Engine the registry's certificate authority, under /etc/docker/certs.d.",
        )
    if _LIMITED.search(error):
        return Unavailable(
            f"{registry} lets this server pull no more for now, so {image} is missing.",
            f"It is tried again; `docker login` at {registry} as the user that runs PreviewDrop "
            "raises the limit.",
        )
    if passes(error):
        return Unavailable(
            f"{registry} did not answer when {image} was pulled.",
            "It is tried again; leave that line out if the Engine's own syntax is enough."
            if image.frontend
            else "It is tried again; check the server's network and the Engine's proxy.",
        )
    if "no match for platform" in error:
        return StageFailed(
            f"{image} does not exist for this server's platform.",
            "Choose an image that does, or leave out --platform.",
        )
    if _DENIED.search(error):
        return StageFailed(
            f"{registry} does not give {image}: it is private, or there is no such image.",
            f"Correct its name, or run `docker login` at {registry} as the user that runs "
            "PreviewDrop.",
        )
    if "not found" in error:
        return StageFailed(
            f"There is no image {image}.",
            "Correct the name or tag; if you mean a stage, name it with `FROM … AS`.",
        )
    return StageFailed(f"{image} cannot be pulled: {error.rstrip('.')}.")


def passes(error: str) -> bool:
    """Whether an error is trouble of the network or of a server, which passes by itself."""
    return _PASSES.search(error) is not None and not _UNTRUSTED.search(error)


def familiar(image: str) -> str:
    """An image as people write it: python:3.12 for docker.io/library/python:3.12."""
    return image.removeprefix("docker.io/").removeprefix("library/").removesuffix(":latest")

"""Why an image that a build begins from could not be had: not there, not allowed, not reached."""

from __future__ import annotations

import re

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


def image_of(step: str, error: str) -> str | None:
    """`# syntax=` and the image for a Dockerfile's frontend, else the image; None for neither."""
    if match := _ASKED.match(step) or _NAMED.search(error):
        image = familiar(match["image"])
        return f"# syntax={image}" if step.startswith(_FRONTEND) else image
    return None


def explain(image: str, error: str) -> PreviewDropError:
    """The error for an image that the Engine did not get."""
    registry = _registry(image)
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
            "It is tried again; check the server's network and the Engine's proxy.",
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


def _registry(image: str) -> str:
    first, slash, _ = image.removeprefix("# syntax=").partition("/")
    return (
        first if slash and ("." in first or ":" in first or first == "localhost") else "Docker Hub"
    )

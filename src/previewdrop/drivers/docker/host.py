"""Whether an Engine can run previews at all, asked before anything is started on it."""

from __future__ import annotations

from previewdrop.domain.errors import BadConfig, ServerError, Unavailable
from previewdrop.drivers.docker.commands import Json
from previewdrop.drivers.docker.engine import Engine

_PROCESS = "Or set PREVIEWDROP_RUNTIME=process."


async def check(engine: Engine, oci_runtime: str | None) -> None:
    """ServerError or BadConfig with a sentence when it cannot."""
    try:
        await engine.version()
        info: Json = await engine.get("/info")
    except Unavailable as error:
        raise ServerError(
            f"No Docker Engine answers at {engine.socket}.",
            f"Start it, `sudo systemctl start docker`, or install Docker. {_PROCESS}",
        ) from error
    if info.get("OSType") != "linux":
        raise ServerError("The Docker Engine runs no Linux containers.", _PROCESS)
    options: list[str] = info.get("SecurityOptions") or []
    if any("rootless" in option for option in options):
        raise ServerError(
            "The Docker Engine is rootless: its containers are on a network that the edge of "
            "this machine does not reach.",
            f"Use the Engine of the system. {_PROCESS}",
        )
    runtimes: list[str] = sorted(info.get("Runtimes") or {})
    if oci_runtime and oci_runtime not in runtimes:
        raise BadConfig(
            f"PREVIEWDROP_OCI_RUNTIME is {oci_runtime}, which the Docker Engine does not have.",
            f"It has {', '.join(runtimes)}; others are added in /etc/docker/daemon.json.",
        )

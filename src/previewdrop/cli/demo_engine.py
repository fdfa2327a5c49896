"""What PreviewDrop has on this machine's Docker Engine, read from its API and never changed.

https://docs.docker.com/reference/api/engine/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from previewdrop.config.settings import load_settings
from previewdrop.domain.errors import BadConfig, Unavailable

_LABEL = "previewdrop."
_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class Container:
    """One container. `preview` is None for a data service; `addresses` are by network."""

    name: str
    role: str
    preview: str | None
    running: bool
    image: str
    addresses: Mapping[str, str]


class Engine:
    """Everything on the Engine that carries an installation's label; Unavailable without it."""

    def __init__(self, installation: str, transport: httpx2.BaseTransport | None = None) -> None:
        self.installation = installation
        self._where = load_settings().docker_host
        self._client = httpx2.Client(
            transport=transport or httpx2.HTTPTransport(uds=_socket(self._where)),
            base_url="http://docker",
            timeout=_TIMEOUT,
        )

    def check(self) -> None:
        """Unavailable unless an Engine answers."""
        self._get("/version")

    def containers(self) -> list[Container]:
        """Also those that have ended, by their names."""
        found = [_container(each) for each in self._ours("/containers/json", all="true")]
        return sorted(found, key=lambda each: each.name)

    def networks(self) -> dict[str, str]:
        """The previews' networks, each with its preview."""
        found = {each["Name"]: each["Labels"] for each in self._ours("/networks")}
        preview = f"{_LABEL}preview"
        return {name: found[name][preview] for name in sorted(found) if preview in found[name]}

    def images(self) -> list[str]:
        """By project and key: `shop:3f9a5b7c9d1e2f40`."""
        found = [tag for each in self._ours("/images/json") for tag in each["RepoTags"] or ()]
        return sorted(tag.partition("/")[2] for tag in found)

    def layers(self, image: str) -> list[str]:
        """The digests of an image's layers, from its base to what came last."""
        return self._get(f"/images/{image}/json")["RootFS"]["Layers"]

    def port(self, container: Container) -> int:
        """The port that the app in a web container was told to listen on."""
        environment: list[str] = self._get(f"/containers/{container.name}/json")["Config"]["Env"]
        return int(dict(each.split("=", 1) for each in environment)["PORT"])

    def _ours(self, path: str, **query: str) -> list[Any]:
        wanted = {"label": [f"{_LABEL}installation={self.installation}"]}
        return self._get(path, filters=json.dumps(wanted), **query)

    def _get(self, path: str, **query: str) -> Any:
        try:
            return self._client.get(path, params=query).raise_for_status().json()
        except httpx2.HTTPStatusError as error:
            raise Unavailable(
                f"The Docker Engine answered {error.response.status_code} for {path}."
            ) from error
        except httpx2.HTTPError as error:
            raise _no_engine(self._where, str(error)) from error


def _container(found: Any) -> Container:
    labels: Mapping[str, str] = found["Labels"]
    networks: dict[str, Any] = found["NetworkSettings"]["Networks"]
    return Container(
        name=found["Names"][0].removeprefix("/"),
        role=labels.get(f"{_LABEL}role", ""),
        preview=labels.get(f"{_LABEL}preview"),
        running=found["State"] == "running",
        image=found["ImageID"],
        addresses={name: each["IPAddress"] for name, each in networks.items()},
    )


def _socket(host: str) -> str:
    """The path of the Engine's socket; BadConfig for an Engine elsewhere, Unavailable for none."""
    parts = urlsplit(host)
    if parts.scheme != "unix" or not parts.path:
        raise BadConfig(
            f"The Docker Engine is at {host}, and the demo looks at one of this machine.",
            "Set PREVIEWDROP_DOCKER_HOST=unix:///var/run/docker.sock.",
        )
    if not Path(parts.path).is_socket():
        raise _no_engine(host, "there is no such socket")
    return parts.path


def _no_engine(where: str, why: str) -> Unavailable:
    return Unavailable(
        f"No Docker Engine answers at {where}: {why}.",
        "Start Docker, or leave out --runtime docker: processes need none.",
    )

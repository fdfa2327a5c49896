"""Valkey in a container: its configuration, its users, and how we get in over its socket."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from previewdrop.domain.errors import ServerError
from previewdrop.domain.secret import Secret
from previewdrop.drivers.docker.engine import Engine, Refused
from previewdrop.drivers.docker.service import archives
from previewdrop.drivers.docker.service import commands as service_commands
from previewdrop.drivers.docker.service.commands import CACHE, CONFIG, SOCKETS, Service
from previewdrop.services.valkey import config_text, default_user, with_default_user

PORT = 6379
SOCKET = "valkey.sock"
_USERS = "users.acl"
_CONNECT_TIMEOUT = 5


class ValkeyContainer:
    """A Program for ServiceContainer: the image `image`, its socket in `folder` of the host.

    `password` is the administrator's, mended at each start. `databases` is how many numbers
    there are.
    """

    name = "Valkey"
    role = CACHE
    setting = "PREVIEWDROP_REDIS_IMAGE"

    def __init__(self, image: str, folder: Path, password: Secret, databases: int) -> None:
        self.image = image
        self._socket = folder / SOCKET
        self._password = password
        self._databases = databases

    @property
    def admin_url(self) -> Secret:
        """The URL of the user `default`, who may do everything."""
        password = quote(self._password.reveal(), safe="")
        return Secret(f"unix://:{password}@{quote(str(self._socket))}?db=0")

    def reach(self) -> tuple[str, int]:
        """Host and port for previews, in each preview's own network."""
        return CACHE, PORT

    def major(self, image: Mapping[str, Any]) -> None:
        """Any version reads the data of those before."""

    def service(self, image: Mapping[str, Any]) -> Service:
        files = {"valkey.conf": server_config(self._databases)}
        return service_commands.cache(self.image, files)

    async def prepare(self, engine: Engine, container: str, service: Service) -> None:
        place = f"/containers/{container}/archive"
        tar = archives.folder_of(CONFIG.name, service.files, {})
        await engine.upload(place, tar, {"path": str(CONFIG.parent)})
        before = await _read(engine, place, f"{service.data}/{_USERS}")
        users = with_default_user(before, default_user(self._password))
        await engine.upload(place, archives.file_of(_USERS, users), {"path": service.data})

    async def answers(self) -> bool:
        client: Any = Valkey.from_url(
            self.admin_url.reveal(),
            socket_connect_timeout=_CONNECT_TIMEOUT,
            socket_timeout=_CONNECT_TIMEOUT,
        )
        try:
            return bool(await client.ping())
        except (ValkeyError, OSError) as error:
            if "invalid username-password" in str(error):
                raise ServerError("Valkey did not let us in.") from error
            return False
        finally:
            await client.aclose()


def server_config(databases: int) -> str:
    """valkey.conf: that of the embedded one, for a container."""
    tuned = config_text(PORT, databases, Path(SOCKETS / SOCKET))
    return f"{tuned}bind * -::*\nunixsocketperm 777\ndir /data\n"


async def _read(engine: Engine, place: str, path: str) -> str:
    """The text of a file in a container, empty when there is none."""
    try:
        async with engine.stream("GET", place, query={"path": path}) as answer:
            return archives.text_of(await answer.aread())
    except Refused as error:
        if error.answer != HTTPStatus.NOT_FOUND:
            raise
        return ""

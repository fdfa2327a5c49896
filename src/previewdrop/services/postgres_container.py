"""PostgreSQL in a container: its configuration, and how we get in over its socket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from previewdrop.domain.errors import ServerError
from previewdrop.domain.secret import Secret
from previewdrop.drivers.docker.engine import Engine
from previewdrop.drivers.docker.service import archives
from previewdrop.drivers.docker.service import commands as service_commands
from previewdrop.drivers.docker.service.commands import CONFIG, DATABASE, SOCKETS, Service
from previewdrop.services.container import LockedOut
from previewdrop.services.postgres import ADMIN, config_text

PORT = 5432
_CONNECT_TIMEOUT = 5
_SINCE = {"reserved_connections": 16, "io_method": 18}
"""Settings of ours that older versions do not know."""


class PostgresContainer:
    """A Program for ServiceContainer: the image `image`, its socket in `folder` of the host.

    `password` is the superuser's and is fixed when the data is made.
    """

    name = "PostgreSQL"
    role = DATABASE
    setting = "PREVIEWDROP_POSTGRES_IMAGE"

    def __init__(self, image: str, folder: Path, password: Secret) -> None:
        self.image = image
        self._folder = folder
        self._password = password

    @property
    def admin_url(self) -> Secret:
        """The superuser's URL of the database `postgres`, over the socket.

        Whoever answers there gets no password, but proof that we know it.
        """
        place = f"host={quote(str(self._folder), safe='')}&port={PORT}"
        return Secret(
            f"postgresql://{ADMIN}:{quote(self._password.reveal(), safe='')}@/postgres"
            f"?{place}&require_auth=scram-sha-256"
        )

    def reach(self) -> tuple[str, int]:
        """Host and port for previews, in each preview's own network."""
        return DATABASE, PORT

    def major(self, image: Mapping[str, Any]) -> int:
        """The image's PostgreSQL; ServerError for one that is not made of an official image."""
        major = service_commands.variable(image, "PG_MAJOR")
        if not major or not major.isdecimal():
            raise ServerError(
                f"The image {self.image} does not say which PostgreSQL it is.",
                f"Set {self.setting} to an official image such as postgres:18, or one made of it.",
            )
        return int(major)

    def service(self, image: Mapping[str, Any]) -> Service:
        major = self.major(image)
        files = {"postgresql.conf": server_config(major), "pg_hba.conf": hba_text()}
        return service_commands.database(self.image, major, files)

    async def prepare(self, engine: Engine, container: str, service: Service) -> None:
        tar = archives.folder_of(CONFIG.name, service.files, {"password": self._password})
        await engine.upload(f"/containers/{container}/archive", tar, {"path": str(CONFIG.parent)})

    async def answers(self) -> bool:
        try:
            async with await psycopg.AsyncConnection.connect(
                self.admin_url.reveal(), autocommit=True, connect_timeout=_CONNECT_TIMEOUT
            ) as connection:
                row = await (await connection.execute("SHOW listen_addresses")).fetchone()
                if not (row and row[0]):
                    # The image's entrypoint runs one for itself at first, and ends it again.
                    return False
                await connection.execute(CLOSE_DATABASES)
        except psycopg.Error as error:
            if "password authentication failed" not in str(error):
                return False
            raise LockedOut(
                "PostgreSQL did not let us in: the password is wrong.",
                "It was set when the volume was made; put back the key file of that time.",
            ) from error
        return True


CLOSE_DATABASES = sql.SQL("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
"""Keeps the previews' roles out of every database that is not theirs."""


def server_config(major: int) -> str:
    """postgresql.conf: that of the embedded one, for a container and a version."""
    tuned = [
        line
        for line in config_text(PORT, Path(SOCKETS)).splitlines()
        if _SINCE.get(line.partition(" ")[0], 0) <= major
    ]
    ours = (
        "listen_addresses = '*'",
        f"unix_socket_directories = '/var/run/postgresql, {SOCKETS}'",
        "unix_socket_permissions = 0777",  # in a folder that only we and the container enter
        f"hba_file = '{CONFIG / 'pg_hba.conf'}'",
    )
    return "\n".join((*tuned, *ours, ""))


def hba_text() -> str:
    """pg_hba.conf: passwords, and the superuser over the socket alone."""
    return (
        "local all all scram-sha-256\n"
        f"host all {ADMIN} all reject\n"
        "host all all all scram-sha-256\n"
    )

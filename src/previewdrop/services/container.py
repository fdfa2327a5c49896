"""Keeps the container of one data service right: adopted, made, made anew, started, stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from previewdrop.domain.errors import ServerError
from previewdrop.drivers.docker import labels
from previewdrop.drivers.docker.engine import Engine, Refused
from previewdrop.drivers.docker.service import commands as service_commands
from previewdrop.drivers.docker.service.commands import Service
from previewdrop.drivers.docker.service.pull import present
from previewdrop.drivers.docker.service.standing import (
    Inspected,
    StandingContainer,
    is_as,
    is_of,
    is_running,
    life_of,
)
from previewdrop.services.supervisor import ServiceState

_ADOPT_TIMEOUT = 10.0
_START_TIMEOUT = 60.0
_LOOK = 0.05
_LOG_TAIL = 5
_MOVED = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
"""The Engine's answers when somebody removes what we work with at the same time."""
_TRIES = 3

_log = logging.getLogger(__name__)


class LockedOut(ServerError):
    """A service refuses our password, and would do so after a new start too."""


class Program(Protocol):
    """What a container of ours runs. `setting` is the variable that names `image`."""

    name: str
    role: str
    setting: str
    image: str

    def major(self, image: Mapping[str, Any]) -> int | None:
        """The version that data belongs to, where data of one version is useless to another."""
        ...

    def service(self, image: Mapping[str, Any]) -> Service:
        """What to run, for the inspection of the image."""
        ...

    async def prepare(self, engine: Engine, container: str, service: Service) -> None:
        """Puts the service's files into a container that does not run."""
        ...

    async def answers(self) -> bool:
        """Whether it serves us and all is inside that must be; ServerError if it never will."""
        ...


class ServiceContainer:
    """The container of one Program. `state` and `error` (of the last failure) tell.

    `folder` is the host's folder of its socket, `network` makes sure of the network on which it
    stands. Docker starts it again when it ends; what Docker does not mend `ensure` does.
    """

    def __init__(
        self,
        engine: Engine,
        installation: str,
        program: Program,
        folder: Path,
        network: Callable[[], Awaitable[None]],
    ) -> None:
        self.program = program
        self.name = labels.name_of(installation, program.role)
        self.state = ServiceState.STOPPED
        self.error: str | None = None
        self._engine = engine
        self._installation = installation
        self._container = StandingContainer(engine, self.name)
        self._folder = folder
        self._network = network
        self._good: tuple[str, str] | None = None
        self._changing = asyncio.Lock()

    async def start(self) -> bool:
        """Adopts the container or makes it, and returns when it answers: True if it was made.

        ServerError when it cannot be; Unavailable when the Engine does not answer.
        """
        async with self._changing:
            return await self._told()

    async def ensure(self) -> bool:
        """`start`, but one short question when it runs on as it did when it last answered."""
        async with self._changing:
            found = await self._container.inspect()
            if self._good and found and is_running(found) and life_of(found) == self._good:
                return False
            return await self._told()

    async def stop(self) -> None:
        """Stops it, keeps its data, and keeps it down when the Engine is restarted."""
        async with self._changing:
            self._good = None
            await self._container.stop()
            self.state = ServiceState.STOPPED

    async def remove(self) -> None:
        """Removes container, volume and socket: all data of the service is gone."""
        async with self._changing:
            self._good = None
            await self._container.delete()
            self.state = ServiceState.STOPPED
            await self._engine.delete(f"/volumes/{self.name}")
            if self._folder.exists():
                self._clear_folder()
                self._folder.rmdir()

    async def _told(self) -> bool:
        self.state, self._good = ServiceState.STARTING, None
        try:
            made = await self._tried()
        except BaseException as error:
            self.state, self.error = ServiceState.WAITING, str(error) or type(error).__name__
            raise
        self.state, self.error = ServiceState.RUNNING, None
        return made

    async def _tried(self) -> bool:
        for left in reversed(range(_TRIES)):
            try:
                return await self._up()
            except Refused as error:
                if error.answer not in _MOVED or not left:
                    raise ServerError(
                        f"{self.program.name} cannot be started: {error.reason}."
                    ) from error
        raise AssertionError("unreachable")

    async def _up(self) -> bool:
        program, found = self.program, await self._container.inspect()
        if found and not is_of(found, self._installation):
            raise ServerError(
                f"There is a container {self.name} already that PreviewDrop did not make.",
                f"Rename it with `docker rename {self.name} …`.",
            )
        image = await self._image(found)
        major = program.major(image)
        await self._check_volume(major)
        service = program.service(image)
        body = service_commands.container(service, self._installation, self._folder)
        if found and is_as(found, image, body) and await self._found_again(found, service):
            return False
        await self._container.stop()
        await self._container.delete()
        self._clear_folder()
        await self._network()
        volume = service_commands.volume(self._installation, program.role, major)
        await self._engine.post("/volumes/create", volume)
        await self._container.create(body)
        await self._run(service)
        return True

    async def _image(self, found: Inspected | None) -> Mapping[str, Any]:
        """The image as its name says now; that of the container when the name is gone."""
        image = await self._engine.get(f"/images/{self.program.image}/json")
        if image is None and found and found["Config"]["Image"] == self.program.image:
            image = await self._engine.get(f"/images/{found['Image']}/json")
        return image or await present(self._engine, self.program.image, self.program.setting)

    async def _check_volume(self, major: int | None) -> None:
        made_by = service_commands.maker_of(await self._engine.get(f"/volumes/{self.name}") or {})
        if made_by and made_by != str(major):
            raise ServerError(
                f"The data in the volume {self.name} is {self.program.name} {made_by}, and the "
                f"image {self.program.image} is {major}.",
                f"Set {self.program.setting} to an image of {made_by}, or remove container and "
                "volume to start anew.",
            )

    async def _found_again(self, found: Inspected, service: Service) -> bool:
        """Adopts a container or starts it again; False if it must be made anew."""
        if is_running(found):
            try:
                await self._until_ready(found, _ADOPT_TIMEOUT)
            except LockedOut:
                raise
            except ServerError as error:
                _log.warning("%s It is started again.", error.message)
            else:
                return True
        await self._container.stop()
        try:
            await self._run(service)
        except Refused as error:  # such as for a network that was pruned meanwhile
            _log.warning("%s is made anew: %s.", self.name, error.reason)
            return False
        return True

    async def _run(self, service: Service) -> None:
        """Starts the container, which does not run, and returns when it answers."""
        self._clear_folder()
        await self.program.prepare(self._engine, self.name, service)
        await self._container.start()
        try:
            await self._until_ready(await self._container.inspect(), _START_TIMEOUT)
        except _Ended as error:
            await self._container.stop()
            raise ServerError(error.message, error.hint) from error

    async def _until_ready(self, found: Inspected | None, timeout: float) -> None:
        """Returns when the container answers in the life that `found` shows."""
        life = life_of(found)
        try:
            async with asyncio.timeout(timeout):
                while not await self.program.answers():
                    await asyncio.sleep(_LOOK)
                    now = await self._container.inspect()
                    if now is None or not is_running(now) or life_of(now) != life:
                        raise await self._ended(now)
        except TimeoutError as error:
            raise ServerError(
                f"{self.program.name} did not answer within {timeout:g} s.",
                f"See `docker logs {self.name}`.",
            ) from error
        self._good = life

    async def _ended(self, now: Inspected | None) -> _Ended:
        name = self.program.name
        if now is None:
            return _Ended(f"{name}'s container {self.name} was removed while it started.")
        said = " / ".join(line.strip() for line in await self._container.tail(_LOG_TAIL))
        code = "" if is_running(now) else f" with exit code {now['State']['ExitCode']}"
        hint = f"It said: {said}" if said else f"See `docker logs {self.name}`."
        return _Ended(f"{name} ended while it started{code}.", hint)

    def _clear_folder(self) -> None:
        """An empty folder for the socket, in which nobody else of this machine can look.

        The image's user writes there, whom the host may not know; the folder above is ours alone.
        """
        self._folder.mkdir(exist_ok=True)
        self._folder.chmod(0o777)
        for left in self._folder.iterdir():
            left.unlink()


class _Ended(ServerError):
    """The container ended or was removed while it started."""

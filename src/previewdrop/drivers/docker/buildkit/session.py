"""The session of a build: the Engine comes over it to ask for secrets and registry logins.

A connection of ours on which the roles change: upgraded to HTTP/2, the Engine calls and we answer.
https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Session
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from h2.exceptions import ProtocolError

from previewdrop.domain.errors import BadConfig, StageFailed, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.drivers.docker.buildkit import protobuf
from previewdrop.drivers.docker.buildkit.grpc import Call, Calls, Status
from previewdrop.drivers.docker.buildkit.logins import Logins
from previewdrop.drivers.docker.engine import Engine

_CHECK = "/grpc.health.v1.Health/Check"
_GIVE = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
_LOGIN = "/moby.filesync.v1.Auth/Credentials"
_SERVING = 1
_OPEN_WITHIN = 10.0
_CHUNK = 64 << 10

Answer = Callable[[bytes], Awaitable[bytes]]
"""A method: takes a message, gives a message; LookupError for what there is not."""


@asynccontextmanager
async def opened(
    engine: Engine, secrets: Mapping[str, Secret], logins: Logins
) -> AsyncGenerator[str]:
    """A session's id, to name in a build. A session that breaks off leaves the build running:
    BuildKit itself gives up after five seconds when it needs one that is gone.

    Unavailable when the Engine did not answer, StageFailed when it refused.
    """
    methods = answers(secrets, logins)
    name = uuid.uuid4().hex
    try:
        async with asyncio.timeout(_OPEN_WITHIN):
            reader, writer = await asyncio.open_unix_connection(engine.socket)
            try:
                writer.write(upgrade(await engine.version(), name, list(methods)))
                _accepted(await reader.readuntil(b"\r\n\r\n"))
            except BaseException:
                writer.close()
                raise
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise Unavailable(
            f"The Docker Engine did not answer ({type(error).__name__}).",
            "Is it running? `systemctl status docker` tells.",
        ) from error
    serving = asyncio.create_task(_serve(reader, writer, methods), name=f"session {name}")
    try:
        yield name
    finally:
        serving.cancel()
        await asyncio.wait({serving})
        writer.close()


def answers(secrets: Mapping[str, Secret], logins: Logins) -> dict[str, Answer]:
    """Everything that the Engine may ask, by method."""

    async def health(_: bytes) -> bytes:
        return protobuf.integer(1, _SERVING)

    async def secret(message: bytes) -> bytes:
        """GetSecretRequest{ID=1} -> GetSecretResponse{data=1}"""
        name = protobuf.Message(message).text(1)
        if name not in secrets:
            raise LookupError(f"this project has no secret {name}")
        return protobuf.data(1, secrets[name].reveal())

    async def credentials(message: bytes) -> bytes:
        """CredentialsRequest{Host=1} -> CredentialsResponse{Username=1, Secret=2}"""
        login = await logins.find(protobuf.Message(message).text(1))
        if login is None:
            return b""
        return protobuf.data(1, login.user) + protobuf.data(2, login.secret.reveal())

    return {_CHECK: health, _GIVE: secret, _LOGIN: credentials}


def upgrade(version: str, name: str, methods: list[str]) -> bytes:
    """The request that opens a session with this name; it has to list what may be asked."""
    lines = (
        f"POST /v{version}/session HTTP/1.1",
        "Host: docker",
        "Connection: Upgrade",
        "Upgrade: h2c",
        f"X-Docker-Expose-Session-Uuid: {name}",
        "X-Docker-Expose-Session-Name: previewdrop",
        "X-Docker-Expose-Session-Sharedkey: ",
        *(f"X-Docker-Expose-Session-Grpc-Method: {method}" for method in methods),
        "Content-Length: 0",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def _accepted(head: bytes) -> None:
    status = head.split(b"\r\n", 1)[0].decode("latin-1")
    if " 101 " not in f"{status} ":
        raise StageFailed(
            f"The Docker Engine refused to ask for a build's secrets and logins: {status}.",
            "If a proxy stands before its socket, let it pass POST /session.",
        )


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, methods: Mapping[str, Answer]
) -> None:
    """Answers until either side closes the connection: the end of the session, nothing else."""
    calls = Calls(methods)
    answering = set[asyncio.Task[None]]()

    async def answer(call: Call) -> None:
        with suppress(ProtocolError):  # The Engine said goodbye before it had its answer.
            await _answer(calls, call, methods[call.method])
            writer.write(calls.sending())

    try:
        with suppress(OSError, ProtocolError):
            while received := await reader.read(_CHUNK):
                for call in calls.feed(received):
                    task = asyncio.create_task(answer(call))
                    answering.add(task)
                    task.add_done_callback(answering.discard)
                writer.write(calls.sending())
                await writer.drain()
    finally:
        for task in answering:
            task.cancel()


async def _answer(calls: Calls, call: Call, method: Answer) -> None:
    try:
        calls.answer(call, await method(call.message))
    except LookupError as error:
        calls.refuse(call, Status.NOT_FOUND, str(error))
    except ValueError as error:
        calls.refuse(call, Status.INVALID_ARGUMENT, str(error))
    except BadConfig as error:
        calls.refuse(call, Status.INTERNAL, str(error))

"""The session of a build: what an Engine may ask over it, and how it opens, ends and breaks."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, TrailersReceived
from h2.exceptions import ProtocolError

from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.drivers.docker.buildkit import protobuf, session
from previewdrop.drivers.docker.buildkit.grpc import Call, Calls, Status
from previewdrop.drivers.docker.buildkit.logins import Logins
from previewdrop.drivers.docker.engine import Engine

SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
CHECK = "/grpc.health.v1.Health/Check"
LOGIN = "/moby.filesync.v1.Auth/Credentials"
NOTHING = Logins(Path("/nonexistent/config.json"))


@dataclass
class Answer:
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False

    @property
    def status(self) -> int:
        return int(self.headers["grpc-status"])

    @property
    def message(self) -> bytes:
        compressed, length = struct.unpack_from("!?I", self.body)
        assert not compressed
        assert length == len(self.body) - 5
        return self.body[5:]


class Caller:
    """The Engine's side of the connection: a gRPC client, without I/O."""

    def __init__(self) -> None:
        self.http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.http.initiate_connection()
        self.answers: dict[int, Answer] = {}

    def call(self, method: str, message: bytes = b"", *, end: bool = True) -> Answer:
        stream = self.begin(method)
        self.http.send_data(stream, struct.pack("!?I", False, len(message)) + message, end)
        return self.answers[stream]

    def begin(self, method: str) -> int:
        stream = self.http.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        self.http.send_headers(stream, headers)
        self.answers[stream] = Answer()
        return stream

    def feed(self, data: bytes) -> None:
        for event in self.http.receive_data(data):
            match event:
                case ResponseReceived() | TrailersReceived():
                    self.answers[event.stream_id].headers |= dict(event.headers)
                case DataReceived():
                    self.answers[event.stream_id].body += event.data
                    self.http.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                case StreamEnded():
                    self.answers[event.stream_id].ended = True


def exchange(caller: Caller, calls: Calls) -> list[Call]:
    """Carries bytes both ways until neither has any; the calls that came."""
    came: list[Call] = []
    while True:
        asked, answered = caller.http.data_to_send(), calls.sending()
        if not asked and not answered:
            return came
        came += calls.feed(asked)
        caller.feed(answered)


def pair() -> tuple[Caller, Calls]:
    return Caller(), Calls([CHECK, SECRET])


def test_a_call_is_answered() -> None:
    caller, calls = pair()
    answer = caller.call(SECRET, b"question")
    (call,) = exchange(caller, calls)
    assert (call.method, call.message) == (SECRET, b"question")
    calls.answer(call, b"secret")
    exchange(caller, calls)
    assert answer.headers[":status"] == "200"
    assert answer.headers["content-type"] == "application/grpc"
    assert (answer.status, answer.message, answer.ended) == (Status.OK, b"secret", True)


def test_answers_may_come_in_any_order() -> None:
    caller, calls = pair()
    first, second = caller.call(SECRET, b"1"), caller.call(SECRET, b"2")
    one, two = exchange(caller, calls)
    calls.answer(two, b"second")
    calls.answer(one, b"first")
    exchange(caller, calls)
    assert (first.message, second.message) == (b"first", b"second")


def test_an_answer_larger_than_the_callers_window_goes_on_when_it_opens() -> None:
    caller, calls = pair()
    answer = caller.call(SECRET)
    (call,) = exchange(caller, calls)
    calls.answer(call, b"x" * 500_000)
    sent = calls.sending()
    assert len(sent) < 100_000
    caller.feed(sent)
    exchange(caller, calls)
    assert answer.message == b"x" * 500_000
    assert answer.status == Status.OK


def test_a_refusal_says_why() -> None:
    caller, calls = pair()
    answer = caller.call(SECRET)
    (call,) = exchange(caller, calls)
    calls.refuse(call, Status.NOT_FOUND, "no secret ‘ä’ 100%\r\n")
    exchange(caller, calls)
    assert answer.status == Status.NOT_FOUND
    assert answer.headers["grpc-message"] == "no secret %E2%80%98%C3%A4%E2%80%99 100%25%0D%0A"
    assert (answer.body, answer.ended) == (b"", True)


def test_what_is_not_offered_is_refused_before_it_has_said_all() -> None:
    """A stream such as the synchronisation of folders never ends by itself."""
    caller, calls = pair()
    answer = caller.call("/moby.filesync.v1.FileSync/DiffCopy", b"hello", end=False)
    assert exchange(caller, calls) == []
    assert answer.status == Status.UNIMPLEMENTED
    assert answer.ended


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", Status.INVALID_ARGUMENT),
        (struct.pack("!?I", True, 1) + b"x", Status.UNIMPLEMENTED),
        (struct.pack("!?I", False, 9) + b"x", Status.INVALID_ARGUMENT),
        (struct.pack("!?I", False, 70_000) + b"x" * 70_000, Status.RESOURCE_EXHAUSTED),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(body: bytes, status: Status) -> None:
    caller, calls = pair()
    stream = caller.begin(SECRET)
    answer = caller.answers[stream]
    for at in range(0, len(body), 16_000):
        caller.http.send_data(stream, body[at : at + 16_000])
        assert exchange(caller, calls) == []
    if not answer.ended:
        caller.http.end_stream(stream)
        assert exchange(caller, calls) == []
    assert answer.status == status


def test_a_call_that_was_given_up_is_not_answered() -> None:
    caller, calls = pair()
    caller.call(SECRET)
    (call,) = exchange(caller, calls)
    caller.http.reset_stream(call.stream)
    exchange(caller, calls)
    calls.answer(call, b"late")
    calls.refuse(call, Status.NOT_FOUND, "late")
    assert calls.sending() == b""


def test_an_answer_half_sent_ends_with_its_call() -> None:
    caller, calls = pair()
    caller.call(SECRET)
    (call,) = exchange(caller, calls)
    calls.answer(call, b"x" * 500_000)
    caller.http.reset_stream(call.stream)
    exchange(caller, calls)
    again = caller.call(CHECK)
    (call,) = exchange(caller, calls)
    calls.answer(call, b"")
    exchange(caller, calls)
    assert again.status == Status.OK


def test_a_peer_that_speaks_something_else() -> None:
    with pytest.raises(ProtocolError):
        Calls([]).feed(b"GET / HTTP/1.1\r\nHost: docker\r\n\r\n" * 3)


def test_the_request_that_opens_a_session() -> None:
    assert session.upgrade("1.41", "0123", [CHECK, SECRET]) == (
        b"POST /v1.41/session HTTP/1.1\r\n"
        b"Host: docker\r\n"
        b"Connection: Upgrade\r\n"
        b"Upgrade: h2c\r\n"
        b"X-Docker-Expose-Session-Uuid: 0123\r\n"
        b"X-Docker-Expose-Session-Name: previewdrop\r\n"
        b"X-Docker-Expose-Session-Sharedkey: \r\n"
        b"X-Docker-Expose-Session-Grpc-Method: /grpc.health.v1.Health/Check\r\n"
        b"X-Docker-Expose-Session-Grpc-Method: /moby.buildkit.secrets.v1.Secrets/GetSecret\r\n"
        b"Content-Length: 0\r\n"
        b"\r\n"
    )


async def test_a_secret_is_given_by_its_id_and_nothing_else_is() -> None:
    give = session.answers({"token": Secret("hunter2"), "empty": Secret("")}, NOTHING)[SECRET]
    assert protobuf.Message(await give(protobuf.data(1, "token"))).data(1) == b"hunter2"
    assert protobuf.Message(await give(protobuf.data(1, "empty"))).data(1) == b""
    with pytest.raises(LookupError, match="no secret other"):
        await give(protobuf.data(1, "other"))


async def test_health_and_a_login_that_there_is_not() -> None:
    answers = session.answers({}, NOTHING)
    assert protobuf.Message(await answers[CHECK](b"")).integer(1) == 1
    assert await answers[LOGIN](protobuf.data(1, "ghcr.io")) == b""


Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def engine_that(does: Peer, folder: Path) -> AsyncIterator[Engine]:
    """An Engine that tells its version and does as it is told with `POST /session`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /version "):
            body = b'{"ApiVersion":"1.41","MinAPIVersion":"1.12"}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        else:
            assert head.startswith(b"POST /v1.41/session ")
            await does(reader, writer)
        await writer.drain()
        writer.close()

    socket = str(folder / "engine.sock")
    async with await asyncio.start_unix_server(serve, socket):
        engine = Engine(socket)
        yield engine
        await engine.aclose()


ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *asked: tuple[str, bytes]
) -> list[Answer]:
    """Accepts the session and asks; the answers when all of them are complete."""
    writer.write(ACCEPTED)
    caller = Caller()
    answers = [caller.call(method, message) for method, message in asked]
    while not all(answer.ended for answer in answers):
        writer.write(caller.http.data_to_send())
        caller.feed(await reader.read(65536))
    writer.write(caller.http.data_to_send())
    return answers


async def test_an_engine_asks_over_the_session(tmp_path: Path) -> None:
    got: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()

    async def asking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = protobuf.data(1, "token")
        got.set_result(
            await ask(reader, writer, (CHECK, b""), (SECRET, question), (SECRET, b""), (LOGIN, b""))
        )

    async with engine_that(asking, tmp_path) as engine:
        secrets = {"token": Secret("s" * 300_000)}
        async with session.opened(engine, secrets, NOTHING) as name:
            health, secret, unknown, login = await got
    assert len(name) == 32
    assert health.message == b"\x08\x01"
    assert protobuf.Message(secret.message).text(1) == "s" * 300_000
    assert unknown.status == Status.NOT_FOUND
    assert login.message == b""


async def test_a_broken_config_of_docker_is_told_to_the_engine(tmp_path: Path) -> None:
    got: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
    broken = tmp_path / "config.json"
    broken.write_text("{")

    async def asking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.set_result(await ask(reader, writer, (LOGIN, protobuf.data(1, "ghcr.io"))))

    async with (
        engine_that(asking, tmp_path) as engine,
        session.opened(engine, {}, Logins(broken)),
    ):
        (answer,) = await got
    assert answer.status == Status.INTERNAL
    assert "config.json cannot be read" in answer.headers["grpc-message"]


async def test_a_refused_session_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async with engine_that(refuse, tmp_path) as engine:
        with pytest.raises(StageFailed, match=r"403 Forbidden.*POST /session"):
            async with session.opened(engine, {}, NOTHING):
                pytest.fail("it opened")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 101", b"x" * 100_000])
async def test_an_engine_that_breaks_off_is_unavailable(said: bytes, tmp_path: Path) -> None:
    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    async with engine_that(leave, tmp_path) as engine:
        with pytest.raises(Unavailable):
            async with session.opened(engine, {}, NOTHING):
                pytest.fail("it opened")


async def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    engine = Engine(str(tmp_path / "none.sock"))
    with pytest.raises(Unavailable):
        async with session.opened(engine, {}, NOTHING):
            pytest.fail("it opened")
    await engine.aclose()


async def test_an_engine_that_is_silent_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    monkeypatch.setattr(session, "_OPEN_WITHIN", 0.05)
    async with engine_that(silence, tmp_path) as engine:
        with pytest.raises(Unavailable):
            async with session.opened(engine, {}, NOTHING):
                pytest.fail("it opened")


@pytest.mark.parametrize("last", [b"", b"nonsense that is no HTTP/2 at all" * 10])
async def test_a_session_that_breaks_leaves_the_build_running(last: bytes, tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ACCEPTED + last)
        await writer.drain()
        writer.close()
        gone.set()

    async with engine_that(leave, tmp_path) as engine:
        async with session.opened(engine, {}, NOTHING) as name:
            await gone.wait()
            serving = next(t for t in asyncio.all_tasks() if t.get_name() == f"session {name}")
            await asyncio.wait({serving})
        assert serving.exception() is None


async def test_a_goodbye_before_the_answer_is_no_error(tmp_path: Path) -> None:
    """The Engine ends its sessions while a credential helper still thinks."""
    asked, told = asyncio.Event(), asyncio.Event()

    class Slow(Logins):
        async def find(self, host: str) -> None:
            asked.set()
            await told.wait()

    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Caller()
        caller.call(LOGIN, protobuf.data(1, "ghcr.io"))
        writer.write(ACCEPTED + caller.http.data_to_send())
        await asked.wait()
        caller.http.close_connection()
        writer.write(caller.http.data_to_send())
        await writer.drain()
        told.set()
        writer.close()

    async with engine_that(leave, tmp_path) as engine:
        async with session.opened(engine, {}, Slow(Path("/none"))) as name:
            serving = next(t for t in asyncio.all_tasks() if t.get_name() == f"session {name}")
            await asyncio.wait({serving})
        assert serving.exception() is None


async def test_the_end_of_the_build_closes_the_session(tmp_path: Path) -> None:
    closed = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ACCEPTED)
        await reader.read()
        closed.set()

    async with engine_that(wait, tmp_path) as engine:
        async with session.opened(engine, {}, NOTHING):
            assert not closed.is_set()
        await closed.wait()

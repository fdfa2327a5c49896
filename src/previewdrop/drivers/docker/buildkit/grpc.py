"""The server's side of gRPC over one HTTP/2 connection, without I/O: bytes in, calls out.

Unary calls only, https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from urllib.parse import quote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset

_PREFIX = struct.Struct("!?I")
_LONGEST_REQUEST = 64 << 10


class Status(IntEnum):
    """https://grpc.github.io/grpc/core/md_doc_statuscodes.html"""

    OK = 0
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13


@dataclass(frozen=True, slots=True)
class Call:
    """One request that is complete: `method` is its path, `/package.Service/Method`."""

    stream: int
    method: str
    message: bytes


@dataclass(slots=True)
class _Answer:
    """What is still to be sent on a stream; the other side's window may be smaller."""

    rest: bytes
    trailers: list[tuple[str, str]]


@dataclass(slots=True)
class _Request:
    method: str
    body: bytearray = field(default_factory=bytearray)


class Calls:
    """The calls of one connection. Methods that are not in `methods` are refused by themselves.

    After each use, send what `sending` gives. h2's ProtocolError when the peer speaks nonsense:
    the connection is of no use any more.
    """

    def __init__(self, methods: Collection[str]) -> None:
        self._methods = methods
        self._http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._http.initiate_connection()
        self._requests: dict[int, _Request] = {}
        self._answers: dict[int, _Answer] = {}

    def feed(self, data: bytes) -> list[Call]:
        """The calls that became complete with these bytes."""
        calls = [call for event in self._http.receive_data(data) for call in self._hear(event)]
        for stream in list(self._answers):
            self._pump(stream)
        return calls

    def sending(self) -> bytes:
        """The bytes to send now; empty when there are none."""
        return self._http.data_to_send()

    def answer(self, call: Call, message: bytes) -> None:
        """Answers a call with a message; nothing happens if the caller gave up."""
        if self._requests.pop(call.stream, None) is None:
            return
        self._http.send_headers(
            call.stream, [(":status", "200"), ("content-type", "application/grpc")]
        )
        body = _PREFIX.pack(False, len(message)) + message
        self._answers[call.stream] = _Answer(body, [("grpc-status", str(int(Status.OK)))])
        self._pump(call.stream)

    def refuse(self, call: Call, status: Status, reason: str) -> None:
        """Ends a call with an error."""
        self._refuse(call.stream, status, reason)

    def _hear(self, event: Event) -> Iterator[Call]:
        match event:
            case RequestReceived(stream_id=int(stream), headers=headers):
                name = _path(headers or [])
                self._requests[stream] = _Request(name)
                if name not in self._methods:
                    self._refuse(stream, Status.UNIMPLEMENTED, f"{name} is not offered")
            case DataReceived(stream_id=int(stream), data=bytes(data)):
                self._http.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                self._collect(stream, data)
            case StreamEnded(stream_id=int(stream)):
                if request := self._requests.get(stream):
                    yield from self._complete(stream, request)
            case StreamReset(stream_id=int(stream)):
                self._requests.pop(stream, None)
                self._answers.pop(stream, None)
            case _:
                return

    def _collect(self, stream: int, data: bytes) -> None:
        if request := self._requests.get(stream):
            request.body += data
            if len(request.body) > _LONGEST_REQUEST:
                self._refuse(stream, Status.RESOURCE_EXHAUSTED, "the request is too long")

    def _complete(self, stream: int, request: _Request) -> Iterator[Call]:
        body = bytes(request.body)
        if len(body) < _PREFIX.size:
            self._refuse(stream, Status.INVALID_ARGUMENT, "the call has no message")
            return
        compressed, length = _PREFIX.unpack_from(body)
        if compressed:
            self._refuse(stream, Status.UNIMPLEMENTED, "compression is not offered")
        elif length != len(body) - _PREFIX.size:
            self._refuse(stream, Status.INVALID_ARGUMENT, "the call is not one message")
        else:
            yield Call(stream, request.method, body[_PREFIX.size :])

    def _refuse(self, stream: int, status: Status, reason: str) -> None:
        if self._requests.pop(stream, None) is None:
            return
        headers = [
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", str(int(status))),
            ("grpc-message", quote(reason, safe=" /:,;()[]{}<>=+@!?&*'\"#$^`|~\\")),
        ]
        self._http.send_headers(stream, headers, end_stream=True)

    def _pump(self, stream: int) -> None:
        """Sends as much of an answer as the other side takes now."""
        answer = self._answers[stream]
        while answer.rest:
            size = min(
                self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size
            )
            if size <= 0:
                return
            self._http.send_data(stream, answer.rest[:size])
            answer.rest = answer.rest[size:]
        self._http.send_headers(stream, answer.trailers, end_stream=True)
        del self._answers[stream]


def _path(headers: Iterable[tuple[bytes | str, bytes | str]]) -> str:
    named = {_text(name): _text(value) for name, value in headers}
    return named.get(":path", "")


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")

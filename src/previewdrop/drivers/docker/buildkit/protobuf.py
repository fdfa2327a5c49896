"""The little of the protobuf wire format that BuildKit's messages need.

Only varints and length-delimited fields are told apart; fixed-size ones are skipped.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10


class Message:
    """The fields of one message by number; a field that is not there reads as empty.

    ValueError for bytes that are no message.
    """

    def __init__(self, data: bytes) -> None:
        self._numbers: dict[int, int] = {}
        self._bytes: dict[int, list[bytes]] = {}
        for number, value in _fields(data):
            if isinstance(value, int):
                self._numbers[number] = value
            else:
                self._bytes.setdefault(number, []).append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._numbers or number in self._bytes

    def integer(self, number: int) -> int:
        return self._numbers.get(number, 0)

    def data(self, number: int) -> bytes:
        return self._bytes.get(number, [b""])[-1]

    def text(self, number: int) -> str:
        return self.data(number).decode("utf-8", "replace")

    def message(self, number: int) -> Message:
        return Message(self.data(number))

    def messages(self, number: int) -> list[Message]:
        return [Message(data) for data in self._bytes.get(number, [])]


def integer(number: int, value: int) -> bytes:
    """One field with a number that is not negative."""
    return _varint(number << 3 | _VARINT) + _varint(value)


def data(number: int, value: bytes | str) -> bytes:
    """One field with bytes, a text or a message."""
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _BYTES) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _read_varint(data, at)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError(f"protobuf: unknown wire type {kind}")
        if at + length > len(data):
            raise ValueError("protobuf: the message ends within a field")
        if kind == _BYTES:
            yield number, data[at : at + length]
        at += length


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("protobuf: a number has no end")

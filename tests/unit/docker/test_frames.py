"""Docker's frames, however they are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from previewdrop.drivers.docker.frames import Frames


def frame(payload: bytes, stream: int = 1) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4) + payload


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 64))
def test_payloads_come_out_whatever_the_chunks(payloads: list[bytes], size: int) -> None:
    stream = b"".join(frame(each) for each in payloads)
    frames = Frames()
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [each for chunk in chunks for each in frames.feed(chunk)] == payloads

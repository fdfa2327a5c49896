"""Docker's frames, however they are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from previewdrop.drivers.docker.frames import Frames, Output
from previewdrop.drivers.output import Lines


def frame(payload: bytes, stream: int = 1) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4) + payload


WRITTEN = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300)), max_size=8)


@given(WRITTEN, st.integers(1, 64))
def test_frames_come_out_whatever_the_chunks(written: list[tuple[int, bytes]], size: int) -> None:
    whole = b"".join(frame(payload, stream) for stream, payload in written)
    frames = Frames()
    chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert [each for chunk in chunks for each in frames.feed(chunk)] == written


def test_a_line_of_one_stream_is_not_torn_by_the_other() -> None:
    seen: list[str] = []
    output = Output(Lines(seen.append, 1000))
    for stream, payload in [(1, b"no "), (2, b"an err"), (2, b"or\nlast"), (1, b"end"), (1, b"\n")]:
        output.feed(stream, payload)
    output.close()
    assert seen == ["an error", "no end", "last"]

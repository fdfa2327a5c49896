"""BuildKit's records, recorded and made, as lines for people."""

from __future__ import annotations

import pytest

import recorded_builds
from previewdrop.drivers.docker.buildkit import protobuf
from previewdrop.drivers.docker.buildkit.progress import Progress
from previewdrop.drivers.output import LONGEST_LINE
from recorded_builds import ENGINES, followed

STEP = "[builder 2/3] RUN make"


def vertex(
    name: str,
    digest: str = "a",
    *,
    started: float | None = None,
    completed: float | None = None,
    cached: bool = False,
    error: str = "",
) -> bytes:
    """A StatusResponse with one vertex."""
    said = protobuf.data(1, digest) + protobuf.data(3, name)
    if cached:
        said += protobuf.integer(4, 1)
    for number, moment in ((5, started), (6, completed)):
        if moment is not None:
            seconds, rest = divmod(moment, 1)
            time = protobuf.integer(1, int(seconds)) + protobuf.integer(2, int(rest * 1e9))
            said += protobuf.data(number, time)
    if error:
        said += protobuf.data(7, error)
    return protobuf.data(1, said)


def output(text: bytes, digest: str = "a", stream: int = 1) -> bytes:
    said = protobuf.data(1, digest) + protobuf.integer(3, stream) + protobuf.data(4, text)
    return protobuf.data(3, said)


def lines(*records: bytes) -> list[str]:
    progress = Progress()
    return [line for record in records for line in progress.feed(record)]


def started() -> bytes:
    return vertex(STEP, started=10)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_build_reads_as_its_dockerfile(engine: str) -> None:
    progress, said = followed(engine, "ok")
    assert said == [
        "[builder 1/4] FROM previewdrop-test/busybox:1",
        "[builder 2/4] WORKDIR /app",
        "[builder 3/4] COPY a .",
        "[builder 4/4] RUN echo hi && sleep 0.2 && cat a && echo err >&2",
        "  hi",
        "  x",
        "  err",
        "[stage-1 2/2] COPY --from=builder /app/a /a",
    ]
    assert (progress.executed, progress.cached, progress.failure) == (4, 0, None)
    assert list(progress.tail) == ["hi", "x", "err"]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_there_is_cached(engine: str) -> None:
    progress, said = followed(engine, "cached")
    assert said == [
        "[builder 1/4] FROM previewdrop-test/busybox:1",
        "[builder 2/4] WORKDIR /app CACHED",
        "[builder 3/4] COPY a . CACHED",
        "[builder 4/4] RUN echo hi && sleep 0.2 && cat a && echo err >&2 CACHED",
        "[stage-1 2/2] COPY --from=builder /app/a /a CACHED",
    ]
    assert (progress.executed, progress.cached) == (0, 4)


@pytest.mark.parametrize("engine", ["20.10", "28.5"])
def test_output_is_plain(engine: str) -> None:
    _, said = followed(engine, "long")
    assert said[2:] == ["  downloading 3", "  red", *(f"  {n}" for n in range(1, 6)), "  no end"]


@pytest.mark.parametrize("engine", ["20.10", "28.5"])
def test_steps_at_the_same_moment_are_told_apart(engine: str) -> None:
    _, said = followed(engine, "parallel")
    printed = [line for line in said if line.startswith(("  ", "[a 2/2] a", "[b 2/2] b"))]
    speaker = ""
    for line in printed:
        speaker = line[1] if line.startswith("[") else speaker
        assert speaker in line.removeprefix(f"[{speaker} 2/2]") or "done in" in line
    assert sum("done in" in line for line in said) == 2


@pytest.mark.parametrize("engine", ["20.10", "28.5"])
def test_the_step_that_failed_is_named_and_not_those_it_took_along(engine: str) -> None:
    progress, said = followed(engine, "parallel_fail")
    assert progress.failure is not None
    assert progress.failure.name == "[b 2/2] RUN sleep 1; echo oh; exit 4"
    assert progress.failure.error.endswith("exit code: 4")
    assert progress.failure.tail == ("oh",)
    assert said[-1].startswith("  failed after 1.")
    assert said[-1].endswith(" s: exit code: 4")
    assert "canceled" not in "\n".join(said)


def test_warnings_of_the_dockerfile_come_once() -> None:
    _, said = followed("28.5", "warn")
    warnings = [line for line in said if line.startswith("warning: ")]
    assert len(warnings) == len(set(warnings)) == 3
    assert (
        'warning: LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy '
        '"ENV key value" format (line 2)' in warnings
    )


EVERY = [(engine, case) for engine in ENGINES for case in recorded_builds.answers(engine)]


@pytest.mark.parametrize(("engine", "case"), EVERY)
def test_every_line_is_one_bounded_line(engine: str, case: str) -> None:
    _, said = followed(engine, case)
    assert all(line.isprintable() and len(line) <= LONGEST_LINE + 100 for line in said)


def test_a_line_may_come_in_pieces_and_streams_do_not_mix() -> None:
    assert lines(
        started(), output(b"one "), output(b"other\n", stream=2), output(b"line\nand ")
    ) == [STEP, "  other", "  one line"]


def test_the_rest_comes_at_the_end_of_the_step() -> None:
    done = vertex(STEP, started=10, completed=10.1)
    assert lines(started(), output(b"no newline"), done) == [STEP, "  no newline"]


def test_letters_may_come_in_pieces() -> None:
    first, second = "ä".encode()[:1], "ä".encode()[1:]
    assert lines(started(), output(first), output(second + b"\n")) == [STEP, "  ä"]


def test_a_line_without_end_is_cut() -> None:
    said = lines(started(), output(b"x" * 3 * LONGEST_LINE))
    assert len(said) > 1
    assert all(len(line) <= 3 * LONGEST_LINE + 2 for line in said)


def test_a_progress_bar_that_never_ends_keeps_little() -> None:
    bars = [output(b"\r%3d %%" % (n % 100) * 100) for n in range(1000)]
    assert lines(started(), *bars, output(b"\n")) == [STEP, "   99 %"]


def test_time_is_told_of_steps_that_took_some() -> None:
    quick, slow = (vertex(STEP, started=10, completed=10 + took) for took in (0.2, 4.2))
    assert lines(started(), quick) == [STEP]
    assert lines(started(), slow) == [STEP, "  done in 4.2 s"]


def test_what_buildkit_does_itself_is_told_if_it_takes_time_or_fails() -> None:
    load = "[internal] load metadata for docker.io/library/python:3.12-slim@sha256:" + "0" * 64
    told = "[internal] load metadata for python:3.12-slim"
    quick, slow, bad = (
        vertex(load, started=1, completed=1.5),
        vertex(load, started=1, completed=6),
        vertex(load, started=1, completed=1.1, error="no such host"),
    )
    assert lines(quick) == []
    assert lines(slow) == [told, "  done in 5.0 s"]
    assert lines(bad) == [told, "  failed after 0.1 s: no such host"]


def test_layers_are_told_as_they_come() -> None:
    def layer(name: str, total: int) -> bytes:
        said = protobuf.data(1, name) + protobuf.data(2, "a") + protobuf.integer(5, total)
        return protobuf.data(2, said + protobuf.data(8, protobuf.integer(1, 9)))

    base = vertex("[1/2] FROM docker.io/library/python:3.12", started=1)
    large, small = layer("sha256:" + "ab" * 32, 48 << 20), layer("sha256:" + "cd" * 32, 2000)
    assert lines(base, large, large, small) == [
        "[1/2] FROM python:3.12",
        "  pulled abababababab, 48 MiB",
    ]


def test_a_step_may_turn_out_to_be_cached_after_it_began() -> None:
    copy = "[2/3] COPY . ."
    begun, found = vertex(copy, started=1), vertex(copy, started=1, completed=1.2, cached=True)
    assert lines(begun, found, found) == [copy, "  CACHED"]


def test_output_of_a_step_that_was_never_announced() -> None:
    assert lines(output(b"lost\n", digest="z")) == ["[build]", "  lost"]


@pytest.mark.parametrize("broken", [b"\x0a\x05ab", b"\xff" * 11, b"\x0b", b"\x0a"])
def test_bytes_that_are_no_record_are_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="protobuf"):
        list(Progress().feed(broken))


def test_fields_of_later_versions_are_skipped() -> None:
    fixed = b"\x79" + b"\0" * 8 + b"\x7d" + b"\0" * 4
    assert lines(fixed + started() + protobuf.integer(99, 1 << 62)) == [STEP]

"""How fast a code host is written to."""

from __future__ import annotations

from dataclasses import dataclass, field

from previewdrop.pipeline.pace import Pace, Rank


@dataclass
class Clock:
    now: float = 1000.0
    made: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pace = Pace(lambda: self.now)

    def write(self, rank: Rank, *, times: int = 1000, writes: int = 2) -> int:
        """How many were made until one had to wait."""
        for number in range(times):
            if self.pace.wait(writes, rank):
                return number * writes
            self.made += [self.now] * writes
        return times * writes

    def most_within(self, seconds: float) -> int:
        return max(sum(at <= one < at + seconds for one in self.made) for at in self.made)


def test_what_matters_more_still_goes_out_when_the_rest_waits():
    clock = Clock()
    assert clock.write(Rank.WAITING) == 34
    assert clock.write(Rank.PROGRESS) == 18
    assert clock.write(Rank.RESULT) == 18
    assert clock.write(Rank.RESULT) == 0


def test_it_says_when_to_ask_again():
    clock = Clock()
    clock.write(Rank.RESULT)
    clock.now += 10
    assert clock.pace.wait(2, Rank.RESULT) == 50
    clock.now += 50
    assert clock.pace.wait(2, Rank.RESULT) == 0


def test_hundreds_that_wait_do_not_look_again_every_second():
    clock = Clock()
    clock.write(Rank.WAITING)
    clock.now += 59
    assert clock.pace.wait(2, Rank.WAITING) == 60
    clock.write(Rank.RESULT)
    assert clock.pace.wait(2, Rank.RESULT) == 1


def test_the_limits_of_a_minute_and_of_an_hour_hold_whenever_one_begins_to_count():
    clock = Clock()
    for _ in range(3 * 60 * 6):
        clock.write(Rank.RESULT, times=5)
        clock.now += 10
    assert clock.most_within(60) <= 70
    assert clock.most_within(3600) <= 450


def test_nothing_to_write_never_waits_and_what_was_not_written_does_not_count():
    clock = Clock()
    clock.write(Rank.RESULT)
    assert clock.pace.wait(0, Rank.WAITING) == 0
    assert clock.pace.wait(2, Rank.RESULT) > 0
    clock.pace.unwritten(2)
    assert clock.pace.wait(2, Rank.RESULT) == 0

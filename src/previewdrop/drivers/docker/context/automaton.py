"""All patterns of a .dockerignore at once, one step a character of a path.

Patterns come from repositories and the server's own processes match them, so nothing here ever
tries again from an earlier character: the time is proportional to the length of the path, however
the patterns look. A set of positions in all patterns is one number; steps are remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from previewdrop.domain.spec import MIB
from previewdrop.drivers.docker.context.patterns import Members, Token, Wild

_REMEMBERED = 32 * MIB
_STEP = 200
"""About how many bytes a remembered step takes, besides its positions."""


@dataclass(slots=True, eq=False)
class State:
    """How far each pattern has got. `accepts` are the numbers of those that fit, ascending."""

    positions: int
    accepts: tuple[int, ...]
    following: dict[str, State] = field(default_factory=dict[str, "State"])


class Automaton:
    """Matches a text against `patterns`, which are known by their numbers from then on."""

    def __init__(self, patterns: Iterable[Sequence[Token]]) -> None:
        self._literal: dict[str, int] = {}
        self._classes: list[tuple[Members, int]] = []
        self._one = self._stay = self._stay_in_part = self._skip = self._skip_two = 0
        self._ends: list[int] = []
        self._steps: dict[str, tuple[int, int]] = {}
        self._states: dict[int, State] = {}
        self._room = _REMEMBERED
        first = position = 0
        for pattern in patterns:
            first |= 1 << position
            for token in pattern:
                position = self._add(token, position)
            self._ends.append(position)
            position += 1
        self._all_ends = sum(1 << end for end in self._ends)
        self._number = {end: number for number, end in enumerate(self._ends)}
        self.start = self._state(self._closed(first))

    def walk(self, state: State, text: str) -> State:
        """The state after `text`."""
        for char in text:
            state = state.following.get(char) or self._step(state, char)
        return state

    def positions(self, numbers: Iterable[int]) -> int:
        """All positions within the patterns `numbers` at which something is still to come."""
        found = 0
        for number in numbers:
            found |= (1 << self._ends[number]) - (1 << self._first(number))
        return found

    def pending(self, state: State, positions: int, after: int) -> bool:
        """Whether more characters may make a pattern fit: of `positions`, and after `after`."""
        return bool((state.positions & positions) >> self._first(after + 1))

    def _first(self, number: int) -> int:
        return self._ends[number - 1] + 1 if number else 0

    def _add(self, token: Token, position: int) -> int:
        bit = 1 << position
        if isinstance(token, Members):
            self._classes.append((token, bit))
        elif isinstance(token, str):
            self._literal[token] = self._literal.get(token, 0) | bit
        elif token is Wild.ONE:
            self._one |= bit
        elif token is Wild.PART:
            self._stay_in_part |= bit
            self._skip |= bit
        elif token is Wild.REST:
            self._stay |= bit
            self._skip |= bit
        else:  # Two positions: it may be left out only before its first character.
            self._skip |= bit
            self._skip_two |= bit
            bit <<= 1
            self._stay |= bit
            self._literal["/"] = self._literal.get("/", 0) | bit
            return position + 2
        return position + 1

    def _closed(self, positions: int) -> int:
        while True:
            skipped = (positions & self._skip) << 1 | (positions & self._skip_two) << 2
            if not skipped & ~positions:
                return positions
            positions |= skipped

    def _step(self, state: State, char: str) -> State:
        consumed, kept = self._steps.get(char) or self._taken(char)
        positions = (state.positions & consumed) << 1 | state.positions & kept
        following = self._state(self._closed(positions))
        if self._room > 0:
            self._room -= _STEP
            state.following[char] = following
        return following

    def _taken(self, char: str) -> tuple[int, int]:
        """The positions that `char` takes one further, and those at which it is one of many."""
        consumed, kept = self._literal.get(char, 0), self._stay
        if char != "/":
            consumed |= self._one
            kept |= self._stay_in_part
        for members, bit in self._classes:
            if char in members:
                consumed |= bit
        if self._room > 0:
            self._room -= _STEP + 2 * len(self._ends)
            self._steps[char] = consumed, kept
        return consumed, kept

    def _state(self, positions: int) -> State:
        if (known := self._states.get(positions)) is not None:
            return known
        ends = positions & self._all_ends
        accepts: list[int] = []
        while ends:
            lowest = ends & -ends
            accepts.append(self._number[lowest.bit_length() - 1])
            ends ^= lowest
        state = State(positions, tuple(accepts))
        if self._room > 0:
            self._room -= _STEP + positions.bit_length() // 8 + 8 * len(accepts)
            self._states[positions] = state
        return state

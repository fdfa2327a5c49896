"""Claims, each proved or not, one line a claim."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from previewdrop.cli import screen
from previewdrop.cli.printable import plain
from previewdrop.domain.errors import PreviewDropError

Proof = Callable[[], str | None]
"""Returns a remark on what was seen, or None; any PreviewDropError says why the claim is wrong."""


class Unproven(PreviewDropError):
    """What was found is not what was claimed."""


@dataclass(frozen=True, slots=True)
class Check:
    """A claim that was looked at: `note` is what was seen, or why it did not hold."""

    claim: str
    passed: bool
    note: str | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Checklist:
    """Looks at one claim after the other; one that does not hold ends nothing."""

    def __init__(self, terminal: Console) -> None:
        self.checks: list[Check] = []
        self._terminal = terminal
        self._began = time.monotonic()

    def prove(self, claim: str, proof: Proof) -> bool:
        """Tries the proof and says what came of it; True if the claim holds."""
        began = time.monotonic()
        moving = screen.spinner(self._terminal, claim) if self._terminal.is_terminal else None
        with moving or nullcontext():
            try:
                note, passed = proof(), True
            except PreviewDropError as error:
                note, passed = str(error), False
        check = Check(claim, passed, note, round(time.monotonic() - began, 3))
        self.checks.append(check)
        screen.show(self._terminal, lines(check))
        return passed

    def close(self) -> None:
        """Says how many held."""
        seconds = time.monotonic() - self._began
        screen.show(self._terminal, [Text(), summary(self.checks, seconds)])


def lines(check: Check) -> list[Text]:
    """`✓ claim   what was seen`; what did not hold is told on a line of its own."""
    note = plain(check.note) if check.note else None
    if check.passed:
        line = Text.assemble(("✓ ", "green"), check.claim)
        return [line.append(f"   {note}", "dim") if note else line]
    failed = Text.assemble(("✗ ", "red"), (check.claim, "bold"))
    return [failed, *([Text(f"    {note}")] if note else [])]


def summary(checks: list[Check], seconds: float) -> Text:
    """`✓ All 21 checks passed in 12.3 s.`"""
    failed = [check for check in checks if not check.passed]
    if failed:
        return Text.assemble(("✗ ", "red"), f"{len(failed)} of {len(checks)} checks failed.")
    return Text.assemble(("✓ ", "green"), f"All {len(checks)} checks passed in {seconds:.1f} s.")


def expect(condition: bool, otherwise: str) -> None:
    """Unproven with `otherwise` unless the condition holds."""
    if not condition:
        raise Unproven(otherwise)

"""A claim is proved or not, and neither ends the list."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from previewdrop.cli.demo_checklist import Check, Checklist, Unproven, expect
from previewdrop.domain.errors import Unavailable


@pytest.fixture
def written() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def checks(written: io.StringIO) -> Checklist:
    return Checklist(Console(file=written, width=100))


def test_what_holds_and_what_does_not(checks: Checklist, written: io.StringIO) -> None:
    def wrong() -> None:
        expect(False, "It is 3.")

    def silent() -> None:
        raise Unavailable("It does not answer.", "Try again.")

    assert checks.prove("Two is two", lambda: "2")
    assert not checks.prove("Two is three", wrong)
    assert not checks.prove("It answers", silent)
    assert checks.prove("Nothing to say", lambda: None)
    checks.close()
    assert written.getvalue().splitlines() == [
        "✓ Two is two   2",
        "✗ Two is three",
        "    It is 3.",
        "✗ It answers",
        "    It does not answer. Try again.",
        "✓ Nothing to say",
        "",
        "✗ 2 of 4 checks failed.",
    ]
    assert [check.passed for check in checks.checks] == [True, False, False, True]


def test_when_all_hold(checks: Checklist, written: io.StringIO) -> None:
    checks.prove("Two is two", lambda: None)
    checks.close()
    assert written.getvalue().splitlines()[-1].startswith("✓ All 1 checks passed in ")


def test_a_mistake_of_our_own_is_not_a_failed_check(checks: Checklist) -> None:
    with pytest.raises(ZeroDivisionError):
        checks.prove("Nothing", lambda: str(1 // 0))


def test_as_json() -> None:
    assert Check("Two is two", True, "2", 0.1).as_json() == {
        "claim": "Two is two", "passed": True, "note": "2", "seconds": 0.1
    }  # fmt: skip


def test_expect() -> None:
    expect(True, "never said")
    with pytest.raises(Unproven, match="said"):
        expect(False, "said")

"""Commands in comments."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from previewdrop.domain.commands import Command, Verb, command_in

FULL = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ("/preview", Command(Verb.DEPLOY)),
        ("/preview  \r\n", Command(Verb.DEPLOY)),
        ("/PREVIEW Redeploy", Command(Verb.REDEPLOY)),
        ("/preview deploy", Command(Verb.DEPLOY)),
        ("/preview stop, please", Command(Verb.STOP)),
        ("/preview stop.", Command(Verb.STOP)),
        ("/preview `reset-db`", Command(Verb.RESET_DB)),
        ("/preview\tlogs of the worker", Command(Verb.LOGS)),
        ("   /preview help", Command(Verb.HELP)),
        ("/preview: redeploy", Command(Verb.REDEPLOY)),
        ("/preview!", Command(Verb.DEPLOY)),
        ("Looks good.\n\n/preview redeploy\nThanks!", Command(Verb.REDEPLOY)),
        ("/preview stop\n/preview redeploy", Command(Verb.STOP)),
        ("/preview restart", Command(Verb.HELP, unknown="restart")),
        ("/preview " + "x" * 99, Command(Verb.HELP, unknown="x" * 40)),
        ("/preview approve", Command(Verb.APPROVE)),
        (f"/preview approve {FULL.upper()} ok", Command(Verb.APPROVE, FULL)),
        ("/preview approve `0123456`.", Command(Verb.APPROVE, "0123456")),
        ("/preview approve it, please", Command(Verb.APPROVE)),
        ("/preview redeploy 0123456", Command(Verb.REDEPLOY)),
        ("```\ncode\n```\n/preview", Command(Verb.DEPLOY)),
        ("````\n```\n````\n/preview", Command(Verb.DEPLOY)),
        ("``` a`b\n/preview", Command(Verb.DEPLOY)),
        ("<!-- hidden --> \n/preview", Command(Verb.DEPLOY)),
        ("<!--\nhidden\n-->\n/preview", Command(Verb.DEPLOY)),
        ("> /preview stop\n/preview", Command(Verb.DEPLOY)),
        ("", None),
        ("Try /preview", None),
        ("/previews", None),
        ("/preview/x", None),
        ("/preview-stop", None),
        ("`/preview`", None),
        ("- /preview", None),
        ("> /preview stop", None),
        ("    /preview", None),
        ("\t/preview", None),
        ("```\n/preview stop\n```", None),
        ("~~~ sh\n/preview stop\n```\n/preview\n~~~", None),
        ("```\n/preview never closed", None),
        ("````\n```\n/preview\n````", None),
        ("```\n``` not a closing fence\n/preview\n```", None),
        ("<!--\n/preview stop\n-->", None),
        ("<!-- /preview stop -->", None),
        ("<!-- a --> <!--\n/preview\n-->", None),
        ("<!-- previewdrop:shop/pr-42 -->\n/preview stop", None),
    ],
)
def test_a_command_stands_at_the_start_of_a_line(body: str, command: Command | None):
    assert command_in(body) == command


@settings(max_examples=200, deadline=None)
@given(st.text("/preview `~\n>-<!stop", max_size=60))
def test_any_text_is_a_command_or_none(body: str):
    found = command_in(body)
    assert found is None or found.verb in Verb
    if found is not None:
        assert "/preview" in body


@pytest.mark.parametrize(
    ("given_", "shown", "approves"),
    [
        (FULL, None, True),
        (FULL, "f" * 40, True),
        (FULL[:7], FULL, True),
        (FULL[:7], None, False),
        (FULL[:7], "f" * 40, False),
        (FULL[:6], FULL, False),
        ("f" * 40, FULL, False),
        ("f" * 7, FULL, False),
        (FULL + "0", FULL, False),
        (None, FULL, True),
        (None, None, False),
        (None, "f" * 40, False),
    ],
)
def test_an_approval_is_of_what_was_read(given_: str | None, shown: str | None, approves: bool):
    assert Command(Verb.APPROVE, given_).approves(FULL, shown) is approves


def test_nothing_else_approves():
    assert not Command(Verb.DEPLOY).approves(FULL, FULL)

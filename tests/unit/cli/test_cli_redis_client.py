"""The small Redis client: lines in, replies out."""

from __future__ import annotations

from typing import Any

import pytest
from valkey.exceptions import ResponseError

from previewdrop.cli.redis_client import RedisClient, answers, reply_lines
from previewdrop.domain.errors import BadInput, Unavailable


@pytest.mark.parametrize(
    ("reply", "lines"),
    [
        (b"OK", ["OK"]),
        (3, ["3"]),
        (None, ["(nil)"]),
        (b"\xff", ["\\xff"]),
        ([], ["(empty)"]),
        ([b"a", [b"b", 1], None], ["1) a", "2) 1) b", "   2) 1", "3) (nil)"]),
        (ResponseError("NOPERM no"), ["(error) NOPERM no"]),
    ],
)
def test_replies(reply: Any, lines: list[str]) -> None:
    assert reply_lines(reply) == lines


def test_lines_are_words_as_in_a_shell_until_quit() -> None:
    asked: list[list[str]] = []

    def ask(words: list[str]) -> Any:
        asked.append(words)
        return ResponseError("unknown") if words[0] == "NOPE" else b"OK"

    lines = ["SET greeting 'hello world'", "", "NOPE", 'GET "broken', "quit", "PING"]
    assert list(answers(ask, lines)) == [
        ("OK", True),
        ("(error) unknown", False),
        ("(error) No closing quotation", False),
    ]
    assert asked == [["SET", "greeting", "hello world"], ["NOPE"]]


def test_what_it_cannot_do_and_a_server_that_is_not_there() -> None:
    client = RedisClient("redis://127.0.0.1:1/0")
    with pytest.raises(BadInput, match="SUBSCRIBE needs redis-cli"):
        client(["subscribe", "news"])
    with pytest.raises(Unavailable, match="did not answer"):
        client(["PING"])

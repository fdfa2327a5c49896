"""Signing in: tickets are good once, sessions for a week, and only for the dashboard."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest

from previewdrop.domain.secret import Secret
from previewdrop.web.gate import Gate
from previewdrop.web.session import COOKIE, TICKET_LASTS, WEEK, Sessions, Tickets

TOKEN = Secret("the-token")
PUBLIC = "https://previews.acme.com"


def cookie(value: str, before: str = "") -> str:
    return f"{before}theme=dark; {COOKIE}={value}"


def test_a_session_lasts_a_week():
    now = [1_800_000_000.0]
    sessions = Sessions(TOKEN, lambda: now[0])
    header = cookie(sessions.begin())
    assert sessions.valid(header)
    now[0] += WEEK - 1
    assert sessions.valid(header)
    now[0] += 1
    assert not sessions.valid(header)


def test_a_session_is_of_one_token():
    other = Sessions(Secret("another"))
    assert not other.valid(cookie(Sessions(TOKEN).begin()))
    assert other.path != Sessions(TOKEN).path
    assert Sessions(TOKEN).valid(cookie(Sessions(TOKEN).begin()))


@pytest.mark.parametrize(
    "value", ["", ".", "9999999999", "9999999999.", "x.y", "é.é", "9999999999." + "0" * 64]
)
def test_no_other_cookie_is_a_session(value: str):
    sessions = Sessions(TOKEN)
    assert not sessions.valid(cookie(value))
    assert not sessions.valid(f"other={sessions.begin()}")
    assert not sessions.valid(sessions.begin())


def test_a_cookie_that_somebody_else_set_hides_none():
    sessions = Sessions(TOKEN)
    assert sessions.valid(cookie(sessions.begin(), before=f"{COOKIE}=tossed; "))
    assert sessions.valid(f"{cookie(sessions.begin())}; {COOKIE}=tossed")


def test_a_longer_time_needs_another_signature():
    until, _, signature = Sessions(TOKEN).begin().partition(".")
    assert not Sessions(TOKEN).valid(cookie(f"{int(until) + 1}.{signature}"))


def test_the_path_cannot_be_guessed_and_covers_what_is_below():
    sessions = Sessions(TOKEN)
    assert re.fullmatch(r"/dashboard/[A-Za-z0-9_-]{24}", sessions.path)
    assert sessions.covers(f"{sessions.path}/github")
    assert not sessions.covers(sessions.path)
    assert not sessions.covers(f"{sessions.path}x/github")
    assert not sessions.covers("/dashboard/x/github")


def test_a_ticket_is_good_once_and_not_for_long():
    now = [0.0]
    tickets = Tickets(lambda: now[0])
    ticket = tickets.issue()
    assert not tickets.take("another")
    assert tickets.take(ticket)
    assert not tickets.take(ticket)
    late = tickets.issue()
    now[0] += TICKET_LASTS
    assert not tickets.take(late)


def test_no_more_tickets_are_kept_than_anybody_needs():
    tickets = Tickets()
    issued = [tickets.issue() for _ in range(101)]
    assert not tickets.take(issued[0])
    assert all(tickets.take(each) for each in issued[1:])


async def _inside(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


async def passes(method: str, path: str, **headers: str) -> int:
    transport: Any = httpx2.ASGITransport(app=Gate(_inside, TOKEN, Sessions(TOKEN), PUBLIC))
    async with httpx2.AsyncClient(transport=transport, base_url="http://here:7780") as client:
        return (await client.request(method, path, headers=headers)).status_code


async def test_a_session_opens_the_dashboard_and_nothing_else():
    sessions = Sessions(TOKEN)
    session, place = cookie(sessions.begin()), f"{sessions.path}/github"
    assert await passes("GET", place) == 401
    assert await passes("GET", place, cookie=session) == 200
    assert await passes("GET", "/dashboard/guessed/github", cookie=session) == 401
    assert await passes("GET", "/api/v1/server", cookie=session) == 401
    assert await passes("GET", "/api/v1/server", authorization="Bearer the-token") == 200
    assert await passes("GET", place, authorization="Bearer the-token") == 401


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://here:7780", 200),
        ("http://here:9000", 403),
        ("http://pr-42.here:7780", 403),
        ("https://previews.acme.com", 200),
        ("https://evil.acme.com", 403),
        ("https://evil.com/https://previews.acme.com.evil.com", 403),
        ("http://[", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_only_our_own_pages_change_something(origin: str, status: int):
    sessions = Sessions(TOKEN)
    headers = {"cookie": cookie(sessions.begin()), **({"origin": origin} if origin else {})}
    assert await passes("POST", f"{sessions.path}/github/add", **headers) == status

"""Calls to GitHub over the wire: headers, redirections, limits and errors."""

from __future__ import annotations

import asyncio
import logging
import traceback
from dataclasses import replace

import httpx2
import pytest

from previewdrop.domain.errors import Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Refused
from previewdrop.forge.github.calls import Call
from previewdrop.forge.github.client import Bearer, Client
from previewdrop.forge.github.host import Host
from unit.forge.scripted import HOST, Scripted, answer, no

TOKEN = Bearer(Secret("ghs_0123456789abcdef"), "installation 3")
GET = Call("GET", "/repos/acme/shop", "show acme/shop")
POST = Call("POST", "/repos/acme/shop/pulls", "make it", body={"a": 1})


async def test_a_call_carries_token_version_and_name():
    github = Scripted(answer({"id": 7}, headers={"etag": 'W/"abc"'}))
    got = await github.client().send(Call("GET", "/x", "look", {"page": 2, "state": "open"}), TOKEN)
    assert (got.value, got.mark, got.more, got.changed) == ({"id": 7}, 'W/"abc"', False, True)
    [asked] = github.asked
    assert asked.place == "GET /x?page=2&state=open"
    assert asked.headers["authorization"] == "Bearer ghs_0123456789abcdef"
    assert asked.headers["accept"] == "application/vnd.github+json"
    assert asked.headers["x-github-api-version"] == "2022-11-28"
    assert asked.headers["user-agent"] == "PreviewDrop"


async def test_no_token_and_no_content():
    github = Scripted(answer(status=204))
    got = await github.client().send(Call("POST", "/x", "look"), None)
    assert got.value is None
    assert "authorization" not in github.asked[0].headers


async def test_what_did_not_change_is_told():
    github = Scripted(answer(status=304))
    got = await github.client().send(Call("GET", "/x", "look", mark='"e"'), TOKEN)
    assert (got.value, got.mark, got.changed) == (None, '"e"', False)
    assert github.asked[0].headers["if-none-match"] == '"e"'


async def test_a_next_page_is_seen():
    link = '<https://other.test/x?page=2>; rel="next", <https://other.test/x?page=9>; rel="last"'
    github = Scripted(answer([], headers={"link": link}))
    assert (await github.client().send(GET, TOKEN)).more


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_renamed_repository_is_followed_with_the_same_method(status: int):
    moved = answer(status=status, headers={"location": "/repositories/7/pulls?x=1"})
    github = Scripted(moved, answer({"id": 1}, 201))
    got = await github.client().send(POST, TOKEN)
    assert got.value == {"id": 1}
    assert github.places == ["POST /repos/acme/shop/pulls", "POST /repositories/7/pulls?x=1"]
    assert github.asked[1].body == {"a": 1}
    assert github.asked[1].token == TOKEN.token.reveal()


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.test/x",
        "http://api.github.test/x",
        "//evil.test/x",
        "https://api.github.test:444/x",
        "http://[::1",
        None,
    ],
)
async def test_the_token_goes_nowhere_else(location: str | None):
    headers = {"location": location} if location else None
    github = Scripted(answer(status=301, headers=headers))
    with pytest.raises(Refused, match="GitHub refused to show acme/shop: status 301"):
        await github.client().send(GET, TOKEN)
    assert len(github.asked) == 1


async def test_endless_redirections_end():
    moved = answer(status=301, headers={"location": "/x"})
    github = Scripted(moved, moved, moved, moved)
    with pytest.raises(Refused):
        await github.client().send(GET, TOKEN)


@pytest.mark.parametrize(
    "error",
    [
        httpx2.ConnectError("no route"),
        httpx2.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("cut"),
    ],
)
async def test_a_broken_connection_passes_by_itself(error: Exception):
    with pytest.raises(Unavailable, match="did not answer when asked to show acme/shop") as raised:
        await Scripted(error).client().send(GET, TOKEN)
    assert raised.value.seconds is None


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
async def test_a_failing_github_passes_by_itself(status: int):
    failed = httpx2.Response(status, text="<html>Unicorn!</html>")
    with pytest.raises(Unavailable, match=rf"failed to show acme/shop \(status {status}\)"):
        await Scripted(failed).client().send(GET, TOKEN)


async def test_maintenance_says_how_long():
    with pytest.raises(Unavailable) as raised:
        await Scripted(no(503, "later", retry_after="120")).client().send(GET, TOKEN)
    assert raised.value.seconds == 120


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        (
            no(
                403,
                "API rate limit exceeded",
                x_ratelimit_remaining="0",
                x_ratelimit_reset="1000500",
            ),
            500,
        ),
        (no(429, "Too many", x_ratelimit_remaining="0", x_ratelimit_reset="1000500"), 500),
        (no(403, "x", x_ratelimit_remaining="0", x_ratelimit_reset="5"), 1),
        (no(403, "x", x_ratelimit_remaining="0"), 60),
        (no(403, "x", x_ratelimit_remaining="0", x_ratelimit_reset="soon"), 60),
        (no(403, "You have exceeded a secondary rate limit", retry_after="30"), 30),
        (no(429, "x", retry_after="0"), 1),
        (no(429, "x", retry_after="9" * 400), 3600),
        (no(403, "You have exceeded a secondary rate limit. Please wait."), 60),
        (no(403, "You have triggered an abuse detection mechanism."), 60),
        (no(429, "x", retry_after="Wed, 21 Oct 2015 07:28:00 GMT"), 60),
    ],
)
async def test_limits_say_how_long_to_wait(refusal: httpx2.Response, seconds: float):
    with pytest.raises(Unavailable, match="GitHub wants fewer requests") as raised:
        await Scripted(refusal).client().send(GET, TOKEN)
    assert raised.value.seconds == seconds


async def test_limits_count_by_the_clock_of_github():
    refusal = no(
        403,
        "API rate limit exceeded",
        x_ratelimit_remaining="0",
        x_ratelimit_reset="1700000100",
        date="Tue, 14 Nov 2023 22:13:20 GMT",
    )
    github = Scripted(refusal)
    client = github.client()
    with pytest.raises(Unavailable) as raised:
        await client.send(GET, TOKEN)
    assert raised.value.seconds == 100
    assert client.now() == 1_700_000_000


@pytest.mark.parametrize("date", ["yesterday", "Tue, 14 Nov 99999 22:13:20 GMT", ""])
async def test_a_date_that_is_none_changes_no_clock(date: str):
    client = Scripted(answer({}, headers={"date": date})).client()
    await client.send(GET, TOKEN)
    assert client.now() == 1_000_000


async def test_after_a_limit_nothing_is_sent_until_it_is_over():
    now = 50.0
    github = Scripted(no(429, "x", retry_after="30"), answer({}), answer({}))
    client = Client(HOST, transport=github.transport, monotonic=lambda: now)
    with pytest.raises(Unavailable):
        await client.send(GET, TOKEN)
    now = 60.0
    with pytest.raises(Unavailable, match="was not asked to show acme/shop") as raised:
        await client.send(GET, TOKEN)
    assert raised.value.seconds == 20
    assert len(github.asked) == 1
    with pytest.raises(Unavailable, match="was not asked"):
        await client.send(GET, replace(TOKEN, token=Secret("another token")))
    await client.send(GET, replace(TOKEN, who="the App"))
    now = 80.0
    await client.send(GET, TOKEN)
    assert len(github.asked) == 3


async def test_a_short_limit_ends_no_longer_one():
    answers = [no(429, "x", retry_after="1"), no(429, "x", retry_after="300")]
    together = asyncio.Barrier(2)

    async def answered(request: httpx2.Request) -> httpx2.Response:
        await together.wait()
        return answers.pop()

    client = Client(HOST, transport=httpx2.MockTransport(answered), monotonic=lambda: 50.0)
    await asyncio.gather(limited(client), limited(client))
    with pytest.raises(Unavailable, match="was not asked") as raised:
        await client.send(GET, TOKEN)
    assert raised.value.seconds == 300


async def limited(client: Client) -> None:
    with pytest.raises(Unavailable):
        await client.send(GET, TOKEN)


@pytest.mark.parametrize(
    ("status", "body", "reason", "hint"),
    [
        (401, {"message": "Bad credentials"}, "Bad credentials", "github connect"),
        (403, {"message": "Resource not accessible by integration."},
         "Resource not accessible by integration", "permissions"),
        (404, {"message": "Not Found"}, "Not Found", "installed"),
        (410, {"message": "Issues are disabled"}, "Issues are disabled", None),
        (422, {"message": "Validation Failed", "errors": [
            {"field": "ref", "code": "invalid"}, "plain", {"message": "No ref\nfound"}, 5]},
         "Validation Failed: ref invalid; plain; No ref found", None),
        (422, {"message": "Validation Failed", "errors": "one"}, "Validation Failed: one", None),
        (422, {"message": 5, "errors": None}, "status 422", None),
        (409, [], "status 409", None),
        (400, {"message": "\x00a" + "x" * 500}, "\ufffda" + "x" * 298, None),
    ],
)  # fmt: skip
async def test_a_no_is_a_sentence(status: int, body: object, reason: str, hint: str | None):
    with pytest.raises(Refused) as raised:
        await Scripted(answer(body, status)).client().send(GET, TOKEN)
    refused = raised.value
    assert refused.message == f"GitHub refused to show acme/shop: {reason}."
    assert (refused.answer, refused.reason) == (status, reason)
    assert refused.missing == (status in (404, 410))
    assert (hint in (refused.hint or "")) if hint else refused.hint is None


@pytest.mark.parametrize("text", ["Bad", "[" * 100_000])
async def test_a_no_without_json(text: str):
    with pytest.raises(Refused, match="status 400"):
        await Scripted(httpx2.Response(400, text=text)).client().send(GET, TOKEN)


@pytest.mark.parametrize("text", ["<html>Please log in</html>", "[" * 100_000])
async def test_something_else_answers(text: str):
    with pytest.raises(Unavailable, match="something else than JSON"):
        await Scripted(httpx2.Response(200, text=text)).client().send(GET, TOKEN)


async def test_no_error_and_no_log_shows_the_token(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    for refusal in (httpx2.ConnectError("x"), no(401), no(403), no(500), no(429)):
        with pytest.raises((Refused, Unavailable)) as raised:
            await Scripted(refusal).client().send(GET, TOKEN)
        shown = "".join(traceback.format_exception(raised.value))
        assert TOKEN.token.reveal() not in shown + repr(raised.value) + caplog.text


async def test_a_call_does_not_show_its_body():
    assert "hunter2" not in repr(Call("POST", "/x", "hook", body={"secret": "hunter2"}))


async def test_a_github_on_this_machine_is_not_asked_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    client = Client(Host("http://127.0.0.1:1", "http://127.0.0.1:1/api/v3"))
    with pytest.raises(Unavailable, match="ConnectError"):
        await client.send(GET, TOKEN)
    await client.aclose()

"""An App's proofs and tokens, and a person's token in their place."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import httpx2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from previewdrop.domain.errors import BadConfig, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Refused
from previewdrop.forge.events import Repository
from previewdrop.forge.github.app import App, AppAccess, Installation, jwt, signing_key
from previewdrop.forge.github.client import Bearer, Client
from previewdrop.forge.github.personal import PersonalAccess
from unit.forge.scripted import HOST, SHOP, Scripted, answer, no

NOW = 1_700_000_000.0
SUSPENDED = "2023-11-14T22:13:20Z"
UNINSTALLED = Repository(8, "acme/tools", "https://github.test/acme/tools.git")


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
) -> Secret:
    return Secret(
        private.private_bytes(
            serialization.Encoding.PEM,
            form,
            serialization.NoEncryption(),
        ).decode()
    )


def app() -> App:
    return App(42, pem(key()), Secret("hook"))


def token(text: str, seconds: float = 3600) -> httpx2.Response:
    until = datetime.fromtimestamp(NOW + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return answer({"token": text, "expires_at": until}, 201)


def access(github: Scripted, now: float = NOW) -> AppAccess:
    return AppAccess(github.client(now), app())


def claims(proof: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWT whose signature fits."""
    head, body, signature = proof.split(".")
    key().public_key().verify(
        _raw(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    return json.loads(_raw(head)), json.loads(_raw(body))


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_the_proof_says_who_since_when_and_until_when():
    proof = jwt(42, key(), NOW + 0.9)
    head, body = claims(proof.reveal())
    assert head == {"alg": "RS256", "typ": "JWT"}
    assert body == {"iat": NOW - 60, "exp": NOW + 540, "iss": "42"}
    assert "=" not in proof.reveal()


def test_a_changed_proof_does_not_fit():
    head, _, signature = jwt(42, key(), NOW).reveal().split(".")
    other = jwt(43, key(), NOW).reveal().split(".")[1]
    with pytest.raises(InvalidSignature):
        claims(f"{head}.{other}.{signature}")


def test_both_forms_of_pem_are_read():
    for form in (
        serialization.PrivateFormat.PKCS8,
        serialization.PrivateFormat.TraditionalOpenSSL,
    ):
        assert signing_key(pem(key(), form)).key_size == 2048


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        None,
    ],
)
def test_what_is_no_key_is_refused_without_repeating_it(text: str | None):
    given = pem(ec.generate_private_key(ec.SECP256R1())) if text is None else Secret(text)
    with pytest.raises(BadConfig, match="no RSA key in PEM") as refused:
        signing_key(given)
    assert "hunter2" not in str(refused.value)


def test_an_app_does_not_show_its_secrets():
    assert "PRIVATE KEY" not in repr(app())
    assert "'hook'" not in repr(app())


async def test_a_token_is_fetched_once_and_kept():
    github = Scripted(token("ghs_1"))
    granted = access(github)
    both = await asyncio.gather(granted.token(SHOP), granted.token(SHOP))
    assert both == [Bearer(Secret("ghs_1"), "installation 3")] * 2
    [asked] = github.asked
    assert asked.place == "POST /app/installations/3/access_tokens"
    assert asked.body is None
    assert claims(asked.token)[1]["iss"] == "42"


async def test_a_token_is_replaced_before_it_expires():
    github = Scripted(token("ghs_1", 899), token("ghs_2", 901))
    granted = access(github)
    assert (await granted.token(SHOP)).token == Secret("ghs_1")
    assert (await granted.token(SHOP)).token == Secret("ghs_2")
    assert (await granted.token(SHOP)).token == Secret("ghs_2")


async def test_a_token_for_a_clone_can_only_read_that_repository():
    github = Scripted(token("ghs_narrow"), token("ghs_wide"))
    granted = access(github)
    assert await granted.clone_token(SHOP) == Secret("ghs_narrow")
    assert github.asked[0].body == {"repository_ids": [7], "permissions": {"contents": "read"}}
    assert (await granted.token(SHOP)).token == Secret("ghs_wide")
    assert await granted.clone_token(SHOP) == Secret("ghs_narrow")


async def test_a_token_that_is_not_taken_any_more_is_forgotten():
    github = Scripted(token("ghs_1"), token("ghs_2"))
    granted = access(github)
    assert granted.expired((await granted.token(SHOP)).token)
    assert (await granted.token(SHOP)).token == Secret("ghs_2")


async def test_an_installation_is_looked_up_where_nothing_told_it():
    github = Scripted(answer({"id": 5}), token("ghs_5"), token("ghs_6"))
    granted = access(github)
    assert (await granted.token(UNINSTALLED)).token == Secret("ghs_5")
    granted.expired(Secret("ghs_5"))
    assert (await granted.token(UNINSTALLED)).token == Secret("ghs_6")
    assert github.places == [
        "GET /repos/acme/tools/installation",
        "POST /app/installations/5/access_tokens",
        "POST /app/installations/5/access_tokens",
    ]


async def test_an_app_that_was_installed_again_is_found():
    github = Scripted(no(404), answer({"id": 9}), token("ghs_9"), token("ghs_narrow"))
    granted = access(github)
    assert (await granted.token(SHOP)).token == Secret("ghs_9")
    assert await granted.clone_token(SHOP) == Secret("ghs_narrow")
    assert github.places[-1] == "POST /app/installations/9/access_tokens"


async def test_what_is_told_of_an_installation_counts_more_than_what_was_found_before():
    github = Scripted(no(404), answer({"id": 9}), token("ghs_9"), token("ghs_11"))
    granted = access(github)
    assert (await granted.token(SHOP)).token == Secret("ghs_9")
    assert (await granted.token(replace(SHOP, installation=11))).token == Secret("ghs_11")
    assert github.places[-1] == "POST /app/installations/11/access_tokens"


async def test_an_app_that_is_not_installed_is_refused():
    with pytest.raises(Refused) as refused:
        await access(Scripted(no(404), no(404))).token(SHOP)
    assert refused.value.missing
    with pytest.raises(Refused):
        await access(Scripted(no(404), answer({"id": 3}))).token(SHOP)
    refusal = no(422, "The permissions requested are not granted to this installation.")
    with pytest.raises(Refused, match="not granted"):
        await access(Scripted(refusal, answer({"id": 3}))).clone_token(SHOP)
    with pytest.raises(Refused, match="suspended"):
        await access(Scripted(no(403, "This installation has been suspended"))).token(SHOP)


async def test_a_wrong_clock_is_corrected_by_the_host_s_refusal():
    late = no(401, "'Expiration time' claim ('exp') is too far in the future")
    late.headers["date"] = "Tue, 14 Nov 2023 22:13:20 GMT"
    github = Scripted(late, token("ghs_1"))
    assert (await access(github, NOW + 7200).token(SHOP)).token == Secret("ghs_1")
    assert claims(github.asked[0].token)[1]["iat"] == NOW + 7140
    assert claims(github.asked[1].token)[1]["iat"] == NOW - 60


async def test_an_app_that_is_limited_stays_silent_with_each_new_proof():
    now = NOW
    github = Scripted(no(403, "secondary rate limit", retry_after="3600"), answer({"slug": "x"}))
    client = Client(HOST, transport=github.transport, clock=lambda: now, monotonic=lambda: now)
    granted = AppAccess(client, app())
    for _ in range(5):
        with pytest.raises(Unavailable):
            await granted.author()
        now += 1
    assert len(github.asked) == 1
    now = NOW + 3600
    assert await granted.author() == "x[bot]"


async def test_a_wrong_key_is_refused_after_a_second_try():
    refusal = no(401, "A JSON web token could not be decoded")
    with pytest.raises(Refused, match="could not be decoded"):
        await access(Scripted(refusal, refusal)).token(SHOP)


@pytest.mark.parametrize("body", [{}, {"token": "a\nb", "expires_at": "2023-11-14T22:13:20Z"}, []])
async def test_a_token_of_another_shape_passes_by_itself(body: object):
    with pytest.raises(Unavailable, match="GitHub's answer has"):
        await access(Scripted(answer(body))).token(SHOP)


async def test_our_comments_are_written_by_the_app_s_bot():
    github = Scripted(answer({"slug": "previewdrop-acme"}))
    granted = access(github)
    assert await granted.author() == "previewdrop-acme[bot]"
    assert await granted.author() == "previewdrop-acme[bot]"
    assert github.places == ["GET /app"]


def installation(id: int, suspended: str | None = None, **account: str) -> dict[str, object]:
    return {
        "id": id,
        "account": account,
        "html_url": f"https://github.test/settings/installations/{id}",
        "suspended_at": suspended,
    }


async def test_repositories_of_all_installations_at_work():
    following = {"link": '<https://api.github.test/x?page=2>; rel="next"'}
    github = Scripted(
        answer([installation(3, login="acme")], headers=following),
        answer([installation(4, SUSPENDED, login="gone"), installation(5, slug="corp")]),
        token("ghs_3"),
        answer(
            {"repositories": [{"id": 7, "full_name": "acme/shop", "private": True}]},
            headers=following,
        ),
        answer({"repositories": [{"id": 8, "full_name": "acme/tools"}]}),
        token("ghs_5"),
        answer({"repositories": []}),
    )
    assert await access(github).repositories() == [
        Repository(7, "acme/shop", "https://github.test/acme/shop.git", True, 3),
        Repository(8, "acme/tools", "https://github.test/acme/tools.git", False, 3),
    ]
    assert github.places == [
        "GET /app/installations?per_page=100&page=1",
        "GET /app/installations?per_page=100&page=2",
        "POST /app/installations/3/access_tokens",
        "GET /installation/repositories?per_page=100&page=1",
        "GET /installation/repositories?per_page=100&page=2",
        "POST /app/installations/5/access_tokens",
        "GET /installation/repositories?per_page=100&page=1",
    ]
    assert [each.token for each in github.asked[3:5]] == ["ghs_3", "ghs_3"]


async def test_installations_for_people_to_choose_from():
    github = Scripted(
        answer([installation(3, login="acme"), installation(4, "2023-11-14T22:13:20Z")])
    )
    assert await access(github).installations() == [
        Installation(3, "acme", "https://github.test/settings/installations/3", False),
        Installation(4, "ghost", "https://github.test/settings/installations/4", True),
    ]


async def test_a_person_s_token_is_used_for_everything():
    mine = [
        {"id": 7, "full_name": "acme/shop", "permissions": {"push": True, "admin": False}},
        {"id": 8, "full_name": "acme/read-only", "permissions": {"push": False}},
        {"id": 9, "full_name": "acme/untold"},
    ]
    github = Scripted(answer({"login": "octocat"}), answer(mine))
    granted = PersonalAccess(github.client(), Secret("ghp_1"))
    assert (await granted.token(SHOP)).token == await granted.clone_token(SHOP) == Secret("ghp_1")
    assert not granted.expired(Secret("ghp_1"))
    assert [await granted.author(), await granted.author()] == ["octocat", "octocat"]
    assert [each.name for each in await granted.repositories()] == ["acme/shop"]
    assert github.places == ["GET /user", "GET /user/repos?per_page=100&page=1"]
    assert {each.token for each in github.asked} == {"ghp_1"}


@pytest.mark.parametrize("text", ["", "ghp_hunter2\n", "ghp hunter2", "ghp_hunter2\u00e9", '"\x00'])
def test_what_cannot_be_a_token_is_refused_without_repeating_it(text: str):
    with pytest.raises(BadConfig, match="characters that no token has") as refused:
        PersonalAccess(Scripted().client(), Secret(text))
    assert "hunter2" not in str(refused.value)

"""Signatures of webhooks: what GitHub's own secret made, and nothing else."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewdrop.domain.secret import Secret
from previewdrop.forge.github.signature import present, signature, verified

SECRET = Secret("It's a Secret to Everybody")
BODY = b"Hello, World!"
DOCUMENTED = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def test_the_documented_example():
    assert signature(SECRET, BODY) == DOCUMENTED
    assert verified(SECRET, {"X-Hub-Signature-256": DOCUMENTED}, BODY)
    assert present({"X-Hub-Signature-256": DOCUMENTED})


@pytest.mark.parametrize("name", ["x-hub-signature-256", "X-HUB-SIGNATURE-256"])
def test_header_names_come_in_any_case(name: str):
    assert verified(SECRET, {name: DOCUMENTED}, BODY)


def test_sha1_alone_is_not_enough():
    sha1 = "sha1=" + hmac.new(SECRET.reveal().encode(), BODY, hashlib.sha1).hexdigest()
    assert not verified(SECRET, {"X-Hub-Signature": sha1}, BODY)
    assert not verified(SECRET, {"X-Hub-Signature-256": sha1}, BODY)


@pytest.mark.parametrize(
    "given_signature",
    [
        "",
        "sha256=",
        "sha256",
        DOCUMENTED.removeprefix("sha256="),
        DOCUMENTED.upper(),
        DOCUMENTED + " ",
        DOCUMENTED[:-1],
        "sha512=" + "0" * 128,
        "sha256=\u00e9\ud800",
        "\x00",
    ],
)
def test_other_forms_are_no_signature(given_signature: str):
    assert not verified(SECRET, {"X-Hub-Signature-256": given_signature}, BODY)
    assert not present({"X-Hub-Signature-256": given_signature})


def test_no_header_is_no_signature():
    assert not verified(SECRET, {}, BODY)
    assert not present({})


def test_an_empty_secret_verifies_nothing():
    empty = Secret("")
    assert not verified(empty, {"X-Hub-Signature-256": signature(empty, BODY)}, BODY)


@given(st.binary(max_size=200), st.binary(max_size=200), st.text(min_size=1, max_size=20))
def test_only_the_signed_body_passes(signed: bytes, sent: bytes, secret: str):
    try:
        secret.encode()
    except UnicodeEncodeError:
        return
    headers = {"X-Hub-Signature-256": signature(Secret(secret), signed)}
    assert verified(Secret(secret), headers, sent) == (signed == sent)
    assert not verified(Secret(secret + "x"), headers, signed)

"""Secrets that redact themselves, and text from which they are taken out."""

import json
import pickle
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewdrop.domain.secret import REDACTED, Redactor, Secret


def test_a_secret_shows_itself_only_when_asked():
    @dataclass
    class Holder:
        password: Secret

    secret = Secret("hunter2-word")
    shown = f"{secret} {secret!r} {secret!s} {secret:>40} {Holder(secret)} {[secret]} %s" % secret
    assert "hunter2" not in shown
    assert REDACTED in shown
    assert secret.reveal() == "hunter2-word"


def test_a_secret_does_not_go_into_json_by_accident():
    with pytest.raises(TypeError):
        json.dumps({"password": Secret("hunter2-word")})


def test_secrets_compare_and_travel():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert pickle.loads(pickle.dumps(Secret("a"))) == Secret("a")  # noqa: S301
    assert not Secret("")
    assert Secret("a")


class TestRedactor:
    def test_every_occurrence_goes(self):
        redact = Redactor([Secret("hunter2"), Secret("other-word")])
        assert redact("a hunter2 b other-word c hunter2hunter2") == "a ••• b ••• c ••••••"
        assert redact("nothing here") == "nothing here"
        assert redact("") == ""

    def test_short_and_blank_values_stay(self):
        redact = Redactor(
            [Secret(""), Secret("12345"), Secret("       "), Secret("a\n\nb\n     \n")]
        )
        assert redact("x 12345        a b") == "x 12345        a b"

    def test_overlapping_secrets_leave_no_rest(self):
        redact = Redactor([Secret("abcdefgh"), Secret("ghijklmn"), Secret("bcdefg")])
        assert redact("-abcdefghijklmn-abcdefgh-") == "-•••-•••-"
        assert Redactor([Secret("aabaab")])("aabaabaab") == "•••"

    def test_a_secret_of_several_lines_goes_line_by_line(self):
        redact = Redactor([Secret("-----BEGIN KEY-----\nMIIEvQIBADANBg\nshort\n")])
        assert redact("MIIEvQIBADANBg") == REDACTED
        assert redact("short") == "short"

    @pytest.mark.parametrize("value", ["p@ss/w:rd", 'quo"te\\d', "grün-✓-word", "tab\tword\tx"])
    def test_encoded_forms_go_too(self, value: str):
        redact = Redactor([Secret(value)])
        assert redact(f"postgresql://u:{quote(value, safe='')}@h/d") == "postgresql://u:•••@h/d"
        assert redact(json.dumps({"a": value})) == '{"a": "•••"}'
        assert redact(json.dumps({"a": value}, ensure_ascii=False)) == '{"a": "•••"}'

    @given(
        st.lists(st.text("abcd•", min_size=6, max_size=8), max_size=4),
        st.lists(st.text("abcdx", max_size=12), max_size=5),
    )
    def test_no_secret_survives(self, values: list[str], around: list[str]):
        values = [value for value in values if "•" not in value]
        text = "".join(before + value for before, value in zip(around, values, strict=False))
        redacted = Redactor(Secret(value) for value in values)(text)
        assert not any(value in redacted for value in values)

    @given(st.text(max_size=40), st.text(min_size=6, max_size=20))
    def test_what_holds_no_secret_is_untouched(self, text: str, value: str):
        assert Redactor([Secret(value)])(text) == text or any(
            form in text for form in (*value.splitlines(), value, quote(value, safe=""))
        )

"""Reading env templates: lines, quotes, references, and what is refused."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewdrop.domain.errors import BadTemplate
from previewdrop.domain.template import (
    Reference,
    decode,
    dump,
    importable,
    is_name,
    parse,
    pieces,
)


def values(text: str) -> dict[str, str]:
    return {line.name: line.value for line in parse(text, ".env.preview")}


def refusal(attempt: Callable[[], object]) -> str | None:
    try:
        attempt()
    except BadTemplate as error:
        return error.message
    return None


def test_lines_are_read_as_python_dotenv_reads_them():
    text = (
        "# a comment\n"
        "\n"
        "PLAIN=one # why\n"
        "export EXPORTED=two\n"
        'DOUBLE="a\\nb # no comment"\n'
        "SINGLE='a\\nb'\n"
        'MULTI="first\nsecond"\n'
        "EMPTY=\n"
        "SPACED = three\n"
        "HASH=a#b\n"
    )
    assert values(text) == {
        "PLAIN": "one",
        "EXPORTED": "two",
        "DOUBLE": "a\nb # no comment",
        "SINGLE": "a\\nb",
        "MULTI": "first\nsecond",
        "EMPTY": "",
        "SPACED": "three",
        "HASH": "a#b",
    }


def test_a_list_with_quotes_inside_needs_no_quotes_around():
    text = 'CORS_ORIGINS=["${PREVIEW_URL}", "http://localhost:3000"]\n'
    assert values(text) == {"CORS_ORIGINS": '["${PREVIEW_URL}", "http://localhost:3000"]'}


def test_bom_and_crlf_change_nothing():
    data = "\ufeffA=1\r\n\r\n# x\r\nB=\"two\"\r\nC='three'\r\n".encode()
    lines = parse(decode(data, ".env.preview"), ".env.preview")
    assert [(line.name, line.value, line.number) for line in lines] == [
        ("A", "1", 1),
        ("B", "two", 4),
        ("C", "three", 5),
    ]
    assert values("\ufeffA=1") == {"A": "1"}


def test_line_numbers_count_comments_blank_lines_and_long_values():
    lines = parse('\n\n# x\nA="1\n2\n3"\n\n\nB=2', ".env.preview")
    assert [(line.name, line.number) for line in lines] == [("A", 4), ("B", 9)]


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("A='${B}'", True),
        ("export A= '${B}'", True),
        ("'A'='${B}'", True),
        ('A="${B}"', False),
        ("A=${B}", False),
        ("A=x'y'", False),
        ("\n\n# 'x'\nA=y", False),
    ],
)
def test_only_a_value_in_single_quotes_is_literal(text: str, literal: bool):
    assert [line.literal for line in parse(text, "f")] == [literal]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\nnonsense\n", 2),
        ('A=1\n\nB="never closed\nC=2\n', 3),
        ('A="x" y\n', 1),
        ("KEY: value\n", 1),
        ("<<<<<<< HEAD\nA=1\n", 1),
        ('CORS=[\n  "a",\n]\n', 2),
        ("A=1\r\nB\r\n", 2),
        ("=value\n", 1),
        ("A-B=1\n", 1),
        ("1A=1\n", 1),
        ("A=1\nB=a\0b\n", 2),
    ],
)
def test_an_invalid_line_is_named_with_its_file_and_number(text: str, line: int):
    with pytest.raises(BadTemplate) as raised:
        parse(text, "backend/.env.preview")
    assert f"backend/.env.preview, line {line}:" in raised.value.message


def test_an_invalid_line_does_not_show_a_value():
    with pytest.raises(BadTemplate) as raised:
        parse('PASSWORD="hunter2 never closed\n', "f")
    assert "PASSWORD" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_text_that_is_not_utf8_is_refused_with_its_line():
    with pytest.raises(BadTemplate) as raised:
        decode("A=1\nB=gr\xfcn\n".encode("latin-1"), ".env.preview")
    assert str(raised.value) == ".env.preview, line 2: this is not UTF-8. Save it as UTF-8."


@pytest.mark.parametrize("text", ["A=" + "x" * 300_000, "A=x" + " " * 2000 + "y"])
def test_a_template_that_would_take_long_to_read_is_refused_at_once(text: str):
    with pytest.raises(BadTemplate):
        parse(text, "f")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", ("plain",)),
        ("", ()),
        ("${A}", (Reference("A"),)),
        ("a${B}c${D}", ("a", Reference("B"), "c", Reference("D"))),
        ("${A:-b}", (Reference("A", ("b",)),)),
        ("${A:-}", (Reference("A", ()),)),
        ("${A:-${B:-c}d}e", (Reference("A", (Reference("B", ("c",)), "d")), "e")),
        ("$$", ("$",)),
        ("$${A}", ("${A}",)),
        ("$$${A}", ("$", Reference("A"))),
        ("$A costs 5$", ("$A costs 5$",)),
        ("{x}", ("{x}",)),
        ("${A:-$$}", (Reference("A", ("$",)),)),
    ],
)
def test_a_value_is_split_at_its_references(value: str, expected: object):
    assert pieces(value, "w") == expected


@pytest.mark.parametrize(
    "value", ["${A", "${", "${A:-b", "${A-b}", "${A:?no}", "${A:+b}", "${1A}", "${}", "${A B}"]
)
def test_a_reference_of_another_shape_is_refused(value: str):
    with pytest.raises(BadTemplate) as raised:
        pieces(value, ".env.preview, line 7")
    assert raised.value.message.startswith(".env.preview, line 7: ")
    assert "$$" in (raised.value.hint or "")


def test_defaults_nested_without_end_are_refused():
    with pytest.raises(BadTemplate, match="nested"):
        pieces("${A:-" * 5000 + "}" * 5000, "w")


@pytest.mark.parametrize(
    ("name", "good"), [("A_1", True), ("", False), ("A-B", False), ("Ä", False)]
)
def test_names_are_letters_digits_and_underscores(name: str, good: bool):
    assert is_name(name) is good


def test_the_last_of_a_name_is_imported_and_single_quotes_stay_literal():
    assert importable("A=1\nA=2\nB='${X} $'\nC=${X}\n", "f") == {
        "A": "2",
        "B": "$${X} $$",
        "C": "${X}",
    }


def test_secrets_are_imported_as_they_are():
    assert importable("A='pa$$word'\nB=x$y\n", "f", secret=True) == {"A": "pa$$word", "B": "x$y"}


_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60).filter(
    lambda text: "\ufeff" not in text
)


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), _text, max_size=5))
def test_what_is_exported_is_imported_the_same(variables: dict[str, str]):
    assert importable(dump(variables), "f") == variables


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_sentence(text: str):
    refused = refusal(lambda: parse(text, "f"))
    assert refused is None or refused.startswith("f")


@given(st.text(alphabet="${}:-AB ", max_size=60))
def test_any_value_is_split_or_refused(value: str):
    refused = refusal(lambda: pieces(value, "w"))
    assert refused is None or refused.startswith("w: ")

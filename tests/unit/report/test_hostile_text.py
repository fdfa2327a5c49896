"""Whatever people type and logs print, a comment keeps its shape, its links and its silence."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from previewdrop.domain.commands import command_in
from previewdrop.domain.database import Change, Fate
from previewdrop.domain.preview import DeploymentState, Failure, StageName, StageState
from previewdrop.domain.reasons import Reason, Why
from previewdrop.report.answers import answer_mark, approval_text, help_text, logs_text
from previewdrop.report.comment import comment, mark
from previewdrop.report.facts import Attempt, Database, Facts, Removal, StageFacts
from previewdrop.report.markdown import address, block, code, prose
from previewdrop.report.plain import one_line
from previewdrop.report.status import (
    LONGEST_DESCRIPTION,
    Standing,
    commit_status,
    environment_status,
)

URL = "https://pr-42.preview.myapp.com"
DETAILS = "https://preview.myapp.com/previews/shop/pr-42"
COMMITS = ("a" * 40, "b" * 40)

GITHUB = MarkdownIt("commonmark", {"breaks": True}).enable(["table", "strikethrough"])
"""GitHub's Markdown, but for links that it makes of text: those are looked for in the text."""

MADE_OF_TEXT = re.compile(r"@\S|#\d|://|www\.|\bgh-\d|\$", re.IGNORECASE)
OUR_ADDRESSES = re.compile(rf"{re.escape(URL)}(/docs|/health)?(?=\n|$)")
OUR_HTML = {
    "<details><summary>The end of the log</summary>\n",
    "<details><summary>Build</summary>\n",
    "</details>\n",
    "</details>",
    mark("shop/pr-42") + "\n",
    "<!-- previewdrop:answer shop 7 -->\n",
}

TYPED = r"""
` `` ``` ~~~ ~~ | || \ \\ \| \` < > & && ] ( ) - + * ** _ __ # ## = === --- ___ 1. 1) : :-- |---
@ @bob @org/team o/r@abc1234 #1 #12) (#3) o/r#4 GH-5 $ $x$ $` :tada: &#64;bob &commat;bob &lt; a
https://evil.example http:// :// www.evil.example a@evil.example mailto:a@evil.example
[x](http://evil.example) ![x](u) [x] [x]: [^1] javascript:x <a word 0123abc /preview
<!-- --> <details> </details> <summary> <script> <img> </td> `/preview`
"""
FRAGMENTS = [
    *TYPED.split(),
    *("\n", "\r", "\r\n", "\t", " ", "    ", "\u2028", "\x85", "\0", "\x1b", "\x1b[31m", "\b"),
    *("\u202e", "\u2066", "\u200b", "\u200d", "\u00ad", "\ufeff", "\U000e0041", "\ud800"),
    *("e" + "\u0301" * 9, "🚀", "\U0001f468\u200d\U0001f4bb", "漢"),
    *("\n/preview stop\n", "\n\n# a\n\n", "\n```\n</details>\n", "--><b>", "x" * 300),
]
hostile = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join),
    st.text(st.characters(), max_size=30),
    st.text("`|\\<@#$:/.-+=*_~[]()&! \n1ab", max_size=30),
)

failures = st.builds(
    Failure,
    stage=st.sampled_from(["", "build", "post-deploy"]),
    message=hostile,
    hint=st.none() | hostile,
    log_tail=st.lists(hostile, max_size=4).map(tuple),
)
stages = st.builds(
    StageFacts,
    name=st.sampled_from(StageName),
    state=st.sampled_from(StageState),
    seconds=st.none() | st.floats(0, 4000),
    cached=st.booleans(),
)
attempts = st.builds(
    Attempt,
    id=st.integers(1, 2),
    commit=st.sampled_from(COMMITS),
    state=st.sampled_from(DeploymentState),
    title=st.none() | hostile,
    seconds=st.none() | st.floats(0, 4000),
    stages=st.lists(stages, max_size=3).map(tuple),
    notes=st.lists(hostile, max_size=3).map(tuple),
    failure=st.none() | failures,
)
live = attempts.map(lambda attempt: replace(attempt, state=DeploymentState.READY, failure=None))
reasons = st.builds(Reason, why=st.sampled_from(Why), message=hostile, hint=st.none() | hostile)
reports = st.builds(
    Facts,
    name=st.just("shop/pr-42"),
    ref=hostile,
    head=st.sampled_from(COMMITS),
    url=st.just(URL),
    docs_url=st.just(f"{URL}/docs"),
    health_url=st.just(f"{URL}/health"),
    desired=st.none() | st.sampled_from(COMMITS),
    live=st.none() | live,
    newest=st.none() | attempts,
    database=st.none()
    | st.builds(
        Database,
        name=st.just("shop_pr_42") | hostile,
        change=st.none()
        | st.builds(Change, fate=st.sampled_from(Fate), migrations=st.none() | st.integers(0, 3)),
    ),
    warnings=st.lists(hostile, max_size=3).map(tuple),
    waiting=st.none() | hostile,
    skipped=st.none() | reasons,
    removal=st.none() | st.builds(Removal, done=st.booleans(), reason=st.none() | reasons),
    sleeping=st.booleans(),
    details_url=st.none() | st.just(DETAILS),
)


@settings(max_examples=250, deadline=None)
@given(text=hostile, cell=st.booleans())
def test_a_line_of_text_stays_one_line_of_the_same_text(text: str, cell: bool):
    (opened, inline, closed) = GITHUB.parse(prose(text, 200, cell=cell)) or [
        Token("paragraph_open", "", 1),
        Token("inline", "", 0, children=[]),
        Token("paragraph_close", "", -1),
    ]
    assert (opened.type, inline.type, closed.type) == (
        "paragraph_open",
        "inline",
        "paragraph_close",
    )
    assert {token.type for token in inline.children or []} <= {"text", "code_inline"}
    shown = "".join(token.content for token in inline.children or [])
    assert _letters(shown) == _letters(one_line(text, 200))
    _is_silent(inline)


@settings(max_examples=150, deadline=None)
@given(text=hostile, before=st.sampled_from(["", "x ", "`x` "]))
def test_code_holds_what_is_in_it(text: str, before: str):
    children = GITHUB.parseInline(before + code(text, 200))[0].children or []
    codes = [token.content for token in children if token.type == "code_inline"]
    inside = [one_line(text, 200)] if one_line(text, 200) else []
    assert codes == (["x"] if "`" in before else []) + inside


@settings(max_examples=150, deadline=None)
@given(cells=st.lists(st.tuples(hostile, hostile), min_size=1, max_size=3))
def test_a_table_keeps_its_cells(cells: list[tuple[str, str]]):
    rows = [f"| {code(a, 50, cell=True)} x | {prose(b, 50, cell=True)} y |" for a, b in cells]
    tokens = GITHUB.parse("\n".join((rows[0], "|---|---|", *rows[1:])))
    found = [token for token in tokens if token.type == "inline"]
    shown = ["".join(child.content for child in cell.children or []) for cell in found]
    wanted = [end for a, b in cells for end in (f"{one_line(a, 50)} x", f"{one_line(b, 50)} y")]
    assert [_letters(text) for text in shown] == [_letters(text) for text in wanted]


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(hostile, max_size=6))
def test_a_log_stays_in_its_block(lines: list[str]):
    tokens = GITHUB.parse(f"<details>\n\n{block(lines, 100)}\n\n</details>")
    assert [token.type for token in tokens] == ["html_block", "fence", "html_block"]
    assert tokens[1].content.count("\n") == len(lines)


@settings(max_examples=250, deadline=None)
@given(facts=reports)
def test_a_comment_has_the_shape_that_harmless_text_would_give_it(facts: Facts):
    text = comment(facts)
    assert _shape(text) == _shape(comment(_harmless(facts)))
    _is_ours(f"{mark(facts.name)}\n{text}")
    assert command_in(text) is None


@settings(max_examples=100, deadline=None)
@given(logs=st.lists(st.lists(hostile, max_size=4), max_size=3), word=hostile)
def test_answers_are_ours_too(logs: list[list[str]], word: str):
    for text in (
        logs_text("shop/pr-42", [("Build", lines) for lines in logs], DETAILS),
        help_text(word),
        approval_text("a" * 40),
    ):
        _is_ours(f"{answer_mark('shop', 7)}\n{text}")
        assert command_in(text) is None


@settings(max_examples=150, deadline=None)
@given(facts=reports)
def test_nothing_is_green_before_this_very_commit_is_live(facts: Facts):
    for told in (commit_status(facts), environment_status(facts)):
        if told is None:
            continue
        assert 0 < len(told.description) <= LONGEST_DESCRIPTION
        assert told.description == one_line(told.description, LONGEST_DESCRIPTION)
        if told.standing is Standing.SUCCESS:
            assert facts.live is not None
            assert facts.live.commit == told.commit
            assert told.url == URL
        else:
            assert told.url != URL


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("- a", r"\- a"),
        ("+ a", r"\+ a"),
        ("# a", r"\# a"),
        ("===", r"\==="),
        ("---", r"\---"),
        (":--", r"\:--"),
        ("1. a", r"1\. a"),
        ("12)", r"12\)"),
        ("2.9 s", "2.9 s"),
        ("/preview stop", r"\/preview stop"),
        ("> a", r"\> a"),
        ("    a", "a"),
    ],
)
def test_a_line_begins_nothing(text: str, shown: str):
    assert prose(text, 100) == shown


@pytest.mark.parametrize(
    ("path", "encoded"),
    [
        ("/health", "/health"),
        ("/health_check?deep=1&db=1", "/health_check?deep=1&db=1"),
        ("/_health_", "/%5Fhealth%5F"),
        ("/health.", "/health%2E"),
        ("/a&lt;b", "/a&lt%3Bb"),
        ("/@bob/](http://evil.example)", "/%40bob/%5D%28http://evil.example%29"),
        ("/<img>`*~$|\\", "/%3Cimg%3E%60%2A%7E%24%7C%5C"),
        ("/x\n# y", "/x%0A%23%20y"),
        ("/%20", "/%20"),
    ],
)
def test_an_address_is_one_link_whatever_its_path(path: str, encoded: str):
    assert address(URL + path) == URL + encoded


def test_what_is_no_address_is_code():
    assert address("javascript:alert(1)") == "`javascript:alert(1)`"


def test_a_comment_always_fits():
    endless = "|@ " * 100_000
    failure = Failure("build", endless, endless, log_tail=tuple(["`\U0001f680" * 9000] * 90))
    broken = Attempt(
        2, "b" * 40, DeploymentState.FAILED, endless, 9.0, (), (endless,) * 90, failure
    )
    text = comment(
        Facts(
            *("shop/pr-42", "x", "b" * 40, URL, URL, URL),
            desired="b" * 40,
            live=replace(broken, id=1, commit="a" * 40, state=DeploymentState.READY),
            newest=broken,
            database=Database(endless, Change(Fate.KEPT, 1)),
            warnings=(endless,) * 90,
            skipped=Reason(Why.UNAPPROVED, endless, endless),
        )
    )
    logs = logs_text("shop/pr-42", [("Build", ["\U0001f680" * 9000] * 900)] * 3, DETAILS)
    for each in (text, logs):
        assert len(each) <= 65_536
        assert len(each.encode()) <= 4 * 65_536


def _letters(text: str) -> str:
    return re.sub(r"[`\s]", "", text)


def _is_silent(inline: Token) -> None:
    """Nothing in the text is made a link, a mention or a formula."""
    said = "".join(
        {"text": child.content, "softbreak": "\n"}.get(
            child.type, "\N{OBJECT REPLACEMENT CHARACTER}"
        )
        for child in inline.children or []
    )
    assert not MADE_OF_TEXT.search(OUR_ADDRESSES.sub("", said)), said


def _is_ours(text: str) -> None:
    """HTML and links are ours, nothing commands, nobody is told."""
    assert command_in(text) is None
    for token in GITHUB.parse(text):
        if token.type == "html_block":
            assert token.content in OUR_HTML
        for child in token.children or []:
            assert child.type in {"text", "code_inline", "softbreak", "link_open", "link_close"}
            if child.type == "link_open":
                assert child.attrs == {"href": DETAILS}
        if token.type == "inline":
            _is_silent(token)


def _shape(text: str) -> list[tuple[str, int]]:
    """Blocks in their order, each with its number of lines and links."""
    return [
        (
            token.type,
            sum(child.type in ("softbreak", "link_open") for child in token.children or []),
        )
        for token in GITHUB.parse(text)
    ]


def _harmless(facts: Facts) -> Facts:
    return _mapped(facts, _word)


def _word(text: str) -> str:
    """Another word for every text, since the same note is told once only."""
    letters = "".join(chr(ord("a") + int(digit)) for digit in str(abs(hash(text))))
    return f"w{letters}" if one_line(text, 200) else ""


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The same with every text of others changed."""
    if is_dataclass(value) and not isinstance(value, type):
        kept = {"name", "stage", "commit", "head", "url", "docs_url", "health_url", "desired"}
        kept -= {"name"} if isinstance(value, Database) else set()
        kept |= {"why", "state", "fate", "details_url"}
        changed = {
            field.name: _mapped(getattr(value, field.name), change)
            for field in fields(value)
            if field.name not in kept
        }
        return replace(value, **changed)
    if isinstance(value, tuple):
        return tuple(_mapped(each, change) for each in value)
    return change(value) if isinstance(value, str) else value

"""Answers to commands in comments."""

from __future__ import annotations

from textwrap import dedent

from previewdrop.domain.commands import OURS
from previewdrop.report.answers import answer_mark, approval_text, help_text, logs_text


def test_help():
    assert help_text() == dedent("""\
        Commands, for everybody with write access to this repository:

        - `/preview`: deploy this pull request, also when the rules leave it out
        - `/preview redeploy`: deploy the same commit again
        - `/preview stop`: remove the preview until somebody asks for it again
        - `/preview reset-db`: begin with a fresh database
        - `/preview logs`: show the end of the logs here
        - `/preview approve <commit>`: let code from a fork run, at this commit only
        - `/preview help`: show this
        """)


def test_help_for_a_word_that_is_no_command():
    assert "`restart` is no command. Commands, for everybody" in help_text("restart")


def test_logs_are_folded_and_cut_at_their_end():
    lines = [f"line {number}" for number in range(500)]
    text = logs_text("shop/pr-42", [("Build", lines), ("Web", ["GET /"]), ("Worker", ["x"])])
    assert "line 379\n" not in text
    assert "line 380\n" in text
    assert text.endswith(
        dedent("""\
            line 499
            ```

            </details>

            <details><summary>Web</summary>

            ```
            GET /
            ```

            </details>
            """)
    )


def test_no_logs_yet():
    assert logs_text("shop/pr-42", [("Build", [])], "https://myapp.com/42") == dedent("""\
        `shop/pr-42` has no logs yet.

        [Full log](https://myapp.com/42)
        """)


def test_an_approval_of_another_commit():
    assert approval_text("a" * 40) == dedent(f"""\
        That is not the newest commit, which is `aaaaaaa`. Please read it first.
        To approve it, write `/preview approve {"a" * 40}`.
        """)


def test_an_answer_is_known_by_its_question():
    assert answer_mark("shop", 7) == "<!-- previewdrop:answer shop 7 -->"
    assert answer_mark("shop", 7).startswith(OURS)

"""The comment on a pull request, as people read it at every point of a preview's life."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

import pytest

from previewdrop.domain import reasons
from previewdrop.domain.database import Change, Fate
from previewdrop.domain.preview import DeploymentState
from previewdrop.report.comment import comment, mark, opens
from previewdrop.report.facts import Attempt, Database, Facts, Removal

LINKS = """\
🚀 Preview deployed: https://pr-42.preview.myapp.com
📚 API docs: https://pr-42.preview.myapp.com/docs
🔍 Health check: https://pr-42.preview.myapp.com/health
"""
LIVE_TABLE = """\
| live commit | `a1b2c3d` Add contact e-mail |
|---|---|
| ready in | 2.9 s: build 0.4 (cached), start 0.7, post-deploy 1.5 |
| database | `shop_pr_42`, kept from the last push, 1 migration applied |
"""
NEW = "b0b1b2b" + "0" * 33


def test_it_is_known_by_its_preview():
    assert mark("shop/pr-42") == "<!-- previewdrop:shop/pr-42 -->"


def test_a_live_preview(live: Facts):
    table = LIVE_TABLE.replace("live commit", "commit")
    assert comment(live) == f"{LINKS}\n{table}"


def test_a_push_to_a_live_preview(live: Facts, building: Attempt):
    news = dedent("""\
        ⏳ Building: `b0b1b2b` Rename users.email
        Done: checkout 0.1. Now: build, database.
        `a1b2c3d` stays live until then.
        """)
    pushed = replace(live, head=NEW, desired=NEW, newest=building)
    assert comment(pushed) == f"{LINKS}\n{news}\n{LIVE_TABLE}"


def test_a_push_that_nothing_has_begun_for(live: Facts):
    news = "⏳ Queued: `b0b1b2b`\n`a1b2c3d` stays live until then.\n"
    assert comment(replace(live, head=NEW, desired=NEW)) == f"{LINKS}\n{news}\n{LIVE_TABLE}"


def test_a_push_that_failed(live: Facts, failed: Attempt):
    news = dedent("""\
        ❌ Newer commit failed: `b0b1b2b` Rename users.email (`#41`)

        post-deploy failed: `bash bin/preview-entrypoint.sh` ended with 127 after 2.3 s
        The image has no curl. Install curl in the Dockerfile.

        <details><summary>The end of the log</summary>

        ```
        → Verifying health endpoint…
        bin/preview-entrypoint.sh: line 12: curl: command not found
        ```

        </details>

        Write `/preview redeploy` to try again, `/preview logs` for more of the log.
        """)
    pushed = replace(live, head=NEW, desired=NEW, newest=failed)
    assert comment(pushed) == f"{LINKS}\n{news}\n{LIVE_TABLE}"


def test_a_new_deployment_of_what_is_live_failed(live: Facts, failed: Attempt):
    again = replace(live, newest=replace(failed, commit=live.head, title="Add contact e-mail"))
    assert "❌ New deployment failed: `a1b2c3d` Add contact e-mail\n" in comment(again)


def test_a_first_deployment(first: Facts, building: Attempt):
    assert comment(replace(first, desired=NEW, newest=building)) == dedent("""\
        ⏳ Building: `b0b1b2b` Rename users.email
        Done: checkout 0.1. Now: build, database.
        It will be at `https://pr-42.preview.myapp.com`
        """)


def test_a_first_deployment_that_failed(first: Facts, failed: Attempt):
    facts = replace(first, desired=NEW, newest=failed, details_url="https://myapp.com/42")
    text = comment(facts)
    assert text.startswith(
        "❌ Preview failed: `b0b1b2b` Rename users.email (`#41`)\n\npost-deploy "
    )
    assert text.endswith(
        "\n[Full log](https://myapp.com/42). Write `/preview redeploy` to try again, "
        "`/preview logs` for more of the log.\n"
    )
    assert "|" not in text


def test_a_failed_push_that_a_newer_one_follows(live: Facts, failed: Attempt):
    newest = "c" * 40
    assert "⏳ Queued: `ccccccc`\n" in comment(
        replace(live, head=newest, desired=newest, newest=failed)
    )


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_preview_that_nothing_has_begun_for(first: Facts, building: Attempt, interrupted: bool):
    cancelled = replace(building, commit=first.head, state=DeploymentState.CANCELLED)
    assert comment(replace(first, newest=cancelled if interrupted else None)) == dedent("""\
        ⏳ Queued: `a1b2c3d`
        It will be at `https://pr-42.preview.myapp.com`
        """)


def test_a_preview_without_room(first: Facts):
    waiting = "shop has 2 live previews, its limit. Remove one with `previewdrop down`."
    assert comment(replace(first, waiting=waiting)) == dedent("""\
        ⏸️ Waiting to preview `a1b2c3d`
        shop has 2 live previews, its limit. Remove one with `previewdrop down`.
        """)


def test_an_app_that_does_not_come_back(live: Facts):
    text = comment(
        replace(live, waiting="The app ended and does not come back; it is tried again.")
    )
    assert "\n⚠️ The app ended and does not come back; it is tried again.\n" in text


def test_a_fork(first: Facts):
    facts = replace(first, desired=None, skipped=reasons.unapproved(first.head))
    assert comment(facts) == (
        "🔒 Approval needed.\n"
        "`a1b2c3d` is code from a fork. It runs only after somebody with write access to this "
        "repository has read and approved it.\n"
        f"To approve it, write `/preview approve {first.head}`.\n"
    )
    assert opens(facts)


def test_a_push_to_a_fork_that_was_approved_before(live: Facts):
    text = comment(replace(live, head=NEW, skipped=reasons.unapproved(NEW)))
    assert text.startswith(f"{LINKS}\n🔒 Approval needed.\n`b0b1b2b` is code from a fork.")
    assert text.endswith(f"\n{LIVE_TABLE}")


def test_a_commit_that_asks_to_be_left_out(live: Facts):
    news = dedent("""\
        ⏭️ Newer commit left out.
        The message of `b0b1b2b` says `[skip preview]`.
        Write `/preview` to deploy it all the same.
        """)
    facts = replace(live, head=NEW, skipped=reasons.skipped(NEW))
    assert comment(facts) == f"{LINKS}\n{news}\n{LIVE_TABLE}"


def test_a_pull_request_that_the_rules_leave_out(first: Facts):
    facts = replace(first, desired=None, skipped=reasons.DRAFT)
    assert comment(facts) == dedent("""\
        ⏭️ No preview.
        This pull request is a draft.
        Mark it as ready for review, or write `/preview`.
        """)
    assert not opens(facts)


def test_a_preview_on_its_way_out(live: Facts):
    facts = replace(live, removal=Removal(done=False, reason=reasons.closed(merged=True)))
    assert comment(facts) == "🧹 Preview is being removed.\nThis pull request was merged.\n"


def test_a_preview_that_is_gone(first: Facts):
    facts = replace(first, removal=Removal(done=True, reason=reasons.STOPPED))
    assert comment(facts) == dedent("""\
        🧹 Preview removed. Its URL, its processes, its database and its cache are gone.
        Somebody wrote `/preview stop`.
        Write `/preview` to start again.
        """)
    assert not opens(facts)


def test_what_is_worth_knowing_beside_it(live: Facts):
    assert live.live is not None
    note = "The database was recreated: it was at revision `abc`."
    facts = replace(
        live,
        sleeping=True,
        live=replace(live.live, notes=(note, note, *(f"Note {n}." for n in range(9)))),
        warnings=("Previews are not isolated from each other.",),
        database=Database("shop_pr_42", Change(Fate.RECREATED, 0)),
    )
    assert comment(facts).endswith(
        dedent("""\
            | database | `shop_pr_42`, recreated, no migrations applied |

            - 💤 Asleep; the next request wakes it.
            - ⚠️ Previews are not isolated from each other.
            - The database was recreated: it was at revision `abc`.
            - Note 0.
            - Note 1.
            - Note 2.
            - Note 3.
            - Note 4.
            - … and 4 more
            """)
    )


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Fix the bug", "Fix the bug"),
        ("Use `Depends` for sessions", "Use `Depends` for sessions"),
        ("Fix #12 for @bob (#13)", "Fix `#12` for `@bob` (`#13`)"),
        ("See https://evil.example.", "See `https://evil.example`."),
        ("Costs $5 or $6", "Costs `$5` or `$6`"),
        ("`a``b`@c", "`a` `b` `@c`"),
        ("```a```", r"\`\``a`\`\`"),
        ("a | b", "a &#124; b"),
        ("`a | b`", "`a`&#124;`b`"),
        ("*bold* _it_ ~no~ <b>&amp;</b>", r"\*bold\* \_it\_ \~no\~ \<b\>\&amp;\</b\>"),
        ("[x](y) ![x](y)", r"\[x\](y) !\[x\](y)"),
        ("two\n\nlines", "two lines"),
        ("\u202egnihtyna\u202c \x1b[31mred\x1b[0m\0", "gnihtyna red"),
        ("x" * 200, "x" * 99 + "…"),
        ("", ""),
    ],
)
def test_a_title_is_text(live: Facts, title: str, shown: str):
    assert live.live is not None
    text = comment(replace(live, live=replace(live.live, title=title)))
    row = next(line for line in text.splitlines() if line.startswith("| commit |"))
    assert row.removeprefix("| commit | `a1b2c3d`").removesuffix(" |").strip() == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (59.96, "1 min 0 s"), (125, "2 min 5 s"), (4000, "66 min 40 s")],
)
def test_times_are_said_as_people_do(live: Facts, seconds: float, shown: str):
    assert live.live is not None
    quick = replace(live.live, seconds=seconds, stages=())
    assert f"| ready in | {shown} |" in comment(replace(live, live=quick))

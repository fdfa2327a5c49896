"""Rules for pull requests as people set them: texts, lists, and what is refused."""

from __future__ import annotations

import pytest

from previewdrop.config.pull_rules import pull_rules, rule
from previewdrop.domain.errors import BadConfig


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("github.drafts", "false", False),
        ("github.drafts", True, True),
        ("github.demand", "label", "label"),
        ("github.labels", '["preview", "Try it, now"]', ["preview", "Try it, now"]),
        ("github.bases", "main, release/*", ["main", "release/*"]),
        ("github.bases", "main", ["main"]),
        ("github.branches", ["main"], ["main"]),
        ("github.labels", "[]", []),
        ("github.drafts", None, None),
    ],
)
def test_a_value_is_kept_as_what_it_is(key: str, value: object, kept: object):
    assert rule(key, value) == kept


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("github.draft", "false", "There is no setting github.draft. Did you mean github.drafts?"),
        ("github.draft", None, "There is no setting github.draft."),
        ("github.drafts", "perhaps", "github.drafts is wrong: it should be a valid boolean"),
        ("github.demand", "sometimes", "github.demand is wrong: it should be 'all', 'label'"),
        ("github.bases", "3", "github.bases is wrong"),
        ("github.bases", [3], "github.bases is wrong"),
    ],
)
def test_what_cannot_be_is_refused(key: str, value: object, said: str):
    with pytest.raises(BadConfig) as refused:
        rule(key, value)
    assert str(refused.value).startswith(said)


def test_labels_that_are_demanded_must_be_some():
    with pytest.raises(BadConfig, match=r"github\.labels is wrong: with demand=\"label\""):
        pull_rules({"github.demand": "label", "github.labels": []})
    assert pull_rules({"github.labels": [], "health": "/x"}).policy.labels == frozenset()

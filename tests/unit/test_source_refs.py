"""Names of branches and commits."""

import pytest

from previewdrop.domain.errors import BadSource
from previewdrop.source.refs import check_sha, full_ref, unknown_branch


@pytest.mark.parametrize(
    "branch",
    [
        "main",
        "feature/new-auth",
        "🚀/été",
        "x" * 250,
        "it's",
        '"quoted"',
        "$(reboot)",
        "a;b",
        "a&b",
    ],
)
def test_branches_that_can_exist(branch: str):
    assert full_ref(branch) == f"refs/heads/{branch}"


def test_a_full_ref_is_taken_as_it_is():
    assert full_ref("refs/pull/42/head") == "refs/pull/42/head"


@pytest.mark.parametrize(
    "branch",
    [
        "", "-x", "--upload-pack=x", "..", "a..b", "../../etc", "a/../b", "a b", "a\tb", "a\x00b",
        "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a@{1}", "@", "/a", "a/", "a//b", "a.",
        ".a", "a/.b", "a.lock", "a.lock/b", "refs/", "x" * 2000, "\udcff",
    ],
)  # fmt: skip
def test_branches_that_cannot_exist(branch: str):
    with pytest.raises(BadSource, match="cannot be the name of a branch"):
        full_ref(branch)


def test_shas():
    assert check_sha(" ABCD ") == "abcd"
    for text in ("abc", "main", "a" * 41, "--help", "HEAD~1", ""):
        with pytest.raises(BadSource):
            check_sha(text)


def test_an_unknown_branch_names_the_nearest():
    error = unknown_branch("refs/heads/feature/new-aut", ["main", "feature/new-auth"], "shop")
    assert error.message == "shop has no branch ‘feature/new-aut’."
    assert error.hint == "Did you mean ‘feature/new-auth’?"


def test_an_unknown_branch_names_some_when_none_is_near():
    error = unknown_branch("refs/heads/zzz", ["main", "b1", "b2", "b3"], "shop")
    assert error.hint == "Its branches are ‘b1’, ‘b2’, ‘b3’ and 1 more."


def test_an_unknown_branch_of_an_empty_repository():
    assert "no commits yet" in unknown_branch("refs/heads/main", [], "shop").message

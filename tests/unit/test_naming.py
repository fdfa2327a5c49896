"""Names: what people see, and that any project and branch gets its own."""

import re
from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from previewdrop.domain.errors import BadName
from previewdrop.domain.naming import (
    IDENTIFIER_BYTES,
    PROJECT_LENGTH,
    SLUG_LENGTH,
    check_project_name,
    identifier,
    names_for,
    project_database,
    project_name,
    slug_for_number,
    slugs_for_branch,
)

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
UNIQUE = re.compile(r"[a-z0-9-]+-[0-9a-f]{11}")

words = st.lists(st.text("ab1pgz0", min_size=1, max_size=14), min_size=1, max_size=4).map("-".join)
slugs = words.map(lambda text: text[:SLUG_LENGTH].strip("-"))
projects = words.map(lambda text: text[:PROJECT_LENGTH].strip("-"))
short = st.sampled_from(["a", "b", "1", "p", "a-b", "b-c", "a-b-c", "1-b", "p-1", "ab", "c", "pg"])
branches = st.one_of(
    st.text(min_size=1, max_size=250),
    st.text(alphabet="aA1-/_. ", min_size=1, max_size=12),
)


def test_names_are_those_of_the_guide():
    names = names_for("shop", "pr-42", "{project}.localhost")
    assert names.full == "shop/pr-42"
    assert names.host == "pr-42.shop.localhost"
    assert names.identifier == "shop_pr_42"
    assert names.folder == "shop/pr-42"
    assert names_for("shop", "pr-42", "preview.myapp.com").host == "pr-42.preview.myapp.com"


def test_a_domain_with_other_braces_is_taken_as_it_is():
    assert names_for("shop", "a", "{x}.{project}.test").host == "a.{x}.shop.test"


@pytest.mark.parametrize(
    ("branch", "slug"),
    [
        ("main", "main"),
        ("feature/new-auth", "feature-new-auth"),
        ("Feature/New_Auth", "feature-new-auth"),
        ("a..b", "a-b"),
        ("it's", "it-s"),
        ("$(reboot)", "reboot"),
        ("release-2026", "release-2026"),
        ("release-20260520", "release-20260520"),
        ("backup-1716200000", "backup-1716200000"),
        ("fix-deadbeef", "fix-deadbeef"),
        ("x" * 40, "x" * 40),
        ("caf\udce9", "caf"),
    ],
)
def test_a_branch_gets_the_slug_people_expect(branch: str, slug: str):
    assert slugs_for_branch(branch)[0] == slug


@pytest.mark.parametrize(
    "branch",
    ["pr-42", "PR/42", "🚀", "x" * 41, "x" * 250, "...", "日本", "\udce9", "a-0123456789a"],
)
def test_other_branches_get_one_that_is_theirs_alone(branch: str):
    first, second = slugs_for_branch(branch)
    assert first == second
    assert UNIQUE.fullmatch(first)


def test_branches_that_differ_only_in_case_or_signs_have_second_slugs():
    similar = ["feature/a", "Feature/A", "feature-a", "feature_a", "feature/a/"]
    assert len({slugs_for_branch(branch)[0] for branch in similar}) == 1
    assert len({slugs_for_branch(branch)[1] for branch in similar}) == len(similar)


def test_no_branch_can_be_named_like_the_second_slug_of_another():
    other = slugs_for_branch("Feature/A")[1]
    assert other not in slugs_for_branch(other)


@given(branches)
@example("-" * 300)
@example("é" * 100 + "/x")
@example("x" * 30 + "-" * 5 + "y" * 30)
def test_every_slug_is_a_label_of_a_host_name(branch: str):
    for slug in slugs_for_branch(branch):
        assert LABEL.fullmatch(slug)
        assert len(slug) <= SLUG_LENGTH
        assert "--" not in slug
        assert not re.fullmatch(r"pr-\d+", slug)


@given(st.lists(branches, min_size=2, max_size=6, unique=True))
def test_all_branches_of_a_project_find_a_free_slug(names: list[str]):
    taken: set[str] = set()
    for name in names:
        free = [slug for slug in slugs_for_branch(name) if slug not in taken]
        assert free
        taken.add(free[0])
    assert len(taken) == len(names)


def test_an_empty_branch_has_no_slug():
    with pytest.raises(BadName):
        slugs_for_branch("")


@given(st.integers(min_value=1, max_value=2**63))
def test_every_pull_request_has_a_slug(number: int):
    assert slug_for_number(number) == f"pr-{number}"
    assert len(slug_for_number(number)) <= SLUG_LENGTH


@pytest.mark.parametrize("number", [0, -1])
def test_a_pull_request_has_a_positive_number(number: int):
    with pytest.raises(BadName):
        slug_for_number(number)


@given(projects, slugs)
@example("1", "a")
@example("pg", "a")
@example("pg-catalog", "pr-1")
@example("a" * 32, "b" * 40)
def test_every_identifier_can_name_a_database_and_a_role(project: str, slug: str):
    name = identifier(project, slug)
    assert IDENTIFIER.fullmatch(name)
    assert len(name.encode()) <= IDENTIFIER_BYTES
    assert not name.startswith("pg_")
    assert name not in ("postgres", "template0", "template1", "public", "default")


@pytest.mark.parametrize(
    ("project", "slug", "expected"),
    [
        ("shop", "pr-42", "shop_pr_42"),
        ("my-shop", "pr-42", "my_shop__pr_42"),
        ("9lives", "main", "p__9lives_main"),
        ("pg", "main", "p__pg_main"),
    ],
)
def test_identifiers_stay_readable(project: str, slug: str, expected: str):
    assert identifier(project, slug) == expected


@given(st.lists(st.tuples(short, short), min_size=2, max_size=8, unique=True))
@example([("a", "b-c"), ("a-b", "c"), ("p", "1-b"), ("p", "p-b"), ("1", "b")])
def test_no_two_previews_share_an_identifier(pairs: list[tuple[str, str]]):
    for one, two in combinations(pairs, 2):
        assert identifier(*one) != identifier(*two)


@given(projects, projects, slugs, slugs)
def test_no_two_previews_of_any_length_share_an_identifier(
    project: str, other: str, slug: str, another: str
):
    if (project, slug) != (other, another):
        assert identifier(project, slug) != identifier(other, another)


def test_an_identifier_that_was_cut_is_no_other_in_full():
    project = "p" * 30
    cut = identifier(project, "x" * 40)
    assert len(cut) == IDENTIFIER_BYTES
    copied = cut.removeprefix(f"{project}_").replace("_", "-")
    assert identifier(project, copied.replace("--", "-")) != cut
    assert identifier(project, "x" * 39 + "y") != cut


@given(projects, projects, slugs)
def test_a_shared_database_is_nobodys_own(project: str, other: str, slug: str):
    name = project_database(project)
    assert IDENTIFIER.fullmatch(name)
    assert len(name) <= IDENTIFIER_BYTES
    assert name != identifier(other, slug)
    assert (name == project_database(other)) == (project == other)


@given(st.text(max_size=80))
def test_a_project_is_named_after_anything_or_refused(text: str):
    try:
        name = project_name(text)
    except BadName:
        assert not re.search(r"[a-zA-Z0-9]", text.removesuffix(".git")[:1])
        return
    assert check_project_name(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("shop", "shop"),
        ("My_Shop.git", "my-shop"),
        ("a" * 31 + "-b", "a" * 31),
        ("Shop 2", "shop-2"),
    ],
)
def test_a_project_is_named_after_its_repository(text: str, name: str):
    assert project_name(text) == name


@pytest.mark.parametrize("name", ["", "Shop", "a--b", "-a", "a-", "a_b", "a/b", "x" * 33, "a\n"])
def test_other_names_cannot_be_a_projects(name: str):
    with pytest.raises(BadName):
        check_project_name(name)

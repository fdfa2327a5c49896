"""The checks that a tree passes before a file of it is written."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewdrop.domain.errors import BadSource
from previewdrop.source.parts import Module, parse_modules
from previewdrop.source.tree import Entry, check_bounds, check_links, check_name, parse_tree

SHA = "a" * 40


def test_the_listing_is_parsed():
    listing = (
        f"100644 blob {SHA}      12\tapp/main.py\0"
        f"100755 blob {SHA}       3\tbin/run\0"
        f"120000 blob {SHA}       4\tlink\0"
        f"160000 commit {SHA}       -\tlib\0"
    ).encode()
    entries = parse_tree(listing, b"sub/")
    assert entries[0] == Entry("100644", SHA, 12, b"sub/app/main.py")
    assert [e.is_executable for e in entries] == [False, True, False, False]
    assert [e.is_link for e in entries] == [False, False, True, False]
    assert [e.is_submodule for e in entries] == [False, False, False, True]


def test_a_missing_object_is_named():
    with pytest.raises(BadSource, match=r"app/main\.py is missing"):
        parse_tree(f"100644 blob {SHA}     BAD\tapp/main.py\0".encode())


@pytest.mark.parametrize(
    "path",
    [
        b".git/config", b"a/.git/hooks/post-checkout", b".GIT", b".Git/x", b".git ", b".git.",
        b".git. .",
        b"git~1", b"GIT~1/x", ".g\u200cit/x".encode(), "\u200d.git".encode(),
        b".git::$INDEX", b"..", b"a/../b",
        b".", b"a//b", b"/a", b"a\\b", b"..\\..\\x", b"x" * 256,
    ],
)  # fmt: skip
def test_names_that_are_never_written(path: bytes):
    with pytest.raises(BadSource):
        check_name(path)


@pytest.mark.parametrize(
    "path",
    [b".gitignore", b".gitattributes", b".github/x", b"git", b"a.git", b"a b", b"...",
     "é🚀".encode(), b"\xff\xfe", b"a:b", b"-rf", b"gitlab", b"$(id)", b"x" * 255],
)  # fmt: skip
def test_names_that_are_fine(path: bytes):
    check_name(path)


def test_size_and_number_are_bounded():
    entries = [Entry("100644", SHA, 600_000, b"a"), Entry("100644", SHA, 700_000, b"b")]
    assert check_bounds(entries, 2, 1_300_000) == 1_300_000
    with pytest.raises(BadSource, match=r"the largest is b with 0\.7 MiB"):
        check_bounds(entries, 2, 1_299_999)
    with pytest.raises(BadSource, match="more than 1 files"):
        check_bounds(entries, 1, 1_300_000)


@pytest.mark.parametrize(
    "links",
    [
        {b"l": b"/etc/passwd"},
        {b"l": b".."},
        {b"l": b"../x"},
        {b"a/l": b"../../x"},
        {b"l": b"a/../../x"},
        {b"l": b"b/../../x"},
        {b"d/up": b"..", b"d/s/l": b"../up/../x"},
        {b"a": b"b", b"b": b"/etc"},
        {b"d/up": b"..", b"l": b"d/up/.."},
        {b"l": b"x" * 5000},
    ],
)
def test_links_that_lead_out(links: dict[bytes, bytes]):
    with pytest.raises(BadSource, match="leads out of the repository"):
        check_links(links)


@pytest.mark.parametrize(
    "links",
    [
        {b"l": b"a"},
        {b"a/b/l": b"../../c"},
        {b"a/l": b".."},
        {b"l": b"nowhere"},
        {b"l": b"l"},
        {b"a": b"b", b"b": b"a"},
        {b"d/deep": b"x/y/z", b"l": b"d/deep/../w"},
        {b"l": b"./a//b/."},
    ],
)
def test_links_that_stay_inside(links: dict[bytes, bytes]):
    check_links(links)


@given(
    st.dictionaries(
        st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=3).map(b"/".join),
        st.lists(st.sampled_from([b"a", b"b", b"..", b"."]), min_size=1, max_size=5).map(b"/".join),
        max_size=4,
    )
)
def test_checking_links_always_ends(links: dict[bytes, bytes]):
    with contextlib.suppress(BadSource):
        check_links(links)


def test_gitmodules_are_parsed():
    listing = (
        b"submodule.lib.one.path\nlibs/one\0submodule.lib.one.url\n../one.git\0"
        b"submodule.lib.one.update\n!touch /evil\0submodule.half.path\nhalf\0core.x\ny\0"
    )
    assert parse_modules(listing) == [Module("lib.one", b"libs/one", "../one.git")]


@pytest.mark.parametrize("name", ["../../x", "a/../b", "/etc"])
def test_submodule_names_that_lead_elsewhere(name: str):
    with pytest.raises(BadSource):
        parse_modules(f"submodule.{name}.path\na\0".encode())

"""Which files .dockerignore leaves out.

The first table was compared with what the Docker CLI 28.2 sends for the same files.
"""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from previewdrop.domain.errors import StageFailed
from previewdrop.drivers.docker.context.ignore import Ignore


@pytest.mark.parametrize(
    ("text", "path", "excluded"),
    [
        # https://docs.docker.com/build/concepts/context/#syntax
        ("# comment", "# comment", False),
        ("*/temp*", "somedir/temporary.txt", True),
        ("*/temp*", "somedir/temp/a", True),
        ("*/temp*", "temporary.txt", False),
        ("*/*/temp*", "somedir/subdir/temporary.txt", True),
        ("*/*/temp*", "somedir/temporary.txt", False),
        ("temp?", "tempa", True),
        ("temp?", "temp", False),
        ("**/*.go", "main.go", True),
        ("**/*.go", "a/b/main.go", True),
        ("/foo/bar", "foo/bar", True),
        ("foo/bar", "x/foo/bar", False),
        ("*.md\n!README.md", "README.md", False),
        ("*.md\n!README.md", "CHANGES.md", True),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
        ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", False),
        # one part, many parts
        ("*", "a/b", True),
        ("*.py", "a/b.py", False),
        ("a/*", "a", False),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/b/c", True),
        ("a/**/c", "a/bc", False),
        ("**/node_modules", "web/node_modules/x/y.js", True),
        ("**", "a/b", True),
        ("a**", "abc/d", True),
        ("a**b", "a/x/b", True),
        ("a**b", "axb", False),
        ("**me", "x/some", True),
        ("**m?", "x/some", False),
        ("**m?", "x/me", True),
        ("a?b", "a/b", False),
        ("a[^x]b", "a/b", True),
        # characters
        ("[a-c].txt", "b.txt", True),
        ("[^a-c].txt", "b.txt", False),
        ("[!a].txt", "b.txt", False),
        ("[a\\]].txt", "].txt", True),
        ("\\*.txt", "*.txt", True),
        ("\\*.txt", "a.txt", False),
        ("\\!a", "!a", True),
        ("\\#a", "#a", True),
        ("a.b", "axb", False),
        ("*.{js,ts}", "a.js", False),
        ("*.{js,ts}", "a.{js,ts}", True),
        ("é?", "éü", True),
        ("A", "a", False),
        # lines
        ("\ufeffa", "a", True),
        ("\ufeff#a\nb", "b", True),
        (" # a", "# a", True),
        ("\n\t\n  a \r\nb\r\n", "a", True),
        ("a\r\nb\r\n", "b", True),
        ("a/", "a", True),
        ("/a/", "a/b", True),
        ("//a", "a", True),
        ("./a/../b//c/.", "b/c", True),
        (".", "a", False),
        ("/", "a", False),
        ("../a", "a", False),
        ("a /", "a", True),
        ("*\n! /a", "a", False),
        ("*\n! a/", "a", False),
        ("*\n!/a", "a", False),
        ("*\n/!a", "a", False),
        # folders
        ("a\n!a/b", "a/b/c", False),
        ("a\n!a/b", "a/c", True),
        ("a\n!a/b\na/b/c", "a/b/c", True),
        ("*\n!a", "a/b/c", False),
        ("*\n!**/*.py", "a/b.txt", True),
        ("!a\na", "a", True),
        # An exception has no effect by way of a folder that was not left out before it.
        ("*/x\n!a", "a/x", True),
        ("*/x\n!a/x", "a/x", False),
    ],
)
def test_the_last_pattern_that_fits_decides(text: str, path: str, excluded: bool):
    assert Ignore.parse(text).excludes(path) is excluded


def test_an_exception_with_wildcards_reaches_into_folders_as_with_buildkit():
    """The classic builder does not look there: https://github.com/docker/cli/issues/2919."""
    assert not Ignore.parse("*\n!**/*.py").excludes("a/b.py")


@pytest.mark.parametrize(
    ("text", "path", "excluded"),
    [("[*]", "*", True), ("a|b*", "bc", False), ("a\\db", "adb", True), ("a{2}*", "aab", False)],
)
def test_the_documentation_counts_where_docker_lets_regular_expressions_through(
    text: str, path: str, excluded: bool
):
    assert Ignore.parse(text).excludes(path) is excluded


@pytest.mark.parametrize(
    ("text", "folder", "may_hold"),
    [
        ("a", "b", True),
        ("a", "a", False),
        ("a\n!a/b", "a", True),
        ("a\n!a/b", "a/c", False),
        ("a\n!a/b/c", "a/b", True),
        ("!a/b\na", "a", False),
        ("*\n!*.md", "a", False),
        ("*\n!*/*.md", "a", True),
        ("*\n!*/*.md", "a/b", False),
        ("*\n!**/*.md", "a/b/c", True),
        ("node_modules\n!src/**/*.js", "node_modules", False),
        ("a\n!a/**", "a", True),
    ],
)
def test_a_walk_enters_only_where_an_exception_may_lead(text: str, folder: str, may_hold: bool):
    assert Ignore.parse(text).may_hold(folder) is may_hold


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[a", "its [ is never closed"),
        ("[", "its [ is never closed"),
        ("[]", "] needs a \\ before it here"),
        ("[^]", "] needs a \\ before it here"),
        ("[-a]", "- needs a \\ before it here"),
        ("[a-]", "] needs a \\ before it here"),
        ("[z-a]", "z-a is no range"),
        ("[a\\", "its [ is never closed"),
        ("a\\", "nothing follows its last \\"),
        ("a\\ ", "nothing follows its last \\"),
        ("!", "nothing follows the !"),
        ("! ", "nothing follows the !"),
        ("!/", "nothing follows the !"),
        ("a" * 5000, "it is longer than 4096 characters"),
    ],
)
def test_a_pattern_that_docker_refuses_is_named_with_its_line(line: str, why: str):
    with pytest.raises(StageFailed) as caught:
        Ignore.parse(f"# first\n\n{line}\n", "backend/.dockerignore")
    assert caught.value.message.startswith("backend/.dockerignore, line 3: ")
    assert caught.value.message.endswith(f"cannot be used: {why}.")


def test_too_many_patterns_are_refused():
    with pytest.raises(StageFailed, match="more than 2000 patterns"):
        Ignore.parse("a\n" * 2001)


def test_some_files_are_sent_whatever_patterns_say():
    ignore = Ignore.parse("**", always=(".dockerignore", "docker/[x]file"))
    assert not ignore.excludes(".dockerignore")
    assert not ignore.excludes("docker/[x]file")
    assert ignore.may_hold("docker")
    assert ignore.excludes("docker/xfile")


def test_nothing_is_left_out_without_patterns():
    assert not Ignore().excludes("a/b")
    assert Ignore().may_hold("a")


def test_a_pattern_of_many_wildcards_is_quick():
    ignore = Ignore.parse("\n".join("*a" * 40 + "b" + "**/a?" * n for n in range(1, 60)))
    assert not ignore.excludes("a" * 255 + "/" + "a/" * 1000 + "c")


_ATOMS = ["a", "b", "c", ".b", "/", "/", "*", "**", "**/", "/**", "?", "[ab]", "[^a]", "\\b"]
_patterns = st.lists(
    st.tuples(st.booleans(), st.lists(st.sampled_from(_ATOMS), min_size=1, max_size=6)),
    min_size=1,
    max_size=5,
)
_paths = st.lists(
    st.text("abc.", min_size=1, max_size=3).filter(lambda part: part not in (".", "..")),
    min_size=1,
    max_size=4,
).map("/".join)


@settings(max_examples=300, deadline=None)
@given(patterns=_patterns, paths=st.lists(_paths, min_size=1, max_size=12))
def test_it_decides_as_a_slow_reading_of_the_rules_does(
    patterns: list[tuple[bool, list[str]]], paths: list[str]
):
    lines = [("!" if exception else "") + "".join(atoms) for exception, atoms in patterns]
    rules = [_Rule(line) for line in lines if line.strip("!/")]
    ignore = Ignore.parse("\n".join(line for line in lines if line.strip("!/")))
    for path in paths:
        assert ignore.excludes(path) is _excluded(rules, path), path


@settings(max_examples=300, deadline=None)
@given(patterns=_patterns, paths=st.lists(_paths, min_size=1, max_size=12))
def test_a_walk_misses_nothing_that_is_sent(
    patterns: list[tuple[bool, list[str]]], paths: list[str]
):
    lines = [("!" if exception else "") + "".join(atoms) for exception, atoms in patterns]
    ignore = Ignore.parse("\n".join(line for line in lines if line.strip("!/")))
    for path in paths:
        folders = path.split("/")[:-1]
        if not ignore.excludes(path):
            assert all(ignore.may_hold("/".join(folders[: n + 1])) for n in range(len(folders)))


class _Rule:
    """One line, matched by an expression that may take for ever on long paths."""

    def __init__(self, line: str) -> None:
        self.exception = line.startswith("!")
        pattern = re.sub(r"/+", "/", line.removeprefix("!")).strip("/")
        if re.fullmatch(r"\*\*[^/*?\[\]\\][^*?\[\]\\]*", pattern):
            self.fits = re.compile(".*" + re.escape(pattern[2:]))
            return
        expression = ""
        for piece in re.findall(r"\*\*/?|\*|\?|\[[^]]*\]|\\.|.", pattern):
            if piece.startswith("**"):
                expression += "(.*/)?"
            elif piece == "*":
                expression += "[^/]*"
            elif piece == "?":
                expression += "[^/]"
            elif piece.startswith("["):
                expression += piece
            else:
                expression += re.escape(piece.removeprefix("\\") or piece)
        if re.search(r"\*\*/?$", pattern):
            expression = expression.removesuffix("(.*/)?") + ".*"
        self.fits = re.compile(expression)


def _excluded(rules: list[_Rule], path: str) -> bool:
    noted: set[int] = set()
    excluded = False
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        here = "/".join(parts[:depth])
        excluded = False
        for number, rule in enumerate(rules):
            fits = rule.exception is excluded and rule.fits.fullmatch(here)
            if number in noted or fits:
                noted.add(number)
                excluded = not rule.exception
    return excluded

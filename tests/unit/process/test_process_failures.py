"""What uv printed, said plainly."""

from __future__ import annotations

import pytest

from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.drivers.process.failures import explain

UNSATISFIABLE = """\
Using Python 3.11.7 environment at: /e
error: No solution found when resolving dependencies
  cause: Because fastapi==0.115.0 depends on starlette>=0.37.2,<0.39.0 and you require \
fastapi==0.115.0, we can conclude that you require starlette>=0.37.2,<0.39.0.
         And because you require starlette==0.1, your requirements are unsatisfiable."""
UNREACHABLE = """\
error: Failed to fetch: https://user:****@index.example.com/simple/idna/
  cause: error sending request for url (https://index.example.com/simple/idna/)
  cause: client error (Connect)
  cause: dns error"""
MALFORMED = """\
error: Couldn't parse requirement in `requirements.txt` at position 0
  cause: Unexpected end of version specifier, expected version
         idna==
             ^^"""
BROKEN_LOCK = """\
error: Failed to parse `uv.lock`
  cause: TOML parse error at line 24, column 2"""
UNBUILDABLE = """\
Resolved 1 package in 391ms
   Building mysqlclient==2.2.0
error: Failed to build `mysqlclient==2.2.0`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta.get_requires_for_build_wheel` failed (exit status: 1)

         [stdout]
         Trying pkg-config --exists mysqlclient

         [stderr]
         Traceback (most recent call last):
           File "<string>", line 27, in find_package_name
         Exception: Can not find valid pkg-config name.
         Specify MYSQLCLIENT_CFLAGS and MYSQLCLIENT_LDFLAGS env vars manually

hint: Build failures usually indicate a problem with the package or the build environment"""


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        (
            UNSATISFIABLE,
            "The dependencies cannot be satisfied: Because fastapi==0.115.0 depends on "
            "starlette>=0.37.2,<0.39.0 and you require fastapi==0.115.0, we can conclude that you "
            "require starlette>=0.37.2,<0.39.0. And because you require starlette==0.1, your "
            "requirements are unsatisfiable.",
        ),
        (
            MALFORMED,
            "requirements.txt has a line that is no requirement: Unexpected end of version "
            "specifier, expected version idna==.",
        ),
        (BROKEN_LOCK, "uv.lock cannot be read: TOML parse error at line 24, column 2."),
        (
            UNBUILDABLE,
            "mysqlclient==2.2.0 could not be built: Exception: Can not find valid pkg-config name.",
        ),
        ("error: No space left on device (os error 28)", "The server's disk is full."),
        (
            "error: Hash mismatch for `idna==3.7`",
            "A package is not the one that was locked: Hash mismatch for `idna==3.7`.",
        ),
        (
            "error: Failed to fetch\n  cause: HTTP status client error (403 Forbidden) for url (x)",
            "The package index refused access: HTTP status client error (403 Forbidden) for url "
            "(x).",
        ),
        ("", "The dependencies could not be installed: uv gave no reason."),
    ],
)
def test_says_what_to_mend(printed: str, message: str) -> None:
    failure = explain(printed.splitlines(), 1)
    assert isinstance(failure, StageFailed)
    assert failure.message == message
    assert failure.hint
    assert "exit code" not in str(failure)


def test_a_network_that_is_down_passes_by_itself() -> None:
    failure = explain(UNREACHABLE.splitlines(), 2)
    assert isinstance(failure, Unavailable)
    assert failure.message.startswith("index.example.com did not answer")


def test_a_build_killed_for_memory() -> None:
    assert "killed for memory" in explain(["   Building x"], 137).message

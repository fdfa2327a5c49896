"""Which Engine we speak to, and in which version."""

from __future__ import annotations

import pytest

from previewdrop.domain.errors import BadConfig, ServerError
from previewdrop.drivers.docker.engine import agreed, socket_of


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [("1.41", "1.12", "1.41"), ("1.47", "1.24", "1.47"), ("1.52", "1.44", "1.47")],
)
def test_the_newest_that_both_speak(newest: str, oldest: str, spoken: str) -> None:
    assert agreed({"ApiVersion": newest, "MinAPIVersion": oldest}) == spoken


def test_an_old_engine_is_refused_by_name() -> None:
    with pytest.raises(
        BadConfig, match=r"version 19\.03\.15, which is too old\. PreviewDrop needs"
    ):
        agreed({"ApiVersion": "1.40", "Version": "19.03.15"})


def test_an_engine_that_forgot_our_version_asks_for_an_upgrade() -> None:
    with pytest.raises(ServerError, match=r"Upgrade PreviewDrop"):
        agreed({"ApiVersion": "1.60", "MinAPIVersion": "1.50"})


def test_the_socket_of_this_machine() -> None:
    assert socket_of("unix:///run/user/1000/docker.sock") == "/run/user/1000/docker.sock"


@pytest.mark.parametrize("host", ["tcp://build.example.com:2376", "ssh://me@build.example.com"])
def test_an_engine_elsewhere_is_refused_with_what_to_do(host: str) -> None:
    with pytest.raises(BadConfig, match=r"on build\.example\.com.*Run PreviewDrop on"):
        socket_of(host)

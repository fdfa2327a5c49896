"""Addresses of repositories: what they may be, and what becomes of a submodule's."""

from pathlib import Path

import pytest

from previewdrop.domain.errors import BadSource
from previewdrop.source.address import join_address, parse_address


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("https://git.example/team/shop.git/", "https://git.example/team/shop.git"),
        ("HTTPS://Git.Example:8443/shop", "https://git.example:8443/shop"),
        ("http://127.0.0.1:8080/shop", "http://127.0.0.1:8080/shop"),
        ("ssh://git@git.example:2222/shop", "ssh://git@git.example:2222/shop"),
        ("ssh://git:pw@git.example/shop", "ssh://git@git.example/shop"),
        ("git://git.example/shop", "git://git.example/shop"),
        ("https://[::1]:80/shop", "https://[::1]:80/shop"),
        ("git@git.example:team/shop.git", "git@git.example:team/shop.git"),
    ],
)
def test_remote_addresses(source: str, text: str):
    address = parse_address(source)
    assert (address.text, address.url, address.folder) == (text, text, None)


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("/srv/shop", "/srv/shop"),
        ("/srv/a:b/../shop/", "/srv/shop"),
        ("file:///srv/my%20shop", "/srv/my shop"),
        ("file://localhost/srv/shop", "/srv/shop"),
        ("/srv/\U0001f468‍\U0001f469/$(id)", "/srv/\U0001f468‍\U0001f469/$(id)"),
    ],
)
def test_folders(source: str, folder: str):
    assert parse_address(source).folder == Path(folder)


def test_a_relative_folder_starts_where_we_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert parse_address("./shop").folder == tmp_path / "shop"


@pytest.mark.parametrize(
    "source",
    [
        "", "  ", "-u./evil", "--upload-pack=evil", "ext::sh -c id", "fd::17", "a+b::c",
        "https://git.example/a\nb", "https://-oProxyCommand=evil/x", "ssh://-oProxyCommand=evil/x",
        "ssh://-evil@git.example/x", "ssh://%2Devil@git.example/x", "-evil@git.example:x",
        "git.example:-x", "ftp://git.example/x", "rsync://git.example/x", "https:///x",
        "https://git.example:99999/x", "https://[::1/x", "file://elsewhere/x",
    ],
)  # fmt: skip
def test_refused(source: str):
    with pytest.raises(BadSource):
        parse_address(source)


def test_a_password_is_kept_out_of_every_text():
    address = parse_address("https://ali:p%40ss-word@git.example/shop")
    assert address.text == address.url == "https://git.example/shop"
    assert address.login is not None
    assert address.login.reveal() == "ali:p@ss-word"
    assert address.site == "https://git.example/"
    assert "ss-word" not in repr(address)
    for broken in ("https://ali:pass-word@git.example:99999/x", "ftp://ali:pass-word@git.example"):
        with pytest.raises(BadSource) as caught:
            parse_address(broken)
        assert "pass-word" not in str(caught.value)


def test_only_web_addresses_have_a_site():
    assert parse_address("http://git.example:8080/x").site == "http://git.example:8080/"
    assert parse_address("ssh://git@git.example/x").site is None
    assert parse_address("git@git.example:x").site is None
    assert parse_address("/srv/x").site is None


@pytest.mark.parametrize(
    ("base", "url", "text"),
    [
        ("https://git.example/team/shop.git", "../lib.git", "https://git.example/team/lib.git"),
        ("https://git.example/team/shop", "../../other/lib", "https://git.example/other/lib"),
        ("https://git.example/team/shop", "./lib", "https://git.example/team/shop/lib"),
        ("git@git.example:team/shop.git", "../lib.git", "git@git.example:team/lib.git"),
        ("git@git.example:shop.git", "../lib.git", "git@git.example:lib.git"),
        ("https://git.example/shop", "https://else.example/lib", "https://else.example/lib"),
        ("/srv/team/shop", "../lib", "/srv/team/lib"),
    ],
)
def test_addresses_of_submodules(base: str, url: str, text: str):
    assert join_address(parse_address(base), url, ours=True).text == text


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://git.example/shop", "/etc"),
        ("https://git.example/shop", "file:///etc"),
        ("https://git.example/shop", "../../../../etc"),
        ("https://git.example/shop", "ext::sh -c id"),
        ("https://git.example/shop", "-evil"),
        ("https://git.example/shop", "lib"),
        ("https://git.example/shop", "ssh://git@git.example/lib"),
        ("https://git.example/shop", "git@git.example:lib"),
        ("git@git.example:team/shop", "../lib"),
    ],
)
def test_a_remote_repository_cannot_name_a_folder_here_or_use_a_key(base: str, url: str):
    with pytest.raises(BadSource):
        join_address(parse_address(base), url, ours=False)

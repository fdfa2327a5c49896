"""Addresses of GitHub as people write them."""

from __future__ import annotations

import pytest

from previewdrop.domain.errors import BadConfig
from previewdrop.forge.github.host import CLOUD, Host, host


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://github.com", CLOUD),
        ("https://github.com/", CLOUD),
        (" https://www.github.com ", CLOUD),
        ("https://api.github.com", CLOUD),
        ("https://GHE.Acme.com", Host("https://ghe.acme.com", "https://ghe.acme.com/api/v3")),
        ("https://ghe.acme.com/api/v3/", Host("https://ghe.acme.com", "https://ghe.acme.com/api/v3")),
        ("https://ghe.acme.com:8443", Host("https://ghe.acme.com:8443", "https://ghe.acme.com:8443/api/v3")),
        ("https://acme.ghe.com", Host("https://acme.ghe.com", "https://api.acme.ghe.com")),
        ("https://api.acme.ghe.com", Host("https://acme.ghe.com", "https://api.acme.ghe.com")),
        ("http://127.0.0.1:8080", Host("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v3")),
        ("http://localhost:8080", Host("http://localhost:8080", "http://localhost:8080/api/v3")),
        ("http://gh.localhost", Host("http://gh.localhost", "http://gh.localhost/api/v3")),
        ("http://[::1]:8080", Host("http://[::1]:8080", "http://[::1]:8080/api/v3")),
    ],
)  # fmt: skip
def test_addresses(address: str, found: Host):
    assert host(address) == found


@pytest.mark.parametrize(
    "address",
    [
        "",
        "github.com",
        "https://",
        "https://github.com/acme/shop",
        "https://user:password@ghe.acme.com",
        "https://ghe.acme.com/?x=1",
        "https://ghe.acme.com/#x",
        "http://ghe.acme.com",
        "http://10.0.0.1",
        "ftp://ghe.acme.com",
        "https://[::1",
        "https://ghe.acme.com:x",
    ],
)
def test_what_is_none_is_refused_without_repeating_it(address: str):
    with pytest.raises(BadConfig) as refused:
        host(address)
    assert "password" not in str(refused.value)

"""URLs of databases and caches: what is kept of the old one, and what cannot hold."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url
from valkey.connection import parse_url

from previewdrop.domain.secret import Secret
from previewdrop.domain.urls import (
    CacheAccess,
    DatabaseAccess,
    cache_url,
    database_url,
    has_placeholder_host,
    host_of,
    is_cache_url,
    is_database_url,
)

DATABASE = DatabaseAccess("127.0.0.1", 7781, "shop_pr_42", "shop_pr_42", Secret("s3cret-word"))
CACHE = CacheAccess("127.0.0.1", 7782, 3, "shop_pr_42", Secret("s3cret-word"))
AT = "shop_pr_42:s3cret-word@127.0.0.1"


@pytest.mark.parametrize(
    ("like", "expected"),
    [
        ("", f"postgresql://{AT}:7781/shop_pr_42"),
        (
            "postgresql+asyncpg://preview:preview@db:5432/preview",
            f"postgresql+asyncpg://{AT}:7781/shop_pr_42",
        ),
        ("postgresql+psycopg://u@db/x", f"postgresql+psycopg://{AT}:7781/shop_pr_42"),
        ("postgres://db", f"postgres://{AT}:7781/shop_pr_42"),
        ("db+postgresql://u:p@db/x", f"db+postgresql://{AT}:7781/shop_pr_42"),
        (
            "postgresql://u:p@db/x?application_name=a%20b&connect_timeout=5",
            f"postgresql://{AT}:7781/shop_pr_42?application_name=a%20b&connect_timeout=5",
        ),
        ("postgresql://u:p@db/x?sslmode=prefer", f"postgresql://{AT}:7781/shop_pr_42?sslmode=prefer"),
        ("postgresql://u:p@db/x?sslmode=require&sslrootcert=/a", f"postgresql://{AT}:7781/shop_pr_42"),
        ("postgresql+asyncpg://u:p@db/x?ssl=require", f"postgresql+asyncpg://{AT}:7781/shop_pr_42"),
        ("postgresql:///x?host=/var/run/postgresql", f"postgresql://{AT}:7781/shop_pr_42"),
        ("postgresql://u:p/w#@db:5432/x", f"postgresql://{AT}:7781/shop_pr_42"),
        ("postgresql://a:1,b:2/x?target_session_attrs=any",
         f"postgresql://{AT}:7781/shop_pr_42?target_session_attrs=any"),
        ("sqlite+aiosqlite:///./x.db?a=b", f"postgresql://{AT}:7781/shop_pr_42"),
        ("not a url", f"postgresql://{AT}:7781/shop_pr_42"),
    ],
)  # fmt: skip
def test_scheme_and_query_of_a_database_url_are_kept(like: str, expected: str):
    assert database_url(DATABASE, like).url == expected


def test_what_was_dropped_is_told():
    like = "postgresql://u:p@db/x?sslmode=verify-full&a=1&host=/x"
    assert database_url(DATABASE, like).dropped == ("sslmode", "host")
    assert cache_url(CACHE, "rediss://c/0?ssl_cert_reqs=none&db=2&protocol=3").dropped == (
        "ssl_cert_reqs",
        "db",
    )


def test_demands_for_tls_are_kept_when_the_server_speaks_it():
    like = "postgresql://u:p@db/x?sslmode=require"
    assert database_url(replace(DATABASE, tls=True), like).url.endswith("?sslmode=require")
    assert cache_url(replace(CACHE, tls=True), "redis://c/0?ssl_cert_reqs=none").url == (
        f"rediss://{AT}:7782/3?ssl_cert_reqs=none"
    )


def test_a_search_path_gives_way_to_the_schema_of_the_role():
    like = "postgresql://u:p@db/x?options=-c%20search_path%3Dapp"
    assert database_url(DATABASE, like).url.endswith("options=-c%20search_path%3Dapp")
    assert database_url(replace(DATABASE, schema="shop_pr_42"), like).url == (
        f"postgresql://{AT}:7781/shop_pr_42"
    )


@pytest.mark.parametrize(
    ("like", "expected"),
    [
        ("", f"redis://{AT}:7782/3"),
        ("redis://cache:6379/0", f"redis://{AT}:7782/3"),
        ("redis://cache", f"redis://{AT}:7782/3"),
        ("rediss://:p@cache:6380/1?ssl_cert_reqs=none", f"redis://{AT}:7782/3"),
        ("valkey://cache/0", f"valkey://{AT}:7782/3"),
        ("valkeys://cache/0", f"valkey://{AT}:7782/3"),
        ("unix:///run/redis.sock?db=1&protocol=3", f"redis://{AT}:7782/3?protocol=3"),
        ("redis://cache/0?db=2&health_check_interval=5",
         f"redis://{AT}:7782/3?health_check_interval=5"),
        ("memory://", f"redis://{AT}:7782/3"),
    ],
)  # fmt: skip
def test_scheme_and_query_of_a_cache_url_are_kept_where_they_can_be(like: str, expected: str):
    assert cache_url(CACHE, like).url == expected


def test_hosts_by_number_are_bracketed_and_names_are_encoded():
    odd = DatabaseAccess("::1", 5432, "a/b", "o'hara@x", Secret("p@ss/w:rd?#%"))
    url = database_url(odd, "postgresql+psycopg://db/x").url
    assert url == ("postgresql+psycopg://o%27hara%40x:p%40ss%2Fw%3Ard%3F%23%25@[::1]:5432/a%2Fb")
    assert cache_url(CacheAccess("::1", 1, 2, "u", Secret("p@"))).url == "redis://u:p%40@[::1]:1/2"


_word = st.text(st.characters(codec="utf-8", min_codepoint=33), min_size=1, max_size=20)


@given(user=_word, password=_word)
def test_clients_read_user_and_password_back(user: str, password: str):
    database = make_url(database_url(replace(DATABASE, user=user, password=Secret(password))).url)
    assert (database.username, database.password) == (user, password)
    cache = parse_url(cache_url(replace(CACHE, user=user, password=Secret(password))).url)
    assert (cache["username"], cache["password"], cache["db"]) == (user, password, 3)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("redis://Cache:6379/0", "cache"),
        ("redis://[::1]:6379/0", "::1"),
        ("redis://:p@redis", "redis"),
        ("redis://cache:6379/0?x=a@b", "cache"),
        ("postgresql://u:p/w@db:5432/x", "db"),
        ("postgresql://u:p@db.example.com/x", "db.example.com"),
        ("nothing", None),
    ],
)
def test_the_host_of_a_url(url: str, host: str | None):
    assert host_of(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "redis://db", "redis://cache:1", "redis://LOCALHOST", "redis://127.0.0.1/0",
        "redis://[::1]/0", "redis://postgres", "redis://redis",
    ],
)  # fmt: skip
def test_placeholder_hosts(url: str):
    assert has_placeholder_host(url)


@pytest.mark.parametrize(
    "url", ["redis://db.example.com", "redis://cache2", "postgresql://10.0.0.1/x", "db", "redis://"]
)
def test_other_hosts_are_somebody_elses(url: str):
    assert not has_placeholder_host(url)


def test_only_whole_values_are_urls():
    assert is_database_url("postgresql+asyncpg://db/x")
    assert not is_database_url('["postgresql://db/x"]')
    assert not is_database_url("mysql://db/x")
    assert not is_database_url("jdbc:postgresql://db/x")
    assert is_cache_url("rediss://cache")
    assert not is_cache_url("redis://a/0 redis://b/0".replace("redis://a", "see redis://a"))
    assert not is_cache_url("http://cache")

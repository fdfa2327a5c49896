"""The exact command lines of psql and redis-cli, and what is never in them."""

from __future__ import annotations

import pytest

from previewdrop.cli.commands import Command, psql, redis_cli, without_connection


def test_psql_is_told_everything_by_its_environment() -> None:
    url = "postgresql+asyncpg://shop_pr_42:p%40ss%2Fword@127.0.0.1:7781/shop_pr_42?sslmode=disable"
    assert psql("/usr/bin/psql", url, ["-c", "select 1"]) == Command(
        ("/usr/bin/psql", "-c", "select 1"),
        {
            "PGHOST": "127.0.0.1",
            "PGPORT": "7781",
            "PGUSER": "shop_pr_42",
            "PGPASSWORD": "p@ss/word",
            "PGDATABASE": "shop_pr_42",
            "PGSSLMODE": "disable",
        },
    )


def test_psql_on_a_socket() -> None:
    command = psql("psql", "postgresql://user:secret@/name?host=/run/pg&port=7781", [])
    assert command.environment["PGHOST"] == "/run/pg"
    assert command.environment["PGPORT"] == "7781"


def test_redis_cli() -> None:
    assert redis_cli("redis-cli", "redis://shop_pr_42:s3cret@127.0.0.1:7782/5", ["GET", "a"]) == (
        Command(
            (
                "redis-cli", "-h", "127.0.0.1", "-p", "7782", "--user", "shop_pr_42",
                "-n", "5", "GET", "a",
            ),
            {"REDISCLI_AUTH": "s3cret"},
        )
    )  # fmt: skip


def test_redis_cli_over_tls_and_on_a_socket() -> None:
    assert redis_cli("r", "rediss://cache.example.com/1", []).argv == (
        "r", "-h", "cache.example.com", "-p", "6379", "--tls", "-n", "1",
    )  # fmt: skip
    assert redis_cli("r", "unix://user:pw@/run/valkey.sock?db=3", []).argv == (
        "r", "-s", "/run/valkey.sock", "--user", "user", "-n", "3",
    )  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        psql("psql", "postgresql://u:hunter22@h/d", []),
        redis_cli("redis-cli", "redis://u:hunter22@h/1", []),
    ],
)
def test_passwords_are_never_in_an_argv(command: Command) -> None:
    assert not any("hunter22" in word for word in command.argv)
    assert "hunter22" in command.environment.values()


def test_the_callers_own_connections_do_not_interfere() -> None:
    before = {"PGHOST": "prod", "PGSERVICE": "prod", "REDISCLI_AUTH": "x", "PATH": "/bin"}
    assert without_connection(before) == {"PATH": "/bin"}

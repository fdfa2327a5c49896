"""The SQL of preview databases, letter by letter."""

from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import DatabaseSpec
from previewdrop.drivers.postgres import commands
from previewdrop.drivers.postgres.commands import Mark

SPEC = DatabaseSpec("shop_pr_42", "shop_pr_42", Secret("p'w"), connections=8)
SHARED = DatabaseSpec("shared__shop", "shop_pr_42", Secret("p'w"), "schema")
MARK = Mark("a1b2", "database", "shop_pr_42")


def text(composed) -> str:
    return composed.as_string(None)


def test_a_mark_is_read_as_it_was_written():
    assert str(MARK) == "previewdrop:a1b2:database:shop_pr_42"
    assert Mark.parse(str(MARK)) == MARK
    assert Mark.parse(None) is None
    assert Mark.parse("made by hand") is None


def test_create_role():
    assert text(commands.create_role(SPEC, "SCRAM-SHA-256$x", MARK, superuser=True)) == (
        "CREATE ROLE \"shop_pr_42\" LOGIN PASSWORD 'SCRAM-SHA-256$x' CONNECTION LIMIT 8; "
        "COMMENT ON ROLE \"shop_pr_42\" IS 'previewdrop:a1b2:database:shop_pr_42'; "
        'ALTER ROLE "shop_pr_42" SET synchronous_commit TO off; '
        "ALTER ROLE \"shop_pr_42\" SET idle_in_transaction_session_timeout TO '10min'; "
        "ALTER ROLE \"shop_pr_42\" SET temp_file_limit TO '1GB'"
    )


def test_an_ordinary_administrator_becomes_a_member():
    ordinary = text(commands.create_role(SPEC, "x", MARK, superuser=False))
    assert ordinary.endswith('; GRANT "shop_pr_42" TO CURRENT_USER')
    assert "temp_file_limit" not in ordinary


def test_mend_role_leaves_room_when_asked():
    assert "CONNECTION LIMIT 8;" in text(commands.mend_role(SPEC, "x", MARK))
    assert "CONNECTION LIMIT 10;" in text(commands.mend_role(SPEC, "x", MARK, extra=2))


def test_a_database_opens_only_when_it_is_closed_to_the_public():
    assert text(commands.create_database("shop_pr_42", "shop_pr_42")) == (
        'CREATE DATABASE "shop_pr_42" OWNER "shop_pr_42" TEMPLATE template0 ALLOW_CONNECTIONS false'
    )
    assert text(commands.open_database("shop_pr_42", "previewdrop:a1b2:")) == (
        "COMMENT ON DATABASE \"shop_pr_42\" IS 'previewdrop:a1b2:'; "
        'REVOKE ALL ON DATABASE "shop_pr_42" FROM PUBLIC; '
        'ALTER DATABASE "shop_pr_42" ALLOW_CONNECTIONS true'
    )


def test_a_schema_is_the_default_of_its_role():
    assert text(commands.enter_shared_database(SHARED)) == (
        'GRANT CONNECT, TEMPORARY ON DATABASE "shared__shop" TO "shop_pr_42"; '
        'ALTER ROLE "shop_pr_42" IN DATABASE "shared__shop" '
        'SET search_path TO "shop_pr_42", "extensions"'
    )
    assert text(commands.create_schema("shop_pr_42")) == (
        "REVOKE ALL ON SCHEMA public FROM PUBLIC; "
        'CREATE SCHEMA IF NOT EXISTS "extensions"; GRANT USAGE ON SCHEMA "extensions" TO PUBLIC; '
        'CREATE SCHEMA IF NOT EXISTS "shop_pr_42" AUTHORIZATION "shop_pr_42"'
    )


def test_create_extension():
    assert text(commands.create_extension("pg_trgm", "public")) == (
        'CREATE EXTENSION IF NOT EXISTS "pg_trgm" SCHEMA "public" CASCADE'
    )
    assert text(commands.create_extension("plpgsql", None)) == (
        'CREATE EXTENSION IF NOT EXISTS "plpgsql" CASCADE'
    )


def test_dropping():
    assert [text(each) for each in commands.drop_database("a", template=True)] == [
        'ALTER DATABASE "a" IS_TEMPLATE false',
        'DROP DATABASE IF EXISTS "a" WITH (FORCE)',
    ]
    assert text(commands.drop_schema("a")) == (
        'DROP SCHEMA IF EXISTS "a" CASCADE; DROP OWNED BY "a" CASCADE'
    )
    assert text(commands.drop_role("a")) == 'DROP ROLE IF EXISTS "a"'


def test_names_are_quoted():
    evil = 'a"; DROP ROLE postgres; --'
    assert text(commands.drop_role(evil)) == ('DROP ROLE IF EXISTS "a""; DROP ROLE postgres; --"')


def test_extensions_in_the_mark_are_in_one_order():
    assert commands.database_mark("a1b2", ("b", "a")) == "previewdrop:a1b2:a,b"


def test_what_is_near_is_named():
    message, hint = commands.missing_extension("pg_trigram", ["pg_trgm", "vector"])
    assert "'pg_trigram'" in message
    assert hint == "It has pg_trgm."
    assert "gen_random_uuid" in commands.missing_extension("pgcrypto", ["citext"])[1]

"""The SQL of preview databases, built and not run.

Every role and database carries a comment that says which installation it belongs to, so that it is
found when the store is lost, and so that nothing of anybody else is ever touched.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from previewdrop.domain.spec import DatabaseSpec

EXTENSIONS_SCHEMA = "extensions"
_PREFIX = "previewdrop"

SESSION = sql.SQL("SET search_path TO pg_catalog; SET lock_timeout TO '60s'")
"""For every administrator's session. The first keeps functions that a preview's role made out of
our queries: https://wiki.postgresql.org/wiki/A_Guide_to_CVE-2018-1058"""

LOOK = sql.SQL("""\
SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
  r.oid IS NOT NULL AS role, shobj_description(r.oid, 'pg_authid') AS role_mark,
  d.oid IS NOT NULL AS database, shobj_description(d.oid, 'pg_database') AS database_mark,
  pg_get_userbyid(d.datdba) AS owner, d.datallowconn AS open, d.datistemplate AS template,
  has_database_privilege('public', d.oid, 'CONNECT') AS public
FROM (SELECT) AS nothing
LEFT JOIN pg_roles r ON r.rolname = %(role)s
LEFT JOIN pg_database d ON d.datname = %(name)s""")

MARKED_ROLES = sql.SQL(
    "SELECT r.rolname, shobj_description(r.oid, 'pg_authid') FROM pg_roles r"
    " WHERE starts_with(shobj_description(r.oid, 'pg_authid'), %s) ORDER BY 1"
)
MARKED_DATABASES = sql.SQL(
    "SELECT d.datname, shobj_description(d.oid, 'pg_database') FROM pg_database d"
    " WHERE starts_with(shobj_description(d.oid, 'pg_database'), %s)"
    " AND d.datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user) ORDER BY 1"
)
SCHEMAS = sql.SQL(
    "SELECT nspname FROM pg_namespace WHERE nspname <> ALL"
    " (ARRAY['public', 'information_schema', 'extensions']) AND nspname NOT LIKE 'pg\\_%'"
)
AVAILABLE = sql.SQL(
    "SELECT DISTINCT ON (name) name, schema FROM pg_available_extension_versions ORDER BY 1"
)
LOCK = sql.SQL("SELECT pg_advisory_lock(hashtextextended(%s, 0))")
UNLOCK = sql.SQL("SELECT pg_advisory_unlock(hashtextextended(%s, 0))")

DATABASE_SIZE = sql.SQL("SELECT pg_database_size(current_database())")
SCHEMA_SIZE = sql.SQL(
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
    " WHERE relkind IN ('r', 'm') AND relnamespace = to_regnamespace(quote_ident(current_user))"
)
ALEMBIC_TABLES = sql.SQL(
    "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'version_num'"
    " WHERE c.relname = 'alembic_version' AND c.relkind IN ('r', 'p')"
    " AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
    " ORDER BY 1 LIMIT 20"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """What the comment on a role says: whose it is, and where its data lies."""

    installation: str
    isolation: str
    name: str

    @classmethod
    def of(cls, installation: str, spec: DatabaseSpec) -> Mark:
        return cls(installation, spec.isolation, spec.name)

    @classmethod
    def parse(cls, text: str | None) -> Mark | None:
        parts = (text or "").split(":", 3)
        return cls(*parts[1:]) if len(parts) == 4 and parts[0] == _PREFIX else None

    def __str__(self) -> str:
        return f"{_PREFIX}:{self.installation}:{self.isolation}:{self.name}"


def mark_prefix(installation: str) -> str:
    """What the comments of everything of this installation begin with."""
    return f"{_PREFIX}:{installation}:"


def database_mark(installation: str, extensions: Iterable[str]) -> str:
    """The comment on a database; the extensions in it need not be looked for again."""
    return f"{mark_prefix(installation)}{','.join(sorted(extensions))}"


def create_role(spec: DatabaseSpec, verifier: str, mark: Mark, *, superuser: bool) -> sql.Composed:
    """One transaction: the role, its mark and its settings. `verifier` is a SCRAM verifier.

    An administrator who is no superuser becomes a member, which PostgreSQL demands of those who
    create a database for another role.
    """
    role = sql.Identifier(spec.role)
    statements = [
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} CONNECTION LIMIT {}").format(
            role, sql.Literal(verifier), sql.Literal(spec.connections)
        ),
        sql.SQL("COMMENT ON ROLE {} IS {}").format(role, sql.Literal(str(mark))),
        sql.SQL("ALTER ROLE {} SET synchronous_commit TO off").format(role),
        sql.SQL("ALTER ROLE {} SET idle_in_transaction_session_timeout TO '10min'").format(role),
    ]
    if superuser:
        statements.append(sql.SQL("ALTER ROLE {} SET temp_file_limit TO '1GB'").format(role))
    else:
        statements.append(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
    return sql.SQL("; ").join(statements)


def mend_role(spec: DatabaseSpec, verifier: str, mark: Mark, *, extra: int = 0) -> sql.Composed:
    """What may have changed: password, limit, mark. `extra` lets us in beside a full pool.

    Done at each deployment, so it does not wait for the disk: done again it is the same.
    """
    role = sql.Identifier(spec.role)
    return sql.SQL(
        "SET LOCAL synchronous_commit TO off;"
        " ALTER ROLE {} LOGIN PASSWORD {} CONNECTION LIMIT {}; COMMENT ON ROLE {} IS {}"
    ).format(
        role,
        sql.Literal(verifier),
        sql.Literal(spec.connections + extra),
        role,
        sql.Literal(str(mark)),
    )


def create_database(name: str, owner: str | None) -> sql.Composed:
    """Closed to everybody until `open_database`. template0: nobody can be connected to it."""
    owned = sql.SQL(" OWNER {}").format(sql.Identifier(owner)) if owner else sql.SQL("")
    return sql.SQL("CREATE DATABASE {}{} TEMPLATE template0 ALLOW_CONNECTIONS false").format(
        sql.Identifier(name), owned
    )


def open_database(name: str, mark: str) -> sql.Composed:
    """Marks a database and opens it for its owner alone."""
    database = sql.Identifier(name)
    return sql.SQL(
        "COMMENT ON DATABASE {} IS {}; REVOKE ALL ON DATABASE {} FROM PUBLIC;"
        " ALTER DATABASE {} ALLOW_CONNECTIONS true"
    ).format(database, sql.Literal(mark), database, database)


def remark_database(name: str, mark: str) -> sql.Composed:
    return sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(mark))


def close_to_public(name: str) -> sql.Composed:
    """The owner may have opened the database; this shuts it again."""
    return sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))


def enter_shared_database(spec: DatabaseSpec) -> sql.Composed:
    """Lets the role into the database that it shares, and makes its own schema the default."""
    role, database = sql.Identifier(spec.role), sql.Identifier(spec.name)
    return sql.SQL(
        "GRANT CONNECT, TEMPORARY ON DATABASE {} TO {};"
        " ALTER ROLE {} IN DATABASE {} SET search_path TO {}, {}"
    ).format(database, role, role, database, role, sql.Identifier(EXTENSIONS_SCHEMA))


def create_schema(role: str) -> sql.Composed:
    """Inside the shared database: the role's schema, and nothing for it anywhere else."""
    schema, extensions = sql.Identifier(role), sql.Identifier(EXTENSIONS_SCHEMA)
    return sql.SQL(
        "REVOKE ALL ON SCHEMA public FROM PUBLIC; CREATE SCHEMA IF NOT EXISTS {};"
        " GRANT USAGE ON SCHEMA {} TO PUBLIC; CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}"
    ).format(extensions, extensions, schema, schema)


def create_extension(name: str, schema: str | None) -> sql.Composed:
    """`schema` is None for an extension that brings its own."""
    place = sql.SQL(" SCHEMA {}").format(sql.Identifier(schema)) if schema else sql.SQL("")
    return sql.SQL("CREATE EXTENSION IF NOT EXISTS {}{} CASCADE").format(
        sql.Identifier(name), place
    )


def drop_database(name: str, *, template: bool = False) -> list[sql.Composed]:
    """Drops it with open sessions. Its owner may have made it a template, which resists."""
    database = sql.Identifier(name)
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database)
    plain = sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(database)
    return [plain, drop] if template else [drop]


def lock_out(role: str) -> sql.Composed:
    """Nobody logs in as the role any more, and who did is gone within five seconds."""
    return sql.SQL(
        "ALTER ROLE {} NOLOGIN;"
        " SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = {}"
    ).format(sql.Identifier(role), sql.Literal(role))


def drop_schema(role: str) -> sql.Composed:
    """Inside the shared database: the schema, and all that the role owns or may do there."""
    return sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE; DROP OWNED BY {} CASCADE").format(
        sql.Identifier(role), sql.Identifier(role)
    )


def drop_role(role: str) -> sql.Composed:
    return sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role))


def revisions_in(schema: str) -> sql.Composed:
    return sql.SQL("SELECT version_num::text FROM {}.alembic_version LIMIT 100").format(
        sql.Identifier(schema)
    )


_BUILT_IN = {
    "pgcrypto": "gen_random_uuid(), sha256() and friends are built into PostgreSQL",
    "uuid-ossp": "gen_random_uuid() and uuidv7() are built into PostgreSQL",
}


def missing_extension(name: str, available: Iterable[str]) -> tuple[str, str]:
    """Message and hint for an extension that the server lacks."""
    names = sorted(available)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names
    hint = f"It has {', '.join(near)}."
    if built_in := _BUILT_IN.get(name):
        hint = f"Perhaps it is not needed: {built_in}. {hint}"
    return f"The PostgreSQL server has no extension {name!r}.", hint

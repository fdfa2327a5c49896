"""Errors of psycopg as ours."""

from __future__ import annotations

import psycopg
from psycopg import errors

from previewdrop.domain.errors import PreviewDropError, StageFailed, Unavailable

_AT_ONCE = (
    errors.ObjectInUse,
    errors.UniqueViolation,
    errors.DuplicateObject,
    errors.DuplicateDatabase,
    errors.DuplicateSchema,
    errors.DeadlockDetected,
    errors.SerializationFailure,
)


def is_collision(error: psycopg.Error) -> bool:
    """Whether two sessions were at the same thing at once, so that doing it again helps."""
    return isinstance(error, _AT_ONCE) or "concurrently" in str(error)


def is_lost_connection(error: psycopg.Error) -> bool:
    """Whether the session ended under us, as after a restart of the server."""
    return isinstance(error, psycopg.OperationalError) and (
        error.sqlstate is None or isinstance(error, errors.AdminShutdown | errors.CrashShutdown)
    )


def translated(error: psycopg.Error) -> PreviewDropError:
    """`Unavailable` for what passes by itself, `StageFailed` for the rest."""
    said = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else "nothing"
    if isinstance(error, errors.DiskFull):
        return StageFailed(f"The PostgreSQL server's disk is full: {said}.", "Free some space.")
    if isinstance(error, errors.InsufficientPrivilege):
        return StageFailed(
            f"PostgreSQL does not let its administrator do this: {said}.",
            "The role of PREVIEWDROP_POSTGRES_URL needs CREATEDB and CREATEROLE; some extensions "
            "need a superuser.",
        )
    if isinstance(error, errors.InvalidPassword | errors.InvalidAuthorizationSpecification):
        return Unavailable(
            f"PostgreSQL refused the administrator: {said}.", "Check PREVIEWDROP_POSTGRES_URL."
        )
    if isinstance(error, psycopg.OperationalError):
        return Unavailable(f"PostgreSQL did not answer: {said}.")
    return StageFailed(f"PostgreSQL refused: {said}.")

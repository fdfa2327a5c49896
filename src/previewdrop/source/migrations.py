"""The Alembic revision graph of a repository, read without importing it."""

from previewdrop.source.detect.revisions import read_migrations

__all__ = ["read_migrations"]

"""The files that make a FastAPI repository ready for previews, written from what it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Traits:
    """What the files depend on.

    `module` is the app's. `libraries` are lower-case names of what is installed. `alembic` is the
    path of alembic.ini relative to the app's folder.
    """

    module: str = "app.main"
    libraries: frozenset[str] = frozenset()
    alembic: str | None = None


def files(traits: Traits) -> dict[str, str]:
    """The text of each file by its path relative to the app's folder."""
    return {".env.preview": env_preview(traits), "bin/preview-entrypoint.sh": entrypoint(traits)}


def env_preview(traits: Traits) -> str:
    """An environment template with the URLs in the scheme that the installed drivers want."""
    scheme = _database_scheme(traits.libraries)
    return f"""\
# Environment of every preview. PreviewDrop replaces hosts, names and passwords of these URLs by
# those of the preview's own PostgreSQL and Redis databases, and keeps scheme and query.
DATABASE_URL={scheme}://preview:preview@db:5432/preview
REDIS_URL=redis://cache:6379/0

# ${{NAME}} is a variable or secret of the project (`previewdrop env set NAME --secret`);
# ${{NAME:-default}} has a default. Keep real secrets out of this file.
# SECRET_KEY=${{SECRET_KEY:-only-for-previews}}
"""


def entrypoint(traits: Traits) -> str:
    """The post-deploy script: migrations if there are any, seed data if there is a module."""
    config = traits.alembic or "alembic.ini"
    option = "" if config == "alembic.ini" else f" -c {config}"
    package = traits.module.rpartition(".")[0]
    seed = f"{package}.seed_preview" if package else "seed_preview"
    path = f"{seed.replace('.', '/')}.py"
    return f"""\
#!/usr/bin/env bash
# Runs inside every preview after it has started, with its environment. Its exit code decides.
set -euo pipefail

if [ -f {config} ]; then
  echo "→ Running database migrations…"
  alembic{option} upgrade head
fi

if [ -f {path} ] || [ -f src/{path} ]; then
  echo "→ Loading seed data for preview…"
  python -m {seed}
fi

echo "✓ Preview environment ready: ${{PREVIEW_URL:-}}"
"""


def _database_scheme(libraries: frozenset[str]) -> str:
    if "asyncpg" in libraries:
        return "postgresql+asyncpg"
    if "psycopg" in libraries:
        return "postgresql+psycopg"
    return "postgresql"

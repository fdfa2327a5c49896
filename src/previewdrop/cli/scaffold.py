"""The files that make a FastAPI repository ready for previews, written from what it is."""

from __future__ import annotations

from dataclasses import dataclass

from previewdrop.domain.app import Lock

_PYTHON = "3.12"


@dataclass(frozen=True, slots=True)
class Traits:
    """What the files depend on.

    `lock` is None when no image can be built from the app's folder alone. `requirements` are the
    files to install and `inputs` all that decide, relative to the app's folder; when they name
    code of the repository, `whole` says that all of it is needed to install. `libraries` are
    lower-case names of what is installed.
    """

    module: str = "app.main"
    variable: str = "app"
    factory: bool = False
    lock: Lock | None = Lock.REQUIREMENTS
    requirements: tuple[str, ...] = ("requirements.txt",)
    inputs: tuple[str, ...] = ("requirements.txt",)
    whole: bool = False
    python: str = _PYTHON
    libraries: frozenset[str] = frozenset()
    alembic: str | None = None


def files(traits: Traits) -> dict[str, str]:
    """The text of each file by its path relative to the app's folder."""
    image = {"Dockerfile": dockerfile(traits)} if traits.lock else {}
    return {
        **image,
        ".env.preview": env_preview(traits),
        "bin/preview-entrypoint.sh": entrypoint(traits),
    }


def dockerfile(traits: Traits) -> str:
    """A two-stage image: uv installs what the repository locks, a plain user runs it."""
    return f"""\
# The first stage installs the dependencies. It runs again only when they change.
FROM python:{traits.python}-slim AS builder
RUN --mount=type=cache,target=/root/.cache/pip pip install uv
ENV UV_LINK_MODE=copy \\
    UV_COMPILE_BYTECODE=1 \\
    UV_PYTHON_DOWNLOADS=never \\
    UV_PROJECT_ENVIRONMENT=/venv \\
    VIRTUAL_ENV=/venv
WORKDIR /app
{_install(traits)}
# The second stage holds the application and what it needs to run, and no more.
FROM python:{traits.python}-slim
RUN useradd --create-home --uid 10001 app
WORKDIR /app
COPY --from=builder /venv /venv
COPY --chown=app . .

# MODULE_NAME and VARIABLE_NAME say where the application object is.
ENV PATH=/venv/bin:$PATH \\
    PYTHONUNBUFFERED=1 \\
    MODULE_NAME={traits.module} \\
    VARIABLE_NAME={traits.variable} \\
    PORT=3000
USER app
EXPOSE 3000

# 0.0.0.0: on 127.0.0.1 nothing outside the container could reach it.
CMD ["sh", "-c", "exec uvicorn {"--factory " if traits.factory else ""}\
\\"$MODULE_NAME:$VARIABLE_NAME\\" --host 0.0.0.0 --port \\"$PORT\\""]
"""


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


def _install(traits: Traits) -> str:
    cache = "RUN --mount=type=cache,target=/root/.cache/uv"
    environment = f"{cache} uv venv /venv"
    install = "&& uv pip install"
    match traits.lock:
        case Lock.UV:
            steps = [
                "COPY pyproject.toml uv.lock ./",
                f"{cache} uv sync --locked --no-dev --no-install-project",
                "COPY . .",
                f"{cache} uv sync --locked --no-dev --no-editable",
            ]
        case Lock.POETRY:
            steps = [
                "COPY pyproject.toml poetry.lock ./",
                f"{environment} \\",
                "    && uvx --with poetry-plugin-export poetry export -o /requirements.txt \\",
                f"    {install} -r /requirements.txt",
            ]
        case Lock.PIPFILE:
            steps = [
                "COPY Pipfile Pipfile.lock ./",
                f"{environment} \\",
                "    && uvx pipenv requirements > /requirements.txt \\",
                f"    {install} -r /requirements.txt",
            ]
        case Lock.REQUIREMENTS:
            given = " ".join(f"-r {each}" for each in traits.requirements)
            copies = [f"COPY {each} {each}" for each in traits.inputs]
            steps = [
                *(["COPY . ."] if traits.whole else copies),
                f"{environment} {install} {given}",
            ]
        case _:
            steps = ["COPY . .", f"{environment} {install} ."]
    if not traits.libraries & {"uvicorn", "fastapi-cli"}:
        steps.append(f"# Nothing here depends on uvicorn.\n{cache} uv pip install uvicorn")
    return "\n".join(steps) + "\n"


def _database_scheme(libraries: frozenset[str]) -> str:
    if "asyncpg" in libraries:
        return "postgresql+asyncpg"
    if "psycopg" in libraries:
        return "postgresql+psycopg"
    return "postgresql"

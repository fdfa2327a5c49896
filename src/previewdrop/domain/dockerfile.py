"""The Dockerfile of a repository that has none: dependencies first, code last."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from previewdrop.domain.app import AppObject
from previewdrop.domain.dockerfile_distribution import Distribution, distribution_instructions
from previewdrop.domain.dockerfile_install import ENVIRONMENT, Install, install_instructions
from previewdrop.domain.dockerfile_lines import (
    TOP,
    Runner,
    chain,
    environment,
    listing,
    place,
)

PORT = 3000
USER = 10001
"""Account and group, as numbers: Kubernetes cannot tell whether a name is root's."""

IGNORE = """\
# What an image does not need, or must not hold.
**/.git
**/.venv
**/venv
**/node_modules
**/__pycache__
**/*.pyc
**/.cache
**/.mypy_cache
**/.pytest_cache
**/.ruff_cache
**/.tox
**/.nox
**/.idea
**/.vscode
**/.DS_Store
**/.env*
!**/.env.preview*
**/Dockerfile
**/.dockerignore
"""


@dataclass(frozen=True, slots=True)
class Generated:
    """A Dockerfile's text, the folder to build it from, and the .dockerignore of that folder.

    `context` is relative to the repository's top, `""` is the top. `ignore` is for a folder that
    has no .dockerignore.
    """

    text: str
    context: str
    ignore: str = IGNORE


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """What the image is made of. Paths are relative to the build context.

    `python` is a version as images name it ("3.12"). `root` is the app's folder, `import_path`
    what must be importable, `command` the server's command as in `AppFacts`, None for uvicorn.
    """

    python: str
    app: AppObject
    install: Install
    root: str = ""
    import_path: tuple[str, ...] = ("",)
    command: tuple[str, ...] | None = None
    distribution: Distribution | None = None


def dockerfile(plan: ImagePlan, runner: Runner) -> str:
    """The text: one stage installs what is locked, the other holds it, the code and a plain user.

    It asks for nothing newer than the BuildKit of Docker 20.10. Code is copied last, so a change
    of it alone rebuilds nothing else.
    """
    return "\n".join((*_building(plan, runner), "", *_running(plan), ""))


def _building(plan: ImagePlan, runner: Runner) -> list[str]:
    return [
        "# Installs the dependencies. Runs again only when they change.",
        f"FROM python:{plan.python}-slim AS builder",
        runner.run("pip install --no-input --root-user-action=ignore uv"),
        environment(
            {
                "UV_COMPILE_BYTECODE": "1",
                "UV_LINK_MODE": "copy",
                "UV_PYTHON_DOWNLOADS": "never",
                "UV_PROJECT_ENVIRONMENT": ENVIRONMENT,
                "VIRTUAL_ENV": ENVIRONMENT,
            }
        ),
        f"WORKDIR {TOP}",
        *install_instructions(plan.install, runner),
        *distribution_instructions(plan.distribution),
    ]


def _running(plan: ImagePlan) -> list[str]:
    parts = plan.root.split("/") if plan.root else []
    folders = [place("/".join(parts[:depth])) for depth in range(len(parts) + 1)]
    account = [
        f"groupadd --gid {USER} app",
        f"useradd --create-home --uid {USER} --gid app app",
        f"install -d -o app -g app {' '.join(map(shlex.quote, folders))}",
    ]
    variables = {
        "PATH": f"{ENVIRONMENT}/bin:$PATH",
        "VIRTUAL_ENV": ENVIRONMENT,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": ":".join(map(place, plan.import_path)),
        "PORT": str(PORT),
    }
    if plan.command is None:
        variables |= {"MODULE_NAME": plan.app.module, "VARIABLE_NAME": plan.app.variable}
    return [
        "# Holds the application and what it needs to run, and no more.",
        f"FROM python:{plan.python}-slim",
        f"RUN {chain(account)}",
        f"COPY --from=builder {ENVIRONMENT} {ENVIRONMENT}",
        environment(variables),
        f"WORKDIR {place(plan.root)}",
        f"USER {USER}:{USER}",
        f"EXPOSE {PORT}",
        "# 0.0.0.0: on 127.0.0.1 nothing outside the container could reach it. exec: the server is",
        "# process 1 and gets the SIGTERM itself.",
        f"CMD {listing('sh', '-c', f'exec {_serve(plan)}')}",
        "# Last, so that a push of code alone rebuilds nothing else.",
        f"COPY --chown={USER}:{USER} . {TOP}/",
    ]


def _serve(plan: ImagePlan) -> str:
    """The server's command for a shell that knows PORT."""
    if plan.command is None:
        factory = " --factory" if plan.app.factory else ""
        app = '"$MODULE_NAME:$VARIABLE_NAME"'
        return f'uvicorn {app}{factory} --host 0.0.0.0 --port "$PORT"'
    return " ".join(_word(part.replace("{host}", "0.0.0.0")) for part in plan.command)  # noqa: S104


def _word(part: str) -> str:
    literals = part.split("{port}")
    return '"$PORT"'.join(shlex.quote(text) if text else "" for text in literals) or "''"

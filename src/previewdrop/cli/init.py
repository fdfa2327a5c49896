"""`init`: write the files that a FastAPI repository lacks for previews."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from previewdrop.cli.options import Json, print_json
from previewdrop.cli.scaffold import Traits, files
from previewdrop.domain.app import AppFacts
from previewdrop.domain.errors import BadInput

commands = typer.Typer(rich_markup_mode=None)

_LIBRARIES = ("asyncpg", "psycopg", "uvicorn", "fastapi-cli")
_VERSION = re.compile(r"3\.\d+")
_LOCAL = re.compile(r"^\s*(-e\b|--editable\b|\.|file:)|@ *(file:|\.)", re.MULTILINE)
"""A line of a requirements file that installs code of the repository itself."""


@commands.command("init")
def init(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Folder of the repository. Else: here.")
    ] = ".",
    json: Json = False,
) -> None:
    """Write the files that a FastAPI repository lacks for previews.

    Dockerfile, .env.preview and bin/preview-entrypoint.sh, written for what the repository is.
    Files that are there are kept as they are. None of the three is needed to deploy.

    \b
    Examples:
      previewdrop init
      previewdrop init ~/code/shop
    """
    top = Path(path).expanduser()
    if not top.is_dir():
        raise BadInput(f"There is no folder {path}.", "Give the folder of a repository.")
    facts = _facts(top)
    folder = top / facts.root
    wrote, kept = write(folder, traits_of(top, facts))
    if json:
        print_json(
            {"app": facts.app.import_string, "root": facts.root, "wrote": wrote, "kept": kept}
        )
        return
    typer.echo(f"FastAPI application {facts.app.import_string} in {folder}")
    for name in wrote:
        typer.echo(f"  ✓ wrote  {name}")
    for name in kept:
        typer.echo(f"  – kept   {name}")
    if "Dockerfile" not in wrote + kept:
        typer.echo("  – no Dockerfile: the lock file stands above the app; one is built without it")
    if wrote:
        typer.echo("Commit them, then deploy with `previewdrop up`.")


def write(folder: Path, traits: Traits) -> tuple[list[str], list[str]]:
    """Writes what is missing; the names of the files written, and of those kept."""
    wrote: list[str] = []
    kept: list[str] = []
    for name, text in files(traits).items():
        target = folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8") as file:
                file.write(text)
            if name.endswith(".sh"):
                target.chmod(target.stat().st_mode | 0o111)
        except FileExistsError:
            kept.append(name)
        except OSError as error:
            raise BadInput(f"{target} cannot be written: {error.strerror}.") from error
        else:
            wrote.append(name)
    return wrote, kept


def traits_of(top: Path, facts: AppFacts) -> Traits:
    """What the files depend on, from what detection found in the repository at `top`."""
    dependencies = facts.dependencies
    text = "\n".join(_text(top / each) for each in dependencies.files).lower()
    inputs = [_from_root(each, facts) for each in dependencies.files]
    above = any(each.startswith("..") for each in inputs)
    version = _VERSION.search(dependencies.python or "")
    plain = Traits()
    return Traits(
        module=facts.app.module,
        variable=facts.app.variable,
        factory=facts.app.factory,
        # The image is made from the app's folder: what lies above cannot be copied into it.
        lock=None if above else dependencies.lock,
        requirements=tuple(_from_root(each, facts) for each in dependencies.requirements),
        inputs=tuple(inputs),
        whole=_LOCAL.search(text) is not None,
        python=version[0] if version else plain.python,
        libraries=frozenset(each for each in _LIBRARIES if _names(each, text)),
        alembic=_from_root(facts.migrations.config, facts) if facts.migrations else None,
    )


def _from_root(path: str, facts: AppFacts) -> str:
    return os.path.relpath(path, facts.root or ".")


def _facts(top: Path) -> AppFacts:
    """What detection finds; its error says what was looked at and which setting mends it."""
    # The one place where the command line needs the server's own reading of a repository.
    from previewdrop.config.project_file import load
    from previewdrop.source.detect import detect

    config = load(top)
    return detect(top, root=config.root, app=config.app)


def _names(library: str, text: str) -> bool:
    """Whether a lock or requirements file names a library as one; extras count."""
    extra = r"|fastapi\[[^\]]*(?:standard|all)[^\]]*\]" if library == "uvicorn" else ""
    return re.search(rf"(?<![\w.-]){library}(?![\w.-])(?!-){extra}", text) is not None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

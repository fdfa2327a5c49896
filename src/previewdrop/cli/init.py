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
from previewdrop.domain.errors import BadInput, PreviewDropError

commands = typer.Typer(rich_markup_mode=None)

_LIBRARIES = ("asyncpg", "psycopg", "uvicorn", "fastapi-cli")
_VERSION = re.compile(r"3\.\d+")


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
    facts, doubt = _facts(top)
    folder = top / facts.root if facts else top
    wrote, kept = write(folder, traits_of(top, facts) if facts else Traits())
    if json:
        print_json(
            {"wrote": wrote, "kept": kept, "app": facts.app.import_string if facts else None}
        )
        return
    for name in wrote:
        typer.echo(f"✓ wrote {folder / name}")
    for name in kept:
        typer.echo(f"– kept  {folder / name}, which was there")
    if doubt is not None:
        typer.echo(f"! {doubt}")
        typer.echo("! The Dockerfile says MODULE_NAME=app.main; correct it if that is wrong.")
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
    # The image is made from the app's folder: what lies above cannot be copied into it.
    inside = [os.path.relpath(each, facts.root or ".") for each in dependencies.requirements]
    version = _VERSION.search(dependencies.python or "")
    text = "\n".join(_text(top / each) for each in dependencies.files).lower()
    config = facts.migrations.config if facts.migrations else None
    return Traits(
        module=facts.app.module,
        variable=facts.app.variable,
        factory=facts.app.factory,
        lock=dependencies.lock,
        requirements=tuple(inside) or Traits().requirements,
        python=version[0] if version else Traits().python,
        libraries=frozenset(each for each in _LIBRARIES if _names(each, text)),
        alembic=os.path.relpath(config, facts.root or ".") if config else None,
    )


def _facts(top: Path) -> tuple[AppFacts | None, PreviewDropError | None]:
    raise NotImplementedError


def _names(library: str, text: str) -> bool:
    """Whether a lock or requirements file names a library as one; extras count."""
    extra = r"|fastapi\[[^\]]*(?:standard|all)[^\]]*\]" if library == "uvicorn" else ""
    return re.search(rf"(?<![\w.-]){library}(?![\w.-])(?!-){extra}", text) is not None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

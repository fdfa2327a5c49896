"""Env templates: the lines of a `.env` file and the references inside a value."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dotenv.parser import Binding, parse_stream

from previewdrop.domain.errors import BadTemplate

TEMPLATE_BYTES = 256 * 1024
"""Largest template that is read."""

_LONGEST_BLANK = 1024
"""python-dotenv looks for comments in a time that grows with the square of a run of blanks."""

_DEEPEST_DEFAULT = 8
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPENING = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(\}|:-)")
_BEFORE_VALUE = re.compile(
    r"\s*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=#\s]+)[^\S\r\n]*=[^\S\r\n]*", re.DOTALL
)
_NEWLINE = re.compile(r"\r\n|\n|\r")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=?&~{}$\[\]()*!;<>|^-]*")


@dataclass(frozen=True, slots=True)
class Reference:
    """`${name}`, or `${name:-default}` whose default counts when the name is unset or empty."""

    name: str
    default: Text | None = None


Text = tuple["str | Reference", ...]
"""A value as pieces in order: plain text and references."""


@dataclass(frozen=True, slots=True)
class Line:
    """One `NAME=value` of a template. `number` counts from 1, where the name stands.

    `literal` is true for a value in single quotes, which is taken as it is, like in a shell.
    """

    name: str
    value: str
    number: int
    literal: bool = False


def decode(data: bytes, file: str) -> str:
    """The text of a template file; BadTemplate if it is not UTF-8 (with or without BOM)."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadTemplate(
            f"{file}, line {line}: this is not UTF-8.", "Save it as UTF-8."
        ) from error


def parse(text: str, file: str) -> tuple[Line, ...]:
    """The lines of a template in order; comments and empty lines are left out.

    BadTemplate names the file and the line of the first one that is not `NAME=value`.
    """
    if len(text.encode("utf-8", "surrogatepass")) > TEMPLATE_BYTES:
        raise BadTemplate(f"{file} is larger than {TEMPLATE_BYTES // 1024} KiB.")
    if any(len(blank) > _LONGEST_BLANK for blank in re.findall(r"\s+", text)):
        raise BadTemplate(f"{file} has more than {_LONGEST_BLANK} blanks in a row.")
    return tuple(_lines(text, file))


def pieces(value: str, where: str) -> Text:
    """Splits a value at its references; `$$` is a literal `$`, and so is `$` before anything else.

    BadTemplate names `where` for a reference that is not `${NAME}` or `${NAME:-default}`.
    """
    return _scan(value, 0, where, depth=0)[0]


def importable(text: str, file: str, *, secret: bool = False) -> dict[str, str]:
    """The variables of a template as they are stored for a project, the last of a name wins.

    Values in single quotes are stored so that they stay literal (`$` becomes `$$`). With `secret`
    all values are stored as they are, because a secret is never searched for references.
    """
    return {
        line.name: line.value.replace("$", "$$") if line.literal and not secret else line.value
        for line in parse(text, file)
    }


def dump(variables: Mapping[str, str]) -> str:
    """Stored variables as the text of a template, from which `importable` reads the same again."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items())


def is_name(name: str) -> bool:
    """Whether this can name an environment variable: letters, digits and underscores."""
    return _NAME.fullmatch(name) is not None


def _lines(text: str, file: str) -> Iterator[Line]:
    for binding in parse_stream(io.StringIO(text, newline="")):
        whole = binding.original.string
        blank = whole[: len(whole) - len(whole.lstrip())]
        number = binding.original.line + len(_NEWLINE.findall(blank))
        where = f"{file}, line {number}"
        if binding.error or (binding.key is not None and binding.value is None):
            raise BadTemplate(
                f"{where}: {_shown(whole)} is not NAME=value.",
                "Write NAME=value; put a value of several lines in double quotes.",
            )
        if binding.key is None or binding.value is None:
            continue
        if not is_name(binding.key):
            raise BadTemplate(
                f"{where}: {_shown(binding.key)} cannot name a variable.",
                "Use letters, digits and underscores; do not begin with a digit.",
            )
        if "\0" in binding.value:
            raise BadTemplate(f"{where}: a variable cannot hold a zero byte.")
        yield Line(binding.key, binding.value, number, _single_quoted(binding))


def _single_quoted(binding: Binding) -> bool:
    before = _BEFORE_VALUE.match(binding.original.string)
    return before is not None and binding.original.string[before.end() :].startswith("'")


def _shown(text: str) -> str:
    """The beginning of a line, up to its `=`: what follows may be a password."""
    name = text.strip().partition("=")[0].partition("\n")[0].rstrip()[:40]
    return f"`{name}…`" if "=" in text else f"`{name}`"


def _scan(value: str, start: int, where: str, depth: int) -> tuple[Text, int]:
    """The pieces from `start` to the end, or to the `}` that closes a default (`depth` > 0)."""
    if depth > _DEEPEST_DEFAULT:
        raise BadTemplate(f"{where}: defaults are nested more than {_DEEPEST_DEFAULT} deep.")
    found: list[str | Reference] = []
    position = start
    while position < len(value):
        character = value[position]
        if depth and character == "}":
            return tuple(found), position + 1
        if value.startswith("$$", position):
            _append(found, "$")
            position += 2
        elif value.startswith("${", position):
            reference, position = _reference(value, position, where, depth)
            found.append(reference)
        else:
            _append(found, character)
            position += 1
    if depth:
        raise _never_closed(where)
    return tuple(found), position


def _reference(value: str, start: int, where: str, depth: int) -> tuple[Reference, int]:
    opening = _OPENING.match(value, start)
    if opening is None:
        if "}" not in value[start:]:
            raise _never_closed(where)
        shown = value[start : value.index("}", start) + 1][:40]
        raise BadTemplate(
            f"{where}: {shown} is not understood.",
            "Write ${NAME} or ${NAME:-default}, or $$ for a literal dollar sign.",
        )
    if opening[2] == "}":
        return Reference(opening[1]), opening.end()
    default, end = _scan(value, opening.end(), where, depth + 1)
    return Reference(opening[1], default), end


def _append(found: list[str | Reference], text: str) -> None:
    if found and isinstance(found[-1], str):
        found[-1] += text
    else:
        found.append(text)


def _never_closed(where: str) -> BadTemplate:
    return BadTemplate(
        f"{where}: a ${{ is never closed.",
        "Close it with }, or write $$ for a literal dollar sign.",
    )


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\r", "\\r").replace("\n", "\\n") + '"'

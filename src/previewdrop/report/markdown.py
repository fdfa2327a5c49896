"""Pieces of Markdown made of text that others wrote, which stays text whatever it holds.

GitHub turns mentions, references to issues, addresses and formulas in the *rendered* text into
links and notifications, so no escape and no character reference keeps it from that; it leaves code
alone. So a word that it would make something of is shown as code, and can still be copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from previewdrop.report.plain import log_line, one_line

_PIECE = re.compile(r"`([^`]+)`|([^\s`]+)|.", re.DOTALL)
_ACTIVE = re.compile(r"[@$]|#\d|://|www\.|gh-\d", re.IGNORECASE)
"""Mentions and mail addresses, formulas, issues, links: https://docs.github.com/en/get-started/
writing-on-github/working-with-advanced-formatting/autolinked-references-and-urls"""

_AROUND = re.compile(r"([(\[{\"'<]*)(.*?)([)\]}\"'>.,;:!?]*)", re.DOTALL)
_SPECIAL = re.compile(r"[\\`*_\[\]<>&~]")
_BEGINS_BLOCK = re.compile(r"([#+=:/-])|\d+([.)])(?!\S)")
_ADDRESS = re.compile(r"(https?://[a-z0-9.-]+(?::\d+)?)(/.*)?", re.IGNORECASE | re.DOTALL)
_LOOSE = re.compile(r"~|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|[^A-Za-z0-9/=]\Z")


def prose(text: str, most: int, *, cell: bool = False) -> str:
    """One line of text; what stands in single backticks is code. `cell` is for use in tables.

    At most `most` characters are shown; the Markdown may be six times as long.
    """
    line, after_code = "", False
    for is_code, piece in _pieces(one_line(text, most)):
        if is_code:
            line += (" " if after_code else "") + code(piece, most, cell=cell)
        else:
            line += _SPECIAL.sub(r"\\\g<0>", piece).replace("|", "&#124;")
        after_code = is_code
    if found := _BEGINS_BLOCK.match(line):
        sign = found.start(found.lastindex or 0)
        return f"{line[:sign]}\\{line[sign:]}"
    return line


def code(text: str, most: int, *, cell: bool = False) -> str:
    """Text as code, without a way out; nothing for no text.

    In a cell the code is cut at each `|`: parsers differ in how they read an escaped one there.
    """
    plain = one_line(text, most)
    if cell and "|" in plain:
        return "&#124;".join(_fenced(part.strip()) for part in plain.split("|"))
    return _fenced(plain)


def block(lines: Iterable[str], longest: int) -> str:
    """Lines as a block of code; each is cut after `longest` characters."""
    plain = [log_line(line, longest) for line in lines]
    fence = "`" * max(3, _longest_run("\n".join(plain)) + 1)
    return "\n".join((fence, *plain, fence))


def address(url: str) -> str:
    """An address of ours as GitHub links it by itself, with all its path and nothing else.

    A path may come from a repository; what could mean something else in it is percent-encoded.
    """
    if not (found := _ADDRESS.fullmatch(url)):
        return code(url, 200)
    path = quote(found[2] or "", safe="/?=&%:+,-._", errors="replace")
    return found[1] + _LOOSE.sub(lambda match: f"%{ord(match[0]):02X}", path)


def folded(title: str, inside: str) -> str:
    """Something to unfold; both texts are Markdown or ours already."""
    return f"<details><summary>{title}</summary>\n\n{inside}\n\n</details>"


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Two columns; the first row is their head, as GitHub's Markdown wants one."""
    lines = [f"| {name} | {value or '–'} |" for name, value in rows]
    return "\n".join((lines[0], "|---|---|", *lines[1:]))


def listed(items: Sequence[str], most: int) -> str:
    """A list of Markdown items, at most so many of them."""
    rest = [f"… and {len(items) - most} more"] if len(items) > most else []
    return "\n".join(f"- {item}" for item in (*items[:most], *rest))


def _pieces(line: str) -> Iterator[tuple[bool, str]]:
    """The line cut into pieces, each with whether it is code."""
    for found in _PIECE.finditer(line):
        quoted, word = found[1], found[2]
        if quoted and not quoted.isspace():
            yield True, quoted
        elif word and _ACTIVE.search(word):
            around = _AROUND.fullmatch(word)
            before, core, after = around.groups() if around else ("", word, "")
            pieces = ((False, before), (True, core), (False, after))
            yield from (piece for piece in pieces if piece[1])
        else:
            yield False, found[0]


def _fenced(text: str) -> str:
    if not text:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{room}{text}{room}{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)

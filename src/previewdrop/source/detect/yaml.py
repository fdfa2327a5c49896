"""The part of YAML that compose files are written in: blocks, flow lists, quotes, anchors."""

from __future__ import annotations

import re
from dataclasses import dataclass

Value = str | list["Value"] | dict[str, "Value"] | None

_KEY = re.compile(
    r"""((?:"(?:\\.|[^"\\])*"|'[^']*'|[^\s#"'\[{&*!|>%@`-][^#\n]*?|-[^\s#:][^#\n]*?))\s*:(?=\s|$)"""
)
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_MOST_LINES = 5000
_LONGEST_LINE = 4000
_DEEPEST = 30


@dataclass(slots=True)
class _Line:
    indent: int
    text: str


class _Reader:
    """A cursor over the lines that say something."""

    def __init__(self, text: str) -> None:
        self.raw = [line[:_LONGEST_LINE] for line in text.split("\n")[:_MOST_LINES]]
        self.at = 0
        self.anchors: dict[str, Value] = {}

    def peek(self) -> _Line | None:
        while self.at < len(self.raw):
            line = self.raw[self.at]
            bare = line.strip()
            if bare and not bare.startswith("#") and bare not in ("---", "...") and bare[0] != "%":
                return _Line(len(line) - len(line.lstrip(" ")), bare)
            self.at += 1
        return None


def parse_yaml(text: str) -> Value:
    """A document as strings, lists and dictionaries; what is not understood is left out.

    Numbers and booleans stay strings. Merge keys (`<<: *name`) and aliases are followed.
    """
    reader = _Reader(text.replace("\t", "  "))
    line = reader.peek()
    return _block(reader, line.indent, 0) if line else None


def _block(reader: _Reader, indent: int, depth: int) -> Value:
    line = reader.peek()
    if line is None or line.indent < indent or depth > _DEEPEST:
        return None
    if line.text == "-" or line.text.startswith("- "):
        return _sequence(reader, line.indent, depth)
    if _KEY.match(line.text):
        return _mapping(reader, line.indent, depth)
    reader.at += 1
    return _scalar(reader, line.text, line.indent - 1, depth)


def _mapping(reader: _Reader, indent: int, depth: int) -> Value:
    found: dict[str, Value] = {}
    while (line := reader.peek()) and line.indent == indent:
        match = _KEY.match(line.text)
        if match is None:
            if line.text.startswith("- ") or line.text == "-":
                break
            reader.at += 1
            continue
        reader.at += 1
        key = _unquoted(match[1])
        value = _scalar(reader, line.text[match.end() :].strip(), indent, depth + 1)
        if key == "<<":
            merged = value if isinstance(value, list) else [value]
            for item in merged:
                if isinstance(item, dict):
                    found = {**item, **found}
        else:
            found[key] = value
    return found


def _sequence(reader: _Reader, indent: int, depth: int) -> Value:
    items: list[Value] = []
    while (line := reader.peek()) and line.indent == indent and line.text[:1] == "-":
        rest = line.text[1:].strip()
        if _KEY.match(rest) and rest[:1] not in "\"'":
            # The item is a mapping that begins on the line of its dash.
            inner = indent + len(line.text) - len(line.text[1:].lstrip())
            reader.raw[reader.at] = " " * inner + rest
            items.append(_mapping(reader, inner, depth + 1))
        else:
            reader.at += 1
            items.append(_scalar(reader, rest, indent, depth + 1))
    return items


def _scalar(reader: _Reader, text: str, indent: int, depth: int) -> Value:
    """The value that begins with `text`; `indent` is that of the line it stands on."""
    if depth > _DEEPEST:
        return None
    anchor = re.match(r"&(\S+)\s*", text)
    if anchor:
        value = _scalar(reader, text[anchor.end() :], indent, depth + 1)
        reader.anchors[anchor[1]] = value
        return value
    text = re.sub(r"^!\S*\s*", "", text)
    if text.startswith("*"):
        return reader.anchors.get(_COMMENT.sub("", text[1:]).strip())
    if not text or text.startswith("#"):
        line = reader.peek()
        nested = line is not None and (
            line.indent > indent or (line.indent == indent and line.text[:2] in ("-", "- "))
        )
        return _block(reader, line.indent, depth + 1) if line and nested else None
    if re.match(r"[|>][+-]?\d?[+-]?\s*(#.*)?$", text):
        return _literal(reader, indent, folded=text[0] == ">")
    if text[0] in "[{":
        return _flow(_until_closed(reader, _COMMENT.sub("", text)))
    return _unquoted(_continued(reader, text, indent))


def _literal(reader: _Reader, indent: int, *, folded: bool) -> str:
    lines: list[str] = []
    while reader.at < len(reader.raw):
        line = reader.raw[reader.at]
        if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
            break
        lines.append(line.strip())
        reader.at += 1
    return (" " if folded else "\n").join(lines).strip()


def _continued(reader: _Reader, text: str, indent: int) -> str:
    """A plain or quoted text with the deeper lines that go on with it."""
    quote = text[0] if text[0] in "\"'" else ""
    parts = [text if quote else _COMMENT.sub("", text)]
    while (line := reader.peek()) and line.indent > indent:
        if quote and _closed(" ".join(parts), quote):
            break
        parts.append(line.text)
        reader.at += 1
    whole = " ".join(parts)
    return whole[: _end(whole, quote)] if quote else whole.strip()


def _until_closed(reader: _Reader, text: str) -> str:
    while not _balanced(text) and reader.peek() is not None:
        line = reader.peek()
        text = f"{text} {_COMMENT.sub('', line.text) if line else ''}"
        reader.at += 1
    return text


def _balanced(text: str) -> bool:
    bare = re.sub(r""""(?:\\.|[^"\\])*"|'[^']*'""", "", text)
    return sum(map(bare.count, "[{")) <= sum(map(bare.count, "]}"))


def _flow(text: str) -> Value:
    """A flow list, or a flow mapping of plain values."""
    items = re.findall(r""""(?:\\.|[^"\\])*"|'(?:''|[^'])*'|[^\[\]{},"'\s][^\[\]{},]*""", text)
    bare = [_unquoted(item.strip()) for item in items]
    if text.startswith("["):
        return [*bare]
    pairs = (item.partition(":") for item in items if ":" in item)
    return {_unquoted(key.strip()): _unquoted(value.strip()) for key, _, value in pairs}


def _end(text: str, quote: str) -> int:
    match = re.match(r'"(?:\\.|[^"\\])*"' if quote == '"' else r"'(?:''|[^'])*'", text)
    return match.end() if match else len(text)


def _closed(text: str, quote: str) -> bool:
    return text[: _end(text, quote)].endswith(quote) and _end(text, quote) > 1


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        escapes = {"n": "\n", "t": "\t"}
        return re.sub(r"\\(.)", lambda match: escapes.get(match[1], match[1]), text[1:-1])
    return text

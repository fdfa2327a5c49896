"""Text from elsewhere made plain: nothing in it is invisible, turns lines around or ends them."""

from __future__ import annotations

import re
import unicodedata

_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI, colours among them
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC, DCS, SOS, PM, APC up to their end
    r"|\x1b[ -/]*[0-~]?",  # everything else that begins with ESC
    re.DOTALL,
)
_JOINERS = "\u200c\u200d"
"""Letters of Persian and Indian scripts need them, and emoji of more than one person."""

_MOST_MARKS = 4
"""Combining marks on one letter; piles of them grow into the lines above and below."""


def one_line(text: str, most: int) -> str:
    """`text` as one line of at most `most` characters, any white space as single spaces."""
    return clipped(" ".join(_visible(_ESCAPE.sub("", text[: 8 * most])).split()), most)


def log_line(text: str, most: int) -> str:
    """A line of a log as a terminal shows it in the end, with its indentation."""
    shown = text[: 8 * most].rstrip("\r\n").rpartition("\r")[2]
    return clipped(_visible(_ESCAPE.sub("", shown).expandtabs(4)).rstrip(), most)


def clipped(text: str, most: int) -> str:
    """`text`, or its beginning with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _visible(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > _MOST_MARKS:
            continue
        if category in ("Zl", "Zp", "Zs") or character in "\t\n\v\f\r\x85":
            kept.append(" ")
        elif category == "Cs":
            kept.append("\ufffd")
        elif category not in ("Cc", "Cf", "Cn") or character in _JOINERS:
            kept.append(character)
    return "".join(kept)

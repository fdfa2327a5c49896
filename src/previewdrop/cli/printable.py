"""Text from previews made safe for a terminal: what a log says may not steer the screen."""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI, colours among them
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC, DCS, SOS, PM, APC up to their end
    r"|\x1b[ -/]*[0-~]?",  # everything else that begins with ESC
    re.DOTALL,
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """`text` in one line without escape sequences and control characters; tabs become spaces."""
    return _CONTROL.sub("", _ESCAPE.sub("", _last_overwritten(text))).replace("\t", "    ").rstrip()


def coloured(text: str) -> str:
    """Like `plain`, but colours stay, and are reset at the end of the line."""
    kept = _ESCAPE.sub(
        lambda match: match[0] if _COLOUR.fullmatch(match[0]) else "", _last_overwritten(text)
    )
    kept = _CONTROL.sub("", kept).replace("\t", "    ")
    return f"{kept}\x1b[0m" if "\x1b" in kept else kept


def _last_overwritten(text: str) -> str:
    """What a terminal would show of a line that returns to its start, as progress bars do."""
    return text.rstrip("\r\n").rpartition("\r")[2]

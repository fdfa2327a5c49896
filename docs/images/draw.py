"""Draws docs/images/demo.svg from what `previewdrop demo` printed: `python draw.py < output`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

WIDTH = 104


def main() -> None:
    """Reads a terminal's output with its colours and writes the picture beside this file."""
    console = Console(record=True, width=WIDTH, file=sys.stderr, force_terminal=True)
    console.print(Text.from_ansi("$ previewdrop demo\n" + sys.stdin.read().rstrip()))
    picture = console.export_svg(title="previewdrop demo", theme=MONOKAI)
    without_remote_fonts = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    Path(__file__).with_name("demo.svg").write_text(without_remote_fonts)


main()

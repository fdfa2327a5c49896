"""Opening a page, where there is somebody to look at it."""

from __future__ import annotations

import os
import sys
import webbrowser


def show(url: str) -> None:
    """Opens it on a desktop; whoever calls has printed the address.

    A text browser, or one at the far end of SSH, would only be in the way.
    """
    desktop = sys.platform == "darwin" or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    if sys.stdout.isatty() and desktop and "SSH_CONNECTION" not in os.environ:
        webbrowser.open(url)

"""How the server was asked to stop."""

from __future__ import annotations

import asyncio


class Stopping(asyncio.Event):
    """Set when the server shall stop. With `keeps_previews` another server is to take over."""

    keeps_previews = False

    def ask(self, keep_previews: bool = False) -> None:
        self.keeps_previews = keep_previews
        self.set()

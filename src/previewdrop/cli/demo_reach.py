"""Whether the inside of a preview reaches an address, tried from there."""

from __future__ import annotations

import json
from collections.abc import Sequence

from previewdrop.cli.client import Api, preview_path, problem_error
from previewdrop.cli.demo_checklist import Unproven
from previewdrop.cli.views import Preview

Place = tuple[str, int]
"""Host and port."""

_SCRIPT = """\
import asyncio, json, sys

async def reached(place):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(*place), 2)
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    return True

async def main(places):
    print(json.dumps(await asyncio.gather(*map(reached, places))))

asyncio.run(main(json.loads(sys.argv[1])))
"""
"""Two seconds are enough on one machine; a wall that answers nothing costs no more."""


def reached(api: Api, preview: Preview, places: Sequence[Place]) -> list[bool]:
    """Of each place whether a connection to it is accepted."""
    command = ["python", "-c", _SCRIPT, json.dumps(places)]
    path = preview_path(preview["name"], "exec")
    lines: list[str] = []
    with api.events(path, method="POST", body={"command": command, "timeout": 30}) as events:
        for event in events:
            if event.kind == "line":
                lines.append(str(event.data["line"]))
            elif event.kind == "error":
                raise problem_error(event.data)
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError) as error:
        raise Unproven(f"Inside {preview['name']} nothing could be tried: {lines[-1:]}.") from error

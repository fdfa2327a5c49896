"""A page as somebody at a browser has it: its first form, and its links."""

from __future__ import annotations

from html.parser import HTMLParser


class Form(HTMLParser):
    """`action` and `fields` of the first form, `links` in their order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = self.action or values["action"]
        elif tag == "input":
            self.fields[values["name"]] = values["value"]
        elif tag == "a":
            self.links.append(values["href"])

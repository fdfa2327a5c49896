"""Visiting a preview as a browser does: by its public host name, over HTTPS that is verified."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from previewdrop.domain.errors import Unavailable

_TIMEOUT = 15.0


class Visitor:
    """Visits one preview. Every method raises Unavailable when it cannot be reached or verified.

    Names under `.localhost` are this machine, which not every resolver knows: the connection goes
    to 127.0.0.1, and certificate and Host header are those of the name all the same.
    """

    def __init__(self, url: str, ca_file: Path) -> None:
        parts = urlsplit(url)
        self.url = url
        self._ca_file = ca_file
        self._host, self._netloc = parts.hostname or "", parts.netloc
        self._port = parts.port or 443
        self._machine = "127.0.0.1" if self._host.endswith(".localhost") else self._host
        self._client = httpx2.Client(
            base_url=f"https://{self._machine}:{self._port}",
            verify=self._trust(),
            trust_env=False,
            timeout=_TIMEOUT,
        )

    def get(self, path: str) -> httpx2.Response:
        return self._ask("GET", path)

    def read(self, path: str) -> Any:
        """The JSON at a path; Unavailable if the answer is not 200 or not JSON."""
        answer = self.get(path)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if answer.status_code != 200 or found is None:
            raise Unavailable(f"{self.url}{path} answers {answer.status_code}, not 200 and JSON.")
        return found

    def post(self, path: str, body: Any) -> httpx2.Response:
        return self._ask("POST", path, body)

    def plain(self, path: str, port: int) -> httpx2.Response:
        """The answer of the HTTP port; redirects are not followed."""
        with self._translated():
            return self._client.get(
                f"http://{self._machine}:{port}{path}", headers={"Host": f"{self._host}:{port}"}
            )

    def protocol(self) -> str | None:
        """What TLS settles on with who offers HTTP/2 and HTTP/1.1: `h2`, if all is well."""
        offer = self._trust()
        offer.set_alpn_protocols(["h2", "http/1.1"])
        with (
            self._translated(),
            socket.create_connection((self._machine, self._port), timeout=_TIMEOUT) as connection,
            offer.wrap_socket(connection, server_hostname=self._host) as secured,
        ):
            return secured.selected_alpn_protocol()

    def close(self) -> None:
        self._client.close()

    def _ask(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        with self._translated():
            return self._client.request(
                method,
                path,
                json=body,
                headers={"Host": self._netloc},
                extensions={"sni_hostname": self._host},
            )

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._ca_file.exists():
            context.load_verify_locations(self._ca_file)
        return context

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except (httpx2.HTTPError, OSError) as error:
            said = str(error) or type(error).__name__
            raise Unavailable(f"{self.url} does not answer: {said}.") from error

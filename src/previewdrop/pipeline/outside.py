"""Previews as their visitors meet them: through the edge, by HTTPS."""

from __future__ import annotations

import httpx2

from previewdrop.drivers.base import OURS

_WITHIN = 5.0


class Outside:
    """Asks the edge at `address`, whatever the name in a URL leads to from here."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    async def answers(self, url: str) -> bool:
        """Whether the app answers anything but an error of its server.

        Only what Caddy has passed on has Via, not a page of the edge itself.
        """
        asked = httpx2.URL(url)
        request = httpx2.Request(
            "GET",
            asked.copy_with(host=self._host, port=self._port),
            headers={"host": asked.netloc.decode(), "user-agent": OURS},
            extensions={
                "sni_hostname": asked.host,
                "timeout": httpx2.Timeout(_WITHIN).as_dict(),
            },
        )
        # Whether browsers trust its certificate is another question than whether it answers.
        async with httpx2.AsyncHTTPTransport(verify=False, trust_env=False) as http:
            try:
                answer = await http.handle_async_request(request)
                await answer.aclose()
            except httpx2.HTTPError:
                return False
        passed_on = "via" in answer.headers
        return passed_on and answer.status_code < httpx2.codes.INTERNAL_SERVER_ERROR

"""The JSON of preview routes in Caddy, built and not sent.

In the Caddy that comes with PreviewDrop a folder is the table of routes, and one route reads it:
docs/decisions/0007-routes-are-files.md. In a Caddy of the user's own every route has an `@id` with
the installation and the host: https://caddyserver.com/docs/api#using-id-in-json
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from typing import Any, cast

from previewdrop.domain.spec import Route
from previewdrop.drivers.base import OURS

Json = dict[str, Any]

ROUTES_ID = "previewdrop-routes"
"""The subroute that holds the routes that are set over the admin API."""
ROUTES = f"/id/{ROUTES_ID}/routes"
SUBJECTS = "/config/apps/tls/certificates/automate"

ROUTE_SUFFIX = ".route"

_LONGEST_STREAM = "24h"
_LAST_SEQUENCE = 2**63


def route_id(installation: str, host: str) -> str:
    return f"previewdrop:{installation}:{host}"


def host_of(installation: str, route: Json) -> str | None:
    """The host of a route of ours; None for anybody else's."""
    prefix = route_id(installation, "")
    name = str(route.get("@id", ""))
    return name.removeprefix(prefix) if name.startswith(prefix) else None


def route(installation: str, wanted: Route) -> Json:
    """A route to one upstream. Answers stream at once, and WebSockets outlive config changes."""
    return {
        "@id": route_id(installation, wanted.host),
        "match": [{"host": [wanted.host]}],
        "handle": [_proxy(wanted.upstream)],
        "terminal": True,
    }


def parse_route(installation: str, found: Json) -> Route | None:
    """What a route of ours does; None when it is not ours or was changed beyond knowing."""
    host = host_of(installation, found)
    try:
        upstream = found["handle"][0]["upstreams"][0]["dial"]
    except (KeyError, IndexError, TypeError):
        return None
    return Route(host, str(upstream)) if host else None


def without_unwanted(
    installation: str, routes: Iterable[Json], wanted: Collection[str]
) -> tuple[list[Json], list[str]]:
    """The routes that stay, and the hosts of ours that go."""
    kept: list[Json] = []
    gone: list[str] = []
    for each in routes:
        host = host_of(installation, each)
        if host is None or host in wanted:
            kept.append(each)
        else:
            gone.append(host)
    return kept, gone


def is_upstream(address: str) -> bool:
    """Whether it is `host:port` or `unix//path`, and fits in a file's name and in Caddy's JSON."""
    return bool(
        re.fullmatch(r"unix//[^{}\0]+|[A-Za-z0-9._-]+:\d{1,5}|\[[0-9a-f:]+\]:\d{1,5}", address)
    )


def file_name(sequence: int, upstream: str) -> str:
    """The name of the file that is a route: what Caddy dials, and of several files the newest.

    A socket's path fits in no name: there the name has that of a link to it, `link_name`.
    """
    tcp = not upstream.startswith("unix/")
    place = f"tcp_{upstream}" if tcp else f"unix_{link_name(upstream)}"
    return f"{_LAST_SEQUENCE - sequence:020}_{place}{ROUTE_SUFFIX}"


def link_name(upstream: str) -> str:
    """The short name of the symbolic link to a socket; sockets' paths have 107 bytes at most."""
    return f"to-{hashlib.sha256(upstream.encode()).hexdigest()[:12]}"


def parse_file_name(name: str) -> tuple[str, str]:
    """`tcp` and the address, or `unix` and the link's name."""
    kind, _, place = name.removesuffix(ROUTE_SUFFIX).partition("_")[2].partition("_")
    return kind, place


def subject_for(host: str) -> str:
    """The wildcard that covers a host: one certificate a project."""
    return f"*.{host.partition('.')[2]}"


def base(
    *,
    admin: str,
    storage: str,
    access_log: str,
    https: str,
    http: str,
    folder: str,
    links: str,
    routes: list[Json] | None = None,
    subjects: list[str] | None = None,
) -> Json:
    """Caddy's whole configuration, with the routes and certificate subjects of before.

    `https` and `http` are `host:port`, `admin` a Caddy network address, the others paths;
    `folder` is the table of routes, `links` leads to their sockets.
    """
    return {
        "admin": {"listen": admin},
        "logging": _logging(access_log),
        "storage": {"module": "file_system", "root": storage},
        "apps": {
            "pki": {
                "certificate_authorities": {
                    "local": {
                        "name": "PreviewDrop",
                        "install_trust": False,
                        "intermediate_lifetime": "720h",
                    }
                }
            },
            "tls": {
                "certificates": {"automate": subjects or []},
                "automation": {
                    "policies": [{"issuers": [{"module": "internal", "lifetime": "168h"}]}]
                },
            },
            "http": {
                "servers": {
                    "previews": _previews(https, _route_by_file(folder, links), routes or []),
                    "redirect": _redirect(http, https),
                }
            },
        },
    }


def carried(config: object) -> tuple[list[Json], list[str]]:
    """Routes and certificate subjects of a configuration that `base` made, however long ago."""
    try:
        apps = cast("Json", config)["apps"]
        served = apps["http"]["servers"]["previews"]["routes"]
        handlers = [one for each in served for one in each["handle"] if one.get("@id") == ROUTES_ID]
        return list(handlers[0]["routes"]), list(apps["tls"]["certificates"]["automate"])
    except (KeyError, IndexError, TypeError):
        return [], []


def _previews(https: str, by_file: Json, routes: list[Json]) -> Json:
    return {
        "listen": [https],
        "protocols": ["h1", "h2"],
        "automatic_https": {"disable": True},
        "tls_connection_policies": [{}],
        "read_header_timeout": "10s",
        "idle_timeout": "5m",
        "max_header_bytes": 65536,
        "logs": {},
        "routes": [
            # https://caddyserver.com/docs/caddyfile/directives/log_skip
            {
                "match": [{"header": {"User-Agent": [OURS]}}],
                "handle": [{"handler": "vars", "log_skip": True}],
            },
            {"handle": [{"@id": ROUTES_ID, "handler": "subroute", "routes": routes}]},
            by_file,
            {"handle": _page("404", "No preview here", _NOBODY, {})},
        ],
        "errors": {
            "routes": [
                {
                    "handle": _page(
                        "{http.error.status_code}",
                        "This preview does not answer",
                        _SILENT,
                        {"Retry-After": ["3"]},
                    )
                }
            ]
        },
    }


def _route_by_file(folder: str, links: str) -> Json:
    """Finds the newest route file of the host asked for, and dials what its name says.

    The pattern is tried again because the file that was listed may be gone when it is looked at.
    """
    pattern = f"/{{http.request.host}}/*{ROUTE_SUFFIX}"
    source = "{http.matchers.file.relative}"
    return {
        "match": [{"file": {"root": folder, "try_files": [pattern] * 4}}],
        "handle": [
            {
                "handler": "map",
                "source": source,
                "destinations": ["{previewdrop_upstream}"],
                "mappings": [
                    {"input_regexp": rf"_tcp_(.+)\{ROUTE_SUFFIX}$", "outputs": ["$1"]},
                    {
                        "input_regexp": rf"_unix_(to-[0-9a-f]+)\{ROUTE_SUFFIX}$",
                        "outputs": [f"unix/{links}/$1"],
                    },
                ],
            },
            _proxy("{previewdrop_upstream}"),
        ],
        "terminal": True,
    }


def _proxy(dial: str) -> Json:
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": dial}],
        "flush_interval": -1,
        "stream_close_delay": _LONGEST_STREAM,
        "transport": {"protocol": "http", "dial_timeout": "5s"},
    }


def _redirect(http: str, https: str) -> Json:
    port = https.rpartition(":")[2]
    shown = "" if port == "443" else f":{port}"
    return {
        "listen": [http],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "read_header_timeout": "10s",
        "max_header_bytes": 65536,
        "routes": [
            {
                "handle": [
                    {
                        "handler": "static_response",
                        "status_code": "308",
                        "headers": {
                            "Location": [
                                f"https://{{http.request.host}}{shown}{{http.request.uri}}"
                            ]
                        },
                    }
                ]
            }
        ],
    }


def _logging(access_log: str) -> Json:
    """Warnings to the service's own log; one line a request, without what may be secret."""
    removed = ("request>headers", "request>tls", "resp_headers", "user_id", "request>remote_port")
    query = {"filter": "regexp", "regexp": r"\?.*", "value": ""}
    return {
        "logs": {
            "default": {"level": "WARN", "exclude": ["http.log.access", "admin"]},
            "access": {
                "include": ["http.log.access"],
                "writer": {
                    "output": "file",
                    "filename": access_log,
                    "mode": "0600",
                    "roll_size_mb": 10,
                    "roll_keep": 1,
                    "roll_gzip": False,
                },
                "encoder": {
                    "format": "filter",
                    "wrap": {"format": "json"},
                    "fields": {
                        **{name: {"filter": "delete"} for name in removed},
                        "request>uri": query,
                    },
                },
            },
        }
    }


_NOBODY = (
    "<code>{http.request.host}</code> is no live preview. It may have been removed when its "
    "pull request was closed, or its first deployment has not ended yet."
)
_SILENT = (
    "<code>{http.request.host}</code> is live, but its application did not answer. It may be "
    "starting again: this page looks again in three seconds."
)


def _page(status: str, title: str, text: str, headers: dict[str, list[str]]) -> list[Json]:
    refresh = "<meta http-equiv=refresh content=3>" if headers else ""
    body = (
        f"<!doctype html><html lang=en><meta charset=utf-8>{refresh}"
        f"<meta name=viewport content='width=device-width'><title>{title}</title>"
        "<body style='font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;"
        f"padding:0 1rem'><h1>{title}</h1><p>{text}</p>\n"
    )
    kind = {"Content-Type": ["text/html; charset=utf-8"], "Cache-Control": ["no-store"]}
    return [
        {
            "handler": "static_response",
            "status_code": status,
            "headers": {**kind, **headers},
            "body": body,
        }
    ]

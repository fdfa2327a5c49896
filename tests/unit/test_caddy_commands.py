"""The JSON and the file names of preview routes."""

import json
from pathlib import Path

import pytest

from previewdrop.domain.spec import Route
from previewdrop.drivers.caddy import commands
from previewdrop.drivers.caddy.requests import RequestTimes, times_in

ROUTE = Route("pr-42.shop.localhost", "127.0.0.1:20000")


def base(**more):
    return commands.base(
        admin="unix//run/caddy.sock|0600",
        storage="/home/caddy/storage",
        access_log="/home/logs/access.log",
        https="127.0.0.1:7443",
        http="127.0.0.1:7080",
        folder="/home/caddy/routes",
        links="/home/sockets",
        **more,
    )


def test_route():
    assert commands.route("a1b2", ROUTE) == {
        "@id": "previewdrop:a1b2:pr-42.shop.localhost",
        "match": [{"host": ["pr-42.shop.localhost"]}],
        "handle": [
            {
                "handler": "reverse_proxy",
                "upstreams": [{"dial": "127.0.0.1:20000"}],
                "flush_interval": -1,
                "stream_close_delay": "24h",
                "transport": {"protocol": "http", "dial_timeout": "5s"},
            }
        ],
        "terminal": True,
    }


def test_a_route_is_read_as_it_was_written():
    assert commands.parse_route("a1b2", commands.route("a1b2", ROUTE)) == ROUTE
    assert commands.parse_route("other", commands.route("a1b2", ROUTE)) is None
    assert commands.parse_route("a1b2", {"@id": "previewdrop:a1b2:x"}) is None


def test_sweeping_leaves_what_is_not_ours():
    ours, kept = commands.route("a1b2", ROUTE), commands.route("a1b2", Route("b", "h:1"))
    theirs = {"@id": "theirs"}
    assert commands.without_unwanted("a1b2", [ours, theirs, kept], {"b"}) == (
        [theirs, kept],
        ["pr-42.shop.localhost"],
    )


def test_a_newer_file_comes_first():
    older = commands.file_name(1, "127.0.0.1:20000")
    newer = commands.file_name(2, "127.0.0.1:20000")
    assert sorted([older, newer]) == [newer, older]
    assert commands.parse_file_name(newer) == ("tcp", "127.0.0.1:20000")


def test_a_socket_s_file_names_its_link():
    name = commands.file_name(1, "unix//run/app.sock")
    assert commands.parse_file_name(name) == ("unix", commands.link_name("unix//run/app.sock"))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "app:8000", "[::1]:80", "unix//run/a.sock"])
def test_upstreams(address: str):
    assert commands.is_upstream(address)


@pytest.mark.parametrize("address", ["", "app", "a/b:1", "{x}:1", "unix//{x}", "../x:1", "a:b:1"])
def test_no_upstreams(address: str):
    assert not commands.is_upstream(address)


def test_one_certificate_covers_a_project():
    assert commands.subject_for("pr-42.shop.localhost") == "*.shop.localhost"


def test_routes_and_certificates_are_carried_over():
    routes, subjects = [commands.route("a1b2", ROUTE)], ["*.shop.localhost"]
    config = json.loads(json.dumps(base(routes=routes, subjects=subjects)))
    assert commands.carried(config) == (routes, subjects)
    assert commands.carried(None) == ([], [])
    assert commands.carried({"apps": []}) == ([], [])


def test_http_goes_to_the_https_port():
    handler = base()["apps"]["http"]["servers"]["redirect"]["routes"][0]["handle"][0]
    assert handler["status_code"] == "308"
    assert handler["headers"]["Location"] == ["https://{http.request.host}:7443{http.request.uri}"]


def test_the_log_keeps_no_header_and_no_query():
    fields = base()["logging"]["logs"]["access"]["encoder"]["fields"]
    assert fields["request>headers"] == {"filter": "delete"}
    assert fields["resp_headers"] == {"filter": "delete"}
    assert fields["request>uri"] == {"filter": "regexp", "regexp": r"\?.*", "value": ""}


def line(host: str, when: float) -> bytes:
    return json.dumps({"ts": when, "request": {"host": host}}).encode() + b"\n"


def test_the_last_request_counts():
    lines = [line("a", 1), line("B:7443", 2), b"not json", b"[]", line("a", 3)]
    assert times_in(lines) == {"a": 3.0, "b": 2.0}


def test_a_log_is_read_as_it_grows_and_is_rotated(tmp_path: Path):
    log = tmp_path / "access.log"
    times = RequestTimes(log)
    assert times.read() == {}
    log.write_bytes(line("a", 1) + line("b", 2)[:10])
    assert times.read() == {"a": 1.0}
    log.write_bytes(line("a", 1) + line("b", 2))
    assert times.read() == {"a": 1.0, "b": 2.0}
    log.replace(tmp_path / "access.log.1")
    log.write_bytes(line("a", 3))
    assert times.read() == {"a": 3.0, "b": 2.0}


def test_many_hosts_do_not_fill_the_memory(tmp_path: Path):
    log = tmp_path / "access.log"
    log.write_bytes(b"".join(line(f"h{number}", number) for number in range(5000)))
    times = RequestTimes(log).read()
    assert len(times) == 2048
    assert "h4999" in times

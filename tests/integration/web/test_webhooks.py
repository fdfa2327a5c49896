"""What reaches /webhooks/github: from GitHub, from nobody we know, and in any shape."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest

from github_standin.description import read
from previewdrop.domain.secret import Secret
from previewdrop.forge.github.signature import signature
from previewdrop.store.forges import StoredForge
from previewdrop.store.store import Store

from .hooks import MIB, NOWHERE, READ, SECRET, example, github, headers, project_of, send, server

__all__ = ["github", "server"]


@pytest.mark.parametrize(
    "signed",
    [
        {},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        {"X-Hub-Signature-256": signature(Secret("another"), b"{}")},
        {"X-Hub-Signature-256": signature(SECRET, b"{ }")},
        {"X-Hub-Signature-256": signature(SECRET, b"{}").upper()},
        {
            "X-Hub-Signature": "sha1="
            + hmac.new(SECRET.reveal().encode(), b"{}", hashlib.sha1).hexdigest()
        },
        {"X-Hub-Signature-256": signature(Secret(""), b"{}")},
        {"X-Hub-Signature-256": "sha256=\u00e9"},
    ],
)
async def test_what_nobody_signed_is_refused(
    github: httpx2.AsyncClient, signed: dict[str, str]
) -> None:
    told = {"X-GitHub-Event": "ping", "X-GitHub-Delivery": "d-1", **signed}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
    answer = await github.post("/webhooks/github", content=b"{}", headers=raw)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


async def test_without_a_connection_nothing_is_believed(
    github: httpx2.AsyncClient, store: Store
) -> None:
    for each in await store.forges.all():
        await store.forges.remove(each.id)
    assert (await send(github, "ping", example("ping"))).status_code == 401


@pytest.mark.parametrize(
    ("signed", "declared", "status", "most"),
    [(True, True, 413, 0), (True, False, 413, 27 * MIB), (False, False, 401, 0)],
)
async def test_no_more_of_a_body_is_read_than_may_be_needed(
    github: httpx2.AsyncClient, signed: bool, declared: bool, status: int, most: int
) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(30):
            sent += MIB
            yield b" " * MIB

    told = headers("ping", b"") if signed else {}
    told |= {"Content-Length": str(30 * MIB)} if declared else {}
    answer = await github.post("/webhooks/github", content=body(), headers=told)
    assert answer.status_code == status
    assert sent <= most


async def test_calls_of_nobody_read_the_connections_once_a_second(
    github: httpx2.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, all_of_them = 0, store.forges.all

    async def counted() -> Sequence[StoredForge]:
        nonlocal reads
        reads += 1
        return await all_of_them()

    monkeypatch.setattr(store.forges, "all", counted)
    monkeypatch.setattr("previewdrop.pipeline.hosts._KEPT", 3600.0)
    for number in range(20):
        answer = await send(github, "ping", {}, f"d-{number}", Secret("nobody's"))
        assert answer.status_code == 401
    assert reads == 2


async def test_a_connection_is_believed_as_soon_as_it_is_made(
    github: httpx2.AsyncClient, store: Store
) -> None:
    assert (await send(github, "ping", {})).status_code == 202
    changed = Secret("what we know from now on")
    await store.forges.add("github", NOWHERE, {"token": Secret("ghp_x"), "webhook": changed})
    assert (await send(github, "ping", {}, "d-2", changed)).status_code == 202


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"x"', b"1", b"[" * 100_000, b"{} {}"],
)
async def test_what_is_no_json_object_is_refused(github: httpx2.AsyncClient, body: bytes) -> None:
    answer = await github.post(
        "/webhooks/github", content=body, headers=headers("pull_request", body)
    )
    assert answer.status_code == 422
    assert "JSON" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("pull_request",), None),
        (("pull_request", "head"), "main"),
        (("pull_request", "head", "sha"), "not a commit"),
        (("pull_request", "head", "ref"), 7),
        (("pull_request", "number"), "42"),
        (("pull_request", "number"), -1),
        (("pull_request", "number"), 0),
        (("pull_request", "number"), 2**31),
        (("pull_request", "number"), 10**30),
        (("pull_request", "labels"), "none"),
        (("pull_request", "updated_at"), "yesterday"),
        (("repository",), {}),
        (("repository", "full_name"), "../../etc"),
        (("action",), ["opened"]),
    ],
)
async def test_another_shape_is_refused_in_one_sentence(
    github: httpx2.AsyncClient, store: Store, path: tuple[str, ...], value: object
) -> None:
    payload = example("pull_request", "opened")
    await project_of(store, payload)
    place: Any = payload
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    answer = await send(github, "pull_request", payload)
    assert answer.status_code == 422, answer.text
    assert "GitHub's event" in answer.json()["detail"]
    # Nothing was taken, and the same call is taken once it is right.
    assert (await send(github, "pull_request", example("pull_request", "opened"))).json() == {
        "new": True
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("issue", "number"), 0),
        (("issue", "number"), 2**31),
        (("comment", "id"), 2**63),
        (("comment", "created_at"), "9999-12-31T23:59:59-12:00"),
        (("comment", "created_at"), "0001-01-01T00:00:00+12:00"),
    ],
)
async def test_a_command_that_no_database_keeps_is_refused(
    github: httpx2.AsyncClient, store: Store, path: tuple[str, str], value: object
) -> None:
    payload = example("issue_comment", "created")
    payload["issue"]["pull_request"] = {}
    payload["comment"]["body"] = "/preview"
    await project_of(store, payload)
    changed = payload | {path[0]: payload[path[0]] | {path[1]: value}}
    answer = await send(github, "issue_comment", changed)
    assert answer.status_code == 422, answer.text
    assert ".".join(path) in answer.json()["detail"]
    assert (await send(github, "issue_comment", payload)).json() == {"new": True}
    assert len(await store.asks.waiting()) == 1


async def test_the_largest_numbers_are_kept(github: httpx2.AsyncClient, store: Store) -> None:
    payload = example("pull_request", "opened")
    payload["pull_request"]["number"] = 2**31 - 1
    payload["repository"]["id"] = 2**63 - 1
    project = await project_of(store, payload)
    assert (await send(github, "pull_request", payload)).status_code == 202
    assert [row.pull.number for row in await store.pulls.open(project.id)] == [2**31 - 1]


async def test_without_its_headers_it_is_refused(github: httpx2.AsyncClient) -> None:
    signed = {"X-Hub-Signature-256": signature(SECRET, b"{}")}
    for told in ({}, {"X-GitHub-Event": "ping"}, {"X-GitHub-Delivery": "1"}):
        answer = await github.post("/webhooks/github", content=b"{}", headers=signed | told)
        assert answer.status_code == 422


async def test_a_call_that_is_repeated_is_taken_once(
    github: httpx2.AsyncClient, store: Store
) -> None:
    payload = example("pull_request", "opened")
    project = (await project_of(store, payload)).id
    first = await send(github, "pull_request", payload)
    assert (first.status_code, first.json()) == (202, {"new": True})
    number = payload["pull_request"]["number"]
    await store.pulls.note(project, number, told={"x": "y"})
    again = await send(github, "pull_request", payload)
    assert (again.status_code, again.json()) == (202, {"new": False})
    row = await store.pulls.of(project, number)
    assert row is not None
    assert row.row.told == {"x": "y"}


async def test_events_that_do_not_concern_us_are_taken(github: httpx2.AsyncClient) -> None:
    for number, each in enumerate(read("webhooks")):
        if each["name"] not in READ:
            answer = await send(github, each["name"], each["examples"][0], f"other-{number}")
            assert answer.status_code == 202


async def test_a_removed_installation_takes_its_previews_along(
    github: httpx2.AsyncClient, store: Store
) -> None:
    opened = example("pull_request", "opened")
    left = example("installation", "deleted")
    opened["installation"] = {"id": left["installation"]["id"], "node_id": "x"}
    project = (await project_of(store, opened)).id
    number = opened["pull_request"]["number"]
    preview = await store.previews.want("hello", "branch", "a" * 40, number)
    assert (await send(github, "installation", left)).status_code == 202
    assert not (await store.previews.by_id(preview.id)).preview.present
    # A straggler of it is kept, and the resync finds that nobody lets us in.
    assert (await send(github, "pull_request", opened, "late")).status_code == 202
    assert await store.pulls.of(project, number) is not None

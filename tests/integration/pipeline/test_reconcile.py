"""The reconciler: from what is wanted to what is there, whatever happens on the way."""

from __future__ import annotations

import asyncio

import pytest

from previewdrop.domain.errors import NotFound, Unavailable
from previewdrop.domain.preview import DeploymentState, PreviewState
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import Route
from previewdrop.drivers.memory import Script
from previewdrop.misbehaviour import Misbehaviour
from previewdrop.pipeline.watch import NOWHERE
from previewdrop.store.previews import PreviewRow
from previewdrop.store.variables import StoredVariable
from repositories import commit

from .conftest import Plant


async def test_a_wanted_branch_becomes_ready(plant: Plant) -> None:
    row = await plant.deploy()
    assert row.preview.state == PreviewState.READY
    latest = await plant.latest(row.preview.id)
    assert latest.state == DeploymentState.READY
    assert [stage["state"] for stage in latest.stages].count("done") == len(latest.stages)
    assert "shop_main" in plant.database.databases
    assert plant.edge.routes["main.shop.localhost"].upstream == latest.handle["upstream"]


async def test_reconciling_again_does_nothing(plant: Plant) -> None:
    row = await plant.deploy()
    calls = list(plant.runtime.calls)
    await plant.reconciler.reconcile(row.preview.id)
    assert [c for c in plant.runtime.calls[len(calls) :] if c == "ensure"] == []


async def test_what_went_with_its_project_needs_nothing(plant: Plant) -> None:
    row = await plant.deploy()
    assert await plant.shop.store.projects.forget("shop") == [row.preview.id]
    await plant.reconciler.reconcile(row.preview.id)
    assert plant.runtime.runs == {}
    with pytest.raises(NotFound):
        await plant.row(row.preview.id)
    await plant.reconciler.reconcile(row.preview.id)


async def test_three_pushes_are_one_deployment_of_the_newest(plant: Plant) -> None:
    for number in range(3):
        newest = commit(plant.repository, {"main.py": _app(number)})
        preview_id = await plant.want()
    await plant.reconciler.reconcile(preview_id)
    deployments = await plant.shop.store.deployments.of(preview_id)
    assert [one.commit for one in deployments] == [newest]


async def test_a_failed_deployment_leaves_the_live_one_serving(plant: Plant) -> None:
    first = await plant.deploy()
    before = dict(plant.edge.routes)
    commit(plant.repository, {"note.txt": "second"})
    plant.runtime.misbehave(Misbehaviour.EXITS, times=1)
    row = await plant.deploy()
    assert (row.preview.state, row.preview.live) == (PreviewState.READY, first.preview.live)
    assert plant.edge.routes == before
    failed = await plant.latest(row.preview.id)
    assert failed.state == DeploymentState.FAILED
    assert failed.error is not None
    assert failed.error["stage"] == "health"
    assert "ended" in failed.error["message"]
    assert failed.handle is None


async def test_a_push_during_a_build_replaces_it(plant: Plant) -> None:
    preview_id = await plant.want()
    plant.builder.misbehave(Misbehaviour.SLOW)
    running = asyncio.create_task(plant.reconciler.reconcile(preview_id))
    await plant.builder.reached()
    newest = commit(plant.repository, {"note.txt": "newer"})
    await plant.want()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    plant.builder.behave()
    await plant.reconciler.reconcile(preview_id)
    states = [(one.commit, one.state) for one in await plant.shop.store.deployments.of(preview_id)]
    assert states[0] == (newest, DeploymentState.READY)
    assert states[1][1] == DeploymentState.CANCELLED


async def test_what_passes_by_itself_is_tried_again(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("previewdrop.pipeline.patience.DELAYS", (0.01, 0.01))
    plant.database.misbehave(Misbehaviour.HALFWAY, times=2)
    row = await plant.deploy()
    assert row.preview.state == PreviewState.READY


async def test_an_interrupted_deployment_is_done_again_and_leaves_nothing(plant: Plant) -> None:
    preview_id = await plant.want()
    store = plant.shop.store.deployments
    row = await plant.row(preview_id)
    dead = await store.begin(preview_id, row.preview.commit or "", row.preview.generation, None, 2)
    assert dead is not None
    await store.advance(dead.id, DeploymentState.BUILDING)
    await plant.reconciler.reconcile(preview_id)
    deployments = await store.of(preview_id)
    assert [one.state for one in deployments] == [DeploymentState.READY, DeploymentState.CANCELLED]


async def test_removal_leaves_nothing(plant: Plant) -> None:
    row = await plant.deploy()
    await plant.shop.store.previews.unwant(row.preview.id)
    await plant.reconciler.reconcile(row.preview.id)
    assert (await plant.row(row.preview.id)).preview.state == PreviewState.REMOVED
    assert plant.database.databases == {}
    assert plant.cache.users == {}
    assert plant.edge.routes == {}
    assert plant.runtime.runs == {}
    assert list(plant.shop.home.checkouts.glob("*")) == []


@pytest.mark.parametrize("driver", ["edge", "runtime", "database", "cache"])
async def test_a_removal_that_failed_halfway_is_done_again(plant: Plant, driver: str) -> None:
    row = await plant.deploy()
    await plant.shop.store.previews.unwant(row.preview.id)
    getattr(plant, driver).misbehave(Misbehaviour.UNAVAILABLE, call="remove", times=1)
    with pytest.raises(Unavailable):
        await plant.reconciler.reconcile(row.preview.id)
    await plant.reconciler.reconcile(row.preview.id)
    assert plant.database.databases == {}
    assert plant.cache.users == {}
    assert plant.runtime.runs == {}


async def test_a_preview_that_was_removed_can_come_back(plant: Plant) -> None:
    row = await plant.deploy()
    await plant.shop.store.previews.unwant(row.preview.id)
    await plant.reconciler.reconcile(row.preview.id)
    again = await plant.deploy()
    assert (again.preview.slug, again.preview.state) == (row.preview.slug, PreviewState.READY)


async def test_a_crashed_app_is_started_again(plant: Plant) -> None:
    row = await plant.deploy()
    assert row.preview.live is not None
    await plant.runtime.crash(row.preview.live)
    await plant.reconciler.reconcile(row.preview.id)
    handle = (await plant.latest(row.preview.id)).handle
    assert handle is not None
    assert (await plant.runtime.observe(handle)).running
    assert plant.edge.routes["main.shop.localhost"].upstream == handle["upstream"]


async def test_a_lost_route_is_made_again(plant: Plant) -> None:
    row = await plant.deploy()
    plant.edge.routes.clear()
    await plant.reconciler.reconcile(row.preview.id)
    assert "main.shop.localhost" in plant.edge.routes


async def test_the_limit_holds_back_new_previews_but_not_updates(plant: Plant) -> None:
    for branch in ("one", "two", "three"):
        commit(plant.repository, {"branch.txt": branch}, branch=branch)
    first = await plant.deploy("one")
    await plant.deploy("two")
    third = await plant.deploy("three")
    assert third.preview.state == PreviewState.PENDING
    assert "2 live previews" in (third.preview.waiting or "")
    newest = commit(plant.repository, {"more.txt": "x"}, branch="one")
    await plant.deploy("one")
    assert (await plant.latest(first.preview.id)).commit == newest
    await plant.shop.store.previews.unwant(first.preview.id)
    await plant.reconciler.reconcile(first.preview.id)
    assert third.preview.id in plant.woken
    await plant.reconciler.reconcile(third.preview.id)
    assert (await plant.row(third.preview.id)).preview.state == PreviewState.READY


async def test_a_reset_gives_a_fresh_database_once(plant: Plant) -> None:
    row = await plant.deploy()
    plant.database.databases["shop_main"].revisions = ("kept",)
    await plant.shop.store.previews.ask_again(row.preview.id, fresh_database=True)
    await plant.reconciler.reconcile(row.preview.id)
    assert plant.database.databases["shop_main"].revisions == ()
    plant.database.databases["shop_main"].revisions = ("kept",)
    await plant.shop.store.previews.ask_again(row.preview.id)
    await plant.reconciler.reconcile(row.preview.id)
    assert plant.database.databases["shop_main"].revisions == ("kept",)


async def test_a_database_at_an_unknown_revision_is_recreated(plant: Plant) -> None:
    revision = 'revision = "aaa"\ndown_revision = None\n'
    commit(
        plant.repository,
        {
            "alembic.ini": "[alembic]\nscript_location = alembic\n",
            "alembic/versions/a.py": revision,
        },
    )
    row = await plant.deploy()
    plant.database.databases["shop_main"].revisions = ("zzz",)
    commit(plant.repository, {"note.txt": "rebased"})
    await plant.deploy()
    assert plant.database.databases["shop_main"].revisions == ()
    notes = (await plant.latest(row.preview.id)).notes
    assert any("zzz" in note and "recreated" in note for note in notes)


async def test_what_became_of_the_database_is_kept(plant: Plant) -> None:
    graph = {"a": None, "b": "a", "c": "b"}
    files = {"alembic.ini": "[alembic]\nscript_location = alembic\n"}
    for name, down in graph.items():
        text = f"revision = {name!r}\ndown_revision = {down!r}\n"
        files[f"alembic/versions/{name}.py"] = text
    commit(plant.repository, {**files, "previewdrop.toml": 'release = "alembic upgrade head"\n'})

    def upgrade(to: str, *, then_silent: bool = False) -> None:
        def does() -> None:
            plant.database.databases["shop_main"].revisions = (to,)
            if then_silent:
                plant.database.misbehave(Misbehaviour.UNAVAILABLE, call="observe", times=1)

        plant.runtime.scripts["alembic upgrade head"] = Script(does=does)

    async def became(row: PreviewRow) -> object:
        return (await plant.latest(row.preview.id)).database

    upgrade("b")
    row = await plant.deploy()
    assert await became(row) == {"fate": "created", "migrations": 2}
    upgrade("c", then_silent=True)
    row = await plant.again(row)
    assert await became(row) == {"fate": "kept", "migrations": None}
    assert row.preview.state == PreviewState.READY
    plant.database.databases["shop_main"].revisions = ("b",)
    upgrade("c")
    row = await plant.again(row)
    assert await became(row) == {"fate": "kept", "migrations": 1}
    row = await plant.again(row)
    assert await became(row) == {"fate": "kept", "migrations": 0}
    row = await plant.again(row, fresh_database=True)
    assert await became(row) == {"fate": "recreated", "migrations": 3}


async def test_post_deploy_decides_and_its_last_lines_are_told(plant: Plant) -> None:
    commit(plant.repository, {"previewdrop.toml": 'post_deploy = "seed"\n'})
    plant.runtime.scripts["seed"] = Script(127, ("line one", "curl: command not found"))
    row = await plant.deploy()
    error = (await plant.latest(row.preview.id)).error
    assert row.preview.state == PreviewState.FAILED
    assert error is not None
    assert (error["stage"], error["exit_code"]) == ("post-deploy", 127)
    assert error["log_tail"][-1] == "curl: command not found"
    assert plant.edge.routes == {}


async def test_the_same_branch_in_other_letters_is_another_preview(plant: Plant) -> None:
    for branch in ("Feature/x", "feature/X", "feature-x", "feature x".replace(" ", "_")):
        commit(plant.repository, {"b.txt": branch}, branch=branch)
    ids = [
        await plant.want(branch) for branch in ("Feature/x", "feature/X", "feature-x", "feature_x")
    ]
    slugs = {(await plant.row(one)).preview.slug for one in ids}
    assert len(slugs) == 4


def _app(number: int) -> str:
    return f"from fastapi import FastAPI\n\napp = FastAPI(title='{number}')\n"


async def test_a_cancelled_deployment_says_whether_a_push_or_the_server_ended_it(
    plant: Plant,
) -> None:
    preview_id = await plant.want()
    plant.builder.misbehave(Misbehaviour.SLOW)
    running = asyncio.create_task(plant.reconciler.reconcile(preview_id))
    await plant.builder.reached()
    running.cancel()
    await asyncio.wait({running})
    error = (await plant.latest(preview_id)).error
    assert error is not None
    assert error["message"] == "The server stopped in the middle of it."


async def test_a_preview_that_never_deployed_can_be_removed(plant: Plant) -> None:
    preview_id = await plant.want()
    await plant.shop.store.previews.unwant(preview_id)
    await plant.reconciler.reconcile(preview_id)
    assert (await plant.row(preview_id)).preview.state == PreviewState.REMOVED


async def test_what_is_started_again_never_reads_the_checkout(plant: Plant) -> None:
    commit(plant.repository, {".env.preview": "GREETING=hello\n"})
    row = await plant.deploy()
    assert row.preview.live is not None
    folder = plant.shop.folder(row.preview.live)
    (folder / ".env.preview").unlink()
    (folder / ".env.preview").symlink_to(plant.shop.home.key_file)
    await plant.runtime.crash(row.preview.live)
    await plant.reconciler.reconcile(row.preview.id)
    environment = plant.runtime.runs[row.preview.live].spec.environment
    assert environment["GREETING"] == "hello"
    assert plant.shop.home.key_file.read_text().strip() not in str(environment)


async def test_a_variable_that_changed_counts_from_the_next_deployment_on(plant: Plant) -> None:
    row = await plant.deploy()
    assert row.preview.live is not None
    variable = StoredVariable("GREETING", Secret("hello"), secret=False)
    await plant.shop.store.variables.put(row.project.id, [variable])
    await plant.runtime.crash(row.preview.live)
    await plant.reconciler.reconcile(row.preview.id)
    assert "GREETING" not in plant.runtime.runs[row.preview.live].spec.environment
    await plant.shop.store.previews.ask_again(row.preview.id)
    await plant.reconciler.reconcile(row.preview.id)
    live = (await plant.row(row.preview.id)).preview.live
    assert live is not None
    assert plant.runtime.runs[live].spec.environment["GREETING"] == "hello"


async def test_an_interrupted_switch_is_taken_back_before_anything_else(plant: Plant) -> None:
    row = await plant.deploy()
    before = plant.edge.routes["main.shop.localhost"]
    plant.edge.routes["main.shop.localhost"] = Route("main.shop.localhost", "127.0.0.1:1")
    commit(plant.repository, {"note.txt": "next"})
    plant.runtime.misbehave(Misbehaviour.SLOW)
    await plant.want()
    running = asyncio.create_task(plant.reconciler.reconcile(row.preview.id))
    await plant.runtime.reached()
    assert plant.edge.routes["main.shop.localhost"] == before
    plant.runtime.behave()
    await running


async def test_a_database_that_is_wanted_no_more_goes_once_nothing_uses_it(plant: Plant) -> None:
    await plant.deploy()
    commit(plant.repository, {"previewdrop.toml": '[database]\nisolation = "none"\n'})
    plant.runtime.misbehave(Misbehaviour.EXITS, times=1)
    await plant.deploy()
    assert "shop_main" in plant.database.databases
    commit(plant.repository, {"note.txt": "works"})
    row = await plant.deploy()
    assert plant.database.databases == {}
    assert row.preview.database is None


async def test_an_app_that_ended_leaves_nobody_at_its_port(plant: Plant) -> None:
    row = await plant.deploy()
    assert row.preview.live is not None
    await plant.runtime.crash(row.preview.live)
    async with asyncio.timeout(10):
        while plant.edge.routes["main.shop.localhost"].upstream != NOWHERE:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_an_app_that_was_replaced_takes_no_route_with_it(plant: Plant) -> None:
    row = await plant.deploy()
    assert row.preview.live is not None
    await plant.edge.ensure(Route("main.shop.localhost", "127.0.0.1:9"))
    await plant.runtime.crash(row.preview.live)
    async with asyncio.timeout(10):
        while row.preview.id not in plant.woken:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert plant.edge.routes["main.shop.localhost"].upstream == "127.0.0.1:9"


async def test_a_stranger_on_the_port_is_not_the_app(plant: Plant) -> None:
    plant.runtime.misbehave(Misbehaviour.NEVER_READY, times=1)
    port = plant.runtime.choose_port(3000, {})
    plant.runtime.choose_port = lambda configured, artifact: port  # type: ignore[method-assign]
    stranger = await asyncio.start_server(_answer_ok, "127.0.0.1", port)
    async with stranger:
        row = await plant.deploy()
    error = (await plant.latest(row.preview.id)).error
    assert row.preview.state == PreviewState.FAILED
    assert error is not None
    assert f"another process answers on port {port}" in error["message"]


async def _answer_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def test_a_drained_deployment_does_not_take_the_route_along(plant: Plant) -> None:
    await plant.deploy()
    commit(plant.repository, {"note.txt": "next"})
    row = await plant.deploy()
    await plant.reconciler.close()
    handle = (await plant.latest(row.preview.id)).handle
    assert handle is not None
    assert plant.edge.routes["main.shop.localhost"].upstream == handle["upstream"]

"""What the demo claims of removal: everything of a preview goes, and nothing of another's."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Collection
from dataclasses import replace

from previewdrop.cli import address, demo_data, demo_processes, launch
from previewdrop.cli.client import Api, preview_path, project_path
from previewdrop.cli.demo_checklist import Checklist, Unproven, expect
from previewdrop.cli.demo_ledger import Ledger, look
from previewdrop.cli.demo_live import Cast, Engineer
from previewdrop.cli.demo_processes import Process
from previewdrop.cli.demo_runtime import Runtime
from previewdrop.cli.demo_scene import Scene
from previewdrop.cli.follow import Outcome, follow
from previewdrop.cli.views import Deployment, LogEntry, Preview
from previewdrop.domain.errors import NotFound

NO_PROC = "not looked at: this system has no /proc"


class Quiet:
    """A screen that shows nothing."""

    def preview(self, preview: Preview) -> None:
        """Nothing."""

    def log(self, entry: LogEntry) -> None:
        """Nothing."""

    def trouble(self, text: str | None) -> None:
        """Nothing."""


def prove_removal(checks: Checklist, scene: Scene, cast: Cast) -> Ledger:
    """Removes all but the last, then the last one and the project, looking for what is left."""
    api, runtime, everybody = scene.api, scene.runtime, [*cast.values()]
    *others, last = everybody
    owned: list[str] = []
    lasting: list[Engineer] = []
    ledger = Ledger(reasons=runtime.reasons)

    def remove_others() -> str:
        for each in everybody:
            owned.extend(str(one["id"]) for one in _deployments(api, each.preview))
            lasting.append(_lasting(each, runtime))
        ledger.before = look(scene.server_home, runtime, lasting, owned)
        remove(api, [each.preview["name"] for each in others])
        status = last.visitor.get("/health").status_code
        expect(status == 200, f"{last.who}'s /health answers {status} since.")
        return f"{last.preview['name']} answers 200"

    def catalog() -> str:
        left = demo_data.databases_and_roles(last.database_url) & {x.database for x in others}
        expect(not left, f"Left: {', '.join(sorted(left))}.")
        return f"{len(others)} of each"

    def remove_last() -> None:
        remove(api, [last.preview["name"]])
        api.delete(project_path(scene.project))
        left = api.get("/api/v1/previews", project=scene.project)
        expect(not left, f"Left: {', '.join(each['name'] for each in left)}.")
        try:
            api.get(project_path(scene.project))
        except NotFound:
            return
        raise Unproven(f"The project {scene.project} is still there.")

    def urls() -> str:
        for each in everybody:
            answer = each.visitor.get("/health")
            gone = answer.status_code == 404 and "No preview here" in answer.text
            expect(gone, f"{each.who}'s URL answers {answer.status_code}.")
        return "the edge answers 404 in their place"

    def credentials() -> None:
        for each in lasting:
            expect(not demo_data.may_log_in(each.database_url), f"{each.database} lets in.")
            expect(not demo_data.redis_knows(each.redis_url), f"Redis lets {each.who} in.")

    def gone() -> str:
        ledger.after = look(scene.server_home, runtime, lasting, owned)
        held = runtime.held([each.preview for each in everybody])
        left = [name for names in held.values() for name in names]
        expect(not left, f"Left: {', '.join(left)}.")
        before = {what: len(ledger.before.get(what, ())) for what in held}
        seen = ", ".join(f"{count} {what}" for what, count in before.items())
        return f"{seen} before" if any(before.values()) else NO_PROC

    checks.prove("Removing three leaves the fourth as it was", remove_others)
    checks.prove("Their databases and roles are gone from PostgreSQL's catalogue", catalog)
    checks.prove("The fourth and the project are gone from the API", remove_last)
    checks.prove("The URLs are gone", urls)
    checks.prove("PostgreSQL and Redis know none of their users", credentials)
    checks.prove(runtime.gone_claim, gone)
    checks.prove("No folder of theirs is left", lambda: _folders(scene, owned))
    return ledger


def prove_shutdown(checks: Checklist, scene: Scene) -> None:
    """Stops the server that was started for the demo and looks for what still runs."""
    home, api, runtime = scene.home, scene.api, scene.runtime
    pid = address.recorded_pid(home)
    port = address.recorded(home).get("edge_port")
    family = demo_processes.family(pid) if pid else set[Process]()

    def stop() -> None:
        api.post("/api/v1/shutdown")
        launch.wait_until_gone(api, home, pid)
        if port:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                return
            raise Unproven(f"Something still listens on port {port}.")

    def ended() -> str:
        processes = demo_processes.running(family) | demo_processes.naming(f"{home.path}/")
        left = [*(str(process.pid) for process in processes), *runtime.running()]
        expect(not left, f"Left: {', '.join(left)}.")
        return f"{len(family)} have ended" if family else NO_PROC

    checks.prove("The server that was started for this stops", stop)
    checks.prove(runtime.ended_claim, ended)


def remove(api: Api, names: Collection[str]) -> None:
    """Removes previews all at once and returns when nothing of them is left."""
    for name in names:
        api.delete(preview_path(name))
    for name in names:
        follow(
            api,
            name,
            lambda each: Outcome.REMOVED if each["state"] == "removed" else None,
            Quiet(),
        )


def clear(scene: Scene) -> None:
    """Removes whatever a check that did not get through has left."""
    shutil.rmtree(scene.repository.parent, ignore_errors=True)
    try:
        scene.api.get(project_path(scene.project))
    except NotFound:
        return
    left: list[Preview] = scene.api.get("/api/v1/previews", project=scene.project)
    remove(scene.api, [each["name"] for each in left])
    scene.api.delete(project_path(scene.project))


def _deployments(api: Api, preview: Preview) -> list[Deployment]:
    return api.get(preview_path(preview["name"], "deployments"))


def _lasting(engineer: Engineer, runtime: Runtime) -> Engineer:
    """With credentials that can be tried when the preview is gone."""
    return replace(
        engineer,
        database_url=runtime.lasting(engineer.database_url),
        redis_url=runtime.lasting(engineer.redis_url),
    )


def _folders(scene: Scene, owned: Collection[str]) -> str:
    """Both folders are empty; when other projects have previews, of these ones' names."""
    home = scene.server_home
    alone = not scene.api.get("/api/v1/previews")
    left = [
        str(each)
        for folder in (home.runs, home.checkouts)
        if folder.exists()
        for each in folder.iterdir()
        if alone or each.name in owned
    ]
    expect(not left, f"Left: {', '.join(sorted(left))}.")
    return f"{home.runs.name}, {home.checkouts.name}"

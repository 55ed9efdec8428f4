"""The queue: one owner at a time, restarts, failures that leave nothing, cancelling, expiry."""

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from control_plane.export_jobs import wanted_range
from control_plane.exports.jobs import MAX_ATTEMPTS, ClaimedJob, claim, enqueue, find_job
from control_plane.exports.orders import ReportOrder, TrackingDataOrder
from control_plane.exports.process import run_job
from control_plane.settings import Settings, as_environment
from control_plane.store import Store
from plugins.errors import LeaseLostError
from tests.control_plane.people import error_code, running_secured, user_of
from tests.control_plane.serving import Running, running_app, write_hall
from tests.control_plane.stored_world import World, query, run
from tests.exports.conftest import API, WAYS, ended, file_of
from tests.services import free_port, postgres_url
from tests.waiting import wait_until

Hall = tuple[Running, World]
ORDER = TrackingDataOrder("hall")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A database with people in it, and no control plane."""
    folder = write_hall(tmp_path_factory.mktemp("jobs"))
    made = Settings(database_url=postgres_url(), data_dir=folder, environments_dir=folder)
    World(WAYS, 65.0).store(url_of(made))
    return made


def url_of(settings: Settings) -> str:
    return str(settings.database_url)


def queued(settings: Settings, order: Any = ORDER) -> str:
    async def add(store: Store) -> str:
        async with store.connection() as connection:
            return (await enqueue(connection, order, "hall", None)).job_id

    return run(url_of(settings), add)


def claimed(settings: Settings, owner: str) -> ClaimedJob:
    job = run(url_of(settings), lambda store: claim(store, owner))
    assert job is not None
    return job


def state_of(settings: Settings, job_id: str) -> Any:
    async def read(store: Store) -> Any:
        async with store.connection() as connection:
            return (await find_job(connection, job_id, None))[0]

    return run(url_of(settings), read)


def objects_of(settings: Settings, job_id: str) -> list[str]:
    return [p.name for p in (settings.data_dir / "exports").glob(f"{job_id}*")]


def test_of_many_replicas_one_gets_each_job(settings: Settings) -> None:
    jobs = {queued(settings) for _ in range(6)}

    async def all_at_once(_: Store) -> list[ClaimedJob | None]:
        stores = [Store(url_of(settings)) for _ in range(8)]
        try:
            claims = (claim(store, f"replica {k}") for k, store in enumerate(stores))
            return list(await asyncio.gather(*claims))
        finally:
            for store in stores:
                await store.close()

    got = [job.job_id for job in run(url_of(settings), all_at_once) if job is not None]
    assert sorted(got) == sorted(jobs)
    query(url_of(settings), "delete from export_jobs")


def test_who_has_lost_the_lease_leaves_nothing_behind(settings: Settings) -> None:
    """Another has taken the job over: what the first made is neither offered nor left lying."""
    job_id = queued(settings)
    claimed(settings, "first")
    query(url_of(settings), "update export_jobs set lease_until = now() - interval '1 s'")
    claimed(settings, "second")
    with pytest.raises(LeaseLostError):
        run_job(settings, job_id, "first")
    assert objects_of(settings, job_id) == []
    assert state_of(settings, job_id).status == "RUNNING"
    assert run_job(settings, job_id, "second")
    state = state_of(settings, job_id)
    assert state.status == "COMPLETED"
    assert sorted(objects_of(settings, job_id)) == [
        f"{job_id}-2-hall-detections.csv",
        f"{job_id}-2-manifest.json",
    ]


def test_a_job_whose_process_always_dies_fails_at_last(settings: Settings) -> None:
    job_id = queued(settings)
    for attempt in range(MAX_ATTEMPTS):
        assert claimed(settings, f"attempt {attempt}").job_id == job_id
        query(url_of(settings), "update export_jobs set lease_until = now() - interval '1 s'")
    assert run(url_of(settings), lambda store: claim(store, "once more")) is None
    state = state_of(settings, job_id)
    assert state.status == "FAILED"
    assert f"died {MAX_ATTEMPTS} times" in state.error


def full_disk(settings: Settings, job_id: str, owner: str) -> None:
    """The kernel refuses every byte of a file after the second kilobyte."""
    command = f"ulimit -f 2; exec {sys.executable} -m control_plane export job {job_id} {owner}"
    env = os.environ | as_environment(settings) | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr


def store_away(settings: Settings, job_id: str, owner: str) -> None:
    away = msgspec.structs.replace(
        settings,
        export_store_url="s3://exports",
        s3_endpoint_url=f"http://127.0.0.1:{free_port()}",
    )
    assert not run_job(away, job_id, owner)


def folder_gone(settings: Settings, job_id: str, owner: str) -> None:
    gone = msgspec.structs.replace(settings, export_store_url="file:///nowhere/at/all")
    assert not run_job(gone, job_id, owner)


@pytest.mark.parametrize(
    ("breaking", "reason"),
    [(full_disk, "make room"), (store_away, "127.0.0.1"), (folder_gone, "/nowhere/at/all")],
)
def test_a_full_disk_or_a_store_that_is_away_fails_the_job_and_offers_no_half_file(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    breaking: Callable[[Settings, str, str], None],
    reason: str,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    job_id = queued(settings)
    claimed(settings, "me")
    breaking(settings, job_id, "me")
    state = state_of(settings, job_id)
    assert state.status == "FAILED"
    assert reason in state.error
    assert state.download_url is None
    assert objects_of(settings, job_id) == []
    assert not list(settings.data_dir.glob("export-*")), "scratch is cleared up"


def test_jobs_queued_before_a_restart_and_those_of_dead_replicas_are_done_after_it(
    tmp_path: Path,
) -> None:
    folder = write_hall(tmp_path)
    url = postgres_url()
    settings = Settings(database_url=url, data_dir=folder, environments_dir=folder)
    dead, waiting = queued(settings, ReportOrder("hall", "json")), queued(settings)
    assert claimed(settings, "a replica that died").job_id == dead
    query(url, "update export_jobs set lease_until = now() - interval '1 s' where lease_owner > ''")
    with running_app(folder, environments_dir=folder, database_url=url) as app:
        for job_id in (dead, waiting):
            state: dict[str, Any] = {"status": "QUEUED"}
            while state["status"] in {"QUEUED", "RUNNING"}:
                time.sleep(0.05)
                state = app.http.get(f"{API}/jobs/{job_id}/status").json()
            assert state["status"] == "COMPLETED", state


def test_a_control_plane_that_stops_gives_its_job_back(tmp_path: Path) -> None:
    folder = write_hall(tmp_path)
    url = postgres_url()
    settings = Settings(database_url=url, data_dir=folder, environments_dir=folder)
    with running_app(folder, environments_dir=folder, database_url=url) as app:
        body = {"environment_id": "hall"}
        job = app.http.post(f"{API}/tracking-data", json=body).json()
        wait_until(lambda: app.http.get(job["status_url"]).json()["status"] != "QUEUED")
    state = state_of(settings, job["job_id"])
    assert state.status in {"QUEUED", "COMPLETED"}  # it may have been quick


def test_ranges_etags_and_deletion_of_a_file(hall: Hall) -> None:
    app, _ = hall
    job = ended(app, app.http.post(f"{API}/tracking-data", json={"environment_id": "hall"}))
    whole, url = file_of(app, job), job["download_url"]
    part = app.http.get(url, headers={"Range": "bytes=10-29"})
    assert (part.status_code, part.content) == (206, whole[10:30])
    assert part.headers["content-range"] == f"bytes 10-29/{len(whole)}"
    assert part.headers["content-disposition"] == 'attachment; filename="hall-detections.csv"'
    tail = app.http.get(url, headers={"Range": "bytes=-7"})
    assert tail.content == whole[-7:]
    beyond = app.http.get(url, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(whole)}"
    tag = part.headers["etag"]
    assert tag == f'"{job["manifest"]["sha256"]}"'
    assert app.http.get(url, headers={"If-None-Match": tag}).status_code == 304
    changed = app.http.get(url, headers={"Range": "bytes=0-3", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, whole)
    deleted = app.http.delete(f"{API}/jobs/{job['job_id']}").json()
    assert (deleted["status"], deleted["download_url"]) == ("CANCELLED", None)
    assert error_code(app.http.get(url), 404) == "export_not_found"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-", range(100)),
        ("bytes=90-500", range(90, 100)),
        ("bytes=-0", range(100, 100)),
        ("bytes=-500", range(100)),
        ("bytes=100-", range(100, 100)),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("items=0-5", None),
        ("", None),
    ],
)
def test_range_headers_as_rfc_9110_has_them(header: str, expected: range | None) -> None:
    found = wanted_range(header, 100)
    assert (found is None) == (expected is None)
    assert list(found or ()) == list(expected or ())


def test_a_file_that_has_expired_is_deleted(hall: Hall) -> None:
    app, _ = hall
    job = ended(app, app.http.post(f"{API}/tracking-data", json={"environment_id": "hall"}))
    folder = app.settings.data_dir / "exports"
    assert len(list(folder.glob(f"{job['job_id']}*"))) == 2
    expire = "update export_jobs set expires_at = now() - interval '1 s' where job_id = $1"
    query(str(app.settings.database_url), expire, uuid.UUID(job["job_id"]))
    while list(folder.glob(f"{job['job_id']}*")):
        time.sleep(0.1)
    state = app.http.get(job["status_url"]).json()
    assert state["status"] == "EXPIRED"
    assert error_code(app.http.get(job["download_url"]), 404) == "export_not_found"


def test_a_job_can_be_cancelled_before_it_is_done(hall: Hall) -> None:
    app, _ = hall
    job = app.http.post(f"{API}/tracking-data", json={"environment_id": "hall"}).json()
    app.http.delete(f"{API}/jobs/{job['job_id']}")
    state = app.http.get(job["status_url"]).json()
    assert state["status"] == "CANCELLED"
    listed = app.http.get(f"{API}/jobs", params={"status": "CANCELLED"}).json()["items"]
    assert job["job_id"] in [j["job_id"] for j in listed]


def test_jobs_of_other_environments_are_as_if_they_were_not_there(tmp_path: Path) -> None:
    folder = write_hall(tmp_path)
    with running_secured(folder, environments_dir=folder) as app:
        ours = user_of(app, "ours", "operator", environments=["hall"])
        theirs = user_of(app, "theirs", "operator", environments=[])
        body = {"environment_id": "hall", "format": "json"}
        made = app.http.post(f"{API}/analytics-report", json=body, headers=ours)
        assert made.status_code == 202
        job = made.json()
        assert len(app.http.get(f"{API}/jobs", headers=ours).json()["items"]) == 1
        assert app.http.get(f"{API}/jobs", headers=theirs).json()["items"] == []
        for method, url in (
            ("GET", job["status_url"]),
            ("GET", f"{API}/jobs/{job['job_id']}/download"),
            ("DELETE", f"{API}/jobs/{job['job_id']}"),
        ):
            answer = app.http.request(method, url, headers=theirs)
            assert error_code(answer, 404) == "export_not_found"
        refused = app.http.post(f"{API}/analytics-report", json=body, headers=theirs)
        assert error_code(refused, 404) == "environment_not_found"


@pytest.mark.parametrize("job_id", ["..%2F..%2Fetc%2Fpasswd", "%27%20or%201=1--", "x" * 64, "%00"])
def test_ids_with_tricks_in_them_are_unknown_jobs(hall: Hall, job_id: str) -> None:
    app, _ = hall
    for suffix in ("/status", "/download"):
        answer = app.http.get(f"{API}/jobs/{job_id}{suffix}")
        assert answer.status_code == 404, answer.text

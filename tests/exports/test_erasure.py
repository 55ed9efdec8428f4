"""Erasing a person: afterwards neither a dump of the database nor any object knows them."""

import base64
import subprocess
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis

from control_plane.access.master_key import master_key
from control_plane.storage.backups import tool_path
from plugins.encryption import open_cipher
from plugins.messages import tracks_stream
from plugins.person_crops import crop_purpose, embedding_purpose
from tests.control_plane.people import admin_of, error_code, running_secured, user_of
from tests.control_plane.serving import Running, write_hall
from tests.control_plane.stored_world import World, person_id, query, run
from tests.exports.conftest import API, WAYS, ended
from tests.waiting import wait_until

PERSONS = "/api/v1/persons"


def dump_of(app: Running, *options: str) -> str:
    """The database as pg_dump writes it."""
    url = str(app.settings.database_url)
    command = [str(tool_path("pg_dump", 18)), f"--dbname={url}", "--inserts", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def objects_of(app: Running) -> bytes:
    """Everything in the object store, names included."""
    files = [p for p in (app.settings.data_dir / "exports").rglob("*") if p.is_file()]
    return b"".join(str(p.name).encode() + p.read_bytes() for p in files)


def with_looks(app: Running, world: World, name: str) -> list[bytes]:
    """Gives a person a picture and an embedding, encrypted; their ciphertexts."""
    url = str(app.settings.database_url)
    jpeg, vector = f"picture of {name}".encode(), f"looks of {name}".encode()

    async def sealed(store: Any) -> list[bytes]:
        async with store.connection() as connection:
            cipher = await open_cipher(connection, master_key(app.settings))
        return [
            cipher.encrypt(jpeg, crop_purpose(world.task_id)),
            cipher.encrypt(vector, embedding_purpose(world.task_id)),
        ]

    crop, look = run(url, sealed)
    at = world.start + timedelta(seconds=6)
    insert = "insert into person_crops values ($1, $2, 'h1', 60, $3, 0.5, 9, 9, $4)"
    query(url, insert, world.task_id, person_id(name), at, crop)
    update = "update persons set embedding = $3, embedding_model = 'm' "
    where = "where task_id = $1 and global_id = $2"
    query(url, update + where, world.task_id, person_id(name), look)
    decided = (
        "insert into identity_decisions (task_id, frame_index, ordinal, media_time, camera_id, "
        "track_id, verdict, global_id, other_global_id) "
        "values ($1, $2, 0, $3, 'h1', 1, 'matched', $4, $5)"
    )
    other = person_id("cem" if name == "ana" else "ana")
    frame = list(WAYS).index(name)
    query(url, decided, world.task_id, frame, at, person_id(name), other)
    return [crop, look]


def exported(app: Running, headers: dict[str, str], **order: Any) -> dict[str, Any]:
    body = {"environment_id": "hall"} | order
    answer = app.http.post(f"{API}/tracking-data", json=body, headers=headers)
    job = ended(app, answer, headers)
    assert job["status"] == "COMPLETED"
    return job


def test_an_erased_person_is_nowhere_and_everybody_else_is_as_before(tmp_path: Path) -> None:
    """Rows, rollups, crop, look, tracker's state, feedback, corrections, live stream, exports: by
    id, by the bytes of picture and look, and by whoever was merged into the person. What is left
    is who did what in the audit log.
    """
    folder = write_hall(tmp_path)
    with running_secured(folder, environments_dir=folder) as app:
        admin, url = admin_of(app), str(app.settings.database_url)
        world = World(WAYS, 65.0)
        world.store(url)
        ana, ben, cem = map(person_id, WAYS)
        secrets = with_looks(app, world, "ana") + with_looks(app, world, "ben")
        kept = with_looks(app, world, "cem")
        query(url, "update tasks set checkpoint = $1", f"tracker of {ana}".encode())
        live = redis.Redis.from_url(str(app.settings.redis_url))
        live.xadd(tracks_stream(world.task_id), {"json": f'{{"id": "{ana}"}}'})
        merge = {"global_id": ben}
        assert app.http.post(f"{PERSONS}/{ana}/merge", json=merge, headers=admin).status_code == 200
        said = {"global_id": ana, "verdict": "down", "note": f"{ana} is not {cem}"}
        feedback = "/api/v1/feedback/reidentification"
        assert app.http.post(feedback, json=said, headers=admin).status_code == 201
        everybody = exported(app, admin)
        about = exported(app, admin, global_id=ana, format="json")
        before = world.start - timedelta(days=2), world.start - timedelta(days=1)
        times = [t.isoformat() for t in before]
        other = exported(app, admin, start_time=times[0], end_time=times[1])
        assert ana in dump_of(app)
        assert ana.encode() in objects_of(app)

        answer = app.http.delete(f"{PERSONS}/{ana}", headers=admin)

        assert answer.status_code == 200, answer.text
        erased = answer.json()
        assert erased["exports_deleted"]
        assert set(erased["exports"]) == {everybody["job_id"], about["job_id"]}
        dump = dump_of(app, "--exclude-table-data=audit_log").lower()
        assert cem in dump
        assert kept[0].hex() in dump
        for text in (ana, ben, ana.replace("-", ""), *(s.hex() for s in secrets), "tracker of"):
            assert text not in dump
        objects = objects_of(app)
        for token in (ana, ben):
            assert token.encode() not in objects
            assert base64.b64encode(uuid.UUID(token).bytes) not in objects
        assert not live.exists(tracks_stream(world.task_id))
        assert rows_of(app) == {cem: 600}
        assert detections_of(app) == 600
        entries = query(url, "select action from audit_log where target = $1 order by at", ana)
        assert [e["action"] for e in entries][-1] == "persons.erase"
        gone = app.http.get(everybody["download_url"], headers=admin)
        assert error_code(gone, 404) == "export_not_found"
        state = app.http.get(everybody["status_url"], headers=admin).json()
        assert (state["status"], state["manifest"]) == ("WITHDRAWN", None)
        assert app.http.get(other["download_url"], headers=admin).status_code == 200
        again = app.http.delete(f"{PERSONS}/{ana}", headers=admin)
        assert error_code(again, 404) == "person_not_found"


def test_only_admins_erase_and_only_what_is_there(tmp_path: Path) -> None:
    folder = write_hall(tmp_path)
    with running_secured(folder) as app:
        operator = user_of(app, "op", "operator")
        url = f"{PERSONS}/{person_id('ana')}"
        assert error_code(app.http.delete(url, headers=operator), 403) == "not_allowed"
        admin = admin_of(app)
        assert error_code(app.http.delete(url, headers=admin), 404) == "person_not_found"
        odd = f"{PERSONS}/%27%3B%20drop%20table%20persons"
        assert error_code(app.http.delete(odd, headers=admin), 404) == "person_not_found"


def rows_of(app: Running) -> dict[str, int]:
    sql = "select global_id::text, count(*) from tracking_events group by 1"
    return {row[0]: row[1] for row in query(str(app.settings.database_url), sql)}


def detections_of(app: Running) -> int:
    """What the rollup says, once it has caught up."""
    url = str(app.settings.database_url)
    behind = (
        "select count(*) from tasks t left join rollup_progress p using (task_id) "
        "where p.frame_index is distinct from t.frame_index"
    )
    wait_until(lambda: not query(url, behind)[0][0])
    return int(query(url, "select sum(detections) from camera_minutes")[0][0])

"""Backup, restore, encryption and key rotation, done over real databases."""

import asyncio
import subprocess
import tarfile
import uuid

import asyncpg
import pytest

from control_plane.access.key_rotation import rewrap, rotate
from control_plane.storage.backups import ExportedFile, back_up, read_manifest, restore
from control_plane.store import Store
from plugins.encryption import Cipher, MasterKey, new_master_key, open_cipher, parse_master_key
from plugins.errors import EncryptionKeyError, InvalidInputError
from plugins.person_crops import (
    checkpoint_purpose,
    crop_purpose,
    embedding_purpose,
    read_best_crop,
    store_crops,
)
from tests.control_plane.stored_world import START, World, person_id, query, run
from tests.services import postgres_url

ADA = person_id("ada")
JPEG = b"\xff\xd8 a picture of ada \xff\xd9"
MASTER = new_master_key()


def stored_world(url):
    """A task with one person, two pictures of her and an embedding; returns the task's id."""
    task_id = World({"ada": [(0, 1.0, 1.0), (4, 5.0, 1.0)]}, 4).store(url)

    async def add(store):
        async with store.connection() as connection:
            cipher = await open_cipher(connection, MASTER)
            rows = [
                (task_id, ADA, "h1", k, START, quality, 40, 80,
                 cipher.encrypt(JPEG + bytes([k]), crop_purpose(task_id)))
                for k, quality in ((1, 0.4), (2, 0.9))
            ]  # fmt: skip
            await store_crops(connection, task_id, rows)
            vector = cipher.encrypt(b"vector of ada", embedding_purpose(task_id))
            await connection.execute(
                "update persons set embedding = $1 where global_id = $2", vector, uuid.UUID(ADA)
            )

            state = cipher.encrypt(b"state with looks", checkpoint_purpose(task_id))
            await connection.execute("update tasks set checkpoint = $1", state)

    run(url, add)
    return task_id


def best_crop(url, master=MASTER):
    async def read(store):
        async with store.connection() as connection:
            return await read_best_crop(connection, await open_cipher(connection, master), ADA)

    return run(url, read)


def contents(url):
    tables = [r[0] for r in query(url, "select tablename from pg_tables where schemaname='public'")]
    return {t: sorted(map(str, query(url, f"select * from {t}"))) for t in tables}  # noqa: S608


def test_a_backup_restores_into_an_empty_database(tmp_path):
    """Every row of every table, and pictures open again with the same master key."""
    first, second = postgres_url(), postgres_url()
    stored_world(first)
    manifest = asyncio.run(back_up(first, tmp_path / "spoton.tar"))
    assert manifest.rows["tracking_events"] == 2 * 40
    assert manifest.master_keys == [MASTER.fingerprint]
    asyncio.run(restore(second, tmp_path / "spoton.tar"))
    assert contents(second) == contents(first)
    assert best_crop(second).jpeg == JPEG + b"\x02"


def test_no_password_stands_in_the_list_of_processes(tmp_path, monkeypatch):
    """Wherever the address has it, PostgreSQL's program gets it in its environment."""
    url, started, start = postgres_url(), [], subprocess.run
    stored_world(url)
    monkeypatch.setattr(
        subprocess, "run", lambda *a, **more: started.append((a, more)) or start(*a, **more)
    )
    asyncio.run(back_up(f"{url}&password=secret", tmp_path / "spoton.tar"))
    (command,), more = started[-1]
    assert "pg_dump" in command[0]
    assert "secret" not in " ".join(command)
    assert more["env"]["PGPASSWORD"] == "secret"


def test_a_backup_lists_the_exported_files_that_are_not_in_it(tmp_path):
    """Those that are offered: of a job that has failed or expired there is none."""
    url = postgres_url()
    run(url, Store.open)
    for status, key in (("COMPLETED", "a.csv"), ("EXPIRED", None), ("FAILED", None)):
        query(
            url,
            """insert into export_jobs (job_id, kind, environment_id, query, status, expires_at,
                 file_key, manifest)
               values ($1, 'tracking-data', 'hall', '{}', $2, now() + interval '1 day', $3, $4)""",
            uuid.uuid4(), status, key, '{"bytes": 12, "sha256": "ab"}',
        )  # fmt: skip
    manifest = asyncio.run(back_up(url, tmp_path / "spoton.tar"))
    assert manifest.exports_elsewhere == [ExportedFile("a.csv", 12, "ab")]
    assert read_manifest(tmp_path / "spoton.tar") == manifest


def test_a_database_in_use_is_only_replaced_by_force(tmp_path):
    first, second = postgres_url(), postgres_url()
    stored_world(first)
    World({"bob": [(0, 1.0, 1.0), (2, 5.0, 1.0)]}, 2).store(second)
    before = contents(second)
    asyncio.run(back_up(first, tmp_path / "spoton.tar"))
    with pytest.raises(InvalidInputError, match="--force"):
        asyncio.run(restore(second, tmp_path / "spoton.tar"))
    assert contents(second) == before
    asyncio.run(restore(second, tmp_path / "spoton.tar", force=True))
    assert contents(second) == contents(first)


def test_a_damaged_backup_is_refused_before_anything_is_touched(tmp_path):
    url, target = postgres_url(), postgres_url()
    stored_world(url)
    path = tmp_path / "spoton.tar"
    asyncio.run(back_up(url, path))
    with tarfile.open(path) as archive:
        place = archive.getmember("database.dump").offset_data + 2000
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"damage")
    with pytest.raises(InvalidInputError, match="checksum"):
        asyncio.run(restore(target, path, force=True))
    (tmp_path / "letter.tar").write_text("dear reader")
    with pytest.raises(InvalidInputError, match="not a backup"):
        read_manifest(tmp_path / "letter.tar")
    with pytest.raises(InvalidInputError, match="already"):
        asyncio.run(back_up(url, path))


def test_a_backup_holds_no_picture_in_clear(tmp_path):
    """Nor does the database itself."""
    url = postgres_url()
    stored_world(url)
    rows = query(url, "select jpeg from person_crops union all select embedding from persons")
    assert len(rows) == 3
    assert not any(b"ada" in row[0] for row in rows)


def test_rotation_encrypts_everything_with_a_new_key():
    """Old data keys go; the pictures stay what they are."""
    url = postgres_url()
    stored_world(url)
    before = [bytes(r[0]) for r in query(url, "select jpeg from person_crops")]
    old, new = MASTER, new_master_key()
    assert run(url, lambda store: rewrap(store, old, new)) == 1
    with pytest.raises(EncryptionKeyError, match="SPOTON_DATA_KEY"):
        best_crop(url, old)
    done = run(url, lambda store: rotate(store, new, lambda _: None))
    assert done == 2 + 1 + 1  # crops, embedding, checkpoint
    assert [r[0] for r in query(url, "select key_id from data_keys")] == [2]
    assert not set(before) & {bytes(r[0]) for r in query(url, "select jpeg from person_crops")}
    assert best_crop(url, new).jpeg == JPEG + b"\x02"


def test_processes_that_start_together_make_one_data_key():
    url = postgres_url()

    async def race():
        stores = [Store(url) for _ in range(4)]

        async def one(store):
            async with store.connection() as connection:
                return await open_cipher(connection, MASTER)

        ciphers = await asyncio.gather(*(one(store) for store in stores))
        for store in stores:
            await store.close()
        return ciphers

    ciphers = asyncio.run(race())
    assert len({cipher.keys[1] for cipher in ciphers}) == 1


def test_replicas_that_start_together_migrate_once():
    """Each finds a whole schema."""
    url = postgres_url()

    async def race():
        stores = [Store(url) for _ in range(4)]
        await asyncio.gather(*(store.open() for store in stores))
        for store in stores:
            await store.close()

    asyncio.run(race())
    names = [r[0] for r in query(url, "select name from schema_migrations")]
    assert len(names) == len(set(names))
    assert "003_storage.sql" in names


def test_a_record_opens_only_where_it_belongs():
    cipher = Cipher(1, {1: bytes(32)})
    record = cipher.encrypt(b"secret", "crop a")
    assert cipher.decrypt(record, "crop a") == b"secret"
    for changed, purpose in (
        (record, "crop b"),
        (record[:-1] + bytes([record[-1] ^ 1]), "crop a"),
        (b"", "crop a"),
        (record[:1] + b"\x00\x09" + record[3:], "crop a"),
    ):
        with pytest.raises(EncryptionKeyError):
            cipher.decrypt(changed, purpose)


@pytest.mark.parametrize("text", ["", "short", "0" * 63, "?" * 44])
def test_what_is_no_key_is_refused_by_name(text):
    with pytest.raises(EncryptionKeyError, match="SPOTON_DATA_KEY"):
        parse_master_key(text, "SPOTON_DATA_KEY")


def test_a_master_key_never_shows_itself():
    assert "key=" not in repr(MasterKey(b"k" * 32))


def test_stored_databases_reject_a_second_current_key():
    url = postgres_url()
    stored_world(url)
    with pytest.raises(asyncpg.UniqueViolationError):
        query(url, "insert into data_keys values (9, '', '', now(), true)")

# ruff: noqa: S608  # only constants are joined; values are parameters
"""New keys for what is stored encrypted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from control_plane.store import Store
from plugins.encryption import (
    KEYS_LOCK,
    Cipher,
    MasterKey,
    add_data_key,
    open_cipher,
    unwrap,
    wrap,
)
from plugins.person_crops import checkpoint_purpose, crop_purpose, embedding_purpose

BATCH = 500


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A column of records; ``purpose`` of its task's id is what they are authenticated with."""

    table: str
    column: str
    key: Sequence[str]
    purpose: Callable[[str], str]


CROP_KEY = ("task_id", "global_id", "camera_id", "frame_index")
ENCRYPTED = (
    Encrypted("person_crops", "jpeg", CROP_KEY, crop_purpose),
    Encrypted("persons", "embedding", ("task_id", "global_id"), embedding_purpose),
    Encrypted(
        "persons_set_aside", "embedding", ("edit_id", "task_id", "global_id"), embedding_purpose
    ),
    Encrypted("tasks", "checkpoint", ("task_id",), checkpoint_purpose),
)


async def rewrap(store: Store, old: MasterKey, new: MasterKey) -> int:
    """Wraps every data key with another master key, at once or not at all; returns how many.

    EncryptionKeyError where one is wrapped by neither.
    """
    async with store.connection() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", KEYS_LOCK)
        rows = await connection.fetch("select key_id, wrapped, wrapped_by from data_keys")
        due = [row for row in rows if row["wrapped_by"] != new.fingerprint]
        for row in due:
            key = unwrap(old, row["key_id"], row["wrapped"], row["wrapped_by"])
            await connection.execute(
                "update data_keys set wrapped = $2, wrapped_by = $3 where key_id = $1",
                row["key_id"],
                wrap(new, row["key_id"], key),
                new.fingerprint,
            )
    return len(due)


async def rotate(store: Store, master: MasterKey, show: Callable[[int], None]) -> int:
    """Makes a new data key, encrypts every record with it, and deletes the keys before it, unless
    a worker still wrote with one meanwhile; returns the number of records. When it breaks off,
    running it again goes on: each record names its key.
    """
    async with store.connection() as connection:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", KEYS_LOCK)
            await add_data_key(connection, master)
        cipher = await open_cipher(connection, master)
        done = 0
        for kind in ENCRYPTED:
            while changed := await _encrypt_anew(connection, cipher, kind):
                done += changed
                show(done)
        await _drop_unused(connection, cipher)
    return done


async def _encrypt_anew(connection: Any, cipher: Cipher, kind: Encrypted) -> int:
    """A batch of records made with other keys; 0 when there are none left."""
    current = bytes([1]) + cipher.current_id.to_bytes(2, "big")
    match = " and ".join(f"{name} = ${k + 2}" for k, name in enumerate(kind.key))
    async with connection.transaction():
        rows = await connection.fetch(
            f"select {', '.join(kind.key)}, {kind.column} as record from {kind.table} "
            f"where {is_record(kind)} and substring({kind.column} from 1 for 3) <> $1 "
            f"limit {BATCH} for update",
            current,
        )
        await connection.executemany(
            f"update {kind.table} set {kind.column} = $1 where {match}",
            [(_anew(cipher, row["record"], kind.purpose(str(row["task_id"]))), *list(row)[:-1])
             for row in rows],
        )  # fmt: skip
    return len(rows)


def is_record(kind: Encrypted) -> str:
    """SQL that tells records from what a worker without a key has stored."""
    return f"substring({kind.column} from 1 for 1) = '\\x01'"


def _anew(cipher: Cipher, record: bytes, purpose: str) -> bytes:
    return cipher.encrypt(cipher.decrypt(record, purpose), purpose)


async def _drop_unused(connection: Any, cipher: Cipher) -> None:
    used = {cipher.current_id}
    for kind in ENCRYPTED:
        rows = await connection.fetch(
            f"select distinct substring({kind.column} from 1 for 3) as header from {kind.table} "
            f"where {is_record(kind)}"
        )
        used |= {int.from_bytes(row["header"][1:], "big") for row in rows}
    await connection.execute("delete from data_keys where key_id <> all($1::int[])", sorted(used))

"""Crops and embeddings at rest: AES-256-GCM under data keys, which a master key wraps.

A record is one byte version (1), two bytes key id (big endian), twelve bytes nonce, then ciphertext
and tag (NIST SP 800-38D). The *purpose* ("embedding <task>", "crop <task>") is authenticated with
it, so a record that is moved elsewhere does not open. Data keys lie in PostgreSQL, wrapped the same
way; the master key lies in the environment or a file and is never stored beside them.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from plugins.errors import EncryptionKeyError

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = 1
HEADER_BYTES = 3
MAX_KEY_ID = 65_535
# Any constant: it keeps two processes from both making the first key.
KEYS_LOCK = 7_305_114


@dataclass(frozen=True, slots=True)
class MasterKey:
    """The key that wraps data keys; ``fingerprint`` tells it from others without revealing it."""

    key: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits of its SHA-256."""
        return hashlib.sha256(self.key).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Cipher:
    """Unwrapped data keys by id; new records are made with ``current_id``."""

    current_id: int
    keys: Mapping[int, bytes] = field(repr=False)

    def encrypt(self, plain: bytes, purpose: str) -> bytes:
        """A record that only the same purpose opens."""
        return _seal(self.keys[self.current_id], self.current_id, plain, purpose)

    def decrypt(self, record: bytes, purpose: str) -> bytes:
        """The plain bytes; EncryptionKeyError for a record that was changed, moved, or made with
        a key that is gone.
        """
        key_id = key_id_of(record)
        key = self.keys.get(key_id)
        if key is None:
            raise EncryptionKeyError(
                f"a record is encrypted with data key {key_id}, which is not in the database: "
                "restore the backup that holds it"
            )
        return _open(key, record, purpose)


def key_id_of(record: bytes) -> int:
    """The data key a record was made with."""
    if len(record) < HEADER_BYTES + NONCE_BYTES + 16 or record[0] != VERSION:
        raise EncryptionKeyError(
            "a record is not encrypted as version 1: it was cut off or changed"
        )
    return int.from_bytes(record[1:HEADER_BYTES], "big")


def parse_master_key(text: str, where: str) -> MasterKey:
    """32 bytes as base64 or hex; EncryptionKeyError naming ``where``."""
    compact = "".join(text.split())
    try:
        is_hex = len(compact) == 2 * KEY_BYTES
        key = bytes.fromhex(compact) if is_hex else base64.b64decode(compact, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise EncryptionKeyError(
            f"{where} is not a key of 32 bytes in base64 or hex: make one with "
            "`openssl rand -base64 32`"
        )
    return MasterKey(key)


def new_master_key() -> MasterKey:
    """A random one."""
    return MasterKey(AESGCM.generate_key(bit_length=8 * KEY_BYTES))


def as_text(master: MasterKey) -> str:
    """Base64, as parse_master_key reads it."""
    return base64.b64encode(master.key).decode()


def wrap(master: MasterKey, key_id: int, data_key: bytes) -> bytes:
    """A data key as it lies in the database."""
    return _seal(master.key, key_id, data_key, _wrapping(key_id))


def unwrap(master: MasterKey, key_id: int, wrapped: bytes, wrapped_by: str) -> bytes:
    """Inverse of wrap; EncryptionKeyError when another master key wrapped it."""
    if wrapped_by != master.fingerprint:
        raise EncryptionKeyError(
            f"data key {key_id} is wrapped by master key {wrapped_by}, and the one given here is "
            f"{master.fingerprint}: set SPOTON_DATA_KEY or SPOTON_DATA_KEY_FILE to the same key on "
            "every machine, or run `spoton keys rotate --old-key-file FILE`"
        )
    return _open(master.key, wrapped, _wrapping(key_id))


async def open_cipher(connection: Any, master: MasterKey) -> Cipher:
    """The database's data keys; the first one is made here. Several processes may do so at once."""
    rows = await _key_rows(connection)
    if not rows:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", KEYS_LOCK)
            if not await _key_rows(connection):
                await add_data_key(connection, master)
        rows = await _key_rows(connection)
    keys = {r["key_id"]: unwrap(master, r["key_id"], r["wrapped"], r["wrapped_by"]) for r in rows}
    return Cipher(next(r["key_id"] for r in rows if r["is_current"]), keys)


async def add_data_key(connection: Any, master: MasterKey) -> int:
    """Makes a new current data key, inside the caller's transaction; returns its id."""
    key_id = int(await connection.fetchval("select coalesce(max(key_id), 0) + 1 from data_keys"))
    if key_id > MAX_KEY_ID:
        raise EncryptionKeyError("65535 data keys have been made, and an id has no more room")
    await connection.execute("update data_keys set is_current = false where is_current")
    await connection.execute(
        "insert into data_keys (key_id, wrapped, wrapped_by, is_current) values ($1, $2, $3, true)",
        key_id,
        wrap(master, key_id, AESGCM.generate_key(bit_length=8 * KEY_BYTES)),
        master.fingerprint,
    )
    return key_id


async def _key_rows(connection: Any) -> list[Any]:
    query = "select key_id, wrapped, wrapped_by, is_current from data_keys order by key_id"
    return list(await connection.fetch(query))


def _wrapping(key_id: int) -> str:
    return f"data key {key_id}"


def _seal(key: bytes, key_id: int, plain: bytes, purpose: str) -> bytes:
    header = bytes([VERSION]) + key_id.to_bytes(2, "big")
    nonce = os.urandom(NONCE_BYTES)
    return header + nonce + AESGCM(key).encrypt(nonce, plain, header + purpose.encode())


def _open(key: bytes, record: bytes, purpose: str) -> bytes:
    header, rest = record[:HEADER_BYTES], record[HEADER_BYTES:]
    try:
        return AESGCM(key).decrypt(
            rest[:NONCE_BYTES], rest[NONCE_BYTES:], header + purpose.encode()
        )
    except InvalidTag as error:
        raise EncryptionKeyError(
            f"a record of {purpose!r} does not open: it was changed, or belongs elsewhere"
        ) from error

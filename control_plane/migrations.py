"""The schema, in versions: ``sql/*.sql`` in order, each once and whole."""

from pathlib import Path
from typing import Any

from control_plane.storage.timescale import use_timescale

FOLDER = Path(__file__).parent / "sql"
LOCK = 7_305_112


def read_migrations() -> dict[str, str]:
    """Statements by name."""
    return {path.name: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.sql"))}


async def migrate(connection: Any, migrations: dict[str, str]) -> None:
    """Applies what the database lacks. Any number of replicas may at once."""
    await connection.execute("select pg_advisory_lock($1)", LOCK)
    try:
        for name in await _missing(connection, migrations):
            await _apply(connection, name, migrations[name])
        await use_timescale(connection)
    finally:
        await connection.execute("select pg_advisory_unlock($1)", LOCK)


async def _missing(connection: Any, migrations: dict[str, str]) -> list[str]:
    await connection.execute(
        """create table if not exists schema_migrations (
             name text primary key, applied_at timestamptz not null default now())"""
    )
    applied = {r["name"] for r in await connection.fetch("select name from schema_migrations")}
    return [name for name in migrations if name not in applied]


async def _apply(connection: Any, name: str, statements: str) -> None:
    async with connection.transaction():
        await connection.execute(statements)
        await connection.execute("insert into schema_migrations (name) values ($1)", name)

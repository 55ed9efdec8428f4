"""The TimescaleDB branch, as far as a server without the extension can tell."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from control_plane.storage.backups import back_up
from control_plane.storage.timescale import NAME, convert, statements, use_timescale
from control_plane.store import Store
from plugins.errors import InvalidInputError
from tests.control_plane.stored_world import World, person_id, query, run
from tests.services import postgres_url

# What only TimescaleDB understands; the rest runs here too.
FOREIGN = re.compile(r"create extension|select create_hypertable|alter table \w+ set |select add_")
SETTINGS = re.compile(r"alter table (\w+) set .*segmentby = '(.*?)'.*orderby = '(.*?)'", re.DOTALL)
COLUMNS = """select column_name from information_schema.columns
where table_schema = 'public' and table_name = $1"""
KEY = """select a.attname from pg_index i join pg_attribute a
  on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
where i.indrelid = $1::text::regclass and i.indisprimary"""
INDEXES = "select count(*) from pg_index where indrelid = $1::text::regclass"
KIND = "select relkind::text from pg_class where oid = $1::text::regclass"


class Server:
    """Says it has TimescaleDB, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def fetchval(self, _question: str) -> bool:
        return True

    async def execute(self, statement: str) -> None:
        self.told.append(statement)

    def transaction(self) -> "Server":
        return self

    async def __aenter__(self) -> None:
        self.told.append("begin")

    async def __aexit__(self, *_error: object) -> None:
        self.told.append("end")


def test_a_server_that_has_it_is_told_everything_in_one_transaction() -> None:
    server = Server()
    assert asyncio.run(use_timescale(server))
    assert server.told == ["begin", *statements(), "end"]


def test_a_server_without_it_keeps_its_partitions_even_where_it_is_asked_for() -> None:
    """Also when the server claims to have it and then refuses: nothing is half done."""

    async def asked(store: Store) -> tuple[bool, bool]:
        async with store.connection() as connection:
            await connection.execute("select set_config('spoton.timescaledb', 'on', false)")
            return await use_timescale(connection), await convert(connection)

    url = postgres_url()
    assert run(url, asked) == (False, False)
    assert [query(url, KIND, t)[0][0] for t in ("tracking_events", "trajectories")] == ["p", "p"]
    assert query(url, "select 1 from schema_migrations where name = $1", NAME) == []


def test_compression_keeps_the_columns_of_the_key_findable() -> None:
    """Each named column is there, and all of the primary key are named."""
    url = postgres_url()
    run(url, Store.open)
    found = [m for s in statements() if (m := SETTINGS.search(s))]
    assert [m[1] for m in found] == ["tracking_events", "trajectories"]
    for table, *listed in (m.groups() for m in found):
        named = {name for names in listed for name in names.split(", ")}
        assert named <= {row[0] for row in query(url, COLUMNS, table)}
        assert named == {row[0] for row in query(url, KEY, table)}


def test_the_tables_it_converts_take_the_same_rows(tmp_path: Path) -> None:
    """All but TimescaleDB's own calls, over PostgreSQL: indexes stay, the worker can write."""
    url = postgres_url()
    tables = ("tracking_events", "trajectories")

    async def converted(store: Store) -> list[Any]:
        async with store.connection() as connection:
            before = [await connection.fetchval(INDEXES, t) for t in tables]
            for statement in statements():
                if not FOREIGN.match(statement):
                    await connection.execute(statement)
            return before

    before = run(url, converted)
    assert [query(url, INDEXES, table)[0][0] for table in tables] == before
    assert [query(url, KIND, table)[0][0] for table in tables] == ["r", "r"]
    World({"ana": [(0, 1, 1), (4, 9, 9)]}, 4.0).store(url)
    counted = query(url, "select count(*) from trajectories where global_id = $1", person_id("ana"))
    assert counted[0][0] == 40
    with pytest.raises(InvalidInputError, match="TimescaleDB"):
        asyncio.run(back_up(url, tmp_path / "spoton.tar"))

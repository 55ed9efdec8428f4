"""TimescaleDB: the one place where storage differs from plain PostgreSQL.

Used where the server has the extension loaded and the database asks for it (``alter database
spoton set spoton.timescaledb = on``), once, before the first row. The two big tables become
hypertables with a chunk a day, compressed a week after it was begun; names, columns, keys and so
all queries stay. Whatever goes wrong is rolled back and logged, and the tables stay partitioned.
"""

from typing import Any

import asyncpg
import structlog

log = structlog.get_logger()
NAME = "timescaledb"
WANTED = """
select exists (select from pg_available_extensions where name = 'timescaledb')
  and current_setting('shared_preload_libraries') like '%timescaledb%'
  and coalesce(current_setting('spoton.timescaledb', true), 'off') in ('on', 'true', '1')
  and not exists (select from schema_migrations where name = 'timescaledb')
  and not exists (select from tracking_events) and not exists (select from trajectories)"""
# Together they hold the columns of the primary key, as compressed chunks with one need.
SEGMENT_BY = {"tracking_events": "task_id, camera_id", "trajectories": "task_id, global_id"}
ORDER_BY = {
    "tracking_events": "frame_index, track_id, media_time",
    "trajectories": "frame_index, media_time",
}
HYPERTABLE = """select create_hypertable('{table}'::regclass,
  by_range('media_time', interval '1 day'), create_default_indexes => false)"""
COMPRESS = """alter table {table} set (timescaledb.compress,
  timescaledb.compress_segmentby = '{segment_by}',
  timescaledb.compress_orderby = '{order_by}')"""
# By the age of a chunk, not of its media times: recordings are often old when they are played.
COMPRESS_LATER = """select add_compression_policy('{table}'::regclass,
  compress_created_before => interval '7 days')"""
NO_PARTITIONS = """create or replace function ensure_partitions(first timestamptz, last timestamptz)
returns void language plpgsql as $$ begin end $$"""
RECORD = f"insert into schema_migrations (name) values ('{NAME}')"  # noqa: S608  # constant


async def use_timescale(connection: Any) -> bool:
    """Turns the empty tables into hypertables where that is wanted and works."""
    return bool(await connection.fetchval(WANTED)) and await convert(connection)


async def convert(connection: Any) -> bool:
    """All of it or nothing; False where the server refuses."""
    try:
        async with connection.transaction():
            for statement in statements():
                await connection.execute(statement)
    except asyncpg.PostgresError as error:
        log.warning("timescaledb_not_used", error=str(error), remedy="tables stay partitioned")
        return False
    log.info("timescaledb_used", tables=list(SEGMENT_BY))
    return True


def statements() -> list[str]:
    """All of them, in order."""
    each = [statement for table in SEGMENT_BY for statement in _of_table(table)]
    return ["create extension if not exists timescaledb", *each, NO_PARTITIONS, RECORD]


def _of_table(table: str) -> list[str]:
    return [
        f"create table {table}_plain (like {table} including all)",
        f"drop table {table}",
        f"alter table {table}_plain rename to {table}",
        HYPERTABLE.format(table=table),
        COMPRESS.format(table=table, segment_by=SEGMENT_BY[table], order_by=ORDER_BY[table]),
        COMPRESS_LATER.format(table=table),
    ]

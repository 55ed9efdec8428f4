"""``spoton export``: tracking data, reports and videos as files, without the control plane."""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from control_plane.audit import record_command
from control_plane.embedded import running_services
from control_plane.exports.orders import (
    Order,
    ReportOrder,
    TrackingDataOrder,
    VideoOrder,
    as_query,
    kind_of,
)
from control_plane.exports.process import make_file, manifest_of, run_job
from control_plane.settings import Settings
from control_plane.store import Store
from control_plane.terminal import console, print_json
from plugins.errors import InvalidInputError, LeaseLostError

ENDED_STATUS = 143


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is exported; ``job`` is how a control plane starts its own children."""
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    data = kinds.add_parser("tracking-data", help="stored boxes or positions")
    data.add_argument("environment")
    data.add_argument("--format", choices=("csv", "json", "parquet"), default="csv")
    data.add_argument("--rows", choices=("detections", "positions"), default="detections")
    data.add_argument("--camera")
    data.add_argument("--person", metavar="GLOBAL_ID")
    data.add_argument("--task", help="of this task instead of the one that speaks for each moment")
    page = kinds.add_parser("analytics-report", help="figures of an environment")
    page.add_argument("environment")
    page.add_argument("--format", choices=("html", "json"), default="html")
    video = kinds.add_parser("video", help="a task's footage with boxes, ids and the floor plan")
    video.add_argument("task")
    video.add_argument("--camera", action="append", help="may be repeated; default: all")
    video.add_argument("--no-map", action="store_true")
    for each in (data, page, video):
        each.add_argument("--start", type=_time, help="media time from, RFC 3339")
        each.add_argument("--end", type=_time, help="media time to")
        each.add_argument("--out", type=Path, required=True, help="file to write")
        each.add_argument("--json", action="store_true", help="one JSON object on the last line")
    job = kinds.add_parser("job")
    job.add_argument("job_id")
    job.add_argument("owner")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Writes the file and says what is in it."""
    if args.what == "job":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED_STATUS))
        try:
            return 0 if run_job(settings, args.job_id, args.owner) else 1
        except LeaseLostError:
            return 0
    order = order_of(args)
    with running_services(settings, needed=("database_url",)) as complete:
        asyncio.run(_account_for(complete.database_url or "", order))
        manifest = _exported(complete, order, args.out)
    if args.json:
        print_json(manifest)
    else:
        console.print(
            f"{args.out}: {manifest['rows']} rows, {manifest['bytes']} bytes", highlight=False
        )
    return 0


def order_of(args: argparse.Namespace) -> Order:
    """The arguments as an order."""
    if args.what == "tracking-data":
        return TrackingDataOrder(
            args.environment,
            args.format,
            args.rows,
            args.start,
            args.end,
            args.camera,
            args.person,
            args.task,
        )
    if args.what == "analytics-report":
        return ReportOrder(args.environment, args.format, args.start, args.end)
    cameras = args.camera or []
    return VideoOrder(args.task, cameras, args.start, args.end, with_map=not args.no_map)


async def _account_for(database_url: str, order: Order) -> None:
    store = Store(database_url)
    try:
        async with store.connection() as connection:
            await record_command(connection, "exports.start", kind_of(order), as_query(order))
    finally:
        await store.close()


def _exported(settings: Settings, order: Order, out: Path) -> dict[str, object]:
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.absolute().parent) as folder:
            made = make_file(settings, order, Path(folder), lambda _: None)
            manifest = manifest_of(str(uuid.uuid4()), datetime.now(UTC), order, made)
            shutil.move(made.path, out)
    except OSError as error:
        raise InvalidInputError(
            f"{out} cannot be written ({error.strerror or error}): choose another place"
        ) from error
    found: dict[str, object] = msgspec.to_builtins(manifest)
    return found


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time such as 2024-05-01T08:00:00Z"
        ) from error
    if time.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone: add Z or an offset")
    return time

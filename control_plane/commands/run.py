"""``spoton run``: one task on this machine, without the control plane."""

import argparse
import asyncio
import os
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import msgspec

from control_plane.catalogue import known_environment
from control_plane.embedded import running_services
from control_plane.health.logs import configure_logging
from control_plane.health.profile import require_profile
from control_plane.settings import Settings
from control_plane.store import Store
from control_plane.task_environment import task_environment
from control_plane.terminal import closing_table, console, print_json, task_progress_bar
from control_plane.worker_settings import worker_settings
from homography.environment import Environment, load_environments
from plugins.errors import InvalidInputError
from plugins.history import LEASE_S
from plugins.media_time import parse_rfc3339
from plugins.messages import TaskProgress, TaskRequest
from plugins.plan import chosen_cameras
from plugins.worker import run_task


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task, and how its result is printed."""
    parser.add_argument("--environment", "-e", required=True, help="id of the environment")
    parser.add_argument(
        "--start", help="media time to start at, RFC 3339; default: the recording's"
    )
    parser.add_argument("--end", help="media time to end at")
    parser.add_argument(
        "--speed",
        default="max",
        type=speed,
        help="factor of real time (0.25 to 4: late sets are dropped), or max (default: as fast as "
        "the machine can, nothing is dropped)",
    )
    parser.add_argument("--cameras", default="", help="comma-separated; default: all")
    parser.add_argument("--seed", type=int, help="names the identities: same input, same ids")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")


def speed(text: str) -> float | None:
    """The value of ``--speed``; None is as fast as the machine can."""
    if text == "max":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.25 <= value <= 4:
        raise argparse.ArgumentTypeError(f"{text!r} is neither max nor between 0.25 and 4")
    return value


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Runs it in this process and prints the closing table or JSON object."""
    configure_logging("warning", settings.log_format)
    catalogue = load_environments(settings.environment_folders())
    request = _request(args)
    environment = known_environment(catalogue, args.environment)
    chosen_cameras(environment, request.cameras)
    require_profile(settings)
    with console.status("starting services") as status:
        services = running_services(settings, lambda name: status.update(f"starting {name}"))
        with services as complete:
            status.stop()
            progress = _play(request, environment, complete)
    if args.json:
        print_json(summary(progress))
    else:
        console.print(closing_table(progress))
    return 0 if progress.status in ("COMPLETED", "STOPPED") else 1


def _request(args: argparse.Namespace) -> TaskRequest:
    for name in ("start", "end"):
        if getattr(args, name):
            parse_rfc3339(getattr(args, name))
    if args.start and args.end and parse_rfc3339(args.start) >= parse_rfc3339(args.end):
        raise InvalidInputError(f"--start {args.start} is not before --end {args.end}")
    return TaskRequest(
        task_id=str(uuid.uuid4()),
        environment_id=args.environment,
        cameras=[camera.strip() for camera in args.cameras.split(",") if camera.strip()],
        start_time=args.start,
        end_time=args.end,
        speed=args.speed,
        seed=args.seed,
    )


def _play(request: TaskRequest, environment: Environment, settings: Settings) -> TaskProgress:
    owner = f"run:{socket.gethostname()}:{os.getpid()}"
    enlist(settings, request, owner)
    environment = task_environment(settings, environment, request.task_id)
    with task_progress_bar(environment.name) as show, _stopping() as stop:
        return run_task(request, environment, worker_settings(settings), owner, show, stop=stop)


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Set by the first Ctrl-C or SIGTERM: what was played is stored. The second breaks off."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def enlist(settings: Settings, request: TaskRequest, owner: str) -> None:
    """Writes the task's row, its lease with ``owner`` from the start."""

    async def create() -> None:
        store = Store(settings.database_url or "")
        try:
            await store.create_task(request, owner=owner, lease_s=LEASE_S)
        finally:
            await store.close()

    asyncio.run(create())


def summary(progress: TaskProgress) -> dict[str, object]:
    """The JSON object of ``--json``."""
    return {
        "status": progress.status,
        "error": progress.error,
        "sets": progress.sets,
        "dropped": progress.dropped,
        "persons": progress.persons,
        "sets_per_s": progress.sets_per_s,
        "stage_ms": progress.stage_ms,
        "cameras": msgspec.to_builtins(progress.cameras),
    }

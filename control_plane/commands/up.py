"""``spoton up``: everything on this machine; Ctrl-C ends it all, cleanly."""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from control_plane.commands.run import speed
from control_plane.embedded import check_port, die_with_parent, running_services
from control_plane.logs import configure_logging
from control_plane.settings import Settings, as_environment
from control_plane.terminal import closing_table, console, task_progress_bar
from plugins.errors import SpotOnError
from plugins.messages import TERMINAL_STATUSES, TaskProgress

PARTS = ("api", "worker")
START_S = 60.0
STOP_S = 20.0
WATCH_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to play once everything is up."""
    parser.add_argument(
        "--play", metavar="ENVIRONMENT", help="start a task of it and show progress"
    )
    parser.add_argument(
        "--speed",
        default=1.0,
        type=speed,
        help="with --play: factor of real time, or max (default 1)",
    )
    parser.add_argument(
        "--exit", action="store_true", help="with --play: end when the task has ended"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Starts all, plays if asked, and stays until Ctrl-C or SIGTERM."""
    configure_logging("warning", settings.log_format)
    check_port(settings.host, settings.port)
    with _ending() as ended, ExitStack() as stack:
        with console.status("starting services") as status:
            started = running_services(settings, lambda name: status.update(f"starting {name}"))
            complete = stack.enter_context(started)
            status.update("starting the control plane and the worker")
            parts = stack.enter_context(_parts(complete))
            _wait_for_api(complete, parts, ended)
        address = f"http://{complete.host}:{complete.port}"
        console.print(f"SpotOn is up: [bold]{address}[/]  (logs: {complete.data_dir / 'logs'})")
        succeeded = _play(args, address, parts, ended) if args.play else True
        if not (args.play and args.exit):
            console.print("Ctrl-C ends it.")
            while not ended.wait(WATCH_S):
                parts.restart_dead()
    return 0 if succeeded else 1


@contextmanager
def _ending() -> Iterator[threading.Event]:
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Parts:
    """The control plane and the worker as child processes, started again when they die."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._logs = settings.data_dir.resolve() / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._children = {name: self._start(name) for name in PARTS}

    def restart_dead(self) -> None:
        """Looks at each child once."""
        for name, child in self._children.items():
            if child.poll() is not None:
                console.print(f"[yellow]{name} ended with {child.returncode}; starting it again[/]")
                self._children[name] = self._start(name)

    def log_of(self, name: str) -> Path:
        """Where a part's log goes."""
        return self._logs / f"{name}.log"

    def stop(self) -> None:
        """The worker first, so that no request finds it gone."""
        for child in reversed(self._children.values()):
            child.terminate()
        for child in self._children.values():
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        with self.log_of(name).open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "control_plane", name],
                env=os.environ | as_environment(self._settings),
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # prctl only, no locks are taken
            )


@contextmanager
def _parts(settings: Settings) -> Iterator[Parts]:
    parts = Parts(settings)
    try:
        yield parts
    finally:
        parts.stop()


def _wait_for_api(settings: Settings, parts: Parts, ended: threading.Event) -> None:
    deadline = time.monotonic() + START_S
    while not ended.is_set():
        try:
            call(f"http://{settings.host}:{settings.port}/live")
        except OSError as error:
            if time.monotonic() > deadline:
                raise SpotOnError(
                    f"the control plane does not answer ({error}); see {parts.log_of('api')}"
                ) from error
            parts.restart_dead()
            ended.wait(0.1)
        else:
            return


def _play(args: argparse.Namespace, address: str, parts: Parts, ended: threading.Event) -> bool:
    body = {"environment_id": args.play, "speed": "max" if args.speed is None else args.speed}
    tasks = f"{address}/api/v1/processing-tasks"
    task = call(f"{tasks}/start", body)
    console.print(f"Watch it live: [bold]{address}/?task={task['task_id']}[/]")
    with task_progress_bar(args.play) as show:
        progress = _follow(f"{tasks}/{task['task_id']}/status", show, parts, ended)
    console.print(closing_table(progress))
    return progress.status == "COMPLETED"


def _follow(
    status_url: str, show: Callable[[TaskProgress], None], parts: Parts, ended: threading.Event
) -> TaskProgress:
    progress = TaskProgress()
    while progress.status not in TERMINAL_STATUSES and not ended.wait(WATCH_S):
        parts.restart_dead()
        # Whatever is away for a moment comes back: it is watched over, here or by its service.
        with suppress(OSError, SpotOnError):
            progress = msgspec.convert(call(status_url), TaskProgress)
            show(progress)
    return progress


def call(url: str, body: object = None) -> Any:
    """GET, or POST with a JSON body; the decoded answer. SpotOnError with the answer's message."""
    data = None if body is None else msgspec.json.encode(body)
    request = urllib.request.Request(  # noqa: S310  # http on this machine
        url, data=data, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return msgspec.json.decode(answer.read())
    except urllib.error.HTTPError as error:
        raise SpotOnError(msgspec.json.decode(error.read())["error"]["message"]) from error

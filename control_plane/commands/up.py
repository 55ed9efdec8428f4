"""``spoton up``: everything on this machine; Ctrl-C ends it all, cleanly."""

import argparse
import asyncio
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from control_plane import demo
from control_plane.access.local_login import log_in_here, with_demo_access
from control_plane.app import open_listener
from control_plane.commands.run import speed, summary
from control_plane.embedded import die_with_parent, running_services
from control_plane.health.logs import configure_logging
from control_plane.health.profile import require_profile
from control_plane.settings import Settings, as_environment
from control_plane.terminal import closing_table, console, print_json, task_progress_bar
from plugins.errors import SpotOnError, UnavailableError
from plugins.evaluation.report import MethodScores
from plugins.messages import TERMINAL_STATUSES, TaskProgress

PARTS = ("api", "worker")
START_S = 180.0
STOP_S = 20.0
TASK_STOPS_S = 10.0
WATCH_S = 0.5
MAX_DEATHS = 3
LOG_LINES_SHOWN = 5
# Addresses to listen on that are none to call.
CALLED_AS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # of every interface, if asked for
# What runs on this machine is never asked for through a proxy.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to play once everything is up."""
    played = parser.add_mutually_exclusive_group()
    played.add_argument(
        "--play", metavar="ENVIRONMENT", help="start a task of it and show progress"
    )
    played.add_argument(
        "--demo",
        action="store_true",
        help="render a scene (once), play it, and hold the result against the truth; ends by "
        "itself where nobody can press Ctrl-C",
    )
    parser.add_argument(
        "--speed", default=1.0, type=speed, help="of playing: factor of real time, or max"
    )
    parser.add_argument("--exit", action="store_true", help="end when the task has ended")
    parser.add_argument("--json", action="store_true", help="one JSON object after the task")
    scene = parser.add_argument_group("with --demo")
    for name, kind in (("people", int), ("seconds", float), ("seed", int)):
        default = getattr(demo.Wanted(), name)
        scene.add_argument(f"--{name}", type=kind, default=default, help=f"default {default:g}")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Starts all, plays if asked, and stays until Ctrl-C or SIGTERM."""
    configure_logging("warning", settings.log_format)
    require_profile(settings)
    settings = with_demo_access(settings)
    open_listener(settings.host, settings.port).close()
    if args.demo:
        wanted = demo.Wanted(args.people, args.seconds, args.seed)
        settings = demo.render_demo(settings, wanted)
    environment_id = demo.ENVIRONMENT if args.demo else args.play
    succeeded = True
    with _ending() as ended, _started(settings, ended) as parts:
        if environment_id and not ended.is_set():
            succeeded = _play(environment_id, args, parts, ended)
        if not _ends_by_itself(args) and not ended.is_set():
            console.print("Ctrl-C ends it.")
            while not ended.wait(WATCH_S):
                parts.restart_dead()
    return 0 if succeeded else 1


def _ends_by_itself(args: argparse.Namespace) -> bool:
    if args.demo:
        return args.exit or not sys.stdin.isatty()
    return bool(args.play and args.exit)


@contextmanager
def _started(settings: Settings, ended: threading.Event) -> Iterator["Parts"]:
    with console.status("starting services") as status:
        services = running_services(settings, lambda name: status.update(f"starting {name}"))
        with services as complete:
            status.update("starting the control plane and the worker")
            token = asyncio.run(log_in_here(complete))
            with _parts(complete, token) as parts:
                address = address_of(settings.host, settings.port)
                wait_for_api(address, parts, ended)
                status.stop()
                if not ended.is_set():
                    logs = parts.log_of("api").parent
                    console.print(
                        f"SpotOn is up: [bold]{address}[/] (logs: {logs})", soft_wrap=True
                    )
                yield parts


def address_of(host: str, port: int) -> str:
    """Where what listens on ``host`` is reached from this machine."""
    called = CALLED_AS.get(host, host)
    return f"http://[{called}]:{port}" if ":" in called else f"http://{called}:{port}"


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

    def __init__(self, settings: Settings, token: str | None = None) -> None:
        self.settings = settings
        self.token = token
        self._logs = settings.data_dir.resolve() / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self.deaths = dict.fromkeys(PARTS, 0)
        self._children = {name: self._start(name) for name in PARTS}

    def restart_dead(self) -> None:
        """Looks at each child once."""
        for name, child in self._children.items():
            if child.poll() is not None:
                console.print(f"[yellow]{name} ended with {child.returncode}; starting it again[/]")
                self.deaths[name] += 1
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
                env=os.environ | as_environment(self.settings),
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # prctl only, no locks are taken
            )


@contextmanager
def _parts(settings: Settings, token: str | None) -> Iterator[Parts]:
    parts = Parts(settings, token)
    try:
        yield parts
    finally:
        parts.stop()


def wait_for_api(address: str, parts: Parts, ended: threading.Event) -> None:
    """Until it answers; SpotOnError with the end of its log when it dies again and again."""
    deadline = time.monotonic() + START_S
    while not ended.is_set():
        try:
            call(f"{address}/live")
        except UnavailableError as error:
            parts.restart_dead()
            if parts.deaths["api"] >= MAX_DEATHS or time.monotonic() > deadline:
                log = parts.log_of("api")
                raise SpotOnError(
                    f"the control plane does not start; the end of {log}:\n{last_lines(log)}"
                ) from error
            ended.wait(0.1)
        else:
            return


def last_lines(path: Path) -> str:
    """The end of a log."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return "".join(deque(file, maxlen=LOG_LINES_SHOWN)).rstrip()


def _play(
    environment_id: str, args: argparse.Namespace, parts: Parts, ended: threading.Event
) -> bool:
    address = address_of(parts.settings.host, parts.settings.port)
    body = {"environment_id": environment_id, "speed": "max" if args.speed is None else args.speed}
    tasks = f"{address}/api/v1/processing-tasks"
    task_id = call(f"{tasks}/start", body, parts.token)["task_id"]
    console.print(f"Watch it live: [bold]{address}/?task={task_id}[/]", soft_wrap=True)
    with task_progress_bar(environment_id) as show:
        progress = _follow(f"{tasks}/{task_id}/status", show, parts, ended)
    if progress.status not in TERMINAL_STATUSES:
        progress = _stopped(f"{tasks}/{task_id}", progress, parts.token)
    console.print(closing_table(progress))
    figures = summary(progress)
    if args.demo and progress.status == "COMPLETED":
        figures["accuracy"] = _held_against_the_truth(parts.settings, task_id)
    if args.json:
        print_json(figures)
    return progress.status != "FAILED"


def _held_against_the_truth(settings: Settings, task_id: str) -> MethodScores:
    with console.status("scoring"):
        scores = demo.score_demo(settings, task_id)
    console.print(demo.accuracy_table(scores))
    console.print(demo.FOR_REAL_FOOTAGE, highlight=False)
    return scores


def _follow(
    status_url: str, show: Callable[[TaskProgress], None], parts: Parts, ended: threading.Event
) -> TaskProgress:
    progress = TaskProgress()
    while progress.status not in TERMINAL_STATUSES and not ended.wait(WATCH_S):
        parts.restart_dead()
        # Whatever is away for a moment comes back: it is watched over, here or by its service.
        with suppress(SpotOnError):
            progress = msgspec.convert(call(status_url, token=parts.token), TaskProgress)
            show(progress)
    return progress


def _stopped(task_url: str, progress: TaskProgress, token: str | None) -> TaskProgress:
    """Stops the task: left as it is, it would be played before whatever is started next."""
    try:
        call(f"{task_url}/stop", {}, token)
    except SpotOnError as error:
        console.print(f"[yellow]the task is not stopped and goes on at the next start[/]: {error}")
        return progress
    deadline = time.monotonic() + TASK_STOPS_S
    while progress.status not in TERMINAL_STATUSES and time.monotonic() < deadline:
        with suppress(SpotOnError):
            answer = call(f"{task_url}/status", token=token)
            progress = msgspec.convert(answer, TaskProgress)
        time.sleep(0.1)
    return progress


def call(url: str, body: object = None, token: str | None = None) -> Any:
    """GET, or POST with a JSON body; the decoded answer. SpotOnError with the answer's message, or
    UnavailableError when none comes.
    """
    data = None if body is None else msgspec.json.encode(body)
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310  # http here
    try:
        with DIRECTLY.open(request, timeout=10) as answer:
            return msgspec.json.decode(answer.read())
    except urllib.error.HTTPError as error:
        raise SpotOnError(msgspec.json.decode(error.read())["error"]["message"]) from error
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(
            f"the control plane does not answer at {url} ({error}): see logs/api.log in the folder "
            "SPOTON_DATA_DIR"
        ) from error

"""A whole scene: who walks where, filmed by all cameras, with the truth beside it; made once."""

import ctypes
import hashlib
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homography.environment import Environment
from plugins.errors import InvalidEnvironmentError, InvalidInputError
from training.behaviour import simulate_walks
from training.camera_view import view_of
from training.demo_room import room_for
from training.filming import Take, film
from training.ground_truth import (
    FOLDER,
    Scene,
    people_as_dicts,
    read_scene,
    write_scene,
    write_world,
)
from training.people import make_people
from training.visibility import MAX_PEOPLE

Show = Callable[[int, int], None]
_POLL_S = 0.1
_PART = ".simulate-{}.part"
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: ``people`` figures for ``seconds``, everything made up from ``seed``."""

    environment: Environment
    seed: int
    people: int
    seconds: float
    out: Path

    @property
    def frames(self) -> int:
        """Moments, each in one picture of every camera."""
        return max(1, round(self.seconds * self.environment.rate_hz))


def simulate(order: Order, show: Show = lambda _done, _total: None) -> tuple[Scene, bool]:
    """Renders the scene into ``order.out`` unless the same is already there; returns it, and
    whether it was there. ``show`` is told pictures done and in all.

    Nothing of an older scene is lost and no half scene is left when this is broken off.
    Raises InvalidInputError for an order or folder that cannot be used, InvalidEnvironmentError
    for a camera without a pose, UnavailableError without OpenGL.
    """
    _check(order)
    fingerprint = _fingerprint(order)
    existing = read_scene(order.out / FOLDER)
    if existing is not None and existing.fingerprint == fingerprint and _has_files(order):
        return existing, True
    _refuse_foreign(order, existing)
    with _part_folder(order.out) as part:
        scene = _make(order, part, fingerprint, show)
        _put_in_place(order, part, scene)
    return scene, False


def _check(order: Order) -> None:
    if not 1 <= order.people <= MAX_PEOPLE:
        raise InvalidInputError(f"--people {order.people}: choose 1 to {MAX_PEOPLE}")
    if not 0 < order.seconds <= 3600:
        raise InvalidInputError(f"--seconds {order.seconds:g}: choose more than 0, up to 3600")
    if order.seed < 0:
        raise InvalidInputError(f"--seed {order.seed}: choose 0 or more")
    for camera in order.environment.cameras:
        view_of(camera)
        if camera.width % 2 or camera.height % 2:
            raise InvalidEnvironmentError(
                f"camera {camera.camera_id}: {camera.width}x{camera.height} cannot be encoded: "
                "make width and height even in its environment file"
            )


def _make(order: Order, part: Path, fingerprint: str, show: Show) -> Scene:
    environment, room = order.environment, room_for(order.environment)
    people = make_people(order.people, order.seed)
    walks = simulate_walks(room, people, order.frames, environment.rate_hz, order.seed)
    numbered = list(enumerate(environment.cameras))
    workers = max(1, min(len(os.sched_getaffinity(0)), len(numbered)))
    takes = [
        Take(
            room,
            people,
            walks,
            tuple(numbered[k::workers]),
            environment.rate_hz,
            order.seed,
            environment.object_store_prefix,
            part,
        )
        for k in range(workers)
    ]
    boxes = _film_all(takes, order.frames, show)
    write_world(part / FOLDER / "world.csv", walks)
    return Scene(
        environment_id=environment.environment_id,
        fingerprint=fingerprint,
        seed=order.seed,
        seconds=order.seconds,
        rate_hz=environment.rate_hz,
        frames=order.frames,
        cameras=[camera.camera_id for camera in environment.cameras],
        boxes=boxes,
        people=people_as_dicts(people),
    )


def _film_all(takes: list[Take], frames: int, show: Show) -> int:
    """One process for each take; told to stop together when one fails or the user breaks off."""
    context = multiprocessing.get_context("spawn")
    done, stop = context.Value("q", 0), context.Event()
    total = sum(len(take.cameras) for take in takes) * frames
    with ProcessPoolExecutor(len(takes), context, _start_worker, (done, stop)) as pool:
        try:
            futures = [pool.submit(_film_one, take) for take in takes]
            _watch(futures, lambda: show(int(done.value), total))
            return sum(future.result() for future in futures)
        except BaseException:
            stop.set()
            raise


def _watch(futures: "list[Future[int]]", show: Callable[[], None]) -> None:
    while not all(future.done() for future in futures):
        for future in futures:
            if future.done():
                future.result()
        show()
        time.sleep(_POLL_S)
    show()


_shared: dict[str, Any] = {}


def _start_worker(done: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too and says stop
    # When the parent is killed, it cannot say so.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    _shared.update(done=done, stop=stop)


def _film_one(take: Take) -> int:
    def tell() -> None:
        with _shared["done"].get_lock():
            _shared["done"].value += len(take.cameras)
        if _shared["stop"].is_set():
            raise InterruptedError("the scene was broken off")

    return film(take, tell)


def _fingerprint(order: Order) -> str:
    """Of the order, the environment's file and the renderer's own code, not what learns from it."""
    digest = hashlib.sha256(repr((order.seed, order.people, order.frames)).encode())
    digest.update(order.environment.path.read_bytes())
    package = Path(__file__).parent
    for path in sorted([*package.glob("[!_]*.py"), *package.glob("shaders/*")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _folders(order: Order) -> list[str]:
    prefix = order.environment.object_store_prefix
    return [str(Path(prefix) / camera.recording_folder) for camera in order.environment.cameras]


def _has_files(order: Order) -> bool:
    return all((order.out / name / "sub_video_01.mp4").is_file() for name in _folders(order))


def _refuse_foreign(order: Order, existing: Scene | None) -> None:
    if existing is not None and existing.environment_id == order.environment.environment_id:
        return
    if existing is not None:
        raise InvalidInputError(
            f"{order.out} holds a scene of {existing.environment_id}: choose another --out"
        )
    taken = [name for name in _folders(order) if (order.out / name).exists()]
    if taken:
        raise InvalidInputError(
            f"{order.out / taken[0]} was not made by spoton simulate and would be replaced: "
            "choose another --out"
        )


@contextmanager
def _part_folder(out: Path) -> Iterator[Path]:
    part = out / _PART.format(os.getpid())
    _remove_abandoned(out)
    try:
        part.mkdir(parents=True)
        yield part
    except OSError as error:
        raise InvalidInputError(f"{out} cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _remove_abandoned(out: Path) -> None:
    """Half scenes of processes that were killed; in a container they may have had our number."""
    for path in out.glob(_PART.format("*")):
        number = path.name.split("-")[1].removesuffix(".part")
        if number == str(os.getpid()) or not Path("/proc", number).exists():
            shutil.rmtree(path, ignore_errors=True)


def _put_in_place(order: Order, part: Path, scene: Scene) -> None:
    """Marks the old scene as void, swaps folder by folder, and marks the new one as whole."""
    truth = order.out / FOLDER
    void = Scene(scene.environment_id, "", scene.seed, 0, scene.rate_hz, 0, [], 0, [])
    write_scene(truth, void)
    truths = [str(Path(FOLDER) / name) for name in (*scene.cameras, "world.csv")]
    for name in (*_folders(order), *truths):
        place = order.out / name
        if place.is_dir():
            shutil.rmtree(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        (part / name).replace(place)
    write_scene(truth, scene)

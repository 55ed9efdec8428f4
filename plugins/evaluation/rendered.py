"""A scene of ``spoton simulate``: its recordings, and its ``ground_truth`` folder.

Boxes of people of whom less than ``MIN_VISIBILITY`` shows are not scored in pictures, nor on the
floor those of whom no camera shows that much.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from homography.environment import Catalogue
from plugins.errors import InvalidInputError, MissingRecordingError
from plugins.evaluation.detected import read_table
from plugins.evaluation.footage import Area, Clip, Footage, NamedBoxes, Places, Truth
from plugins.media.object_store import open_object_store
from plugins.media_time import from_datetime
from plugins.plan import environment_recordings, recorded_plane

LAYOUT = "rendered"
FOLDER = "ground_truth"
SCENE = "scene.json"
MIN_VISIBILITY = 0.3


class _Scene(msgspec.Struct, frozen=True):
    environment_id: str
    fingerprint: str
    rate_hz: float
    frames: int
    cameras: list[str]


def read_rendered(folder: Path, catalogue: Catalogue) -> Footage:
    """The scene as footage; its environment must be one of the catalogue's."""
    scene = _read_scene(folder / FOLDER / SCENE)
    environment = catalogue.environments.get(scene.environment_id)
    if environment is None:
        raise InvalidInputError(
            f"{folder} is a scene of environment {scene.environment_id!r}, which is not known here "
            f"({', '.join(catalogue.environments)}): name its folder in SPOTON_ENVIRONMENTS_DIR"
        )
    cameras = {c.camera_id: c for c in environment.cameras if c.camera_id in scene.cameras}
    store = open_object_store(folder.absolute().as_uri())
    recordings = environment_recordings(environment, tuple(cameras.values()), store)
    problems = [problem for recording in recordings.values() for problem in recording.problems]
    if problems or set(cameras) != set(scene.cameras):
        what = problems[0] if problems else f"cameras {', '.join(scene.cameras)} are not all known"
        raise MissingRecordingError(f"{folder}: {what}; or render the scene again")
    x0, y0, x1, y1 = environment.map_bounds_m
    return Footage(
        name=folder.name,
        layout=LAYOUT,
        rate_hz=scene.rate_hz,
        frames=scene.frames,
        start_ns=from_datetime(environment.recording_start),
        planes={c: recorded_plane(camera, recordings[c]) for c, camera in cameras.items()},
        truth=_truth(folder / FOLDER, scene),
        area=Area(x0, x1, y0, y1),
        clips={
            camera_id: tuple(Clip(s, str(folder / s.key)) for s in recording.sub_videos)
            for camera_id, recording in recordings.items()
        },
    )


def _read_scene(path: Path) -> _Scene:
    try:
        scene = msgspec.json.decode(path.read_bytes(), type=_Scene)
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidInputError(
            f"{path} is not a scene's ({error}): make it by spoton simulate"
        ) from error
    if not scene.fingerprint:
        raise InvalidInputError(f"{path}: rendering was broken off; run spoton simulate again")
    return scene


def _truth(folder: Path, scene: _Scene) -> Truth:
    visible: dict[int, set[str]] = {}
    views = {}
    for camera_id in scene.cameras:
        views[camera_id] = _read_view(folder / camera_id / "gt.txt", visible)
        for frame in range(scene.frames):
            views[camera_id].setdefault(frame, NamedBoxes((), np.empty((0, 4))))
    floor = _read_world(folder / "world.csv", scene.frames)
    unscored = {
        frame: frozenset(set(places) - visible.get(frame, set())) for frame, places in floor.items()
    }
    return Truth(views, floor, unscored)


def _read_view(path: Path, visible: dict[int, set[str]]) -> dict[int, NamedBoxes]:
    """One camera's boxes by frame; adds those who are visible in it to ``visible``."""
    table = read_table(path, 9)
    view = {}
    for frame in np.unique(table[:, 0]).astype(int).tolist():
        rows = table[table[:, 0] == frame]
        names = tuple(str(int(name)) for name in rows[:, 1])
        hidden = frozenset(str(int(row[1])) for row in rows if row[8] < MIN_VISIBILITY)
        boxes = np.column_stack([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]])
        view[frame - 1] = NamedBoxes(names, boxes, hidden)
        visible.setdefault(frame - 1, set()).update(set(names) - hidden)
    return view


def _read_world(path: Path, frames: int) -> Mapping[int, Places]:
    floor: dict[int, Places] = {frame: {} for frame in range(frames)}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        for line in lines:
            frame, name, x, y = line.split(",")
            floor[int(frame) - 1][name] = (float(x), float(y))
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInputError(f"{path} cannot be used ({error!r}): render it again") from error
    return floor

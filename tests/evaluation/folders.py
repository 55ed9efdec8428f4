"""Made-up folders of each layout, and a crowd that needs no pictures."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from homography.environment import load_environments
from plugins.evaluation.footage import Area, Footage, NamedBoxes, Truth
from plugins.tracking.assignment import covered
from tests import blob_world as blobs
from tests.tracking.world import START_NS, box_of
from training.behaviour import simulate_walks
from training.demo_room import room_for
from training.people import make_people

HIDDEN_COVER = 0.6
P = [[800.0, -600.0, 0.0, 2000.0], [0.0, -300.0, -800.0, 3000.0], [0.0, -1.0, 0.0, 6.0]]


def write_detected(folder: Path, frames: int = 3, cameras: tuple[str, ...] = ("Left", "Right")):
    """One person who walks along x; boxes mean little."""
    folder.mkdir(parents=True)
    matrix = np.linalg.inv(np.array(P)[:, [0, 1, 3]]).tolist()
    entries = {name: {"P_3x4": P, "H_image_to_ground_m": matrix} for name in cameras}
    note = {"note": "Image 1600x900, 5 fps", "cameras": entries}
    (folder / "homographies.json").write_text(json.dumps(note))
    for name in cameras:
        lines = [f"{f} -1 {700 + f} 300 100 300 -1 -1 -1 -1" for f in range(1, frames + 1)]
        (folder / f"DET_walk_{name}.txt").write_text("\n".join(lines))
    lines = [f"{f} 4 -1 -1 -1 -1 -1 {f}.5 2.5 0.8 0.5 0.5 0.8" for f in range(1, frames + 1)]
    (folder / "GT_walk_WORLD_CENTROID.txt").write_text("\n".join(lines))
    return folder


def crowd(people: int, seconds: float, seed: int) -> Footage:
    """People of the demo's behaviour in the demo's room: true boxes, no pictures. Who is mostly
    covered by somebody nearer to the camera is not scored; walls and shelves hide nobody.
    """
    environment = load_environments().environments["demo"]
    rate_hz, frames = environment.rate_hz, round(seconds * environment.rate_hz)
    made = make_people(people, seed)
    walks = simulate_walks(room_for(environment), made, frames, rate_hz, seed)
    present = walks.is_present()
    x0, y0, x1, y1 = environment.map_bounds_m
    area = Area(x0, x1, y0, y1)
    floor = {
        frame: {
            str(k): (float(walks.position_m[k, frame, 0]), float(walks.position_m[k, frame, 1]))
            for k in np.flatnonzero(present[:, frame]).tolist()
        }
        for frame in range(frames)
    }
    floor = {f: {n: p for n, p in places.items() if area.holds(p)} for f, places in floor.items()}
    planes = {camera.camera_id: camera.ground_plane for camera in environment.cameras}
    views = {
        camera_id: {frame: _seen(plane, places) for frame, places in floor.items()}
        for camera_id, plane in planes.items()
    }
    visible = {
        f: {n for view in views.values() for n in view[f].names if n not in view[f].unscored}
        for f in floor
    }
    unscored = {f: frozenset(set(places) - visible[f]) for f, places in floor.items()}
    truth = Truth(views, floor, unscored)
    return Footage("crowd", "made up", rate_hz, frames, START_NS, planes, truth, area)


def _seen(plane, places: Mapping[str, tuple[float, float]]) -> NamedBoxes:
    boxes = {name: box_of(plane, place) for name, place in places.items()}
    shown = {name: box for name, box in boxes.items() if box is not None}
    if not shown:
        return NamedBoxes((), np.empty((0, 4)))
    table = np.array(list(shown.values()))
    cover = covered(table, table)
    is_nearer = table[None, :, 3] > table[:, None, 3]
    hidden = np.where(is_nearer, cover, 0).max(axis=1) > HIDDEN_COVER
    names = tuple(shown)
    return NamedBoxes(names, table, frozenset(np.array(names, object)[hidden].tolist()))


def write_filmed(folder: Path) -> Path:
    """The red and blue world's four videos, one each, and its truth in the laboratory's layout."""
    (folder / "videos").mkdir(parents=True)
    scale = np.diag([blobs.HEIGHT / 720, blobs.HEIGHT / 720, 1.0])
    cameras = {}
    for name, real in blobs.CAMERAS.items():
        blobs.record(folder / name, name, (blobs.FRAMES,))
        (folder / name / "sub_video_01.mp4").rename(folder / "videos" / f"{name}.mp4")
        (folder / name).rmdir()
        matrix = real.image_to_ground @ np.linalg.inv(scale)
        K = (scale @ real.K).tolist()
        cameras[name] = {
            "H_undistorted_image_to_ground_m": matrix.tolist(),
            "K": K,
            "dist": [0] * 5,
        }
    (folder / "homographies.json").write_text(json.dumps({"cameras": cameras}))
    frames = [{"frame": f, "people": _blob_people(f)} for f in range(blobs.FRAMES)]
    (folder / "pseudo_gt.json").write_text(json.dumps({"fps": blobs.RATE_HZ, "frames": frames}))
    return folder


def _blob_people(frame: int) -> list[dict[str, object]]:
    return [
        {
            "id": name,
            "ground_m": place.tolist(),
            "views": {c: blobs.figure_box(real, place) for c, real in blobs.CAMERAS.items()},
        }
        for name, place in zip(("red", "blue"), blobs.positions_m(frame), strict=True)
    ]

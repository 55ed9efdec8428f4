"""Reads the real sequences of ``SPOTON_TEST_DATA`` and runs the tracker over them."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import rq

from homography.ground_plane import GroundPlane
from homography.lens import Lens
from plugins.frames import NS_PER_S, CropRequest, Detections
from plugins.tracking import SetResult, Tracker, TrackingParameters
from tests.tracking.scoring import Places

Embed = Callable[[list[CropRequest]], npt.NDArray[np.float32] | None]
START_NS = 1_700_000_000 * NS_PER_S
# The truth of both room sequences covers this part of the floor only.
ROOM_M = (2.03, 0.0, 6.3, 3.41)


def room_planes(folder: Path) -> dict[str, GroundPlane]:
    """The four corner cameras; K comes from the given projection matrices."""
    cameras = json.loads((folder / "homographies.json").read_text())["cameras"]
    return {name: _room_plane(camera) for name, camera in cameras.items()}


def _room_plane(camera: dict[str, Any]) -> GroundPlane:
    K = np.abs(rq(np.array(camera["P_3x4"])[:, :3])[0])
    K[0, 1] = 0.0
    return GroundPlane.from_matrix(
        camera["H_image_to_ground_m"], 1920, 1024, lens=Lens.from_coefficients(K / K[2, 2])
    )


def room_detections(folder: Path) -> list[dict[str, Detections]]:
    """Boxes of each frame by camera; they come without scores, so all count as sure."""
    tables = {p.stem[-4:]: np.loadtxt(p) for p in sorted(folder.glob("DET_*.txt"))}
    last = max(int(table[:, 0].max()) for table in tables.values())
    return [
        {name: _rows(table[table[:, 0] == frame]) for name, table in tables.items()}
        for frame in range(1, last + 1)
    ]


def _rows(rows: npt.NDArray[np.float64]) -> Detections:
    boxes = np.column_stack([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]]).astype(np.float32)
    limits = np.array([1920, 1024, 1920, 1024], np.float32)
    return Detections(np.clip(boxes, 0, limits), np.ones(len(boxes), np.float32))


def room_truth(folder: Path, frames: int) -> list[Places]:
    """True places of each frame by person."""
    (path,) = folder.glob("GT_*.txt")
    table = np.loadtxt(path)
    truth: list[Places] = [{} for _ in range(frames)]
    for row in table:
        if 0 <= int(row[0]) - 1 < frames:
            truth[int(row[0]) - 1][str(int(row[1]))] = (float(row[7]), float(row[8]))
    return [clipped(places) for places in truth]


def clipped(places: Places) -> Places:
    """Without those outside of the part of the room that the truth covers."""
    x0, y0, x1, y1 = ROOM_M
    return {n: (x, y) for n, (x, y) in places.items() if x0 <= x <= x1 and y0 <= y <= y1}


def without_pictures(requests: list[CropRequest]) -> None:
    """No appearance: identities come from places alone."""


def track(
    planes: dict[str, GroundPlane],
    sets: Iterable[dict[str, Detections]],
    rate_hz: float,
    embed: Embed = without_pictures,
    parameters: TrackingParameters | None = None,
) -> list[SetResult]:
    """Runs a new tracker over all sets."""
    tracker = Tracker(planes, parameters or TrackingParameters(), "seed", "test")
    results = []
    for index, detections in enumerate(sets):
        time_ns = START_NS + round(index * NS_PER_S / rate_hz)
        results.append(tracker.identify(embed(tracker.associate(index, time_ns, detections))))
    return results


def places_of(result: SetResult) -> Places:
    """Floor positions by global id."""
    return {p.global_id: p.position_m for p in result.positions}

"""A folder of boxes without pictures: ``DET_*_CAMERA.txt`` for each camera, ``homographies.json``,
and people's places in ``GT_*_WORLD_CENTROID.txt``.

Lines of a ``DET`` file: frame from 1, -1, left, top, width, height in pixels, score (-1 for none).
Lines of the truth: frame from 1, person, five unused, x, y, z in metres of the body's middle.
``EST_*_WORLD_CENTROID.txt``, where it is there, is another program's result in the same form.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from plugins.errors import InvalidInputError
from plugins.evaluation.calibrations import Calibrations, planes_of, read_calibrations
from plugins.evaluation.footage import Footage, Places, Truth
from plugins.evaluation.rooms import area_of
from plugins.frames import NS_PER_S, Detections

LAYOUT = "detections"
DETECTIONS = "DET_*.txt"
TRUTH = "GT_*_WORLD_CENTROID.txt"
PUBLISHED = "EST_*_WORLD_CENTROID.txt"
DEFAULT_RATE_HZ = 4.0
START_NS = 1_700_000_000 * NS_PER_S
Table = npt.NDArray[np.float64]
Size = tuple[int, int]


def read_detected(folder: Path, rate_hz: float | None = None) -> Footage:
    """The folder as footage; frames a second are those given, else those that
    ``homographies.json`` notes, else 4.
    """
    tables = {
        path.stem.rpartition("_")[2]: read_table(path, 6)
        for path in sorted(folder.glob(DETECTIONS))
    }
    floor = read_places(_only(folder, TRUTH))
    calibrations = read_calibrations(folder)
    sizes = _sizes(calibrations, tables)
    planes = planes_of(calibrations, sizes, folder)
    frames = max(int(table[:, 0].max(initial=0)) for table in tables.values())
    every = {frame: floor.get(frame, {}) for frame in range(max(floor, default=-1) + 1)}
    return Footage(
        name=folder.name,
        layout=LAYOUT,
        rate_hz=rate_hz or calibrations.noted_rate_hz() or DEFAULT_RATE_HZ,
        frames=frames,
        start_ns=START_NS,
        planes=planes,
        truth=Truth(views=None, floor=every),
        area=area_of(folder, planes, floor),
        detections=list(_sets(tables, sizes, frames)),
    )


def read_published(folder: Path) -> dict[int, Places] | None:
    """Another program's places by frame, None where the folder has none."""
    paths = sorted(folder.glob(PUBLISHED))
    return read_places(paths[0]) if paths else None


def read_places(path: Path) -> dict[int, Places]:
    """Places (x, y) in metres by person, by frame from 0."""
    floor: dict[int, Places] = {}
    for row in read_table(path, 9):
        floor.setdefault(int(row[0]) - 1, {})[str(int(row[1]))] = (float(row[7]), float(row[8]))
    return floor


def read_table(path: Path, columns: int) -> Table:
    """Numbers (N, >= columns); InvalidInputError for anything else."""
    try:
        text = path.read_text(encoding="utf-8").replace(",", " ")
        table = np.array([line.split() for line in text.splitlines() if line.strip()], float)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InvalidInputError(f"{path} is no table of numbers ({error}): mend it") from error
    if table.size == 0:
        return np.empty((0, columns))
    if table.ndim != 2 or table.shape[1] < columns:
        raise InvalidInputError(f"{path} needs {columns} columns and has {table.shape[-1]}")
    return table


def _only(folder: Path, pattern: str) -> Path:
    paths = sorted(folder.glob(pattern))
    if len(paths) != 1:
        raise InvalidInputError(f"{folder} has {len(paths)} files {pattern}: leave one")
    return paths[0]


def _sizes(calibrations: Calibrations, tables: Mapping[str, Table]) -> dict[str, Size]:
    """Of each camera's pictures: as calibrated, as noted, else as far as any box reaches."""
    noted = calibrations.noted_size()
    reach = [t[:, 2:4] + t[:, 4:6] for t in tables.values() if len(t)]
    far = np.ceil(np.concatenate(reach).max(axis=0)) if reach else np.array([2.0, 2.0])
    size = noted or (int(far[0]), int(far[1]))
    known = {name: calibrations.cameras.get(name) for name in tables}
    return {
        name: (camera.width, camera.height)
        if camera is not None and camera.width and camera.height
        else size
        for name, camera in known.items()
    }


def _sets(
    tables: Mapping[str, Table], sizes: Mapping[str, Size], frames: int
) -> Iterator[dict[str, Detections]]:
    for frame in range(1, frames + 1):
        yield {
            name: _detections(table[table[:, 0] == frame], sizes[name])
            for name, table in tables.items()
        }


def _detections(rows: Table, size: Size) -> Detections:
    """Boxes without a score count as sure."""
    low = rows[:, 2:4]
    boxes = np.clip(np.column_stack([low, low + rows[:, 4:6]]), 0, np.tile(size, 2))
    scores = rows[:, 6] if rows.shape[1] > 6 else np.full(len(rows), -1.0)
    scores = np.where(scores < 0, 1.0, np.clip(scores, 0, 1))
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes[order].astype(np.float32), scores[order].astype(np.float32))

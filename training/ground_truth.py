"""What is true of a rendered scene, as files: boxes per camera, positions in metres, people."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from plugins.errors import InvalidInputError
from training.behaviour import Walks
from training.people import Person

FOLDER = "ground_truth"
_MIN_VISIBILITY = 0.01
_MIN_SIDE_PX = 2.0


class Scene(msgspec.Struct, frozen=True):
    """``scene.json``. ``fingerprint`` is of everything that the scene depends on; empty while its
    files are being replaced.
    """

    environment_id: str
    fingerprint: str
    seed: int
    seconds: float
    rate_hz: float
    frames: int
    cameras: list[str]
    boxes: int
    people: list[dict[str, object]]


def gt_lines(
    frame: int,
    boxes_xyxy: npt.NDArray[np.float64],
    visibility: npt.NDArray[np.float64],
    width: int,
    height: int,
) -> list[str]:
    """Lines of MOTChallenge's ``gt.txt`` for the 0-based ``frame``: frame from 1, id from 1, left,
    top, width, height in pixels, 1, class 1 (pedestrian), visibility. Boxes are of the whole
    person, hidden parts too, cut at the picture's border; who is not seen at all has no line.
    Source: Dendorfer et al., "MOT20", 2020, table 4.
    """
    low = np.clip(boxes_xyxy[:, :2], 0, (width, height))
    size = np.clip(boxes_xyxy[:, 2:], 0, (width, height)) - low
    is_seen = (visibility >= _MIN_VISIBILITY) & (size >= _MIN_SIDE_PX).all(axis=1)
    return [
        f"{frame + 1},{k + 1},{low[k, 0]:.2f},{low[k, 1]:.2f},{size[k, 0]:.2f},{size[k, 1]:.2f},"
        f"1,1,{visibility[k]:.3f}"
        for k in np.nonzero(is_seen)[0]
    ]


def write_world(path: Path, walks: Walks) -> None:
    """``frame,id,x_m,y_m`` of everybody who is there: frames from 1, map coordinates."""
    lines = ["frame,id,x_m,y_m"]
    for person, frame in np.argwhere(walks.is_present().T)[:, ::-1]:
        x, y = walks.position_m[person, frame]
        lines.append(f"{frame + 1},{person + 1},{x:.4f},{y:.4f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def people_as_dicts(people: Sequence[Person]) -> list[dict[str, object]]:
    """For ``scene.json``."""
    return [asdict(person) for person in people]


def write_scene(folder: Path, scene: Scene) -> None:
    """Replaces ``scene.json`` in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "scene.json.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(scene), indent=2) + b"\n")
    part.replace(folder / "scene.json")


def read_scene(folder: Path) -> Scene | None:
    """None where there is none. Raises InvalidInputError where the file cannot be understood."""
    path = folder / "scene.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Scene)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidInputError(
            f"{path} is not a scene's ({error}): choose another folder with --out, or remove it"
        ) from error

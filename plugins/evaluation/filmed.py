"""A folder of videos: ``videos/CAMERA.mp4``, ``homographies.json`` and ``pseudo_gt.json``.

The truth lists some people in some views of some frames; a view or person that it lacks is not
known to be absent.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from plugins.errors import InvalidInputError
from plugins.evaluation.calibrations import planes_of, read_calibrations
from plugins.evaluation.footage import Clip, Footage, NamedBoxes, Truth
from plugins.frames import NS_PER_S
from plugins.media.mp4 import read_mp4_info
from plugins.media.timeline import SubVideo

LAYOUT = "videos"
VIDEOS = "videos/*.mp4"
TRUTH = "pseudo_gt.json"
START_NS = 1_700_000_000 * NS_PER_S


class _Person(msgspec.Struct, frozen=True):
    id: str
    views: dict[str, tuple[float, float, float, float]]
    ground_m: tuple[float, float] | None = None


class _Frame(msgspec.Struct, frozen=True):
    frame: int
    people: list[_Person]


class _Listed(msgspec.Struct, frozen=True):
    frames: list[_Frame]
    fps: float | None = None


def read_filmed(folder: Path, rate_hz: float | None = None) -> Footage:
    """The folder as footage, at ``rate_hz``, else the truth's ``fps``, else that of the videos."""
    clips = {path.stem: (_clip(path),) for path in sorted(folder.glob(VIDEOS))}
    videos = {camera_id: clip.sub_video for camera_id, (clip,) in clips.items()}
    listed = _read_listed(folder / TRUTH)
    first = next(iter(videos.values()))
    rate_hz = rate_hz or listed.fps or NS_PER_S / first.frame_interval_ns
    end_ns = max(video.end_ns for video in videos.values())
    sizes = {camera_id: (video.width, video.height) for camera_id, video in videos.items()}
    return Footage(
        name=folder.name,
        layout=LAYOUT,
        rate_hz=rate_hz,
        frames=round((end_ns - START_NS) * rate_hz / NS_PER_S),
        start_ns=START_NS,
        planes=planes_of(read_calibrations(folder), sizes, folder),
        truth=_truth(listed, tuple(videos), folder / TRUTH),
        area=None,
        clips=clips,
    )


def _clip(path: Path) -> Clip:
    with path.open("rb") as file:

        def read(start: int, length: int) -> bytes:
            file.seek(start)
            return file.read(length)

        size = path.stat().st_size
        info = read_mp4_info(read, size, str(path))
    video = SubVideo(
        camera_id=path.stem,
        key=f"videos/{path.name}",
        start_ns=START_NS,
        duration_ns=info.duration_ns,
        frame_count=info.frame_count,
        width=info.width,
        height=info.height,
        frame_interval_ns=info.frame_interval_ns,
        size_bytes=size,
    )
    return Clip(video, str(path))


def _read_listed(path: Path) -> _Listed:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Listed)
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidInputError(
            f"{path} cannot be used ({error}): give "
            '{"frames": [{"frame": 0, "people": [{"id": …, "views": {…}}]}]}'
        ) from error


def _truth(listed: _Listed, camera_ids: tuple[str, ...], path: Path) -> Truth:
    named = _cameras_by_view(
        {v for f in listed.frames for p in f.people for v in p.views}, camera_ids, path
    )
    views: dict[str, dict[int, NamedBoxes]] = {camera_id: {} for camera_id in camera_ids}
    for frame in listed.frames:
        for view, camera_id in named.items():
            seen = [(p.id, p.views[view]) for p in frame.people if view in p.views]
            if seen:
                boxes = np.array([box for _, box in seen], float)
                views[camera_id][frame.frame] = NamedBoxes(tuple(n for n, _ in seen), boxes)
    floor = {
        f.frame: {p.id: p.ground_m for p in f.people if p.ground_m is not None}
        for f in listed.frames
    }
    return Truth(views, floor if any(floor.values()) else None, lists_everybody=False)


def _cameras_by_view(views: set[str], camera_ids: tuple[str, ...], path: Path) -> Mapping[str, str]:
    """Views are named as cameras are, or by the number at the end of a camera's name."""
    numbers = {re.sub(r".*?0*(\d+)$", r"\1", camera_id): camera_id for camera_id in camera_ids}
    named = {}
    for view in sorted(views):
        camera_id = view if view in camera_ids else numbers.get(view.lstrip("0") or "0")
        if camera_id is None:
            raise InvalidInputError(
                f"{path} has a view {view!r}, and no video is named so: there are "
                f"{', '.join(camera_ids)}"
            )
        named[view] = camera_id
    return named

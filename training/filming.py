"""One worker's part of a scene: some of the cameras, from figures to sub-videos and boxes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from homography.environment import Camera
from plugins.gst.encoder import VideoWriter
from training.behaviour import Walks
from training.camera_view import grade_of, view_of
from training.gait import Motion, bone_matrices
from training.ground_truth import FOLDER, gt_lines
from training.people import Person
from training.render import Rendered, Renderer
from training.room import Room

SUB_VIDEO_S = 15.0
_QUANTIZER = 26


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """What is filmed. ``cameras`` are this worker's with their numbers in the environment."""

    room: Room
    people: tuple[Person, ...]
    walks: Walks
    cameras: tuple[tuple[int, Camera], ...]
    rate_hz: float
    seed: int
    prefix: str
    out: Path


def film(take: Take, tell: Callable[[], None]) -> int:
    """Writes ``{prefix}/{folder}/sub_video_NN.mp4`` and ``ground_truth/{camera}/gt.txt`` of the
    take's cameras; returns how many boxes. ``tell`` is called for each moment that is done.
    """
    cv2.setNumThreads(1)
    views = [(view_of(camera), grade_of(number, take.seed)) for number, camera in take.cameras]
    renderer = Renderer(take.room, take.people, views)
    lines: list[list[str]] = [[] for _ in take.cameras]
    for number, frames in enumerate(_sub_videos(take), start=1):
        bones = _bones(take, frames)
        with ExitStack() as stack:
            writers = [stack.enter_context(_writer(take, c, number)) for _, c in take.cameras]
            for frame in frames:
                pictures = renderer.render(bones[:, frame - frames.start], frame)
                for k, picture in enumerate(pictures):
                    writers[k].write_i420(picture.i420)
                    lines[k] += _lines(take.cameras[k][1], frame, picture)
                tell()
    for (_, camera), own in zip(take.cameras, lines, strict=True):
        _write_lines(take.out / FOLDER / camera.camera_id / "gt.txt", own)
    return sum(len(own) for own in lines)


def _sub_videos(take: Take) -> Iterator[range]:
    total, each = take.walks.position_m.shape[1], max(1, round(SUB_VIDEO_S * take.rate_hz))
    return (range(first, min(first + each, total)) for first in range(0, total, each))


def _bones(take: Take, frames: range) -> npt.NDArray[np.float64]:
    """(P, F, 13, 3, 4)."""
    part, walks = slice(frames.start, frames.stop), take.walks
    seconds = np.arange(frames.start, frames.stop) / take.rate_hz
    motions = [
        Motion(
            walks.position_m[k, part],
            walks.heading_rad[k, part],
            walks.speed_mps[k, part],
            walks.cycles[k, part],
            seconds,
        )
        for k in range(len(take.people))
    ]
    pairs = zip(take.people, motions, strict=True)
    return np.stack([bone_matrices(person, motion) for person, motion in pairs])


def _writer(take: Take, camera: Camera, number: int) -> VideoWriter:
    folder = take.out / take.prefix / camera.recording_folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"sub_video_{number:02d}.mp4"
    size = (camera.width, camera.height)
    return VideoWriter(path, take.rate_hz, *size, quantizer=_QUANTIZER, preset="superfast")


def _lines(camera: Camera, frame: int, picture: Rendered) -> list[str]:
    return gt_lines(frame, picture.boxes_xyxy, picture.visibility, camera.width, camera.height)


def _write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")

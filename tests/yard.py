"""Environment ``yard``: cameras whose frames carry their numbers, recorded for a test."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.recordings import write_video

RATE_HZ = 10
START = "2024-05-01T09:00:00Z"
ENVIRONMENT = f"""
environment_id = "yard"
name = "Yard"
environment_type = "test"
description = "Cameras whose frames carry their numbers"
timezone = "UTC"
recording_start = {START}
rate_hz = {RATE_HZ}.0
object_store_prefix = "yard"
map_bounds_m = [0.0, 0.0, 20.0, 15.0]
"""
CAMERA = """
[[cameras]]
camera_id = "{0}"
name = "{0}"
width = 320
height = 240
fps = 10.0
image_to_ground = [[0.0, -0.06, 26.0], [0.04, 0.0, -2.0], [0.0, 0.0, 1.0]]
"""


def write_yard(folder: Path, cuts: Mapping[str, Sequence[int]]) -> None:
    """``yard.toml`` in ``folder`` and, in ``folder/recordings``, each camera's sub-videos of so
    many frames; their numbers go on from one sub-video to the next.
    """
    cameras = "".join(CAMERA.format(camera_id) for camera_id in cuts)
    (folder / "yard.toml").write_text(ENVIRONMENT + cameras, encoding="utf-8")
    for camera_id, counts in cuts.items():
        place = folder / "recordings" / "yard" / camera_id
        place.mkdir(parents=True)
        for number, count in enumerate(counts, 1):
            path = place / f"sub_video_{number:02d}.mp4"
            write_video(path, count, RATE_HZ, first_number=sum(counts[: number - 1]))

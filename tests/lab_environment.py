"""The environment of the real laboratory footage, written where a test wants it."""

import json
from pathlib import Path

CAMERA_IDS = ("cam0", "cam1", "cam2", "cam3")

_HEAD = """\
environment_id = "lab"
name = "Laboratory"
environment_type = "lab"
description = "Four overlapping cameras in one room."
object_store_prefix = "{prefix}"
recording_start = 2021-09-27T16:00:00Z
timezone = "UTC"
rate_hz = 10
map_bounds_m = [-4, -4, 4, 4]

[[zones]]
zone_id = "lab-floor"
name = "Walking area"
zone_type = "room"
capacity = 4
polygon_m = [[-2.5, -3], [3, -3], [3, 2.5], [-2.5, 2.5]]
"""

_CAMERA = """
[[cameras]]
camera_id = "{camera_id}"
name = "Laboratory {camera_id}"
width = 1288
height = 728
fps = 10
image_to_ground = {matrix}

[cameras.lens]
K = {K}
distortion = {distortion}
"""


def write_lab_environment(
    folder: Path, test_data: Path, prefix: str = "lab4", camera_ids: tuple[str, ...] = CAMERA_IDS
) -> Path:
    """Write ``lab.toml`` into ``folder``: the cameras of ``test_data/lab4`` as environment "lab".

    Sub-videos are then expected at ``{prefix}/{camera_id}/sub_video_NN.mp4``.
    """
    calibrations = json.loads((test_data / "lab4" / "homographies.json").read_text())["cameras"]
    path = folder / "lab.toml"
    cameras = (_camera(camera_id, calibrations[camera_id]) for camera_id in camera_ids)
    path.write_text(_HEAD.format(prefix=prefix) + "".join(cameras), encoding="utf-8")
    return path


def _camera(camera_id: str, calibration: dict[str, list[float]]) -> str:
    return _CAMERA.format(
        camera_id=camera_id,
        matrix=calibration["H_undistorted_image_to_ground_m"],
        K=calibration["K"],
        distortion=calibration["dist"],
    )

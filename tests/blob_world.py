"""A complete installation without any real footage or trained weights, every answer known.

A red and a blue figure walk over a dark floor, watched by four cameras. Detector and embedder are
tiny but real ONNX graphs under the model contract: the one boxes what is red and what is blue, the
other is a crop's mean colour. So the whole path runs on any machine.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.homography.synthetic_camera import SyntheticCamera, camera_looking_at
from tests.recordings import VideoWriter

FRAMES, RATE_HZ = 120, 10
WIDTH, HEIGHT = 640, 360
INPUT_HW = (192, 320)
FIGURE_HEIGHT_M = 1.7
COLOURS_BGR = ((40, 40, 220), (220, 70, 40))
CAMERAS = {
    "north": camera_looking_at((0.0, 0.0), (0.5, 7.0, 3.2)),
    "east": camera_looking_at((0.0, 0.0), (7.0, -0.5, 3.0)),
    "south": camera_looking_at((0.0, 0.0), (-0.5, -7.0, 3.4)),
    "west": camera_looking_at((0.0, 0.0), (-7.0, 0.5, 2.8)),
}
CUTS = {"north": (50, 1, 69), "east": (120,), "south": (7, 33, 80), "west": (60, 60)}
START = "2024-05-01T09:00:00Z"
REPOSITORY = Path(__file__).parent.parent / "model_repository"
DONE = "complete"
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class BlobWorld:
    """Where its parts lie."""

    environments: Path
    recordings: Path
    model_repository: Path

    def settings(self) -> dict[str, str]:
        """The variables that make SpotOn use it."""
        return {
            "SPOTON_ENVIRONMENTS_DIR": str(self.environments),
            "SPOTON_OBJECT_STORE_URL": self.recordings.resolve().as_uri(),
            "SPOTON_MODEL_REPOSITORY": str(self.model_repository),
        }


def make_blob_world(folder: Path) -> BlobWorld:
    """Writes environment ``blobs``, its recordings in uneven sub-videos, and both models; once."""
    world = BlobWorld(folder / "environments", folder / "recordings", folder / "model_repository")
    if (folder / DONE).exists():
        return world
    shutil.rmtree(folder, ignore_errors=True)
    world.environments.mkdir(parents=True)
    (world.environments / "blobs.toml").write_text(environment_toml(), encoding="utf-8")
    for camera_id in CAMERAS:
        record(world.recordings / "blobs" / camera_id, camera_id, CUTS[camera_id])
    write_models(world.model_repository)
    (folder / DONE).touch()
    return world


def positions_m(frame: int) -> npt.NDArray[np.float64]:
    """(2, 2): where red and blue stand; they pass each other at a little over a metre."""
    seconds = frame / RATE_HZ
    red = (-2.0 + 0.35 * seconds, 0.7)
    blue = (2.0 - 0.3 * seconds, -0.5 + 0.02 * seconds)
    return np.array([red, blue])


def record(folder: Path, camera_id: str, frame_counts: Sequence[int]) -> None:
    """One camera's sub-videos."""
    folder.mkdir(parents=True)
    first = 0
    for number, count in enumerate(frame_counts, 1):
        path = folder / f"sub_video_{number:02d}.mp4"
        with VideoWriter(path, RATE_HZ, WIDTH, HEIGHT, quantizer=16) as writer:
            for frame in range(first, first + count):
                writer.write(planes(draw(CAMERAS[camera_id], frame)))
        first += count


def draw(camera: SyntheticCamera, frame: int) -> Picture:
    """BGR picture (HEIGHT, WIDTH, 3); who is nearer stands in front."""
    picture = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    positions = positions_m(frame)
    distances = np.linalg.norm(positions - camera.centre_m[:2], axis=1)
    for k in np.argsort(-distances):
        x1, y1, x2, y2 = figure_box(camera, positions[k])
        cv2.rectangle(picture, (x1, y1), (x2, y2), COLOURS_BGR[k], -1)
    return picture


def figure_box(camera: SyntheticCamera, position_m: npt.NDArray[np.float64]) -> list[int]:
    """The figure's box, pixels of the recording."""
    scale = WIDTH / 1280
    [foot] = camera.project_floor([position_m]) * scale
    [head] = camera.project_floor([position_m], FIGURE_HEIGHT_M) * scale
    half = 0.15 * (foot[1] - head[1])
    return [round(v) for v in (foot[0] - half, head[1], foot[0] + half, foot[1])]


def planes(picture: Picture) -> list[Picture]:
    """Y, U and V of a BGR picture."""
    i420 = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    pixels = WIDTH * HEIGHT
    u, v = i420[pixels : pixels * 5 // 4], i420[pixels * 5 // 4 :]
    return [
        plane.reshape(-1, w)
        for plane, w in ((i420[:pixels], WIDTH), (u, WIDTH // 2), (v, WIDTH // 2))
    ]


def environment_toml() -> str:
    """The environment's file."""
    head = f"""
environment_id = "blobs"
name = "Red and blue"
environment_type = "test"
description = "Two figures and four cameras."
object_store_prefix = "blobs"
recording_start = {START}
timezone = "UTC"
rate_hz = {RATE_HZ}
map_bounds_m = [-4, -3, 4, 3]

[[zones]]
zone_id = "blobs-floor"
name = "Floor"
zone_type = "room"
capacity = 1
polygon_m = [[-3, -2], [3, -2], [3, 2], [-3, 2]]
"""
    return head + "".join(camera_toml(c, camera) for c, camera in CAMERAS.items())


def camera_toml(camera_id: str, camera: SyntheticCamera) -> str:
    """One camera of it."""
    scale = np.diag([1280 / WIDTH, 1280 / WIDTH, 1.0])
    matrix = camera.image_to_ground @ scale
    K = np.linalg.inv(scale) @ camera.K
    return f"""
[[cameras]]
camera_id = "{camera_id}"
name = "{camera_id.title()}"
width = {WIDTH}
height = {HEIGHT}
fps = {RATE_HZ}
image_to_ground = {(matrix / matrix[2, 2]).tolist()}

[cameras.lens]
K = {K.tolist()}
distortion = [0, 0, 0, 0, 0]
"""


def write_models(repository: Path) -> None:
    """The project's model configurations, with the two graphs as version 1."""
    shutil.copytree(REPOSITORY, repository, ignore=shutil.ignore_patterns("[0-9]*"))
    for model, graph in (("person_detector", detector()), ("person_reid", embedder())):
        (repository / model / "1").mkdir()
        onnx.save(graph, repository / model / "1" / "model.onnx")


class _Graph:
    """Adds nodes by name of operator; every call gives the output's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, operator: str, *inputs: str, output: str = "", **attributes: object) -> str:
        name = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, *values: float, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def model(
        self, picture: tuple[str, list[object]], outputs: dict[str, tuple[int, list[object]]]
    ) -> onnx.ModelProto:
        given = [helper.make_tensor_value_info(picture[0], TensorProto.UINT8, picture[1])]
        made = [helper.make_tensor_value_info(n, t, s) for n, (t, s) in outputs.items()]
        graph = helper.make_graph(self.nodes, "blobs", given, made, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def detector() -> onnx.ModelProto:
    """Boxes of what is red and of what is blue, score 0.9 where there are more than 20 pixels."""
    g = _Graph()
    rgb = g("Cast", "images", to=TensorProto.FLOAT)
    channel = {
        k: g("Slice", rgb, *(g.constant(v, dtype=np.int64) for v in (k, k + 1, 1))) for k in (0, 2)
    }
    found = [_figure(g, channel[a], channel[b]) for a, b in ((0, 2), (2, 0))]
    boxes = g("Concat", *(box for box, _ in found), axis=1)
    scores = g("Concat", *(score for _, score in found), axis=1)
    g("Pad", boxes, g.constant(0, 0, 0, 0, 98, 0, dtype=np.int64), output="boxes")
    g("Pad", scores, g.constant(0, 0, 0, 98, dtype=np.int64), output="scores")
    g("Cast", g("Mul", "scores", g.constant(0)), to=TensorProto.INT32, output="labels")
    shape = ["N", 100]
    return g.model(
        ("images", ["N", 3, *INPUT_HW]),
        {
            "boxes": (TensorProto.FLOAT, [*shape, 4]),
            "scores": (TensorProto.FLOAT, shape),
            "labels": (TensorProto.INT32, shape),
        },
    )


def _figure(g: _Graph, more: str, less: str) -> tuple[str, str]:
    difference = g("Sub", more, less)
    mask = g("Cast", g("Greater", difference, g.constant(60)), to=TensorProto.FLOAT)
    columns = g("ReduceMax", mask, axes=[1, 2], keepdims=0)
    rows = g("ReduceMax", mask, axes=[1, 3], keepdims=0)
    first = [g("ArgMax", line, axis=1, keepdims=1) for line in (columns, rows)]
    last = [g("ArgMax", line, axis=1, keepdims=1, select_last_index=1) for line in (columns, rows)]
    edges = g("Concat", *first, *last, axis=1)
    corners = g("Add", g("Cast", edges, to=TensorProto.FLOAT), g.constant(0, 0, 1, 1))
    axes = g.constant(1, dtype=np.int64)
    pixels = g("ReduceSum", mask, g.constant(1, 2, 3, dtype=np.int64), keepdims=0)
    enough = g("Cast", g("Greater", pixels, g.constant(20)), to=TensorProto.FLOAT)
    score = g("Unsqueeze", g("Mul", enough, g.constant(0.9)), axes)
    return g("Unsqueeze", corners, axes), score


def embedder() -> onnx.ModelProto:
    """The mean colour of a crop's middle, its grey removed, of length 1."""
    g = _Graph()
    rgb = g("Cast", "crops", to=TensorProto.FLOAT)
    begin, end, axes = ((16, 8), (48, 24), (2, 3))
    middle = g("Slice", rgb, *(g.constant(*v, dtype=np.int64) for v in (begin, end, axes)))
    colour = g("ReduceMean", middle, axes=[2, 3], keepdims=0)
    grey = g("ReduceMean", colour, axes=[1], keepdims=1)
    hue = g("Add", g("Sub", colour, grey), g.constant(1e-3))
    g("LpNormalization", hue, axis=1, p=2, output="embeddings")
    return g.model(("crops", ["N", 3, 64, 32]), {"embeddings": (TensorProto.FLOAT, ["N", 3])})

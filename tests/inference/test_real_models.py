"""Open models and real footage: imported, served, and as good as the originals."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from plugins.frames import Frame
from plugins.inference.detector import Detector
from plugins.inference.embedder import Embedder
from plugins.inference.model_check import iou_to
from plugins.inference.model_import import ImportedModel, import_model
from plugins.inference.triton_client import Triton
from tests.triton_fixtures import empty_repository, triton_url

CAMERAS = ("cam0", "cam1", "cam2", "cam3")
FRAME_INDEX = 100
MEAN_BGR = np.array([103.53, 116.28, 123.675], np.float32)
STD_BGR = np.array([57.375, 57.12, 58.395], np.float32)


def read_bgr(test_data: Path, camera: str, index: int) -> np.ndarray:
    capture = cv2.VideoCapture(str(test_data / "lab4" / "videos" / f"{camera}.mp4"))
    for _ in range(index):
        capture.grab()
    is_read, picture = capture.read()
    capture.release()
    assert is_read
    return picture


def as_frame(bgr: np.ndarray, camera: str) -> Frame:
    height, width = bgr.shape[:2]
    return Frame(camera, 0, width, height, cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420))


@pytest.fixture(scope="module")
def pictures(test_data: Path) -> list[np.ndarray]:
    return [read_bgr(test_data, camera, FRAME_INDEX) for camera in CAMERAS]


@pytest.fixture
def triton(test_data: Path) -> Iterator[Triton]:
    triton = Triton(triton_url(test_data))
    yield triton
    triton.close()


def original_rtmdet(test_data: Path, bgr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The model as its authors prepare pictures for it, at 320x320, boxes in frame pixels."""
    scale = min(320 / bgr.shape[0], 320 / bgr.shape[1])
    small = cv2.resize(bgr, None, fx=scale, fy=scale).astype(np.float32)
    canvas = np.full((320, 320, 3), 114, np.float32)
    canvas[: small.shape[0], : small.shape[1]] = small
    tensor = ((canvas - MEAN_BGR) / STD_BGR).transpose(2, 0, 1)[None]
    session = onnxruntime.InferenceSession(str(test_data / "models" / "rtmdet_nano.onnx"))
    detections = session.run(["dets"], {"input": np.ascontiguousarray(tensor)})[0][0]
    return detections[:, :4] / scale, detections[:, 4]


def test_people_in_the_lab_are_where_the_original_model_sees_them(test_data, triton, pictures):
    """Four cameras in one batch; every confident original box is found, nearly as it was."""
    frames = [as_frame(bgr, name) for bgr, name in zip(pictures, CAMERAS, strict=True)]

    found = Detector(triton).detect(frames)

    for bgr, detections in zip(pictures, found, strict=True):
        boxes, scores = original_rtmdet(test_data, bgr)
        confident = boxes[scores > 0.45]
        assert len(confident) >= 1
        for box in confident:
            overlaps = iou_to(box.astype(np.float32), detections.boxes_xyxy)
            assert overlaps.max() > 0.8
            assert detections.scores[overlaps.argmax()] > 0.3


def test_one_person_looks_more_like_himself_than_like_the_other(test_data, triton):
    """Two walkers, five moments half a second apart in one camera: same pairs beat mixed pairs."""
    detector, embedder = Detector(triton, score_threshold=0.4), Embedder(triton)
    walkers: dict[str, list[np.ndarray]] = {"A": [], "B": []}
    for index in range(60, 110, 5):
        frame = as_frame(read_bgr(test_data, "cam3", index), "cam3")
        detections = detector.detect([frame])[0]
        for name, box in listed_boxes(test_data, 3, index).items():
            overlaps = iou_to(np.array(box, np.float32), detections.boxes_xyxy)
            if len(overlaps) and overlaps.max() > 0.5:
                walkers[name].append(
                    embedder.embed([(frame, tuple(detections.boxes_xyxy[overlaps.argmax()]))])[0]
                )
    first, second = np.array(walkers["A"]), np.array(walkers["B"])
    assert min(len(first), len(second)) >= 2

    mixed = (first @ second.T).mean()

    assert mean_of_pairs(first) > mixed + 0.05
    assert mean_of_pairs(second) > mixed + 0.05


def listed_boxes(test_data: Path, camera: int, index: int) -> dict[str, list[float]]:
    """Boxes xyxy of the walkers that one camera sees in one frame."""
    truth = json.loads((test_data / "lab4" / "pseudo_gt.json").read_text())
    people = next(each["people"] for each in truth["frames"] if each["frame"] == index)
    views = {person["id"]: person["views"].get(str(camera)) for person in people}
    return {name: box for name, box in views.items() if box}


def mean_of_pairs(vectors: np.ndarray) -> float:
    return float((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)].mean())


def import_real(test_data: Path, folder: Path, file: str, model, layout, size=None):
    repository = empty_repository(folder / "model_repository")
    return import_model(test_data / "models" / file, model, layout, repository, size)


@pytest.mark.parametrize("size", [(192, 320), (448, 768)])
def test_rtmdet_comes_in_at_other_sizes(test_data, tmp_path, size):
    imported = import_real(
        test_data, tmp_path, "rtmdet_nano.onnx", "person_detector", "rtmdet", size
    )

    session = onnxruntime.InferenceSession(str(imported.path))
    assert session.get_inputs()[0].shape[1:] == [3, *size]


def test_yolox_finds_the_same_people_as_rtmdet(test_data, tmp_path, pictures, triton):
    """Another engine, the same contract: the standing people of a picture are found by both."""
    imported = import_real(
        test_data, tmp_path, "yolox_nano_416x416.onnx", "person_detector", "yolox"
    )
    bgr = pictures[2]
    scale = 416 / bgr.shape[1]
    small = cv2.resize(bgr, None, fx=scale, fy=scale)
    canvas = np.full((416, 416, 3), 114, np.uint8)
    canvas[: small.shape[0]] = small
    batch = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None].repeat(2, axis=0))
    session = onnxruntime.InferenceSession(str(imported.path))

    boxes, scores, _ = session.run(None, {"images": batch})

    (expected,) = Detector(triton, score_threshold=0.6).detect([as_frame(bgr, "cam2")])
    assert len(expected) >= 2
    np.testing.assert_allclose(boxes[0], boxes[1], atol=0.01)
    for box in expected.boxes_xyxy:
        overlaps = iou_to(box, boxes[0] / np.float32(scale))
        assert overlaps.max() > 0.6
        assert scores[0][overlaps.argmax()] > 0.3


def test_the_openvino_model_comes_in_with_crops_kept_apart(test_data, tmp_path):
    """The file averages over its batch of one; the imported model must not average over crops."""
    imported: ImportedModel = import_real(
        test_data,
        tmp_path,
        "person-reidentification-retail-0248.onnx",
        "person_reid",
        "openvino-reid",
    )
    crops = np.random.default_rng(0).integers(0, 256, (3, 3, 256, 128), np.uint8)
    crops[1] //= 4
    session = onnxruntime.InferenceSession(str(imported.path))

    (together,) = session.run(None, {"crops": crops})
    (alone,) = session.run(None, {"crops": crops[1:2]})

    assert together.shape == (3, 256)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-3)

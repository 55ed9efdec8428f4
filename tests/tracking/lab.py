"""The laboratory footage: detections and embeddings by plain ONNX Runtime, and its scoring."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from scipy.optimize import linear_sum_assignment

from homography.ground_plane import GroundPlane
from homography.lens import Lens
from plugins.frames import CropRequest, Detections
from plugins.tracking import SetResult, Tracker, TrackingParameters
from plugins.tracking.assignment import iou
from tests.tracking.recordings import START_NS

CAMERA_IDS = ("cam0", "cam1", "cam2", "cam3")
STEP_NS = 100_000_000
_MEAN, _STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
_CROP_MEAN, _CROP_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Picture = npt.NDArray[np.uint8]


class Models:
    """RTMDet-nano and OSNet as the data folder brings them, one thread each."""

    def __init__(self, folder: Path, size: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.size = size
        self.detector = ort.InferenceSession(folder / "rtmdet_nano.onnx", options)
        self.embedder = ort.InferenceSession(folder / "osnet_x0_25_msmt17.onnx", options)

    def detect(self, bgr: Picture) -> Detections:
        """People in one picture, letterboxed to a square."""
        scale = self.size / max(bgr.shape[:2])
        small = cv2.resize(bgr, None, fx=scale, fy=scale)
        canvas = np.full((self.size, self.size, 3), 114, np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small
        tensor = ((canvas - _MEAN) / _STD).astype(np.float32).transpose(2, 0, 1)[None]
        boxes, labels = self.detector.run(None, {"input": tensor})
        kept = boxes[0][(labels[0] == 0) & (boxes[0][:, 4] > 0.1)]
        kept = kept[np.argsort(-kept[:, 4], kind="stable")]
        limits = np.tile(np.array(bgr.shape[1::-1], np.float32), 2)
        return Detections(np.clip(kept[:, :4] / scale, 0, limits), kept[:, 4])

    def embed(
        self, pictures: dict[str, Picture], requests: list[CropRequest]
    ) -> npt.NDArray[np.float32]:
        """One row for each request."""
        if not requests:
            return np.empty((0, 512), np.float32)
        crops = np.stack([_crop(pictures[r.camera_id], r.bbox_xyxy) for r in requests])
        return np.asarray(self.embedder.run(None, {"input": crops})[0])


def planes(folder: Path) -> dict[str, GroundPlane]:
    """The four calibrated cameras."""
    cameras = json.loads((folder / "homographies.json").read_text())["cameras"]
    return {
        name: GroundPlane.from_matrix(
            camera["H_undistorted_image_to_ground_m"],
            1288,
            728,
            lens=Lens.from_coefficients(camera["K"], camera["dist"]),
        )
        for name, camera in cameras.items()
    }


def track(
    folder: Path, models: Models, blind: range = range(0)
) -> tuple[list[SetResult | None], int]:
    """Results of all sets, None for the blind ones, and the number of crops embedded."""
    tracker = Tracker(planes(folder), TrackingParameters(), "seed", "osnet")
    results: list[SetResult | None] = []
    crops = 0
    for index, pictures in enumerate(_pictures(folder)):
        if index in blind:
            results.append(None)
            continue
        boxes = {camera_id: models.detect(bgr) for camera_id, bgr in pictures.items()}
        requests = tracker.associate(index, START_NS + index * STEP_NS, boxes)
        crops += len(requests)
        results.append(tracker.identify(models.embed(pictures, requests)))
    return results, crops


def walkers(folder: Path) -> list[dict[str, Any]]:
    """The listed people of each frame: id and views."""
    frames = json.loads((folder / "pseudo_gt.json").read_text())["frames"]
    return [{"frame": f["frame"], "people": f["people"]} for f in frames]


def matched_ids(folder: Path, results: list[SetResult | None]) -> list[tuple[str, int, str | None]]:
    """(person, frame, global id or None) for every listed view of a tracked frame."""
    pairs: list[tuple[str, int, str | None]] = []
    for entry in walkers(folder):
        result = results[entry["frame"]]
        for number, camera_id in enumerate(CAMERA_IDS) if result is not None else ():
            listed = [
                (p["id"], p["views"][str(number)])
                for p in entry["people"]
                if str(number) in p["views"]
            ]
            found = _global_ids(result, camera_id, [box for _, box in listed])
            names = [name for name, _ in listed]
            pairs += [(n, entry["frame"], g) for n, g in zip(names, found, strict=True)]
    return pairs


def idf1(pairs: list[tuple[str, int, str | None]]) -> float:
    """IDF1 over listed views only; ids are shared by all cameras, people at desks not scored."""
    counts = Counter((name, found) for name, _, found in pairs if found is not None)
    names, ids = (sorted({pair[i] for pair in counts}) for i in range(2))
    table = np.array([[counts[n, i] for i in ids] for n in names])
    rows, columns = linear_sum_assignment(-table)
    found = sum(counts.values())
    return float(2 * table[rows, columns].sum() / (len(pairs) + found))


def _global_ids(result: SetResult, camera_id: str, boxes: list[list[float]]) -> list[str | None]:
    tracks = result.tracks[camera_id]
    found: list[str | None] = [None] * len(boxes)
    if not tracks or not boxes:
        return found
    overlap = iou(np.array(boxes), np.array([t.bbox_xyxy for t in tracks]))
    for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
        if overlap[row, column] >= 0.5:
            found[row] = tracks[column].global_id
    return found


def _pictures(folder: Path) -> Iterator[dict[str, Picture]]:
    videos = {c: cv2.VideoCapture(str(folder / "videos" / f"{c}.mp4")) for c in CAMERA_IDS}
    while True:
        read = {c: video.read() for c, video in videos.items()}
        if not all(ok for ok, _ in read.values()):
            return
        yield {c: np.asarray(bgr, np.uint8) for c, (_, bgr) in read.items()}


def _crop(bgr: Picture, bbox_xyxy: tuple[float, ...]) -> npt.NDArray[np.float32]:
    x0, y0, x1, y1 = (int(v) for v in bbox_xyxy)
    rgb = cv2.resize(bgr[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1), ::-1], (128, 256)) / 255
    return ((rgb - _CROP_MEAN) / _CROP_STD).astype(np.float32).transpose(2, 0, 1)

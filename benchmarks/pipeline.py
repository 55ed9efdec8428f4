"""The whole path against its floor and against what one writes by hand.

``python -m benchmarks.pipeline`` over the laboratory footage (``SPOTON_TEST_DATA``), in turns:

a. SpotOn: decode, detect, track, embed, match, map, JPEG, publish to Redis, store in PostgreSQL.
b. The floor: ONNX Runtime alone with the same detector and embedder batches in a bare loop, with
   the threads that the model repository gives Triton; d. is the same with two threads.
c. By hand: OpenCV reads the four files in turn, ONNX Runtime detects frame by frame, a two-stage
   tracker per camera, OSNet on every tracked person in every frame, cosine 0.8 joins cameras.
   No JPEG, no publishing, no storing.

Rates are sets of four pictures a second, from the decoders' start to the last set stored. Below the
table: which threads and programs the processor time of (a) went to.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import onnxruntime as ort
from google.protobuf import text_format
from rich.console import Console
from rich.table import Table
from tritonclient.grpc import model_config_pb2

from benchmarks import processor_time
from control_plane.commands.run import enlist
from control_plane.embedded import running_services
from control_plane.health.logs import configure_logging
from control_plane.settings import Settings, read_settings
from control_plane.worker_settings import worker_settings
from homography.environment import load_environments
from plugins import worker
from plugins.frames import NS_PER_S, Detections
from plugins.inference.embedder import Embedder
from plugins.messages import TaskProgress, TaskRequest
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.tracklets import CameraTracklets, boxes_of
from tests.lab import CAMERA_IDS, PREFIX, SETS, import_models
from tests.lab_environment import write_lab_environment
from tests.lab_score import cross_camera_score

console = Console()
SAME_PERSON = 0.8
CROP_HW = (256, 128)
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


def main() -> None:
    """Prints the table, and one JSON object on the last line with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of a, b, c (default 3)")
    parser.add_argument("--sizes", default="320x320,192x320", help="detector inputs, HxW")
    parser.add_argument(
        "--loops", type=int, default=10, help="footage in a row for the memory row, 0: none"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    test_data = Path(os.environ.get("SPOTON_TEST_DATA", ""))
    if not (test_data / "lab4").is_dir():
        raise SystemExit("SPOTON_TEST_DATA must name the folder with lab4 and models")
    configure_logging("error")
    sizes = [tuple(map(int, size.split("x"))) for size in args.sizes.split(",")]
    with tempfile.TemporaryDirectory(prefix="spoton-bench-") as name:
        Path(name).chmod(0o755)
        results = [_measure(Path(name), test_data, size, args) for size in sizes]
        looped = Path(name) / "looped"
        memory_mb = _memory(looped, test_data, sizes[0], args.loops) if args.loops else []
    if args.json:
        print(json.dumps({"pipeline": results, "memory_mb": memory_mb}))


def _measure(
    folder: Path, test_data: Path, size_hw: tuple[int, int], args: argparse.Namespace
) -> dict[str, Any]:
    place = folder / f"{size_hw[0]}x{size_hw[1]}"
    settings = _install(place, test_data, size_hw)
    threads = served_threads(settings)
    rounds: list[dict[str, Any]] = []
    with running_services(settings) as running:
        for _ in range(args.rounds):
            before = processor_time.by_program(place)
            whole = _told("a", _in_process(spoton, running))
            after = processor_time.by_program(place)
            whole["spent_ms"] |= {k: after[k] - before.get(k, 0.0) for k in after}
            crops = whole["crops"]
            rounds.append(
                {
                    "a": whole,
                    "b": _told("b", _in_process(bare_models, running, crops, threads)),
                    "d": _told("d", _in_process(bare_models, running, crops, 2)),
                    "c": _told("c", _in_process(by_hand, running, test_data)),
                }
            )
    result = _summary(size_hw, rounds) | {"threads": threads}
    _print(result)
    return result


def _told(name: str, measured: dict[str, Any]) -> dict[str, Any]:
    console.print(f"{name}: {measured['sets_per_s']:.1f} sets/s")
    return measured


def _memory(folder: Path, test_data: Path, size_hw: tuple[int, int], loops: int) -> list[float]:
    """Resident megabytes of (a) at 0, 25, 50, 75 and 100 % of ``loops`` times the footage."""
    with running_services(_install(folder, test_data, size_hw, loops)) as running:
        seen = _in_process(spoton, running)["memory_mb"]
    memory = [seen[round(k * (len(seen) - 1) / 4)] for k in range(5)]
    console.print(
        f"resident memory over {loops} x the footage at 0, 25, 50, 75, 100 %: "
        + ", ".join(f"{mb:.0f} MB" for mb in memory)
    )
    return memory


def _install(place: Path, test_data: Path, size_hw: tuple[int, int], loops: int = 1) -> Settings:
    environments = place / "environments"
    environments.mkdir(parents=True)
    write_lab_environment(environments, test_data, PREFIX)
    for k, camera_id in enumerate(CAMERA_IDS):
        camera = place / "recordings" / PREFIX / camera_id
        camera.mkdir(parents=True)
        content = (test_data / "lab4" / "videos" / f"cam{k}.mp4").read_bytes()
        for number in range(1, loops + 1):
            (camera / f"sub_video_{number:02d}.mp4").write_bytes(content)
    import_models(place / "model_repository", test_data, size_hw)
    return read_settings(
        {
            "SPOTON_ENVIRONMENTS_DIR": str(environments),
            "SPOTON_OBJECT_STORE_URL": (place / "recordings").resolve().as_uri(),
            "SPOTON_MODEL_REPOSITORY": str(place / "model_repository"),
            "SPOTON_DATA_DIR": str(place / "data"),
            "SPOTON_TRITON_PYTHON": str(Path(".venv-triton/bin/python").absolute()),
        }
    )


def _in_process(measure: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Each measurement has a process of its own, as fresh as the others'."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(measure, args)


def spoton(settings: Settings) -> dict[str, Any]:
    """(a)"""
    configure_logging("error")
    crops: list[int] = []
    memory: list[float] = []
    began: list[float] = []
    before: dict[int, tuple[str, float]] = {}
    spent: dict[int, tuple[str, float]] = {}

    class CountingEmbedder(Embedder):
        def embed(self, wanted: Any) -> Any:
            crops.append(len(wanted))
            return super().embed(wanted)

    def watch(progress: TaskProgress) -> None:
        if progress.status == "EXTRACTING":
            began.append(time.perf_counter())
            before.update(processor_time.by_thread())
        if progress.status == "PROCESSING":
            spent.update(processor_time.by_thread())
            memory.append(resident_mb())

    worker.Embedder = CountingEmbedder  # type: ignore[misc]
    request = TaskRequest(str(uuid.uuid4()), "lab", [], speed=None, seed=1)
    environment = load_environments(settings.environment_folders()).environments["lab"]
    enlist(settings, request, "bench")
    progress = worker.run_task(request, environment, worker_settings(settings), "bench", watch)
    elapsed = time.perf_counter() - began[0]
    return {
        "sets_per_s": progress.sets / elapsed,
        "sets": progress.sets,
        "dropped": progress.dropped,
        "persons": progress.persons,
        "crops": crops,
        "memory_mb": memory,
        "stage_ms": progress.stage_ms,
        "spent_ms": _since(before, spent),
    }


def _since(
    before: dict[int, tuple[str, float]], after: dict[int, tuple[str, float]]
) -> dict[str, float]:
    """Milliseconds by name of thread."""
    spent: Counter[str] = Counter()
    for thread_id, (name, ms) in after.items():
        spent[name] += ms - before.get(thread_id, (name, 0.0))[1]
    return dict(spent)


def resident_mb() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def session(settings: Settings, model: str, threads: int | None = None) -> ort.InferenceSession:
    """The model that Triton serves; ``threads`` without spinning, or ONNX Runtime's defaults."""
    options = ort.SessionOptions()
    if threads:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = settings.model_repository / model / "1" / "model.onnx"
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def served_threads(settings: Settings) -> int:
    """How many threads Triton gives one run of the detector on a CPU."""
    path = settings.model_repository / "person_detector" / "configs" / "cpu.pbtxt"
    config = text_format.Parse(path.read_text("utf-8"), model_config_pb2.ModelConfig())
    return int(config.parameters["intra_op_thread_count"].string_value)


def bare_models(settings: Settings, crops: list[int], threads: int) -> dict[str, Any]:
    """(b) and (d)"""
    detector = session(settings, "person_detector", threads)
    embedder = session(settings, "person_reid", threads)
    images = _some_images(settings, detector)
    pictures = np.random.default_rng(0).integers(0, 255, (16, 3, *CROP_HW), dtype=np.uint8)
    start = time.perf_counter()
    for k, count in enumerate(crops):
        detector.run(None, {"images": images[k % len(images)]})
        if count:
            embedder.run(None, {"crops": pictures[:count]})
    return {"sets_per_s": len(crops) / (time.perf_counter() - start)}


def _some_images(settings: Settings, detector: ort.InferenceSession) -> list[np.ndarray]:
    """Ten real batches of four, letterboxed."""
    size = detector.get_inputs()[0].shape[2:]
    videos = [cv2.VideoCapture(str(path)) for path in _videos(settings)]
    return [
        np.concatenate([_letterbox(video.read()[1], size)[0] for video in videos])
        for _ in range(10)
    ]


def _videos(settings: Settings) -> Iterator[Path]:
    folder = Path(settings.store_url().removeprefix("file://")) / PREFIX
    return (folder / camera_id / "sub_video_01.mp4" for camera_id in CAMERA_IDS)


def _letterbox(bgr: np.ndarray, size_hw: tuple[int, int]) -> tuple[np.ndarray, float]:
    scale = min(size_hw[0] / bgr.shape[0], size_hw[1] / bgr.shape[1])
    small = cv2.resize(bgr, None, fx=scale, fy=scale)
    canvas = np.full((*size_hw, 3), 114, np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small[:, :, ::-1]
    return canvas.transpose(2, 0, 1)[None].copy(), scale


def by_hand(settings: Settings, test_data: Path) -> dict[str, Any]:
    """(c)"""
    detector, embedder = session(settings, "person_detector"), session(settings, "person_reid")
    size = tuple(detector.get_inputs()[0].shape[2:])
    videos = {
        c: cv2.VideoCapture(str(p)) for c, p in zip(CAMERA_IDS, _videos(settings), strict=True)
    }
    trackers = {c: CameraTracklets() for c in CAMERA_IDS}
    parameters = TrackingParameters()
    gallery: list[np.ndarray] = []
    names: dict[tuple[str, int], int] = {}
    events = []
    start = time.perf_counter()
    for index in range(SETS):
        for camera_id, video in videos.items():
            picture = video.read()[1]
            detections = _detect(detector, picture, size)
            time_ns = round(index * NS_PER_S / 10)
            trackers[camera_id].step(detections, time_ns, parameters)
            tracks = trackers[camera_id].observed(time_ns)
            boxes = boxes_of(tracks)
            vectors = _embed(embedder, picture, boxes)
            for track, box, vector in zip(tracks, boxes, vectors, strict=True):
                key = (camera_id, track.track_id)
                names.setdefault(key, _name(gallery, vector))
                x1, y1, x2, y2 = box
                events.append(
                    {
                        "frame_index": index,
                        "camera_id": camera_id,
                        "global_id": names[key],
                        "x1": x1,
                        "y1": y1,
                        "x2": x2,
                        "y2": y2,
                    }
                )
    elapsed = time.perf_counter() - start
    truth = msgspec.json.decode((test_data / "lab4" / "pseudo_gt.json").read_bytes())
    return {
        "sets_per_s": SETS / elapsed,
        "cross_camera_idf1": cross_camera_score(truth, events).idf1,
    }


def _detect(
    detector: ort.InferenceSession, picture: np.ndarray, size: tuple[int, int]
) -> Detections:
    image, scale = _letterbox(picture, size)
    boxes, scores, _ = detector.run(["boxes", "scores", "labels"], {"images": image})
    kept = scores[0] >= 0.3
    return Detections(boxes[0][kept] / scale, scores[0][kept])


def _embed(embedder: ort.InferenceSession, picture: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    if not len(boxes):
        return np.empty((0, 512), np.float32)
    height, width = picture.shape[:2]
    crops = []
    for box in boxes:
        x1, y1 = np.clip(box[:2].astype(int), 0, (width - 2, height - 2))
        x2, y2 = np.clip(box[2:].astype(int), (x1 + 1, y1 + 1), (width, height))
        crops.append(cv2.resize(picture[y1:y2, x1:x2, ::-1], CROP_HW[::-1]).transpose(2, 0, 1))
    vectors: np.ndarray = embedder.run(None, {"crops": np.stack(crops)})[0]
    return vectors


def _name(gallery: list[np.ndarray], vector: np.ndarray) -> int:
    """The most alike known person above the threshold, else a new one."""
    if gallery:
        alike = np.stack(gallery) @ vector
        if alike.max() >= SAME_PERSON:
            return int(alike.argmax())
    gallery.append(vector)
    return len(gallery) - 1


def _summary(size_hw: tuple[int, int], rounds: list[dict[str, Any]]) -> dict[str, Any]:
    rates = {k: [r[k]["sets_per_s"] for r in rounds] for k in "abcd"}
    ratios = {
        f"a/{k}": statistics.median(a / b for a, b in zip(rates["a"], rates[k], strict=True))
        for k in "bcd"
    }
    spent = [{k: ms / r["a"]["sets"] for k, ms in r["a"]["spent_ms"].items()} for r in rounds]
    return {
        "size": f"{size_hw[0]}x{size_hw[1]}",
        "sets_per_s": {k: statistics.median(v) for k, v in rates.items()},
        **ratios,
        "rates": rates,
        "core_ms_a_set": {k: statistics.median(s.get(k, 0.0) for s in spent) for k in spent[0]},
        "crops_per_set": float(np.mean(rounds[0]["a"]["crops"])),
        "dropped": max(r["a"]["dropped"] for r in rounds),
        "persons": rounds[0]["a"]["persons"],
        "c_cross_camera_idf1": rounds[0]["c"]["cross_camera_idf1"],
    }


def _print(result: dict[str, Any]) -> None:
    table = Table("what", "sets/s", "least", "most", title=f"detector input {result['size']}")
    names = {
        "a": "a. SpotOn, whole path",
        "b": f"b. models alone, threads as served: {result['threads']}",
        "c": "c. written by hand",
        "d": "d. models alone, two threads",
    }
    for k, name in names.items():
        rates = result["rates"][k]
        row = (result["sets_per_s"][k], min(rates), max(rates))
        table.add_row(name, *(f"{rate:.1f}" for rate in row))
    console.print(table)
    console.print(
        f"a/b {result['a/b']:.2f}   a/c {result['a/c']:.2f}   a/d {result['a/d']:.2f}   "
        f"{result['crops_per_set']:.2f} crops a set, {result['dropped']} sets dropped, "
        f"{result['persons']} persons; c's cross-camera IDF1 is {result['c_cross_camera_idf1']:.2f}"
    )
    spent = sorted(result["core_ms_a_set"].items(), key=lambda item: -item[1])
    console.print(
        f"core-ms a set, {sum(ms for _, ms in spent):.1f} in all: "
        + ", ".join(f"{name} {ms:.1f}" for name, ms in spent if ms >= 0.05)
    )


if __name__ == "__main__":
    main()

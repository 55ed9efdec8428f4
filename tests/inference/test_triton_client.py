"""Detector and embedder against a real server, and what they say when it is away."""

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from plugins.errors import InvalidModelError, TritonUnavailableError
from plugins.frames import Frame
from plugins.inference.detector import Detector
from plugins.inference.embedder import Embedder
from plugins.inference.model_import import import_model
from plugins.inference.shared_memory import SHARED_MEMORY, SharedRegion, sweep_regions
from plugins.inference.triton_client import Triton
from plugins.inference.triton_runtime import free_ports
from tests.inference.toy_models import BLUE, RED, frame_with, osnet_file, yolox_file

SQUARE = (128, 64, 160, 96)


def own_regions() -> list[Path]:
    return list(SHARED_MEMORY.glob(f"spoton-input-{os.getpid()}-*"))


def test_boxes_are_full_frame_pixels_of_each_frame(toy_triton):
    """Six frames of two sizes: two requests, answers in the order of the frames."""
    detector = Detector(toy_triton)
    large = frame_with(SQUARE, RED)
    small = frame_with((32, 32, 48, 48), RED, (128, 192))
    empty = frame_with(SQUARE, BLUE)

    found = detector.detect([large, empty, small, large, small, empty])

    assert [len(each) for each in found] == [1, 0, 1, 1, 1, 0]
    np.testing.assert_allclose(found[0].boxes_xyxy, [[112, 48, 176, 112]], atol=1)
    np.testing.assert_allclose(found[2].boxes_xyxy, [[24, 24, 56, 56]], atol=1)
    assert found[0].boxes_xyxy.dtype == found[0].scores.dtype == np.float32


def test_threads_that_detect_at_once_each_get_their_own_boxes(toy_triton):
    detector = Detector(toy_triton, at_once=2)
    places = [(32 * k, 32, 32 * k + 32, 64) for k in range(4)]
    pictures = [[frame_with(place, RED)] for place in places] * 10
    alone = [Detector(toy_triton).detect(each)[0].boxes_xyxy for each in pictures]

    with ThreadPoolExecutor(4) as threads:
        together = [found.boxes_xyxy for (found,) in threads.map(detector.detect, pictures)]

    assert {len(boxes) for boxes in alone} == {1}
    np.testing.assert_array_equal(together, alone)
    assert detector.model_version.startswith("person_detector/1/")


def test_boxes_end_at_the_frame_and_weak_ones_can_be_dropped(toy_triton):
    frame = frame_with((0, 0, 32, 32), RED)

    (found,) = Detector(toy_triton).detect([frame])
    (strict,) = Detector(toy_triton, score_threshold=0.95).detect([frame])

    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 48, 48]], atol=1)
    assert len(strict) == 0


def test_no_frames_and_no_crops_need_no_request(toy_triton):
    assert Detector(toy_triton).detect([]) == []
    assert Embedder(toy_triton).embed([]).shape == (0, 8)


def test_forty_crops_are_embedded_in_their_order(toy_triton):
    """More than two full batches; each vector is that of its crop alone."""
    embedder = Embedder(toy_triton)
    noise = np.random.default_rng(0).integers(0, 256, (384, 384), np.uint8)
    frame = Frame("c01", 0, 384, 256, noise)
    crops = [(frame, (8.0 * n, 20.0, 8.0 * n + 40, 120.0)) for n in range(40)]

    together = embedder.embed(crops)

    assert together.shape == (40, embedder.dimension)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for row in (0, 15, 16, 39):
        np.testing.assert_allclose(together[row], embedder.embed([crops[row]])[0], atol=1e-5)


def test_the_answers_are_the_same_without_shared_memory(toy_server, toy_triton):
    frames = [frame_with(SQUARE, RED), frame_with((32, 128, 64, 160), RED)]
    plain = Triton(toy_server.url, use_shared_memory=False)

    by_memory, by_grpc = Detector(toy_triton), Detector(plain)
    one, other = by_memory.detect(frames), by_grpc.detect(frames)

    assert (by_memory._last.uses_shared_memory, by_grpc._last.uses_shared_memory) == (
        True,
        False,
    )
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left.boxes_xyxy, right.boxes_xyxy)
    plain.close()


def test_a_server_that_cannot_see_our_memory_gets_pictures_by_grpc(toy_triton):
    """As with a server on another host: the region's file is not there for it."""
    detector = Detector(toy_triton)
    region = detector._last._region
    assert region is not None
    (SHARED_MEMORY / region.name).unlink()

    (found,) = detector.detect([frame_with(SQUARE, RED)])

    assert len(found) == 1
    assert not detector._last.uses_shared_memory


def test_closing_unlinks_the_memory(toy_server):
    before = set(own_regions())
    triton = Triton(toy_server.url)
    Detector(triton).detect([frame_with(SQUARE, RED)])
    during = set(own_regions()) - before

    triton.close()

    assert len(during) == 1
    assert set(own_regions()) == before


def test_two_threads_with_a_session_each_do_not_disturb_each_other(toy_triton):
    detector, embedder = Detector(toy_triton), Embedder(toy_triton)
    frame = frame_with(SQUARE, RED)
    crop = (frame, (100.0, 40.0, 200.0, 140.0))
    boxes, vector = detector.detect([frame])[0].boxes_xyxy, embedder.embed([crop])
    differing: list[str] = []

    def detect() -> None:
        found = [detector.detect([frame])[0].boxes_xyxy for _ in range(30)]
        differing.extend("boxes" for each in found if not np.array_equal(each, boxes))

    def embed() -> None:
        found = [embedder.embed([crop]) for _ in range(30)]
        differing.extend("vector" for each in found if not np.allclose(each, vector, atol=1e-5))

    threads = [threading.Thread(target=detect), threading.Thread(target=embed)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert differing == []


def test_the_version_says_which_model_made_the_vectors(toy_server, toy_triton):
    """Name, version and digest with the repository at hand; without it no digest."""
    remote = Triton(toy_server.url)

    known, unknown = Embedder(toy_triton).model_version, Embedder(remote).model_version

    name, version, digest = known.split("/")
    assert (name, version, len(digest)) == ("person_reid", "1", 12)
    assert unknown == "person_reid/1"
    remote.close()


def test_an_absent_server_is_named_with_the_remedy():
    url = f"127.0.0.1:{free_ports().grpc}"

    with pytest.raises(TritonUnavailableError, match=rf"{url} .*TRITON_URL"):
        Detector(Triton(url, deadline_s=0.3))


def test_a_model_of_another_shape_is_refused_at_once(own_server):
    """An engine put in by hand that takes floats: no waiting, a message that names it."""
    folder = own_server.repository / "person_detector"
    shutil.rmtree(folder / "1")
    (folder / "1").mkdir()
    yolox_file(folder / "1" / "model.onnx")
    own_server.start()
    own_server.wait_ready()
    triton = Triton(own_server.url)

    with pytest.raises(InvalidModelError, match=r"person_detector.*contract.*models import"):
        Detector(triton)

    triton.close()


def test_a_new_version_of_another_size_takes_over_while_running(own_server, tmp_path):
    """Hot swap: the same detector and embedder go on, with the new sizes and versions."""
    own_server.start()
    own_server.wait_ready()
    triton = Triton(own_server.url, repository=own_server.repository)
    detector, embedder = Detector(triton), Embedder(triton)
    frame = frame_with(SQUARE, RED)
    crop = (frame, (100.0, 40.0, 200.0, 140.0))
    detector.detect([frame])
    embedder.embed([crop])
    old_version = embedder.model_version

    repository = own_server.repository
    larger = yolox_file(tmp_path / "larger.onnx", (128, 192))
    import_model(larger, "person_detector", "yolox", repository)
    other = osnet_file(tmp_path / "other.onnx", seed=9)
    import_model(other, "person_reid", "osnet", repository)
    triton.load("person_detector")
    triton.load("person_reid")
    (found,) = detector.detect([frame])
    embedder.embed([crop])

    assert detector.input_size_hw == (128, 192)
    assert detector.model_version.startswith("person_detector/2/")
    assert found.scores[0] > 0.8
    assert embedder.model_version.startswith("person_reid/2/")
    assert embedder.model_version != old_version
    triton.close()


def test_regions_of_processes_that_are_gone_are_swept(tmp_path):
    """A killed worker leaves its region; a living one's is not touched."""
    code = (
        "import os, signal; from plugins.inference.shared_memory import SharedRegion\n"
        "print(SharedRegion('gone', 4096).name, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    dead = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    ).stdout.strip()
    alive = SharedRegion("alive", 4096)
    existed = (SHARED_MEMORY / dead).exists()

    sweep_regions()

    assert dead
    assert existed
    assert not (SHARED_MEMORY / dead).exists()
    assert (SHARED_MEMORY / alive.name).exists()
    alive.close()
    assert not (SHARED_MEMORY / alive.name).exists()

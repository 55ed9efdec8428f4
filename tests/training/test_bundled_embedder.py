"""The bundled embedder on people whom it has never seen, and served as the product serves it."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from homography.environment import load_environments
from plugins.frames import Frame
from plugins.inference.embedder import Embedder
from plugins.inference.model_check import check_embedder
from plugins.inference.model_import import import_model, list_models
from plugins.inference.pictures import write_crop
from plugins.inference.triton_client import Triton
from plugins.inference.triton_server import TritonServer
from plugins.tracking.parameters import TrackingParameters
from tests.inference.toy_models import osnet_file
from tests.triton_fixtures import PROJECT, empty_repository, require_triton
from training.reidentification.gallery import Gallery, lab_gallery, scene_gallery
from training.reidentification.metrics import pair_cosines, score
from training.reidentification.models import Model
from training.simulate import Order, simulate

BUNDLED = PROJECT / "model_repository" / "person_reid" / "1"
UNSEEN_SEED = 4321


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Four moments, a second apart, of ten people in the demo's four cameras."""
    demo = replace(load_environments().environments["demo"], rate_hz=5.0)
    order = Order(demo, UNSEEN_SEED, 10, 4.0, tmp_path_factory.mktemp("unseen"))
    simulate(order)
    return scene_gallery(order.out, demo, [(128, 64)], every=5)


@pytest.fixture(scope="module")
def bundled() -> Model:
    return Model("bundled", BUNDLED / "model.onnx")


def shipped_repository(folder: Path) -> Path:
    """The configurations and the bundled embedder alone."""
    repository = empty_repository(folder / "model_repository")
    shutil.copytree(BUNDLED, repository / "person_reid" / "1")
    return repository


def test_people_are_found_again_in_other_cameras(gallery, bundled):
    """Nine in ten crops are most like a crop of the same person by another camera, although two
    people wear the same clothes.
    """
    limits = TrackingParameters()
    thresholds = limits.same_cosine, limits.different_cosine

    found = score(bundled.embed(gallery.pixels[bundled.size]), gallery.labels, thresholds)

    assert found.queries > 25
    assert found.rank1 >= 0.9
    assert found.same_median > found.different_p99


def test_cosines_fit_the_trackers_thresholds(gallery, bundled):
    """Most pairs of one person lie above the middle of the two thresholds, most others below."""
    limits = TrackingParameters()
    middle = (limits.same_cosine + limits.different_cosine) / 2

    same, different = pair_cosines(bundled.embed(gallery.pixels[bundled.size]), gallery.labels)

    assert (same > middle).mean() > 0.85
    assert (different < middle).mean() > 0.85


def test_real_walkers_are_told_apart_more_often_than_not(test_data, bundled):
    """Far from what it learnt from: no more is claimed than that the nearest is mostly right."""
    real = lab_gallery(test_data / "lab4", [bundled.size])

    found = score(bundled.embed(real.pixels[bundled.size]), real.labels, (0.7, 0.5))

    assert found.queries > 1000
    assert found.rank1 > 0.85


def test_the_file_keeps_the_contract_and_is_small():
    check_embedder(onnxruntime.InferenceSession(str(BUNDLED / "model.onnx")))
    assert (BUNDLED / "model.onnx").stat().st_size < 3_000_000
    assert (BUNDLED / "CARD.md").is_file()


def test_the_repository_names_its_origin_and_takes_an_import_as_the_next_version(tmp_path):
    repository = shipped_repository(tmp_path)

    imported = import_model(osnet_file(tmp_path / "o.onnx"), "person_reid", "osnet", repository)

    bundled, newer = list_models(repository)
    assert bundled.version == 1
    assert bundled.record is not None
    assert bundled.record.layout == "spoton"
    assert newer.path == imported.path
    assert newer.version == 2


def test_triton_serves_what_the_file_says(tmp_path, bundled):
    """The pipeline's own way, from a frame and a box, ends in the same vector."""
    picture = np.random.default_rng(8).integers(0, 256, (24, 32, 3), np.uint8)
    bgr = cv2.resize(picture, (640, 480), interpolation=cv2.INTER_CUBIC)
    frame = Frame("a", 0, 640, 480, cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420))
    box = (101.0, 52.0, 203.0, 391.0)
    crop = np.empty((1, 3, *bundled.size), np.uint8)
    write_crop(frame, box, crop[0])
    server = TritonServer(require_triton(), shipped_repository(tmp_path), tmp_path / "runtime")
    server.start()
    try:
        server.wait_ready()
        triton = Triton(server.url, repository=server.repository)
        (served,) = Embedder(triton).embed([(frame, box)])
        triton.close()
    finally:
        server.close()

    np.testing.assert_allclose(served, bundled.embed(crop)[0], atol=1e-4)

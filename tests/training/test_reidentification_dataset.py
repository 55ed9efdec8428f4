"""Batches for training: who is in them, from which cameras, and what is cut out."""

import cv2
import numpy as np

from plugins.frames import Frame
from training.reidentification.crops import HEIGHT, WIDTH, Crops, cut_with_margin
from training.reidentification.dataset import CROPS_EACH, Sampler, as_detected, centred


def crops_of(people: int, cameras: int = 4, each: int = 2) -> Crops:
    """Every person ``each`` times in every camera; the grey of a crop is its row's number."""
    person, camera = np.divmod(np.arange(people * cameras * each), cameras * each)
    grey = (np.arange(len(person)) % 250).astype(np.uint8)
    pixels = np.broadcast_to(grey[:, None, None, None], (len(grey), 3, HEIGHT, WIDTH))
    full = np.ones(len(person), np.float32)
    return Crops(pixels, person.astype(np.int32), (camera % cameras).astype(np.int32), full)


def test_people_dressed_alike_come_into_a_batch_together():
    sampler = Sampler(crops_of(12), seed=1, people_per_batch=6)

    batch = sampler[0]

    assert batch.pixels.shape == (6 * CROPS_EACH, 3, 128, 64)
    chosen, counts = np.unique(batch.person, return_counts=True)
    assert (counts == CROPS_EACH).all()
    assert set(chosen) == {k ^ 1 for k in chosen}


def test_a_batch_shows_each_person_from_as_many_cameras_as_there_are():
    crops = crops_of(4)

    batch = Sampler(crops, seed=2, people_per_batch=4)[7]

    for person in range(4):
        rows = batch.pixels[batch.person == person, 0, 64, 32]
        assert sorted(crops.camera[rows]) == [0, 1, 2, 3]


def test_a_batch_depends_on_seed_and_step_alone():
    """So that a training that was broken off goes on as if it had not been."""
    crops = crops_of(40)
    first, again = (Sampler(crops, seed=5, people_per_batch=8) for _ in range(2))
    _ = first[0]

    np.testing.assert_array_equal(first[3].pixels, again[3].pixels)
    assert (first[3].person != first[4].person).any()


def test_a_person_with_few_crops_is_left_out_with_the_twin():
    crops = crops_of(6)
    keep = (crops.person != 3) | (np.arange(len(crops)) % 8 < 2)
    rare = Crops(*(column[keep] for column in (crops.pixels, crops.person, crops.camera)), None)

    assert Sampler(rare, seed=1, people_per_batch=2).people == 4


def test_a_stored_crop_holds_the_box_between_its_margins():
    """A red box on green: without the margin nothing but red is left, with it green all around."""
    picture = np.zeros((400, 300, 3), np.uint8)
    picture[..., 1] = 255
    picture[100:300, 100:200] = (0, 0, 255)
    frame = as_frame(picture)

    stored = cut_with_margin(frame, np.array([100.0, 100.0]), np.array([200.0, 300.0]))

    assert stored.shape == (3, HEIGHT, WIDTH)
    inner = centred(stored[None])[0]
    assert inner[0, 4:-4, 4:-4].min() > 200
    assert inner[1, 4:-4, 4:-4].max() < 60
    assert stored[1, :10].min() > 200
    assert stored[1, :, :5].min() > 200


def test_a_box_at_the_border_of_the_picture_is_padded_with_what_is_there():
    picture = np.full((200, 200, 3), (200, 120, 40), np.uint8)

    stored = cut_with_margin(as_frame(picture), np.array([0.0, 0.0]), np.array([80.0, 200.0]))

    np.testing.assert_allclose(stored.mean((1, 2)), (40, 120, 200), atol=4)
    assert stored.std((1, 2)).max() < 3


def test_boxes_are_off_as_a_detectors_are_but_keep_the_person():
    """The middle of the crop is always in the picture; the edges differ from draw to draw."""
    crop = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    crop[:, 50:66, 34:46] = 255
    random = np.random.default_rng(3)

    draws = [as_detected(crop, random) for _ in range(40)]

    assert all(draw.max() > 200 for draw in draws)
    assert len({draw.tobytes() for draw in draws}) > 30


def as_frame(bgr: np.ndarray) -> Frame:

    height, width = bgr.shape[:2]
    return Frame("a", 0, width, height, cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420))

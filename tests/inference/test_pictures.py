"""Frames become model input at the right place, in the right colours."""

import cv2
import numpy as np
import pytest

from plugins.frames import Frame
from plugins.inference.detector import to_detections
from plugins.inference.pictures import Letterbox, fit, write_crop, write_letterboxed
from tests.inference.toy_models import BLUE, GREY, RED, frame_with


@pytest.mark.parametrize(
    ("frame_wh", "size_hw", "wanted"),
    [
        ((1280, 720), (320, 320), (320, 180)),
        ((1288, 728), (320, 320), (320, 180)),
        ((1920, 1080), (192, 320), (320, 180)),
        ((720, 1280), (320, 320), (180, 320)),
        ((1280, 720), (64, 320), (114, 64)),
        ((5000, 20), (32, 32), (32, 2)),
    ],
)
def test_a_frame_fits_inside_with_even_sides(frame_wh, size_hw, wanted):
    """Even, because chroma planes are half as large; scaled by the tighter side."""
    place = fit(*frame_wh, size_hw)

    assert (place.width, place.height) == wanted


def test_boxes_return_to_full_frame_pixels_and_stay_inside():
    place = Letterbox(320, 180, 1280, 720)
    boxes = np.array([[10, 20, 30, 40], [-5, -5, 400, 400]], np.float32)

    found = place.to_frame(boxes)

    np.testing.assert_allclose(found, [[40, 80, 120, 160], [0, 0, 1280, 720]])


@pytest.mark.parametrize("size_hw", [(64, 96), (96, 96), (64, 160)])
def test_a_letterboxed_frame_has_its_square_in_place_and_grey_padding(size_hw):
    """Padding below and padding to the right, over what an earlier picture left there."""
    frame = frame_with((128, 64, 192, 128), RED)
    target = np.full((3, *size_hw), 7, np.uint8)

    place = write_letterboxed(frame, target)

    scale = place.width / frame.width
    centre = target[:, int(96 * scale), int(160 * scale)].astype(int)
    corner = target[:, 2, 2].astype(int)
    np.testing.assert_allclose(centre, RED, atol=6)
    np.testing.assert_allclose(corner, GREY, atol=3)
    assert (target[:, place.height :] == 114).all()
    assert (target[:, :, place.width :] == 114).all()


def test_a_letterboxed_frame_is_what_conversion_before_resizing_gives():
    """The short cut may blur chroma, not shift or tint the picture."""
    noise = np.random.default_rng(0).integers(64, 192, (18, 32, 3), np.uint8)
    rgb = cv2.resize(noise, (1280, 720), interpolation=cv2.INTER_CUBIC)
    i420 = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    target = np.zeros((3, 192, 320), np.uint8)

    write_letterboxed(Frame("c", 0, 1280, 720, i420), target)

    full = cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420)
    expected = cv2.resize(full, (320, 180)).transpose(2, 0, 1).astype(int)
    difference = np.abs(target[:, :180].astype(int) - expected)
    assert difference.mean() < 4
    assert abs(float((target[:, :180] - expected).mean())) < 0.5


@pytest.mark.parametrize("colour", [RED, BLUE])
def test_a_crop_holds_the_box_and_nothing_else(colour):
    frame = frame_with((101, 51, 161, 171), colour)
    target = np.zeros((3, 64, 32), np.uint8)

    write_crop(frame, (104.0, 54.0, 158.0, 168.0), target)

    np.testing.assert_allclose(target.mean(axis=(1, 2)), colour, atol=6)
    assert target.std(axis=(1, 2)).max() < 3


@pytest.mark.parametrize(
    "bbox_xyxy",
    [
        (-50.0, -50.0, 20.0, 20.0),
        (370.0, 250.0, 500.0, 400.0),
        (383.5, 255.5, 384.0, 256.0),
        (10.0, 10.0, 10.0, 10.0),
        (500.0, 500.0, 600.0, 600.0),
        (-90.0, -90.0, -10.0, -10.0),
    ],
)
def test_a_box_at_or_beyond_the_border_still_gives_a_picture(bbox_xyxy):
    """Boxes come from a tracker's prediction too, which may leave the frame."""
    frame = frame_with((0, 0, 384, 256), RED)
    target = np.zeros((3, 64, 32), np.uint8)

    write_crop(frame, bbox_xyxy, target)

    np.testing.assert_allclose(target.mean(axis=(1, 2)), RED, atol=6)


def test_rows_without_a_person_are_no_detections():
    """Zero padding, weak scores and boxes inside the letterbox's padding are left out."""
    boxes = np.array([[0, 0, 10, 10], [0, 190, 10, 200], [5, 5, 9, 9], [0, 0, 0, 0]], np.float32)
    scores = np.array([0.9, 0.8, 0.2, 0], np.float32)

    found = to_detections(Letterbox(320, 180, 640, 360), boxes, scores, 0.3)

    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 20, 20]])
    np.testing.assert_allclose(found.scores, [0.9])

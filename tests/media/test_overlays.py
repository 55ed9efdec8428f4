"""What is drawn into a picture is where the metadata says, in colours that are the person's."""

import numpy as np
import pytest

from plugins.media.overlays import Drawing, OverlayStyle, colour_of, draw_overlay, foot_px, mosaic
from plugins.messages import Track

GREY = np.full((360, 640, 3), 100, np.uint8)
PERSON = "0e94cab1-a6fd-590a-a90a-69a6ceb3c79a"


def track(box=(200.0, 100.0, 400.0, 600.0), global_id=PERSON):
    return Track(1, global_id, box, 0.9, 0, None, None, False, "", 0.0)


def changed(drawn):
    return (drawn != GREY).any(axis=2)


def test_boxes_are_scaled_from_the_frames_pixels_to_the_pictures():
    """The frame has twice the picture's size: the edges are at half the coordinates."""
    style = OverlayStyle(ids=False, trail=False)
    drawn = draw_overlay(GREY, [track()], (1280, 720), Drawing(style))
    rows, columns = np.nonzero(changed(drawn))
    assert (rows.min(), rows.max()) == (pytest.approx(50, abs=2), pytest.approx(300, abs=2))
    assert (columns.min(), columns.max()) == (pytest.approx(100, abs=2), pytest.approx(200, abs=2))
    assert not changed(drawn)[100:250, 120:180].any()
    assert drawn[150, 100].astype(int).tolist() == pytest.approx(list(colour_of(PERSON)), abs=60)
    assert not changed(GREY).any()


def test_the_followed_person_stands_out_and_can_be_alone():
    def drawn(drawing):
        other = track((600.0, 100.0, 700.0, 600.0), "someone else")
        return changed(draw_overlay(GREY, [track(), other], (1280, 720), drawing))

    plain = OverlayStyle(ids=False, trail=False)
    alone = OverlayStyle(ids=False, trail=False, only_focused=True)
    assert drawn(Drawing(plain, focus_id=PERSON)).sum() > drawn(Drawing(plain)).sum()
    assert not drawn(Drawing(alone, focus_id=PERSON))[:, 250:].any()
    assert not drawn(Drawing(alone)).any()


def test_trails_go_through_the_foot_points():
    style = OverlayStyle(boxes=False, ids=False)
    points = [(100.0, 600.0), (300.0, 600.0)]
    drawn = changed(draw_overlay(GREY, [track()], (1280, 720), Drawing(style, {PERSON: points})))
    assert drawn[300, 55:145].all()
    assert not drawn[:295].any()
    assert foot_px(track()) == (300.0, 600.0)


def test_names_stay_inside_the_picture():
    """A box at the upper border has its name inside it."""
    box = (200.0, 0.0, 400.0, 600.0)
    style = OverlayStyle(boxes=False, trail=False)
    assert changed(draw_overlay(GREY, [track(box)], (1280, 720), Drawing(style))).any()


def test_colours_depend_on_the_id_alone():
    assert colour_of("a") == colour_of("a") != colour_of("b")
    assert len(set(colour_of(None))) == 1


def test_a_mosaic_keeps_proportions_and_leaves_missing_cameras_dark():
    tall = np.full((200, 100, 3), 200, np.uint8)
    whole = mosaic([GREY, tall, None], (320, 180))
    assert whole.shape == (360, 640, 3)
    assert (whole[90, 160] == 100).all()
    assert (whole[90, 480] == 200).all()
    assert (whole[90, 340] == 0).all()  # beside the tall one
    assert not whole[180:].any()

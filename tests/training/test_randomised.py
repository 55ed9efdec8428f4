"""Random scenes: the same for the same seed, and their truth fits what is drawn."""

from itertools import pairwise

import numpy as np
import pytest

from training.gait import FOREARM, HEAD, L_FOOT, L_FOREARM, L_SHIN, PELVIS, R_FOOT
from training.people import make_people
from training.randomised.cameras import random_views
from training.randomised.chairs import random_chairs
from training.randomised.people import Pose, posed, random_people
from training.randomised.pictures import SHOPS_FROM, scene_pictures
from training.randomised.room import random_room
from training.randomised.shops import crowd_bones, random_shop

SIZE = (320, 180)
STANDING = Pose((0.0, 0.0), (0.0, 0.0), (0.1, 0.1), (0.0, 0.0), (0.0, 0.0), 0.0)
SITTING = Pose((0.5, 0.5), (1.2, 1.2), (0.1, 0.1), (1.5, 1.5), (1.5, 1.5), 0.1)


def pictures(seed):
    return list(scene_pictures(seed, cameras=2, moments=2, size=SIZE))


def test_the_same_seed_gives_the_same_pictures_and_another_gives_others():
    """Everything in a scene follows from its seed."""
    first, again, other = pictures(3), pictures(3), pictures(4)
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.bgr, same.bgr)
        np.testing.assert_array_equal(one.boxes_xyxy, same.boxes_xyxy)
    assert any(not np.array_equal(a.bgr, b.bgr) for a, b in zip(first, other, strict=True))


def test_boxes_lie_in_the_picture_and_belong_to_somebody_seen():
    """Boxes have an area within the picture and a visibility above nothing."""
    found = [picture for seed in (3, 4, 5) for picture in pictures(seed)]
    boxes = np.concatenate([picture.boxes_xyxy for picture in found])
    visibility = np.concatenate([picture.visibility for picture in found])
    assert len(boxes) > 10
    assert (boxes >= 0).all()
    assert (boxes <= np.tile(SIZE, 2)).all()
    assert (boxes[:, 2:] - boxes[:, :2] >= 2).all()
    assert ((visibility > 0.01) & (visibility <= 1)).all()


def test_rooms_people_and_cameras_differ():
    """No two rooms are of one size, no two cameras of one height, clothes come in many colours."""
    random = np.random.default_rng(1)
    rooms = [random_room(random)[0] for _ in range(6)]
    assert len({room.bounds_m for room in rooms}) == len(rooms)
    views = random_views(rooms[0], 5, SIZE, random)
    heights = [view.camera.ground_plane.camera_centre_m[2] for view, _ in views]
    assert all(a != b for a, b in pairwise(sorted(heights)))
    assert all(1.7 < height <= 5.0 for height in heights)
    assert len({person.top_colour for person in random_people(12, random)}) > 9


@pytest.mark.parametrize("pose", [STANDING, SITTING], ids=["standing", "sitting"])
def test_a_pose_keeps_the_limbs_lengths_and_stands_on_the_floor(pose):
    """The forearm hangs on its upper arm, the lower foot is at its height over the floor."""
    [person] = make_people(1, 5)
    bones = posed(person, np.array([2.0, 3.0]), 0.7, pose)
    for foot in (L_FOOT, R_FOOT):
        assert bones[foot, 2, 3] == pytest.approx(0.039 * person.height_m, abs=1e-6)
    reach = np.linalg.norm(bones[L_FOREARM, :, 3] - bones[L_FOREARM + 1, :, 3])
    assert reach < person.height_m * (2 * FOREARM + 0.4)
    np.testing.assert_allclose(bones[PELVIS, :2, 3], (2.0, 3.0))


def test_who_sits_is_lower_and_has_the_knees_in_front():
    """Sitting lowers the head by a thigh's length and puts the shins' joints before the hips."""
    [person] = make_people(1, 5)
    standing, sitting = (posed(person, np.zeros(2), 0.0, pose) for pose in (STANDING, SITTING))
    assert sitting[HEAD, 2, 3] < standing[HEAD, 2, 3] - 0.2 * person.height_m
    assert sitting[L_SHIN, 0, 3] > sitting[PELVIS, 0, 3] + 0.2 * person.height_m


def test_in_a_shop_people_stand_on_free_floor_and_not_in_each_other():
    """Nobody is in furniture or beyond a wall; bodies are 0.45 m apart; some are beside others."""
    random = np.random.default_rng(8)
    nearest = []
    for _ in range(12):
        room, people = random_shop(random), make_people(14, 8)
        bones = crowd_bones(room, people, random)
        place = bones[np.isfinite(bones[:, PELVIS, 0, 3]), PELVIS, :2, 3]
        assert ((place > -0.1) & (place < np.array(room.bounds_m[2:]) + 0.1)).all()
        for piece in room.furniture:
            inside = (place > np.array(piece.low_m)) & (place < np.array(piece.high_m))
            assert not inside.all(axis=1).any()
        apart = np.linalg.norm(place[:, None] - place[None], axis=2)
        np.fill_diagonal(apart, np.inf)
        nearest += apart.min(axis=1).tolist()
    assert len(nearest) > 80
    assert min(nearest) > 0.35
    assert min(nearest) < 0.7


def test_chairs_stand_on_the_floor_and_reach_no_higher_than_chairs():
    """Each begins within 0.03 m, ends between 0.8 m and 1.3 m, and is less than 1 m wide."""
    random = np.random.default_rng(2)
    room = random_shop(random)
    chairs = [chair for _ in range(6) for chair in random_chairs(room, random)]
    assert len(chairs) > 10
    for chair in chairs:
        points = chair.positions_m
        assert 0 <= points[:, 2].min() < 0.03
        assert 0.8 <= points[:, 2].max() < 1.3
        assert (np.ptp(points[:, :2], axis=0) < 1.0).all()


def test_seeds_of_shops_give_shops():
    """A shop is rendered like any other room, the same for the same seed."""
    [picture] = scene_pictures(SHOPS_FROM + 1, cameras=1, moments=1, size=SIZE)
    [again] = scene_pictures(SHOPS_FROM + 1, cameras=1, moments=1, size=SIZE)
    [other] = scene_pictures(1, cameras=1, moments=1, size=SIZE)
    np.testing.assert_array_equal(picture.bgr, again.bgr)
    np.testing.assert_array_equal(picture.boxes_xyxy, again.boxes_xyxy)
    assert not np.array_equal(picture.bgr, other.bgr)

"""Pictures and their truth: boxes fit what is drawn, visibility what can be seen."""

import cv2
import numpy as np
import pytest

from homography.environment import load_environments
from plugins.errors import InvalidEnvironmentError
from tests.homography.synthetic_camera import BARREL, NO_DISTORTION
from tests.training.scenes import HEIGHT, WIDTH, camera, standing
from training.camera_view import grade_of, view_of
from training.demo_room import demo_room
from training.gait import bone_matrices
from training.people import make_people
from training.render import Renderer

HERE, BEHIND, AWAY = (5.6, 3.4), (6.35, 3.85), (np.nan, np.nan)


def bones_at(people, *places_m):
    return np.stack(
        [
            bone_matrices(person, standing(place))[0]
            for person, place in zip(people, places_m, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def people():
    return make_people(2, 11)


@pytest.fixture(scope="module", params=[NO_DISTORTION, BARREL], ids=["pinhole", "barrel"])
def stage(request, people):
    """A renderer of the demo's shop for one camera, with and without distortion."""
    view = view_of(camera(distortion=request.param))
    return view, Renderer(demo_room(), people, [(view, grade_of(0, 1))])


def bgr(rendered):
    return cv2.cvtColor(rendered.i420, cv2.COLOR_YUV2BGR_I420).astype(int)


def test_the_box_is_where_the_picture_changes(stage, people):
    """With a person the picture differs from the empty room's up to the box's top and sides, and
    not above or far beside it.
    """
    _, renderer = stage
    [empty] = renderer.render(bones_at(people, AWAY, AWAY), 3)
    [full] = renderer.render(bones_at(people, HERE, AWAY), 3)
    x0, y0, x1, y1 = full.boxes_xyxy[0]
    changed = np.abs(bgr(full) - bgr(empty)).max(axis=2) > 30
    upper = changed[: int((y0 + y1) / 2)]
    rows, columns = np.nonzero(upper.any(axis=1))[0], np.nonzero(upper.any(axis=0))[0]
    assert abs(rows.min() - y0) <= 2.5
    assert x0 - 2.5 <= columns.min() <= x0 + 8
    assert x1 - 8 <= columns.max() <= x1 + 2.5
    assert np.isnan(full.boxes_xyxy[1]).all()


def test_the_foot_point_is_where_the_person_stands(stage, people):
    """The bottom of the box maps to the person's position, as near as shoes are long; the top lies
    where the camera sees somebody of that height.
    """
    view, renderer = stage
    plane = view.camera.ground_plane
    for place in (HERE, (4.0, 4.0), (8.0, 5.5)):
        [picture] = renderer.render(bones_at(people, place, AWAY), 0)
        x0, y0, x1, y1 = picture.boxes_xyxy[0]
        found = plane.to_ground([[(x0 + x1) / 2, y1]]).position_m[0]
        assert np.linalg.norm(found - place) < 0.22
        head = plane.project_height([place], people[0].height_m)
        assert head is not None
        assert abs(head[0, 1] - y0) < 0.06 * (y1 - y0)


def test_who_stands_behind_is_less_visible(stage, people):
    """Alone a person is wholly visible; with somebody in front only partly, the other wholly."""
    _, renderer = stage
    [alone] = renderer.render(bones_at(people, AWAY, BEHIND), 0)
    [both] = renderer.render(bones_at(people, HERE, BEHIND), 0)
    assert alone.visibility[0] == 0
    assert alone.visibility[1] > 0.97
    assert both.visibility[0] > 0.97
    assert 0.02 < both.visibility[1] < 0.75


def test_furniture_walls_and_the_border_hide(stage, people):
    """A shelf hides the legs, a wall everything, the picture's border what is beyond it."""
    view, renderer = stage
    [picture] = renderer.render(bones_at(people, (9.0, 7.6), (12.0, 1.5)), 0)
    assert 0.02 < picture.visibility[0] < 0.8
    assert picture.visibility[1] < 0.02
    edge = view.camera.ground_plane.to_ground([[WIDTH / 2, HEIGHT + 90.0]]).position_m[0]
    [picture] = renderer.render(bones_at(people, edge, AWAY), 0)
    assert picture.boxes_xyxy[0, 3] > HEIGHT + 50
    assert 0.2 < picture.visibility[0] < 0.8


def test_people_darken_the_floor_at_their_feet(stage, people):
    """Beside the shoes the floor loses light that it has without the person."""
    _, renderer = stage
    [empty] = renderer.render(bones_at(people, AWAY, AWAY), 3)
    [full] = renderer.render(bones_at(people, HERE, AWAY), 3)
    x0, _, x1, y1 = full.boxes_xyxy[0].astype(int)
    around = np.s_[y1 + 1 : y1 + 4, x0:x1]
    assert bgr(full)[around].mean() < bgr(empty)[around].mean() - 4


def test_the_same_moment_gives_the_same_picture(stage, people):
    """Pictures depend on bones and frame number alone, not on what was drawn before."""
    _, renderer = stage
    [first] = renderer.render(bones_at(people, HERE, BEHIND), 5)
    renderer.render(bones_at(people, BEHIND, AWAY), 6)
    [again] = renderer.render(bones_at(people, HERE, BEHIND), 5)
    np.testing.assert_array_equal(first.i420, again.i420)
    assert first.i420.shape == (HEIGHT * 3 // 2, WIDTH)


def test_the_demos_pictures_are_no_flat_grey():
    """Each demo camera sees a lit, textured room: neither dark nor burnt out."""
    environment = load_environments().environments["demo"]
    people = make_people(1, 1)
    views = [(view_of(camera), grade_of(k, 7)) for k, camera in enumerate(environment.cameras[:2])]
    for picture in Renderer(demo_room(), people, views).render(bones_at(people, AWAY), 0):
        luma = picture.i420[:720].astype(float)
        assert 70 < luma.mean() < 170
        assert luma.std() > 25
        assert (luma > 250).mean() < 0.05


@pytest.mark.parametrize("distortion", [NO_DISTORTION, BARREL], ids=["pinhole", "barrel"])
def test_a_view_projects_as_the_ground_plane_does(distortion):
    """The renderer's pixels are the calibration's, at any height."""
    one = camera(distortion=distortion)
    view, places = view_of(one), np.array([[4.0, 3.0], [6.0, 5.0], [8.0, 4.5]])
    for height_m in (0.0, 1.7):
        expected = one.ground_plane.project_height(places, height_m)
        points = np.column_stack([places, np.full(3, height_m)])
        np.testing.assert_allclose(view.to_picture(points), expected, atol=1e-6)
    homogeneous = np.column_stack([points, np.ones(3)]) @ view.clip_matrix().T
    canvas = (homogeneous[:, :2] / homogeneous[:, 3:] + 1) / 2 * (view.width, view.height)
    np.testing.assert_allclose(canvas, view.to_canvas(points), atol=0.01)


def test_a_camera_without_a_pose_is_refused_with_the_remedy():
    """Where the homography does not tell the height, the message says what to add."""
    cameras = load_environments().environments["campus"].cameras
    unknown = [one for one in cameras if one.ground_plane.projection is None]
    assert unknown
    with pytest.raises(InvalidEnvironmentError, match=rf"{unknown[0].camera_id}.*K"):
        view_of(unknown[0])

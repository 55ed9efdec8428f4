"""The ground plane against a real room: surveyed cameras and people who walk through it."""

import json

import cv2
import numpy as np
import pytest

from homography.environment import check_environment, load_environments
from homography.ground_plane import GroundPlane
from tests.lab_environment import write_lab_environment


@pytest.fixture(scope="module")
def lab(test_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("environments")
    write_lab_environment(folder, test_data)
    catalogue = load_environments([folder])
    assert catalogue.problems == ()
    return catalogue.environments["lab"]


def walkers(test_data):
    """Camera number to boxes (N, 4) and floor positions (N, 2) of the two walkers."""
    boxes, positions = {}, {}
    truth = json.loads((test_data / "lab4" / "pseudo_gt.json").read_text())
    for frame in truth["frames"]:
        for person in frame["people"]:
            for camera, box in person["views"].items():
                boxes.setdefault(camera, []).append(box)
                positions.setdefault(camera, []).append(person["ground_m"])
    return {c: (np.array(boxes[c]), np.array(positions[c])) for c in boxes}


def surveyed_pose(test_data, number):
    """K, distortion, R, t as the survey gives them."""
    survey = json.loads((test_data / "lab4" / "calib" / f"{number}.json").read_text())
    pose = np.array(survey["extrinsic"][0]["tf"]["doubles"]).reshape(4, 4)
    K = np.array(survey["intrinsic"]["doubles"]).reshape(3, 3)
    return K, np.array(survey["distortion"]["doubles"]), pose[:3, :3], pose[:3, 3]


def test_lab_environment_has_nothing_to_complain_about(lab):
    """Four cameras, each surveyed, seeing part of the map."""
    assert [camera.camera_id for camera in lab.cameras] == ["cam0", "cam1", "cam2", "cam3"]
    assert {finding.level for finding in check_environment(lab.path)} == {"info"}


def test_feet_of_walkers_agree_across_cameras(lab, test_data):
    """Bottom centres of boxes map to where all cameras together put the person.

    A box bottom is a few pixels off the feet and the truth is itself a mean of such points, so
    centimetres cannot be asked for; a wrong matrix or lens would be off by metres.
    """
    errors = []
    for number, (boxes, positions) in walkers(test_data).items():
        foot_px = np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]])
        points = lab.cameras[int(number)].ground_plane.to_ground(foot_px)
        assert points.is_valid.mean() > 0.95
        errors.append(np.hypot(*(points.position_m - positions)[points.is_valid].T))
        assert np.median(errors[-1]) < 0.4
    assert np.median(np.concatenate(errors)) < 0.25


@pytest.mark.parametrize("number", range(4))
def test_heads_and_camera_are_where_the_survey_has_them(lab, test_data, number):
    """From the floor's homography and K alone follow the surveyed pose and projections."""
    K, distortion, R, t = surveyed_pose(test_data, number)
    plane = lab.cameras[number].ground_plane
    np.testing.assert_allclose(plane.camera_centre_m, -R.T @ t, atol=1e-3)
    _, positions = walkers(test_data)[str(number)]
    people = np.column_stack([positions, np.full(len(positions), 1.7)])
    expected, _ = cv2.projectPoints(people[:, None], cv2.Rodrigues(R)[0], t, K, distortion)
    heads = plane.project_height(positions, 1.7)
    seen = np.isfinite(heads).all(axis=1)
    assert seen.mean() > 0.9
    np.testing.assert_allclose(heads[seen], expected[seen, 0], atol=0.05)


@pytest.mark.parametrize("number", range(4))
def test_without_k_the_pose_is_near_the_survey(lab, test_data, number):
    """The focal length that the homography implies puts the camera within 15 cm."""
    _, _, R, t = surveyed_pose(test_data, number)
    known = lab.cameras[number].ground_plane
    plane = GroundPlane.from_matrix(known.image_to_ground, known.width, known.height)
    assert np.linalg.norm(plane.camera_centre_m + R.T @ t) < 0.15

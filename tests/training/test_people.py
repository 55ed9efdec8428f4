"""Made-up people: reproducible, varied, and all of them upright."""

import numpy as np
import pytest

from tests.training.scenes import standing
from training.figure import figure_mesh, shadow_mesh
from training.gait import (
    ANKLE,
    BONES,
    L_FOOT,
    L_SHIN,
    L_THIGH,
    SHIN,
    THIGH,
    Motion,
    bone_matrices,
    stride_m,
)
from training.people import make_people


def skin_m(person, motion, mesh=None):
    """(V, 3) where the first moment's vertices are."""
    shape = mesh or figure_mesh(person)
    bones = bone_matrices(person, motion)[0][shape.bones]
    return np.einsum("vij,vj->vi", bones[:, :, :3], shape.positions_m) + bones[:, :, 3]


def walking(person, speed_mps, frames=200, rate_hz=50):
    seconds = np.arange(frames) / rate_hz
    x = speed_mps * seconds
    cycles = x / float(stride_m(person, speed_mps))
    speed = np.full(frames, speed_mps)
    return Motion(np.column_stack([x, 0 * x]), 0 * x, speed, cycles, seconds)


def test_the_same_seed_makes_the_same_people():
    """Every attribute comes from the seed; another seed dresses them otherwise."""
    assert make_people(12, 5) == make_people(12, 5)
    assert make_people(12, 5) != make_people(12, 6)


def test_people_can_be_told_apart_but_for_one_pair():
    """Tops differ as long as colours last; of eight, the last wears what the first does."""
    people = make_people(8, 3)
    assert len({person.top_name for person in people[:7]}) == 7
    assert people[7].twin_of == 1
    assert people[7].top_colour == people[0].top_colour
    assert all(person.twin_of is None for person in make_people(7, 3))


@pytest.mark.parametrize("mesh_of", [figure_mesh, shadow_mesh])
def test_figures_stand_on_the_floor_and_are_as_tall_as_they_say(mesh_of):
    """Soles at height 0 and the crown at the body's height, within two centimetres and hair."""
    for person in make_people(10, 1):
        heights = skin_m(person, standing((3.0, 2.0)), mesh_of(person))[:, 2]
        assert abs(heights.min()) < 0.02
        assert person.height_m - 0.03 < heights.max() < person.height_m + 0.04


def test_a_figure_is_where_it_should_be_and_faces_its_heading():
    """The body surrounds its position; shoes point along the heading."""
    [person] = make_people(1, 2)
    points = skin_m(person, standing((3.0, 2.0), np.pi / 2))
    assert np.abs(points[:, :2].mean(0) - (3.0, 2.0)).max() < 0.08
    shoes = points[points[:, 2] < 0.05]
    assert shoes[:, 1].max() - 2.0 > 2.0 - shoes[:, 1].min()


@pytest.mark.parametrize("speed_mps", [0.7, 1.1, 1.5])
def test_feet_that_carry_weight_do_not_slide(speed_mps):
    """At constant speed an ankle on the floor moves less than two centimetres before it rolls off,
    at any time one foot is on the floor, and both take turns.
    """
    [person] = make_people(1, 4)
    bones = bone_matrices(person, walking(person, speed_mps))
    low_m = ANKLE * person.height_m + 0.015
    rests = []
    for foot in (L_FOOT, L_FOOT + 1):
        x, z = bones[:, foot, 0, 3], bones[:, foot, 2, 3]
        runs = np.split(np.arange(len(z)), np.nonzero(np.diff(z < low_m))[0] + 1)
        flat = [run for run in runs if z[run[0]] < low_m and len(run) > 10][1:-1]
        assert flat
        rests += [np.ptp(x[run[2:-2]]) for run in flat]
    assert max(rests) < 0.02
    feet = bones[:, [L_FOOT, L_FOOT + 1], 2, 3].min(axis=1)
    assert feet.max() < ANKLE * person.height_m + 0.06


def test_bones_are_rigid_and_hang_together():
    """All matrices are rotations, and knee and ankle lie at the end of the bone above."""
    for person in make_people(6, 8):
        bones = bone_matrices(person, walking(person, 1.3))
        turns = bones[..., :3]
        assert np.abs(turns @ turns.swapaxes(-1, -2) - np.eye(3)).max() < 1e-9
        hip, knee, ankle = (bones[:, b, :, 3] for b in (L_THIGH, L_SHIN, L_FOOT))
        assert np.linalg.norm(knee - hip, axis=1) == pytest.approx(THIGH * person.height_m)
        assert np.linalg.norm(ankle - knee, axis=1) == pytest.approx(SHIN * person.height_m)


def test_who_is_away_has_no_place():
    """A position that is not a number gives bones that are none, at that moment alone."""
    [person] = make_people(1, 2)
    motion = standing((1.0, 1.0), frames=3)
    motion.position_m[1] = np.nan
    bones = bone_matrices(person, motion)
    assert bones.shape == (3, BONES, 3, 4)
    assert np.isnan(bones[1, :, :2, 3]).all()
    assert np.isfinite(bones[[0, 2]]).all()


def test_skins_are_closed_and_face_outwards():
    """Each triangle's own normal agrees with its vertices': what the renderer culls is hidden."""
    [person] = make_people(1, 9)
    mesh = figure_mesh(person)
    a, b, c = (mesh.positions_m[mesh.triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    shown = mesh.vertices[mesh.triangles, 3:6].mean(axis=1)
    is_flat = np.linalg.norm(faces, axis=1) > 1e-8
    agrees = ((faces * shown).sum(1) > 0)[is_flat]
    assert agrees.mean() > 0.98

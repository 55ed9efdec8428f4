"""``spoton calibrate``: what is printed is what the fit says, and can be pasted."""

import json
import tomllib

import numpy as np
import pytest

from control_plane.__main__ import main
from tests.homography.synthetic_camera import (
    BARREL,
    HEIGHT,
    WIDTH,
    camera_looking_at,
    floor_grid,
)

CAMERA = camera_looking_at()
FLOOR = floor_grid(count=4)
PAIRS = np.column_stack([CAMERA.project_floor(FLOOR), FLOOR])


def written(path, pairs, separator=", "):
    lines = [separator.join(f"{value:.6f}" for value in pair) for pair in pairs]
    path.write_text("\n".join(["# x_px, y_px, x_m, y_m", *lines, ""]))
    return str(path)


@pytest.mark.parametrize("separator", [", ", ";", "  "])
def test_the_fit_of_true_pairs_has_no_error(tmp_path, capsys, separator):
    assert main(["calibrate", written(tmp_path / "p.txt", PAIRS, separator), "--json"]) == 0

    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    expected = CAMERA.image_to_ground / np.linalg.norm(CAMERA.image_to_ground)
    found = np.array(answer["image_to_ground"])
    np.testing.assert_allclose(found / np.linalg.norm(found), expected, atol=1e-6)
    assert answer["rmse_m"] < 1e-4
    assert (answer["pairs"], answer["used"], answer["warnings"]) == (16, 16, [])


def test_what_is_printed_goes_into_an_environment_file(tmp_path, capsys):
    """And a pair that is far off is named, and left out."""
    wrong = PAIRS.copy()
    wrong[4, 2] += 3
    assert main(["calibrate", written(tmp_path / "p.csv", wrong)]) == 0

    out = capsys.readouterr().out
    pairs = tomllib.loads(out[out.index("point_pairs") :])["point_pairs"]
    found = [[*pair["image_px"], *pair["ground_m"]] for pair in pairs]
    np.testing.assert_allclose(found, wrong, atol=1e-5)
    assert "reprojection error of 15 pairs" in out
    assert "number 5; check them" in out


ENVIRONMENT = """
environment_id = "bent"
object_store_prefix = "bent"
recording_start = 2026-01-01T00:00:00Z
map_bounds_m = [-10, -10, 10, 10]
[[cameras]]
camera_id = "c01"
width = {width}
height = {height}
image_to_ground = {matrix}
[cameras.lens]
K = {K}
distortion = {distortion}
"""


def test_a_known_camera_brings_its_lens(tmp_path, capsys, monkeypatch):
    """The pairs come as JSON, as the REST interface takes them."""
    camera = camera_looking_at(distortion=BARREL)
    text = ENVIRONMENT.format(
        width=WIDTH,
        height=HEIGHT,
        matrix=camera.image_to_ground.tolist(),
        K=camera.K.tolist(),
        distortion=camera.distortion.tolist(),
    )
    (tmp_path / "bent.toml").write_text(text)
    monkeypatch.setenv("SPOTON_ENVIRONMENTS_DIR", str(tmp_path))
    pixels = camera.project_floor(FLOOR)
    pairs = [
        {"image_px": list(pixel), "ground_m": list(floor)}
        for pixel, floor in zip(pixels.tolist(), FLOOR.tolist(), strict=True)
    ]
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps({"point_pairs": pairs}))

    errors_m = []
    for more in ((), ("-e", "bent", "-c", "c01")):
        assert main(["calibrate", str(path), "--json", *more]) == 0
        errors_m.append(json.loads(capsys.readouterr().out.splitlines()[-1])["rmse_m"])

    assert errors_m[0] > 0.01
    assert errors_m[1] < 1e-4


@pytest.mark.parametrize(
    ("text", "more", "says"),
    [
        ("1 2 3 4\n5 6 7 8\n9 1 2 3\n", (), "3 point pairs: a homography needs four"),
        ("".join(f"{k} {k} {k} {2 * k}\n" for k in range(8)), (), "lie on one line"),
        ("1 2 3 4\n1 2 three 4\n", (), "line 2: '1 2 three 4' is not four numbers"),
        ("1 2 3 4\n1 2 3\n", (), "line 2"),
        ("nan 2 3 4\n1 5 3 4\n1 2 6 4\n8 2 3 4\n", (), "two finite numbers"),
        ('{"point_pairs": [{"image_px": [1]}]}', (), "point_pairs[0]"),
        ("1 2 3 4\n", ("-e", "demo"), "go together"),
        ("1 2 3 4\n", ("-e", "demo", "-c", "c77"), "has no camera 'c77'; there are: "),
        ("1 2 3 4\n", ("-e", "nowhere", "-c", "c01"), "there is no environment 'nowhere'"),
        (None, (), "cannot be read"),
    ],
)
def test_pairs_that_cannot_be_used_are_one_line(tmp_path, capsys, text, more, says):
    path = tmp_path / "pairs.txt"
    if text is not None:
        path.write_text(text)

    assert main(["calibrate", str(path), *more]) == 1

    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1

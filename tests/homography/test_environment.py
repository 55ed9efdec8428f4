from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from homography.environment import (
    PACKAGED_FOLDER,
    check_environment,
    load_environments,
    read_environment,
)
from homography.ground_plane import GroundPlane
from tests.homography.synthetic_camera import HEIGHT, WIDTH, camera_looking_at, floor_grid

HEAD = """\
environment_id = "yard"
name = "Yard"
object_store_prefix = "recordings/yard"
recording_start = 2024-05-01T08:00:00+02:00
timezone = "Europe/Berlin"
map_bounds_m = [-5, 0, 5, 10]
"""
ZONE = """
[[zones]]
zone_id = "gate"
polygon_m = [[0, 1], [2, 1], [2, 3], [0, 3]]
capacity = 3
"""


def camera_toml(camera_id="one", scale=1.0, extra="", count=4):
    """A camera table with exact pairs, in pixels of a picture ``scale`` times as large."""
    ground = floor_grid(x=(-1.5, 1.5), count=count)
    image = (camera_looking_at().project_floor(ground) + 0.5) * scale - 0.5
    rows = "".join(
        f"  {{ image_px = [{u}, {v}], ground_m = [{x}, {y}] }},\n"
        for (u, v), (x, y) in zip(image.tolist(), ground.tolist(), strict=True)
    )
    return (
        f'\n[[cameras]]\ncamera_id = "{camera_id}"\nwidth = {WIDTH}\nheight = {HEIGHT}\n'
        f"point_pairs = [\n{rows}]\n{extra}"
    )


@pytest.fixture
def write(tmp_path):
    def write_toml(text, name="yard.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_toml


def errors(path):
    return [f.message for f in check_environment(path) if f.level == "error"]


def warnings(path):
    return [f.message for f in check_environment(path) if f.level == "warning"]


def test_a_good_file_becomes_an_environment(write):
    """Everything in the file arrives, the start in UTC, folders and names with their defaults."""
    path = write(HEAD + camera_toml() + ZONE)
    environment, findings = read_environment(path)
    assert environment.recording_start == datetime(2024, 5, 1, 6, tzinfo=UTC)
    assert environment.recording_start.tzinfo is UTC
    assert (environment.environment_id, environment.rate_hz) == ("yard", 10.0)
    assert environment.map_bounds_m == (-5, 0, 5, 10)
    camera, zone = environment.cameras[0], environment.zones[0]
    assert (camera.camera_id, camera.recording_folder, camera.name) == ("one", "one", "one")
    assert (zone.zone_id, zone.capacity, zone.polygon_m.shape) == ("gate", 3, (4, 2))
    assert camera.fit.rmse_m < 1e-6
    assert {finding.level for finding in findings} == {"info"}


def test_the_hall_of_the_benchmarks_is_a_good_file():
    """Four cameras that can be rendered."""
    path = Path(__file__).parents[2] / "benchmarks" / "hall.toml"
    environment, findings = read_environment(path)
    assert environment is not None
    centres = [camera.ground_plane.camera_centre_m for camera in environment.cameras]
    assert len(centres) == 4
    assert all(centre is not None for centre in centres)
    assert "error" not in {finding.level for finding in findings}


def test_pairs_taken_at_another_size_are_scaled(write):
    """Pairs clicked in a picture twice as large give the same ground plane."""
    half = read_environment(
        write(HEAD + camera_toml(scale=2, extra=f"calibrated_at = [{2 * WIDTH}, {2 * HEIGHT}]\n"))
    )[0]
    assert half.cameras[0].warnings == ()
    position = floor_grid()
    foot_px = camera_looking_at().project_floor(position)
    mapped = half.cameras[0].ground_plane.to_ground(foot_px).position_m
    np.testing.assert_allclose(mapped, position, atol=1e-6)


def test_a_matrix_and_a_lens_taken_at_another_size_are_scaled(write):
    """The same for a camera that gives its matrix and its lens."""
    camera = camera_looking_at()
    double = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    matrix = camera.image_to_ground @ np.linalg.inv(double)
    text = HEAD + (
        f'[[cameras]]\ncamera_id = "one"\nwidth = {WIDTH}\nheight = {HEIGHT}\n'
        f"calibrated_at = [{2 * WIDTH}, {2 * HEIGHT}]\nimage_to_ground = {matrix.tolist()}\n"
        f"[cameras.lens]\nK = {(double @ camera.K).tolist()}\n"
    )
    plane = read_environment(write(text))[0].cameras[0].ground_plane
    assert isinstance(plane, GroundPlane)
    np.testing.assert_allclose(plane.K, camera.K)
    np.testing.assert_allclose(plane.camera_centre_m, camera.centre_m, atol=1e-6)
    position = floor_grid()
    np.testing.assert_allclose(plane.to_image(position), camera.project_floor(position), atol=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD.replace('"Yard"', '"Yard'), "line 2"),
        (HEAD + "colour = 1\n" + camera_toml(), "unknown key 'colour'"),
        (HEAD.replace("name =", "nmae =") + camera_toml(), "did you mean 'name'?"),
        (HEAD.replace("object_store_prefix", "#") + camera_toml(), "'object_store_prefix' is miss"),
        (HEAD.replace("+02:00", "") + camera_toml(), "no time zone"),
        (HEAD.replace("Europe/Berlin", "Mars/Base") + camera_toml(), "'Mars/Base' is unknown"),
        (HEAD.replace("Europe/Berlin", "../x") + camera_toml(), "'../x' is unknown"),
        (HEAD.replace('"yard"', '"The Yard"') + camera_toml(), "environment_id: must be letters"),
        (HEAD.replace("-5, 0, 5", "5, 0, -5") + camera_toml(), "x0 < x1"),
        (HEAD + "rate_hz = 0\n" + camera_toml(), "rate_hz"),
        (HEAD + "cameras = []\n", "no camera can be used"),
        (HEAD, "'cameras' is missing"),
    ],
)
def test_mistakes_that_spoil_the_whole_file_are_named(write, text, words):
    """Each is told in plain words and keeps the environment from being used."""
    path = write(text)
    assert any(words in message for message in errors(path)), errors(path)
    assert read_environment(path)[0] is None


SINGULAR = """
[[cameras]]
camera_id = "two"
width = 64
height = 64
image_to_ground = [[1, 1, 1], [1, 1, 1], [1, 1, 1]]
"""


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (camera_toml("one"), "camera one: there is another camera"),
        (camera_toml("two", count=1), "camera two: 1 point pairs"),
        (camera_toml("two", extra="iso = 3\n"), "camera two: unknown key 'iso'"),
        (camera_toml("two").replace("ground_m", "floor_m", 1), "point_pairs entry 1"),
        (camera_toml("two").replace("width", "#"), "'width' is missing"),
        ('[[cameras]]\ncamera_id = "two"\nwidth = 64\nheight = 64\n', "no calibration"),
        (camera_toml("seventeen-letters"), "a camera's 16 at most"),
        (SINGULAR, "camera two: image_to_ground is singular"),
        (
            camera_toml("two", extra="image_to_ground = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\n"),
            "both point_pairs and image_to_ground",
        ),
        (
            camera_toml("two", extra="[cameras.lens]\nK = [[0, 0, 0], [0, 0, 0], [0, 0, 1]]\n"),
            "camera two: K must look like",
        ),
    ],
)
def test_a_camera_with_a_mistake_costs_itself_only(write, table, words):
    """The error names the camera; the other one is used."""
    path = write(HEAD + camera_toml() + table)
    assert any(words in message for message in errors(path)), errors(path)
    environment, _ = read_environment(path)
    assert [camera.camera_id for camera in environment.cameras] == ["one"]
    assert any(words in p.message for p in load_environments([path.parent]).problems)


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        ("[[0, 1], [2, 1]]", "has 2 corners"),
        ("[]", "has 0 corners"),
        ("[[0, 1], [2, 3], [2, 1], [0, 3]]", "the sides after corners 1 and 3 cross"),
        ("[[0, 1], [1, 2], [2, 3]]", "encloses no area"),
        ("[[0, 1], [1, nan], [2, 3]]", "not finite"),
        ("[[0, 1], [1, 'x'], [2, 3]]", "polygon_m entry 2 entry 2"),
    ],
)
def test_a_zone_with_a_mistake_costs_itself_only(write, polygon, words):
    """The error names the zone; cameras and other zones are used."""
    wrong = f'[[zones]]\nzone_id = "bad"\npolygon_m = {polygon}\n'
    path = write(HEAD + camera_toml() + ZONE + wrong)
    assert any(m.startswith("zone bad: ") and words in m for m in errors(path)), errors(path)
    assert [zone.zone_id for zone in read_environment(path)[0].zones] == ["gate"]


def test_zones_beyond_the_map_and_repeated_zones_are_told(write):
    """Partly or wholly outside is doubtful; the same id twice is a mistake."""
    partly = ZONE.replace("gate", "partly").replace("[2, 1]", "[9, 1]")
    wholly = ZONE.replace("gate", "wholly").replace("1]", "11]").replace("3]", "13]")
    path = write(HEAD + camera_toml() + ZONE + ZONE + partly + wholly)
    assert any("zone gate: there is another zone" in message for message in errors(path))
    assert "zone partly: reaches over" in " ".join(warnings(path))
    assert "zone wholly: lies outside" in " ".join(warnings(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + camera_toml(count=2), "only 4 point pairs"),
        (HEAD + camera_toml(scale=3), "outside of the 1280x720 picture"),
        (HEAD.replace("-5, 0, 5, 10", "500, 0, 510, 10") + camera_toml(), "sees no part of"),
        (HEAD + camera_toml(extra="calibrated_at = [1280, 1024]\n"), "another shape"),
    ],
)
def test_doubts_about_a_camera_do_not_stop_it(write, text, words):
    """They are warnings with the camera's id, in the check and on the camera itself."""
    path = write(text)
    assert any(words in message for message in warnings(path)), warnings(path)
    environment, findings = read_environment(path)
    assert any(words in warning for warning in environment.cameras[0].warnings)
    assert {f.camera_id for f in findings} == {"one"}


def test_all_mistakes_are_told_at_once(write):
    """Whoever corrects the file sees every mistake, not the first only."""
    wrong = HEAD.replace("+02:00", "").replace("Europe/Berlin", "Mars/Base")
    path = write(wrong + camera_toml(count=1) + ZONE.replace("[0, 3]", "[0, 0], [3, 3]"))
    text = " ".join(errors(path))
    for words in ("no time zone", "Mars/Base", "1 point pairs", "cross"):
        assert words in text


def test_unreadable_files_are_told_not_raised(tmp_path):
    """A missing file and one that is not text have findings like any other mistake."""
    assert "cannot be read" in errors(tmp_path / "none.toml")[0]
    (tmp_path / "bin.toml").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in errors(tmp_path / "bin.toml")[0]


def test_a_broken_file_does_not_stop_the_others(write, tmp_path):
    """The catalogue holds what can be used and says what cannot, and why."""
    write("environment_id = ", "broken.toml")
    write(HEAD + camera_toml())
    catalogue = load_environments([tmp_path])
    assert {"campus", "factory", "yard"} <= set(catalogue.environments)
    assert [problem.path.name for problem in catalogue.problems] == ["broken.toml"]


def test_the_users_file_wins_over_the_packaged_one(write, tmp_path):
    """Same id in a user's folder replaces ours; a later folder replaces an earlier one."""
    write(HEAD.replace('"yard"', '"campus"') + camera_toml())
    later = tmp_path / "later"
    later.mkdir()
    text = HEAD.replace('"yard"', '"campus"').replace("Yard", "Later") + camera_toml()
    (later / "mine.toml").write_text(text, encoding="utf-8")
    assert load_environments([tmp_path]).environments["campus"].name == "Yard"
    assert load_environments([tmp_path, later]).environments["campus"].name == "Later"
    assert load_environments([later, tmp_path]).environments["campus"].name == "Yard"


def test_the_same_id_twice_in_one_folder_is_a_problem(write, tmp_path):
    """Which of the two would win is not left to chance: the first by name, and it is told."""
    write(HEAD + camera_toml(), "a.toml")
    write(HEAD + camera_toml(), "b.toml")
    catalogue = load_environments([tmp_path])
    assert catalogue.environments["yard"].path.name == "a.toml"
    assert "is already in" in catalogue.problems[0].message


def test_a_folder_that_is_missing_is_a_problem(tmp_path):
    """A mistyped setting is told; the packaged environments remain."""
    catalogue = load_environments([tmp_path / "nowhere"])
    assert "is no folder" in catalogue.problems[0].message
    assert "campus" in catalogue.environments


@pytest.mark.parametrize(
    ("environment_id", "prefix", "camera_ids"),
    [
        ("campus", "video_s37", ["c01", "c02", "c03", "c05"]),
        ("factory", "video_s14", ["c09", "c12", "c13", "c16"]),
    ],
)
def test_packaged_environments_are_complete(environment_id, prefix, camera_ids):
    """Both real environments load with every camera, and their points map onto their plan."""
    catalogue = load_environments()
    assert catalogue.problems == ()
    environment = catalogue.environments[environment_id]
    assert environment.path.parent == PACKAGED_FOLDER
    assert environment.object_store_prefix == prefix
    assert [camera.camera_id for camera in environment.cameras] == camera_ids
    assert len(environment.zones) >= 3
    for camera in environment.cameras:
        assert (camera.width, camera.height) == (1920, 1080)
        assert camera.fit.median_m < 0.5
        assert np.isfinite(camera.fit.residual_m).all()


def test_known_weak_calibrations_are_told():
    """c05 has five pairs, and several cameras fit badly: whoever uses them is told."""
    environments = load_environments().environments
    weak = {
        camera.camera_id
        for environment in environments.values()
        for camera in environment.cameras
        if camera.warnings
    }
    assert weak == {"c01", "c02", "c05", "c09", "c13", "c16"}


@pytest.mark.parametrize("bad", ["3", "[1, 2]", "[{image_px = 1}]", '"x"', "[[1, 2]]"])
def test_values_of_the_wrong_kind_are_mistakes_not_crashes(write, bad):
    """Whatever stands where tables or lists belong, the check answers."""
    for text in (HEAD + f"cameras = {bad}\n", HEAD + f"zones = {bad}\n" + camera_toml()):
        assert errors(write(text))
    path = write(HEAD + camera_toml() + camera_toml("two").split("point_pairs")[0])
    path.write_text(path.read_text() + f"point_pairs = {bad}\n")
    assert errors(path)


def test_findings_can_leave_the_process():
    """They are what the command prints as JSON."""
    findings = check_environment(PACKAGED_FOLDER / "campus.toml")
    decoded = msgspec.json.decode(msgspec.json.encode(findings))
    assert set(decoded[0]) == {"level", "camera_id", "message"}

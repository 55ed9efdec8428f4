"""A made-up floor with people walking on it, seen by cameras that make mistakes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from homography.ground_plane import GroundPlane
from homography.lens import Lens
from plugins.frames import NS_PER_S, CropRequest, Detections
from plugins.tracking import SetResult, Tracker, TrackingParameters
from plugins.tracking.assignment import covered

START_NS = 1_700_000_000 * NS_PER_S
WIDTH, HEIGHT = 1280, 720
BODY_RADIUS_M = 0.22
Path = Callable[[float], tuple[float, float] | None]
Array = npt.NDArray[np.float64]


def camera(
    centre_m: tuple[float, float, float], target_m: tuple[float, float], focal_px: float = 800.0
) -> GroundPlane:
    """A camera at ``centre_m`` that looks at a point on the floor, without roll."""
    centre = np.array(centre_m)
    forward = np.array([*target_m, 0.0]) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    K = np.array([[focal_px, 0, WIDTH / 2], [0, focal_px, HEIGHT / 2], [0, 0, 1]])
    P = K @ np.column_stack([R, -R @ centre])
    return GroundPlane.from_matrix(
        np.linalg.inv(P[:, [0, 1, 3]]), WIDTH, HEIGHT, lens=Lens.from_coefficients(K)
    )


def two_cameras() -> dict[str, GroundPlane]:
    """Different heights, lenses and directions over the same floor of about 8 by 6 metres."""
    return {
        "east": camera((10.0, 3.0, 3.0), (4.0, 3.0), 700.0),
        "north": camera((4.0, 9.5, 2.6), (4.0, 3.0), 820.0),
    }


def four_cameras() -> dict[str, GroundPlane]:
    """One in each corner."""
    return {
        f"c{i}": camera((x, y, 2.8), (4.0, 3.0), 650.0)
        for i, (x, y) in enumerate([(-2.0, -2.0), (10.0, -2.0), (10.0, 8.0), (-2.0, 8.0)])
    }


def walk(*stops: tuple[float, float, float]) -> Path:
    """Straight lines between (second, x, y); nowhere before the first and after the last."""
    times, xs, ys = np.array(stops).T

    def at(time_s: float) -> tuple[float, float] | None:
        if not times[0] <= time_s <= times[-1]:
            return None
        return float(np.interp(time_s, times, xs)), float(np.interp(time_s, times, ys))

    return at


def box_of(plane: GroundPlane, place_m: tuple[float, float], height_m: float = 1.7) -> Array | None:
    """The box (4,) of an upright cylinder, cut at the picture's border; None if hardly in it."""
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.array(place_m) + BODY_RADIUS_M * np.column_stack([np.cos(angles), np.sin(angles)])
    head = plane.project_height(ring, height_m)
    assert head is not None
    sides = np.concatenate([plane.to_image(ring), head])
    top = plane.project_height(np.array([place_m]), height_m)
    ends = np.concatenate([plane.to_image(np.array([place_m])), np.reshape(top, (1, 2))])
    if not np.isfinite(sides).all():
        return None
    whole = np.array([sides[:, 0].min(), ends[1, 1], sides[:, 0].max(), ends[0, 1]])
    cut = np.clip(whole, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    if (cut[2] - cut[0]) * (cut[3] - cut[1]) < 0.4 * (whole[2] - whole[0]) * (whole[3] - whole[1]):
        return None
    return cut


@dataclass
class World:
    """``people`` by name; ``blind`` tells for (camera, second) that there is no picture,
    ``screened`` for (camera, place) that a thing stands before who is there.
    """

    planes: Mapping[str, GroundPlane]
    people: Mapping[str, Path]
    seed: int = 0
    rate_hz: float = 10.0
    miss: float = 0.0
    clutter: float = 0.0
    noise_share: float = 0.02
    blind: Callable[[str, float], bool] = lambda _camera_id, _time_s: False
    screened: Callable[[str, tuple[float, float]], bool] = lambda _camera_id, _place_m: False
    has_pictures: bool = True
    shown: dict[int, dict[str, list[tuple[str | None, Array]]]] = field(default_factory=dict)

    def sets(self, seconds: float) -> list[tuple[int, int, dict[str, Detections]]]:
        """(index, media time, boxes) of every set; remembers whose boxes they are."""
        rng = np.random.default_rng(self.seed)
        sets = []
        for index in range(round(seconds * self.rate_hz)):
            time_s = index / self.rate_hz
            self.shown[index] = {
                c: self._picture(c, plane, time_s, rng)
                for c, plane in self.planes.items()
                if not self.blind(c, time_s)
            }
            boxes = {c: _detections(shown, rng) for c, shown in self.shown[index].items()}
            sets.append((index, START_NS + round(time_s * NS_PER_S), boxes))
        return sets

    def _picture(
        self, camera_id: str, plane: GroundPlane, time_s: float, rng: np.random.Generator
    ) -> list[tuple[str | None, Array]]:
        shown: list[tuple[str | None, Array]] = []
        for name, path in self.people.items():
            place = path(time_s)
            if place is None or self.screened(camera_id, place):
                continue
            box = box_of(plane, place)
            if box is not None and rng.random() >= self.miss:
                size = np.tile(box[2:] - box[:2], 2)
                noisy = box + rng.normal(0, self.noise_share, 4) * size
                shown.append((name, np.clip(noisy, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])))
        shown = [entry for entry in shown if not _is_hidden(entry[1], [b for _, b in shown])]
        if rng.random() < self.clutter:
            x, y, h = rng.uniform(0, 1100), rng.uniform(100, 400), rng.uniform(80, 300)
            shown.append((None, np.array([x, y, x + 0.4 * h, y + h])))
        return shown

    def name_of(self, index: int, camera_id: str, bbox_xyxy: tuple[float, ...]) -> str | None:
        """Whose box it is, None for clutter."""
        shown = self.shown[index][camera_id]
        gaps = [float(np.abs(box - np.array(bbox_xyxy)).sum()) for _, box in shown]
        return shown[int(np.argmin(gaps))][0]

    def embed(self, index: int, requests: list[CropRequest]) -> npt.NDArray[np.float32] | None:
        """What an embedder would say: one direction for each name, with some noise."""
        if not self.has_pictures:
            return None
        rng = np.random.default_rng((self.seed, index))
        rows = [
            _direction(self.name_of(index, r.camera_id, r.bbox_xyxy)) + rng.normal(0, 0.08, 32)
            for r in requests
        ]
        return np.reshape(rows, (-1, 32)).astype(np.float32)

    def names(self, index: int, result: SetResult) -> dict[tuple[str, int], tuple[str, str | None]]:
        """By (camera, track id): whose box it truly is, and the id it got; without clutter."""
        found = {}
        for camera_id, tracks in result.tracks.items():
            for track in tracks:
                name = self.name_of(index, camera_id, track.bbox_xyxy)
                if name is not None:
                    found[camera_id, track.track_id] = (name, track.global_id)
        return found


def run(
    world: World,
    seconds: float,
    *,
    parameters: TrackingParameters | None = None,
    skip: Callable[[int], bool] = lambda _index: False,
) -> list[tuple[int, SetResult]]:
    """Tracks a world; ``skip`` drops whole sets."""
    tracker = Tracker(world.planes, parameters or TrackingParameters(), "seed", "made-up")
    return [
        (index, step(tracker, world, index, time_ns, boxes))
        for index, time_ns, boxes in world.sets(seconds)
        if not skip(index)
    ]


def step(
    tracker: Tracker, world: World, index: int, time_ns: int, boxes: dict[str, Detections]
) -> SetResult:
    """One set through a tracker."""
    requests = tracker.associate(index, time_ns, boxes)
    return tracker.identify(world.embed(index, requests))


def ids_by_name(world: World, results: list[tuple[int, SetResult]]) -> dict[str, list[str]]:
    """The ids each person was given, the most frequent first."""
    counts: dict[str, dict[str, int]] = {name: {} for name in world.people}
    for index, result in results:
        for name, global_id in world.names(index, result).values():
            if global_id is not None:
                counts[name][global_id] = counts[name].get(global_id, 0) + 1
    return {n: sorted(c, key=lambda i: -c[i]) for n, c in counts.items()}


def purity(world: World, results: list[tuple[int, SetResult]]) -> float:
    """Share of boxes with an id that carry their person's most frequent one."""
    main = {name: ids[0] for name, ids in ids_by_name(world, results).items() if ids}
    pairs = [
        pair
        for index, result in results
        for pair in world.names(index, result).values()
        if pair[1] is not None
    ]
    return sum(main[name] == global_id for name, global_id in pairs) / len(pairs)


def _direction(name: str | None) -> Array:
    seed = 999 if name is None else sum(ord(c) * 31**i for i, c in enumerate(name))
    vector = np.random.default_rng(seed).normal(size=32)
    return np.asarray(vector / np.linalg.norm(vector))


def _is_hidden(box: Array, boxes: list[Array]) -> bool:
    in_front = np.reshape([b for b in boxes if b[3] > box[3]], (-1, 4))
    return bool(len(in_front) and covered(box[None], in_front).max() > 0.75)


def _detections(shown: list[tuple[str | None, Array]], rng: np.random.Generator) -> Detections:
    boxes = np.reshape([box for _, box in shown], (-1, 4)).astype(np.float32)
    scores = rng.uniform(0.6, 0.9, len(boxes)).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes[order], scores[order])

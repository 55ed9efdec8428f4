"""Random rooms full of walking people, seen by four corner cameras that make mistakes.

What trackers are measured on besides recordings: everything about a room (size, cameras, people,
frame rate, the detector's errors) is drawn from its seed.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from homography.ground_plane import GroundPlane
from plugins.frames import NS_PER_S, Detections
from plugins.tracking import SetResult, SettledSet, Tracker, TrackingParameters
from tests.tracking.scoring import Places, score_places
from tests.tracking.world import HEIGHT, START_NS, WIDTH, camera

Array = npt.NDArray[np.float64]
_STEP_S = 0.04
_PICTURE = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT], np.float64)


@dataclass(frozen=True, slots=True)
class Room:
    """What is drawn for one seed. ``sigma`` are shares of a person's height in the picture.

    ``hidden_miss`` is how often who is hidden wholly is missed, from a share ``hidden_from`` on;
    for ``memory_s`` a detector errs alike; people keep ``personal_m`` apart, ``pause`` is how often
    they stand still on arrival, ``unsteady`` how they sway, ``followers`` how many follow others.
    """

    seed: int
    width_m: float
    depth_m: float
    people: int
    rate_hz: float
    seconds: float = 40.0
    miss: float = 0.1
    clutter: float = 0.05
    doubled: float = 0.1
    sigma: float = 0.045
    bias: float = 0.03
    doors: bool = True
    hidden_miss: float = 0.97
    hidden_from: float = 0.3
    memory_s: float = 0.2
    personal_m: float = 0.5
    pause: float = 0.5
    unsteady: float = 0.3
    followers: float = 0.3


def random_room(seed: int, crowd: float = 0.25) -> Room:
    """A room with up to ``crowd`` people a square metre, at least three."""
    rng = np.random.default_rng(1000 + seed)
    width, depth = rng.uniform(4, 14), rng.uniform(3, 10)
    most = min(25.0, crowd * width * depth)
    return Room(
        seed=seed,
        width_m=float(width),
        depth_m=float(depth),
        people=int(rng.integers(3, max(4, round(most)) + 1)),
        rate_hz=float(rng.choice([4.0, 5.0, 10.0, 25.0], p=[0.4, 0.2, 0.3, 0.1])),
        miss=float(rng.uniform(0.05, 0.25)),
        clutter=float(rng.uniform(0, 0.1)),
        doubled=float(rng.uniform(0, 0.2)),
        sigma=float(rng.uniform(0.03, 0.06)),
        bias=float(rng.uniform(0, 0.05)),
        doors=bool(rng.random() < 0.5),
    )


@dataclass
class Crowd:
    """A room at work: ``planes``, ``truth`` and ``sets`` of all its frames."""

    room: Room
    planes: dict[str, GroundPlane] = field(default_factory=dict)
    truth: list[Places] = field(default_factory=list)
    sets: list[dict[str, Detections]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draws everything."""
        rng = np.random.default_rng(self.room.seed)
        self.planes = _cameras(self.room, rng)
        heights = rng.normal(1.72, 0.08, self.room.people)
        widths = rng.normal(0.58, 0.06, self.room.people)
        biases = {c: rng.normal(0, self.room.bias, 4) for c in self.planes}
        errors = {c: rng.normal(0, 1, (self.room.people, 4)) for c in self.planes}
        stride = max(1, round(1 / (self.room.rate_hz * _STEP_S)))
        keep = float(np.exp(-stride * _STEP_S / self.room.memory_s))
        for xy, inside in _walks(self.room, rng)[::stride]:
            self.truth.append({str(i): (xy[i, 0], xy[i, 1]) for i in np.flatnonzero(inside)})
            self.sets.append({})
            for name, plane in self.planes.items():
                fresh = rng.normal(0, 1, errors[name].shape)
                errors[name] = keep * errors[name] + np.sqrt(1 - keep**2) * fresh
                error = errors[name] * self.room.sigma * (1.1, 0.7, 1.5, 1.0) + biases[name]
                boxes = _true_boxes(plane, xy, heights, widths)
                boxes[~inside] = np.nan
                self.sets[-1][name] = _detected(boxes, error, self.room, rng)

    @property
    def step_ns(self) -> int:
        """Nanoseconds from set to set."""
        return round(max(1, round(1 / (self.room.rate_hz * _STEP_S))) * _STEP_S * NS_PER_S)


def track(
    crowd: Crowd, parameters: TrackingParameters | None = None
) -> tuple[list[SetResult], list[SettledSet]]:
    """Online results and settled sets of a whole crowd."""
    tracker = Tracker(crowd.planes, parameters or TrackingParameters(), "seed", "none")
    results, settled = [], []
    for index, boxes in enumerate(crowd.sets):
        tracker.associate(index, START_NS + index * crowd.step_ns, boxes)
        results.append(tracker.identify(None))
        settled += results[-1].settled
    return results, [*settled, *tracker.finish()]


def scores(
    crowd: Crowd, sets: list[SetResult] | list[SettledSet], within_m: float = 0.5
) -> dict[str, float]:
    """Scores on the floor of the room, without a margin at the walls where people come and go."""
    found = [{p.global_id: p.position_m for p in one.positions} for one in sets]
    return score_places(crowd.truth, found, within_m)


def _cameras(room: Room, rng: np.random.Generator) -> dict[str, GroundPlane]:
    corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
    middle = (room.width_m / 2, room.depth_m / 2)
    planes = {}
    for i, (a, b) in enumerate(corners):
        x = a * room.width_m + (2 * a - 1) * rng.uniform(0.2, 1.5)
        y = b * room.depth_m + (2 * b - 1) * rng.uniform(0.2, 1.5)
        target = (middle[0] + rng.normal(0, 0.3), middle[1] + rng.normal(0, 0.3))
        focal = rng.uniform(520, 780)
        planes[f"c{i}"] = camera((x, y, rng.uniform(2.4, 3.6)), target, focal)
    return planes


def _walks(room: Room, rng: np.random.Generator) -> list[tuple[Array, npt.NDArray[np.bool_]]]:
    """Places (N, 2) and who is in the room, every 40 ms."""
    size, n = np.array([room.width_m, room.depth_m]), room.people
    margin = 0.3
    door = np.array([[margin, rng.uniform(0.3, 0.7) * room.depth_m]])
    goal = rng.uniform(margin, size - margin, (n, 2))
    xy = rng.uniform(margin, size - margin, (n, 2))
    enter = np.zeros(n)
    if room.doors:
        late = rng.random(n) < 0.6
        enter = np.where(late, rng.uniform(0, 0.6 * room.seconds, n), 0.0)
        xy[late] = door
    leader = np.where(rng.random(n) < room.followers, rng.integers(0, n, n), np.arange(n))
    leader[leader[leader] != leader] = np.arange(n)[leader[leader] != leader]
    beside = rng.normal(0, 0.45, (n, 2))
    speed, wait = rng.uniform(0.5, 1.4, n), np.zeros(n)
    velocity = np.zeros((n, 2))
    frames = []
    for k in range(round(room.seconds / _STEP_S)):
        inside = enter <= k * _STEP_S
        follows = (leader != np.arange(n)) & inside & inside[leader]
        target = np.where(
            follows[:, None], np.clip(goal[leader] + beside, margin, size - margin), goal
        )
        way = target - xy
        far = np.linalg.norm(way, axis=1)
        arrived = (far < 0.25) & (wait <= 0) & (leader == np.arange(n))
        wait = np.where(
            arrived,
            np.where(rng.random(n) < room.pause, rng.uniform(0.5, 5, n), 0.05),
            wait - _STEP_S,
        )
        new = arrived | ((wait <= 0) & (rng.random(n) < 0.05 * _STEP_S))
        goal[new] = rng.uniform(margin, size - margin, (int(new.sum()), 2))
        moving = (wait <= 0) & (far > 0.1)
        desired = np.where(
            moving[:, None], way / np.maximum(far, 0.3)[:, None] * speed[:, None], 0.0
        )
        gap = xy[:, None] - xy[None]
        apart = (
            np.linalg.norm(gap, axis=2) + 10 * np.eye(n) + 10 * (~inside[None] | ~inside[:, None])
        )
        push = (
            gap
            * (np.clip(room.personal_m - apart, 0, None) / np.maximum(apart, 0.05) * 6)[..., None]
        ).sum(1)
        velocity += (_STEP_S / 0.4) * (desired - velocity) + _STEP_S * push
        velocity += rng.normal(0, room.unsteady * np.sqrt(_STEP_S), (n, 2)) * moving[:, None]
        velocity[~inside] = 0.0
        xy = np.clip(xy + _STEP_S * velocity, 0.1, size - 0.1)
        frames.append((xy.copy(), inside))
    return frames


def _true_boxes(plane: GroundPlane, xy: Array, heights: Array, widths: Array) -> Array:
    """(N, 4) middle, top, width, bottom of everybody; NaN behind the camera."""
    foot, head = plane.project_height(xy, 0.0), plane.project_height(xy, heights)
    assert foot is not None
    assert head is not None
    P = plane.projection
    assert P is not None
    scale = float(np.linalg.norm(P[2, :3]))
    depth = np.column_stack([xy, heights / 2, np.ones(len(xy))]) @ P[2] / scale
    focal = float(np.linalg.norm(np.cross(P[0, :3], P[2, :3]))) / scale**2
    width = focal * widths / np.maximum(depth, 0.1)
    boxes = np.stack([(foot[:, 0] + head[:, 0]) / 2, head[:, 1], width, foot[:, 1]], axis=1)
    boxes[depth < 0.3] = np.nan
    return boxes


def _detected(boxes: Array, error: Array, room: Room, rng: np.random.Generator) -> Detections:
    """What a detector makes of them."""
    found: list[Array] = []
    sides = _sides(boxes)
    for i in range(len(boxes)):
        if not np.isfinite(boxes[i]).all():
            continue
        size = boxes[i, 3] - boxes[i, 1]
        hidden, feet_at = _occluded(i, sides)
        far = np.clip((hidden - room.hidden_from) / 0.5, 0, 1)
        if rng.random() < room.miss + (room.hidden_miss - room.miss) * far:
            continue
        edges = boxes[i] + error[i] * size
        if feet_at is not None and rng.random() < 0.7:
            edges[3] = max(edges[1] + 0.35 * size, min(edges[3], feet_at + 0.05 * size))
        box = _sides(edges[None])[0]
        found.append(box)
        if rng.random() < room.doubled:
            lower = box[1] + rng.uniform(0.4, 0.7) * (box[3] - box[1])
            found.append(np.array([box[0] + 0.05 * size, box[1], box[2] - 0.05 * size, lower]))
    for _ in range(rng.poisson(room.clutter * max(1, len(found)))):
        x, y, h = rng.uniform(0, WIDTH), rng.uniform(0, 0.7 * HEIGHT), rng.uniform(80, 300)
        found.append(np.array([x, y, x + rng.uniform(0.3, 0.5) * h, y + h]))
    cut = np.clip(np.reshape(found, (-1, 4)), 0, _PICTURE)
    whole = np.reshape(found, (-1, 4))
    area, full = _area(cut), _area(whole)
    kept = cut[(area > 0.35 * full) & (area > 400)].astype(np.float32)
    return Detections(kept, np.ones(len(kept), np.float32))


def _occluded(i: int, sides: Array) -> tuple[float, float | None]:
    """Share of a box that nearer ones hide, and where the feet seem to be if they are hidden."""
    nearer = np.flatnonzero(sides[:, 3] > sides[i, 3] + 2)
    if not nearer.size:
        return 0.0, None
    low = np.maximum(sides[i, :2], sides[nearer, :2])
    high = np.minimum(sides[i, 2:], sides[nearer, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1) / max(_area(sides[[i]])[0], 1.0)
    width = np.clip(high[:, 0] - low[:, 0], 0, None) / max(sides[i, 2] - sides[i, 0], 1.0)
    blocking = (width > 0.6) & (shared > 0.15)
    feet = float(sides[nearer[blocking], 1].min()) if blocking.any() else None
    return float(min(shared.sum(), 1.0)), feet


def _sides(boxes: Array) -> Array:
    half = boxes[:, 2] / 2
    return np.stack([boxes[:, 0] - half, boxes[:, 1], boxes[:, 0] + half, boxes[:, 3]], axis=1)


def _area(sides: Array) -> Array:
    return np.asarray(np.prod(np.clip(sides[:, 2:] - sides[:, :2], 0, None), axis=1))

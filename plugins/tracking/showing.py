"""What a set shows: each camera's tracks with ids, boxes and places, and people on the floor."""

import numpy as np

from plugins.frames import NS_PER_S
from plugins.media_time import to_rfc3339
from plugins.messages import Track
from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.identity_state import IdentityState, View
from plugins.tracking.outlines import outlines
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person, stacked
from plugins.tracking.results import PersonPosition
from plugins.tracking.sight import EDGES, Boxes, optics
from plugins.tracking.trajectories import uncertainty_m

_PERSON_CLASS = 0
# Who a tracklet shows, and whether it stands where that person is.
_Shown = tuple[Person | None, bool]
_Place = tuple[tuple[float, float], float]


def show(
    state: IdentityState, views: list[View], parameters: TrackingParameters
) -> tuple[dict[str, list[Track]], list[PersonPosition]]:
    """Tracks by camera, and who is shown on the floor, for the set that ``state`` has reached."""
    shown = {view.camera_id: _whom(state, view) for view in views}
    seen = {p.number: p for rows in shown.values() for p, _ in rows if p is not None}
    places = {p.number: _place(p.mean, p.cov) for p in seen.values() if p.has_place}
    boxes = _boxes(state, views, shown, parameters)
    time = to_rfc3339(state.time_ns)
    tracks = {
        view.camera_id: _tracks(
            state, view, shown[view.camera_id], places, boxes=one, time=time, parameters=parameters
        )
        for view, one in zip(views, boxes, strict=True)
    }
    return tracks, _positions(state, shown, places, parameters)


def _whom(state: IdentityState, view: View) -> list[_Shown]:
    """By row of a view."""
    persons, found = state.people.persons, []
    for tracklet in view.tracklets:
        link = state.link(view.camera_id, tracklet.track_id)
        person = None if link.person is None else persons[link.person]
        found.append((person, person is not None and person.has_place and link.strained_s == 0))
    return found


def _place(mean: FloatArray, cov: FloatArray) -> _Place:
    x, y = mean[:2].tolist()
    return (x, y), uncertainty_m(cov)


def _tracks(
    state: IdentityState,
    view: View,
    shown: list[_Shown],
    places: dict[int, _Place],
    *,
    boxes: FloatArray,
    time: str,
    parameters: TrackingParameters,
) -> list[Track]:
    found, rows = [], zip(view.tracklets, shown, boxes.tolist(), strict=True)
    for row, (tracklet, (person, is_there), (x0, y0, x1, y1)) in enumerate(rows):
        if person is None and not tracklet.is_confirmed:
            continue
        # A tracklet that is nobody yet or strays is shown where it stands by itself.
        place = places[person.number] if person and is_there else _own_place(view, row)
        is_known = place is not None and place[1] <= parameters.max_uncertainty_m
        found.append(
            Track(
                track_id=tracklet.track_id,
                global_id=None if person is None else person.global_id,
                bbox_xyxy=(x0, y0, x1, y1),
                confidence=tracklet.score,
                class_id=_PERSON_CLASS,
                map_coords=place[0] if place and is_known else None,
                map_uncertainty_m=place[1] if place and is_known else None,
                is_focused=False,
                detection_time=time,
                tracking_duration=(state.time_ns - tracklet.born_ns) / NS_PER_S,
            )
        )
    return found


def _own_place(view: View, row: int) -> _Place | None:
    standing = view.standing
    return _place(standing.state[row], standing.cov[row]) if standing.is_valid[row] else None


def _boxes(
    state: IdentityState,
    views: list[View],
    shown: dict[str, list[_Shown]],
    parameters: TrackingParameters,
) -> list[FloatArray]:
    """The tracklets' boxes (N, 4) by view, those of people whose place is known put right by it."""
    placed = [
        [
            row
            for row, (person, is_there) in enumerate(shown[view.camera_id])
            if person is not None and is_there and person.seen_ns == state.time_ns
        ]
        for view in views
    ]
    found = [view.boxes_xyxy.copy() for view in views]
    most = max(map(len, placed), default=0)
    if not most:
        return found
    mean, cov = np.full((len(views), most, 6), np.nan), np.full((len(views), most, 6, 6), np.nan)
    before = np.full((len(views), most, 4), np.nan)
    for k, (view, rows) in enumerate(zip(views, placed, strict=True)):
        people = [p for row in rows if (p := shown[view.camera_id][row][0]) is not None]
        mean[k, : len(rows)], cov[k, : len(rows)] = stacked(people)
        before[k, : len(rows)] = found[k][rows]
    moved = outlines(
        before,
        Boxes.of_all([view.edges.rows(rows) for view, rows in zip(views, placed, strict=True)]),
        optics(tuple(view.plane for view in views)),
        mean,
        cov,
        bias=np.stack([state.biases.get(view.camera_id, np.zeros((3, EDGES))) for view in views]),
        parameters=parameters,
    )
    for k, rows in enumerate(placed):
        found[k][rows] = moved[k, : len(rows)]
    return found


def _positions(
    state: IdentityState,
    shown: dict[str, list[_Shown]],
    places: dict[int, _Place],
    parameters: TrackingParameters,
) -> list[PersonPosition]:
    cameras: dict[int, list[str]] = {}
    for camera_id, rows in shown.items():
        for person, _ in rows:
            if person is not None:
                cameras.setdefault(person.number, []).append(camera_id)
    found = []
    for number, person in sorted(state.people.persons.items()):
        if (
            person.has_place
            and (state.time_ns - person.seen_ns) / NS_PER_S <= parameters.shown_unseen_s
            and person.existence >= parameters.shown_existence
        ):
            place = places.get(number) or _place(person.mean, person.cov)
            if place[1] <= parameters.max_uncertainty_m:
                found.append(_position(person, place, tuple(cameras.get(number, ()))))
    return found


def _position(person: Person, place: _Place, camera_ids: tuple[str, ...]) -> PersonPosition:
    vx, vy = person.mean[4:].tolist()
    return PersonPosition(
        global_id=person.global_id,
        position_m=place[0],
        velocity_mps=(vx, vy),
        uncertainty_m=place[1],
        camera_ids=camera_ids,
    )

"""How well each person is borne out by the cameras that could see them.

Doubled and half boxes make people who are not there; they live in one camera and overlap others,
while every real person in view of several cameras is soon seen by a second one.
"""

from collections.abc import Mapping

import numpy as np

from plugins.tracking.camera_plane import BoolArray
from plugins.tracking.identity_state import IdentityState, View
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import Person, stacked

_WELL_COVERED = 3


def weigh_support(
    state: IdentityState, views: list[View], dt_s: float, parameters: TrackingParameters
) -> None:
    """Averages how many cameras see each person; where few could, being seen is enough."""
    weights = _weights(state, views)
    seen = [p for n, p in sorted(state.people.persons.items()) if n in weights and p.has_place]
    if not seen:
        return
    covering = sum(_in_picture(view, seen).astype(int) for view in views)
    share = 1.0 - float(np.exp(-dt_s / parameters.support_s))
    for person, cameras in zip(seen, np.asarray(covering).tolist(), strict=True):
        now = weights[person.number] if cameras >= _WELL_COVERED else 1.0
        is_new = person.born_ns == state.time_ns
        person.support = now if is_new else person.support + share * (now - person.support)


def _weights(state: IdentityState, views: list[View]) -> Mapping[int, float]:
    """By person: 1 for each camera that sees them, down to 0.5 where boxes overlap."""
    weights: dict[int, float] = {}
    for view in views:
        for tracklet in view.tracklets:
            link = state.link(view.camera_id, tracklet.track_id)
            if link.person is not None:
                weights[link.person] = weights.get(link.person, 0.0) + 0.5 + 0.5 * link.trust
    return weights


def _in_picture(view: View, people: list[Person]) -> BoolArray:
    """Whether each person's feet (N,) are where the camera looks."""
    mean, _ = stacked(people)
    foot_px = view.plane.to_image(mean[:, :2])
    inside = (foot_px >= 0) & (foot_px < (view.plane.width, view.plane.height))
    return np.asarray(inside.all(axis=1))

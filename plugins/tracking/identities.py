"""Who is who across cameras, decided once per synchronised set.

Within a set every camera is matched against the same prediction, so the order of cameras does not
matter; then all measurements of a person are fused at once. The stages in order: ``settling.py``
ties tracklets to people who are where they stand, ``births.py`` recognises or begins the others,
``merging.py`` joins people known twice. ``identity_state.py`` is what they share.
"""

from plugins.frames import NS_PER_S
from plugins.tracking.births import begin_people, reconsider
from plugins.tracking.identity_state import IdentityState, Looks, View
from plugins.tracking.matching import Look
from plugins.tracking.merging import merge_people
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.results import IdentityDecision
from plugins.tracking.settling import fuse_places, settle
from plugins.tracking.support import weigh_support


def identify(
    state: IdentityState,
    views: list[View],
    living: dict[str, set[int]],
    looks: Looks,
    *,
    time_ns: int,
    parameters: TrackingParameters,
) -> list[IdentityDecision]:
    """Moves ``state`` on by one set; ``living`` are the track ids each camera still follows."""
    dt_s = max(0, time_ns - state.time_ns) / NS_PER_S if state.time_ns >= 0 else 0.0
    state.time_ns = time_ns
    state.drop_ended(living)
    active = state.people.advance(time_ns, parameters)
    decisions: list[IdentityDecision] = []
    for view in views:
        decisions += settle(state, view, active, looks, dt_s=dt_s, parameters=parameters)
    fuse_places(state, views, parameters)
    decisions += begin_people(state, views, parameters)
    weigh_support(state, views, dt_s, parameters)
    _remember(state, parameters)
    decisions += reconsider(state, views, looks, parameters)
    decisions += merge_people(state, views, dt_s, parameters)
    _forget(state, parameters)
    return decisions


def _remember(state: IdentityState, parameters: TrackingParameters) -> None:
    """Keeps good crops of tracklets whose person is not in doubt."""
    for by_id in state.links.values():
        for link in by_id.values():
            if link.look is None or link.person is None or link.strained_s > 0 or not link.fits:
                continue
            if _is_telling(state, link.person, link.look, parameters):
                state.gallery.add(link.person, link.look.vector, link.look.quality)
            link.look = None


def _is_telling(
    state: IdentityState, person: int, look: Look, parameters: TrackingParameters
) -> bool:
    """A good crop, and not of somebody the tracklet may have slipped to."""
    alike = state.gallery.similarity(look.vector, [person]).get(person, 1.0)
    return look.quality >= parameters.min_crop_quality and alike >= parameters.different_cosine


def _forget(state: IdentityState, parameters: TrackingParameters) -> None:
    gone = state.people.forget(state.time_ns, set(state.linked()), parameters)
    if gone:
        state.gallery.forget(gone)
        state.apart = {pair for pair in state.apart if gone.isdisjoint(pair)}

"""The tracker: one synchronised set in, tracks, floor positions and identity decisions out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plugins.errors import InvalidInputError, UnknownCameraError
from plugins.frames import NS_PER_S, CropRequest, Detections
from plugins.media_time import to_rfc3339
from plugins.messages import Track
from plugins.tracking import snapshot as snapshots
from plugins.tracking.camera_plane import CameraPlane
from plugins.tracking.crops import ChosenCrop, choose_crops
from plugins.tracking.gallery import Gallery, unit
from plugins.tracking.identities import identify
from plugins.tracking.identity_state import IdentityState, Looks, View
from plugins.tracking.lag import Lag
from plugins.tracking.matching import Look
from plugins.tracking.outlines import outlines
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import People, Person, stacked
from plugins.tracking.results import (
    Correction,
    IdentityDecision,
    PersonPosition,
    SetResult,
    SettledSet,
)
from plugins.tracking.tracklets import CameraTracklets, Tracklet
from plugins.tracking.trajectories import uncertainty_m

_PERSON_CLASS = 0


@dataclass(frozen=True, slots=True)
class _PendingSet:
    """A set between ``associate`` and ``identify``."""

    time_ns: int
    observed: dict[str, list[Tracklet]]
    crops: list[ChosenCrop]


class Tracker:
    """Call ``associate``, embed the crops it asks for, then ``identify``; once per set, in order.

    Deterministic: the same sets and embeddings with the same ``identity_seed`` give the same ids.
    Time is media time; sets may be dropped and cameras may be missing.
    """

    def __init__(
        self,
        cameras: Mapping[str, CameraPlane],
        parameters: TrackingParameters,
        identity_seed: str,
        embedding_model: str,
    ) -> None:
        self._planes = dict(sorted(cameras.items()))
        self._parameters = parameters
        self._tracklets = {camera_id: CameraTracklets() for camera_id in self._planes}
        gallery = Gallery(embedding_model, parameters.vectors_per_person)
        self._state = IdentityState(People(identity_seed), gallery)
        self._lag = Lag()
        self._set_index = -1
        self._pending: _PendingSet | None = None

    def associate(
        self, set_index: int, media_time_ns: int, detections: Mapping[str, Detections]
    ) -> list[CropRequest]:
        """Follows each camera's boxes; returns the crops worth an embedding, most needed first.

        A camera absent from ``detections`` delivered no picture. Raises UnknownCameraError for one
        the tracker was not made for, InvalidInputError for a set that is not later than the last.
        """
        self._check_order(set_index, media_time_ns, detections)
        self._set_index = set_index
        observed: dict[str, list[Tracklet]] = {}
        for camera_id, tracklets in self._tracklets.items():
            tracklets.step(detections.get(camera_id), media_time_ns, self._parameters)
            if camera_id in detections:
                observed[camera_id] = tracklets.observed(media_time_ns)
        confirmed = {c: [t for t in seen if t.is_confirmed] for c, seen in observed.items()}
        doubtful = self._state.doubtful_tracklets()
        crops = choose_crops(confirmed, self._planes, media_time_ns, self._parameters, doubtful)
        self._pending = _PendingSet(media_time_ns, observed, crops)
        return [crop.request for crop in crops]

    def identify(self, embeddings: npt.NDArray[np.float32] | None) -> SetResult:
        """Gives the set of the last ``associate`` its identities and places.

        ``embeddings`` (R, D) has a row for each request, in order, of any length above zero; a row
        of zeros or NaN stands for a crop that could not be embedded, None for no appearance at
        all. Raises InvalidInputError when there is no such set or the rows do not fit.
        """
        pending = self._half_done()
        looks = _looks(pending.crops, embeddings)
        self._pending = None
        views = [
            View(camera_id, tracklets, self._planes[camera_id], self._parameters)
            for camera_id, tracklets in pending.observed.items()
        ]
        living = {c: {t.track_id for t in s.tracklets} for c, s in self._tracklets.items()}
        decisions = identify(
            self._state, views, living, looks, time_ns=pending.time_ns, parameters=self._parameters
        )
        tracks: dict[str, list[Track]] = {camera_id: [] for camera_id in self._planes}
        tracks |= {view.camera_id: self._tracks(view, pending.time_ns) for view in views}
        positions = self._positions(views)
        corrections = self._correct(decisions, pending.time_ns)
        self._lag.held.append(SettledSet(self._set_index, pending.time_ns, tracks, positions))
        lag_ns = int(self._parameters.lag_s * NS_PER_S)
        settled = self._lag.release(pending.time_ns - lag_ns)
        return SetResult(tracks, positions, decisions, settled, corrections)

    def finish(self) -> tuple[SettledSet, ...]:
        """The sets still inside the lag, final now. Call it once, after the last set."""
        return self._lag.release(self._state.time_ns)

    def use_embedding_model(
        self, embedding_model: str, parameters: TrackingParameters | None = None
    ) -> None:
        """From now on embeddings are this model's, and ``parameters`` fit it; what another one
        gave is dropped.
        """
        self._state.gallery.use_model(embedding_model)
        self._parameters = parameters or self._parameters

    def embeddings_of(self, global_ids: Collection[str]) -> dict[str, npt.NDArray[np.float32]]:
        """The mean look (D,) of each of these people who has been embedded, of length 1."""
        numbers = {
            person.global_id: number
            for number, person in self._state.people.persons.items()
            if person.global_id in global_ids
        }
        means = {g: self._state.gallery.mean(number) for g, number in numbers.items()}
        return {global_id: mean for global_id, mean in means.items() if mean is not None}

    def snapshot(self) -> bytes:
        """Everything known, msgpack; a restored tracker continues exactly as this one.

        Raises InvalidInputError between ``associate`` and ``identify``.
        """
        if self._pending is not None:
            raise InvalidInputError("a set is half done: call identify before snapshot")
        return snapshots.encode(self._set_index, self._tracklets, self._state, self._lag)

    @classmethod
    def restore(
        cls, data: bytes, cameras: Mapping[str, CameraPlane], parameters: TrackingParameters
    ) -> "Tracker":
        """The tracker a snapshot was taken of; InvalidInputError where it cannot be read.

        Cameras may come and go: those the snapshot does not know begin empty.
        """
        set_index, tracklets, state, lag = snapshots.decode(data)
        tracker = cls(cameras, parameters, state.people.identity_seed, state.gallery.model)
        tracker._set_index, tracker._state, tracker._lag = set_index, state, lag
        for camera_id in tracker._tracklets:
            tracker._tracklets[camera_id] = tracklets.get(camera_id, CameraTracklets())
        return tracker

    def _correct(self, decisions: list[IdentityDecision], time_ns: int) -> tuple[Correction, ...]:
        """Lets the held sets know who was somebody else."""
        found: list[Correction | None] = []
        exchanged = [d for d in decisions if d.verdict == "corrected"]
        # Each exchange is told twice, once for each of the two.
        for d in exchanged[::2]:
            since_ns = time_ns - round((d.seconds or 0.0) * NS_PER_S)
            found.append(self._lag.exchange(str(d.other_global_id), d.global_id, since_ns))
        for d in decisions:
            if d.verdict == "merged" and d.other_global_id is not None:
                self._lag.rename({d.other_global_id: d.global_id}, 0)
        return tuple(correction for correction in found if correction is not None)

    def _check_order(
        self, set_index: int, media_time_ns: int, detections: Mapping[str, Detections]
    ) -> None:
        for camera_id in detections:
            if camera_id not in self._planes:
                raise UnknownCameraError(
                    f"set {set_index} has boxes of camera {camera_id}, which is not one of "
                    f"{', '.join(self._planes)}: give the tracker its calibration"
                )
        if self._pending is not None:
            raise InvalidInputError(f"set {self._set_index} is half done: call identify first")
        if set_index <= self._set_index or media_time_ns <= self._state.time_ns:
            raise InvalidInputError(
                f"set {set_index} at {media_time_ns} ns is not later than set {self._set_index} "
                f"at {self._state.time_ns} ns: give sets in order, each once"
            )

    def _half_done(self) -> _PendingSet:
        if self._pending is None:
            raise InvalidInputError("no set to identify: call associate first")
        return self._pending

    def _tracks(self, view: View, time_ns: int) -> list[Track]:
        time, boxes = to_rfc3339(time_ns), self._shown_boxes(view)
        return [
            self._track(view, row, boxes[row], time_ns, time)
            for row, tracklet in enumerate(view.tracklets)
            if tracklet.is_confirmed or self._state.person_of(view.camera_id, tracklet.track_id)
        ]

    def _shown_boxes(self, view: View) -> npt.NDArray[np.float64]:
        """The tracklets' boxes (N, 4), those of people whose place is known put right by it."""
        state, boxes = self._state, view.boxes_xyxy.copy()
        placed = {
            row: person
            for row, tracklet in enumerate(view.tracklets)
            if (person := state.person_of(view.camera_id, tracklet.track_id)) is not None
            and person.has_place
            and person.seen_ns == state.time_ns
            and state.link(view.camera_id, tracklet.track_id).strained_s == 0
        }
        rows = list(placed)
        bias = state.biases.get(view.camera_id)
        if rows and bias is not None:
            mean, cov = stacked(list(placed.values()))
            boxes[rows] = outlines(
                boxes[rows],
                view.edges.rows(rows),
                view.plane,
                mean,
                cov,
                bias=bias,
                parameters=self._parameters,
            )
        return boxes

    def _track(
        self, view: View, row: int, box_xyxy: npt.NDArray[np.float64], time_ns: int, time: str
    ) -> Track:
        tracklet = view.tracklets[row]
        person = self._state.person_of(view.camera_id, tracklet.track_id)
        place, sigma_m = self._shown_place(view, row, person)
        x0, y0, x1, y1 = box_xyxy.tolist()
        return Track(
            track_id=tracklet.track_id,
            global_id=None if person is None else person.global_id,
            bbox_xyxy=(x0, y0, x1, y1),
            confidence=tracklet.score,
            class_id=_PERSON_CLASS,
            map_coords=place,
            map_uncertainty_m=sigma_m,
            is_focused=False,
            detection_time=time,
            tracking_duration=(time_ns - tracklet.born_ns) / NS_PER_S,
        )

    def _shown_place(
        self, view: View, row: int, person: Person | None
    ) -> tuple[tuple[float, float] | None, float | None]:
        """The person's place, or for a tracklet that is nobody yet or strays, its own."""
        link = self._state.link(view.camera_id, view.tracklets[row].track_id)
        if person is not None and person.has_place and link.strained_s == 0:
            place, sigma_m = person.mean[:2], uncertainty_m(person.cov)
        elif view.standing.is_valid[row]:
            place, sigma_m = view.standing.state[row, :2], uncertainty_m(view.standing.cov[row])
        else:
            return None, None
        if sigma_m > self._parameters.max_uncertainty_m:
            return None, None
        return (float(place[0]), float(place[1])), sigma_m

    def _positions(self, views: list[View]) -> list[PersonPosition]:
        cameras: dict[int, list[str]] = {}
        for view in views:
            for tracklet in view.tracklets:
                person = self._state.person_of(view.camera_id, tracklet.track_id)
                if person is not None:
                    cameras.setdefault(person.number, []).append(view.camera_id)
        return [
            _position(person, tuple(cameras.get(number, ())))
            for number, person in sorted(self._state.people.persons.items())
            if self._is_shown(person)
        ]

    def _is_shown(self, person: Person) -> bool:
        unseen_s = (self._state.time_ns - person.seen_ns) / NS_PER_S
        return (
            person.has_place
            and person.existence >= self._parameters.shown_existence
            and unseen_s <= self._parameters.shown_unseen_s
            and uncertainty_m(person.cov) <= self._parameters.max_uncertainty_m
        )


def _looks(crops: list[ChosenCrop], embeddings: npt.NDArray[np.float32] | None) -> Looks:
    if embeddings is None or not crops:
        return {}
    if embeddings.ndim != 2 or len(embeddings) != len(crops):
        raise InvalidInputError(
            f"{len(crops)} crops were asked for and embeddings of shape {embeddings.shape} came: "
            "give one row for each, in order"
        )
    return {
        (crop.request.camera_id, crop.request.track_id): Look(vector, crop.quality)
        for crop, vector in zip(crops, unit(embeddings), strict=True)
        if vector.any()
    }


def _position(person: Person, camera_ids: tuple[str, ...]) -> PersonPosition:
    x, y, _, _, vx, vy = person.mean.tolist()
    return PersonPosition(
        global_id=person.global_id,
        position_m=(x, y),
        velocity_mps=(vx, vy),
        uncertainty_m=uncertainty_m(person.cov),
        camera_ids=camera_ids,
    )

"""The tracker: one synchronised set in, tracks, floor positions and identity decisions out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plugins.errors import InvalidInputError, UnknownCameraError
from plugins.frames import NS_PER_S, CropRequest, Detections
from plugins.tracking import snapshot as snapshots
from plugins.tracking.camera_plane import CameraPlane
from plugins.tracking.crops import ChosenCrop, choose_crops
from plugins.tracking.gallery import Gallery, unit
from plugins.tracking.identities import identify
from plugins.tracking.identity_state import IdentityState, Looks, View
from plugins.tracking.lag import Lag
from plugins.tracking.matching import Look
from plugins.tracking.parameters import TrackingParameters
from plugins.tracking.people import People
from plugins.tracking.results import (
    Correction,
    IdentityDecision,
    SetResult,
    SettledSet,
)
from plugins.tracking.showing import show
from plugins.tracking.tracklets import CameraTracklets, Tracklet


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
        shown, positions = show(self._state, views, self._parameters)
        tracks = {camera_id: shown.get(camera_id, []) for camera_id in self._planes}
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

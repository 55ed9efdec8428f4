"""What the frontend's WebSockets say, made of the product's own messages; pure."""

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import msgspec

from control_plane.errors import PersonNotFoundError
from control_plane.focus_socket import FocusUpdate
from control_plane.identity.person_details import PersonDetails, sighting_in
from plugins.media.overlays import foot_px
from plugins.messages import Track, TrackingUpdate

CLASS_NAME = "person"
TRAIL_SETS = 10
Metres = tuple[float, float]


class Corners(msgspec.Struct, frozen=True):
    """Two corners of a box, pixels."""

    x1: float
    y1: float
    x2: float
    y2: float


class Box(Corners, frozen=True):
    """A box with its size and centre, pixels."""

    width: float
    height: float
    center_x: float
    center_y: float


class MapPoint(msgspec.Struct, frozen=True):
    """On the floor, metres."""

    map_x: float
    map_y: float


class CameraTrack(msgspec.Struct, frozen=True):
    """A person in the picture; ``detection_id`` is theirs as long as their track lasts."""

    track_id: int
    detection_id: str
    global_id: str | None
    bbox_xyxy: tuple[float, float, float, float]
    confidence: float
    class_id: int
    map_coords: Metres | None
    is_focused: bool


class CameraData(msgspec.Struct, frozen=True):
    """What a camera sees; ``timestamp`` is media time."""

    tracks: list[CameraTrack]
    frame_width: int
    frame_height: int
    timestamp: str


class Detection(msgspec.Struct, frozen=True):
    """A person in the picture, as a detection."""

    detection_id: str
    confidence: float
    bbox: Box
    map_coords: MapPoint | None
    class_name: str
    class_id: int
    track_id: int
    global_id: str | None


class DetectionData(msgspec.Struct, frozen=True):
    """``processing_time_ms`` is what detection took for this set, null where it was not told."""

    detections: list[Detection]
    processing_time_ms: float | None


class FootPoint(msgspec.Struct, frozen=True):
    """Where a person stands in the picture, pixels."""

    image_x: float
    image_y: float


class TrailPoint(msgspec.Struct, frozen=True):
    """Where a person was: ``frame_offset`` 0 is now, -1 the set before; metres, media time."""

    x: float
    y: float
    frame_offset: int
    timestamp: str


class MapCoordinate(msgspec.Struct, frozen=True):
    """A person on the floor, and whence they came, newest first; null without a position."""

    detection_id: str
    map_x: float | None
    map_y: float | None
    projection_successful: bool
    coordinate_system: Literal["bev_map_meters"]
    foot_point: FootPoint
    trail: list[TrailPoint]


class PipelineData(msgspec.Struct, frozen=True):
    """The floor."""

    mapping_coordinates: list[MapCoordinate]


class CameraMessage(msgspec.Struct, frozen=True):
    """One camera of one set."""

    type: Literal["tracking_update"]
    mode: Literal["detection_streaming"]
    task_id: str
    camera_id: str
    global_frame_index: int
    timestamp_processed_utc: str
    camera_data: CameraData
    detection_data: DetectionData
    future_pipeline_data: PipelineData


class FocusTarget(msgspec.Struct, frozen=True):
    """Where the frontend saw the person it means."""

    camera_id: str | None = None
    track_id: int | None = None


class SetFocus(msgspec.Struct, frozen=True):
    """``set_focus``; ``person_id`` may be a name of the frontend's own for a track."""

    person_id: str
    person_details: FocusTarget | None = None


class FocusedPerson(msgspec.Struct, frozen=True):
    """Where the person is, or was last; track and detection are null while no camera sees them."""

    camera_id: str
    current_camera: str
    track_id: int | None
    detection_id: str | None
    bbox: Corners


class FocusPayload(msgspec.Struct, frozen=True):
    """Payload of ``focus_update``."""

    is_active: bool
    focused_person_id: str | None
    person_details: FocusedPerson | None


@dataclass(frozen=True, slots=True)
class PastSet:
    """Floor positions of one set, by camera and track."""

    index: int
    media_time: str
    places_m: Mapping[tuple[str, int], Metres]


class PastSets:
    """The newest sets that one client was sent; forgets all when the row of sets is broken."""

    def __init__(self) -> None:
        self._sets: deque[PastSet] = deque(maxlen=TRAIL_SETS)

    def add(self, update: TrackingUpdate) -> None:
        """One more set."""
        index = update.global_frame_index
        if self._sets and index <= self._sets[0].index:
            self._sets.clear()  # a seek
        places_m = {
            (camera_id, t.track_id): t.map_coords
            for camera_id, view in update.cameras.items()
            for t in view.tracks
            if t.map_coords is not None
        }
        self._sets.appendleft(PastSet(index, update.timestamp_media_utc, places_m))

    def trail(self, camera_id: str, track_id: int) -> list[TrailPoint]:
        """Of a track, newest first."""
        key = (camera_id, track_id)
        return [
            TrailPoint(*past.places_m[key], past.index - self._sets[0].index, past.media_time)
            for past in self._sets
            if key in past.places_m
        ]


def camera_messages(
    task_id: str, update: TrackingUpdate, past: PastSets, focus_id: str | None
) -> list[CameraMessage]:
    """A set in the frontend's words; ``past`` ends with this set."""
    return [_camera_message(task_id, update, c, past, focus_id) for c in update.cameras]


def detection_id(camera_id: str, track: Track) -> str:
    """The same in every set, so that what is selected stays selected."""
    return f"{camera_id}_{track.track_id}"


def global_id_of(message: SetFocus, newest: TrackingUpdate | None) -> str:
    """The person meant: by id, else by the track they have now; PersonNotFoundError for nobody."""
    with contextlib.suppress(ValueError):
        return str(UUID(message.person_id))
    target = message.person_details or FocusTarget()
    view = newest.cameras.get(target.camera_id or "") if newest else None
    for track in view.tracks if view else ():
        if track.track_id == target.track_id and track.global_id is not None:
            return track.global_id
    raise PersonNotFoundError(
        f"nobody is known as {message.person_id.strip()!r}, and there is no person behind its "
        "camera_id and track_id now: choose somebody who has a global_id"
    )


def focus_payload(update: FocusUpdate, newest: TrackingUpdate | None) -> FocusPayload:
    """Whom the viewer follows, with the track they have in the newest set."""
    details = update.person_details
    person = None if details is None else _focused(details, newest)
    return FocusPayload(update.is_active, update.focused_person_id, person)


def _camera_message(
    task_id: str, update: TrackingUpdate, camera_id: str, past: PastSets, focus_id: str | None
) -> CameraMessage:
    view = update.cameras[camera_id]
    tracks = [_track(camera_id, track, focus_id) for track in view.tracks]
    return CameraMessage(
        type="tracking_update",
        mode="detection_streaming",
        task_id=task_id,
        camera_id=camera_id,
        global_frame_index=update.global_frame_index,
        timestamp_processed_utc=update.timestamp_processed_utc,
        camera_data=CameraData(
            tracks, view.frame_width, view.frame_height, update.timestamp_media_utc
        ),
        detection_data=DetectionData(
            [_detection(camera_id, track) for track in view.tracks], update.stage_ms.get("detect")
        ),
        future_pipeline_data=PipelineData(
            [_mapped(camera_id, track, past) for track in view.tracks]
        ),
    )


def _track(camera_id: str, track: Track, focus_id: str | None) -> CameraTrack:
    return CameraTrack(
        track.track_id,
        detection_id(camera_id, track),
        track.global_id,
        track.bbox_xyxy,
        track.confidence,
        track.class_id,
        track.map_coords,
        is_focused=focus_id is not None and track.global_id == focus_id,
    )


def _detection(camera_id: str, track: Track) -> Detection:
    x1, y1, x2, y2 = track.bbox_xyxy
    return Detection(
        detection_id=detection_id(camera_id, track),
        confidence=track.confidence,
        bbox=Box(x1, y1, x2, y2, x2 - x1, y2 - y1, (x1 + x2) / 2, (y1 + y2) / 2),
        map_coords=None if track.map_coords is None else MapPoint(*track.map_coords),
        class_name=CLASS_NAME,
        class_id=track.class_id,
        track_id=track.track_id,
        global_id=track.global_id,
    )


def _mapped(camera_id: str, track: Track, past: PastSets) -> MapCoordinate:
    x, y = track.map_coords or (None, None)
    return MapCoordinate(
        detection_id=detection_id(camera_id, track),
        map_x=x,
        map_y=y,
        projection_successful=x is not None,
        coordinate_system="bev_map_meters",
        foot_point=FootPoint(*foot_px(track)),
        trail=past.trail(camera_id, track.track_id),
    )


def _focused(details: PersonDetails, newest: TrackingUpdate | None) -> FocusedPerson | None:
    sighting = sighting_in(newest, details.global_id) if newest else None
    if newest is None or sighting is None:
        return _last_seen(details)
    tracks: Sequence[Track] = newest.cameras[sighting.camera].tracks
    track = next(t for t in tracks if t.global_id == details.global_id)
    return FocusedPerson(
        sighting.camera,
        sighting.camera,
        track.track_id,
        detection_id(sighting.camera, track),
        Corners(*track.bbox_xyxy),
    )


def _last_seen(details: PersonDetails) -> FocusedPerson | None:
    if not details.position_history:
        return None
    last = details.position_history[-1]
    return FocusedPerson(last.camera, last.camera, None, None, Corners(*last.bbox))

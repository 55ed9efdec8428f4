"""Which cameras and which stretch of their recordings a task plays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from homography.environment import Camera, Environment
from homography.ground_plane import GroundPlane
from plugins.errors import InvalidTimeRangeError, MissingRecordingError, UnknownCameraError
from plugins.media.object_store import ObjectStore
from plugins.media.timeline import Recording, read_timelines
from plugins.media_time import from_datetime, parse_rfc3339, to_rfc3339
from plugins.messages import TaskRequest

PROBLEMS_SHOWN = 3
SAME_PROPORTIONS = 0.02


@dataclass(frozen=True, slots=True)
class Plan:
    """Cameras, their recordings, and the media-time range to play."""

    cameras: tuple[Camera, ...]
    recordings: Mapping[str, Recording]
    start_ns: int
    end_ns: int
    rate_hz: float


def make_plan(
    request: TaskRequest, environment: Environment, store: ObjectStore, index_folder: Path
) -> Plan:
    """Lists the recordings and chooses. UnknownCameraError, InvalidTimeRangeError,
    MissingRecordingError when no camera has anything to play, ObjectStoreUnavailableError.
    """
    cameras = chosen_cameras(environment, request.cameras)
    recordings = environment_recordings(environment, cameras, store, index_folder)
    start_ns, end_ns = chosen_range(recordings, request, environment)
    return Plan(cameras, recordings, start_ns, end_ns, environment.rate_hz)


def environment_recordings(
    environment: Environment,
    cameras: Sequence[Camera],
    store: ObjectStore,
    index_folder: Path | None = None,
) -> dict[str, Recording]:
    """The recordings of these cameras on the environment's clock."""
    folders = {camera.camera_id: camera.recording_folder for camera in cameras}
    start_ns = from_datetime(environment.recording_start)
    return read_timelines(
        store, environment.object_store_prefix, folders, start_ns, index_folder=index_folder
    )


def chosen_cameras(environment: Environment, wanted: Sequence[str]) -> tuple[Camera, ...]:
    """The wanted cameras, or all when none is named."""
    known = {camera.camera_id: camera for camera in environment.cameras}
    for camera_id in wanted:
        if camera_id not in known:
            raise UnknownCameraError(
                f"environment {environment.environment_id} has no camera {camera_id!r}; "
                f"its cameras are {', '.join(known)}"
            )
    return tuple(known[camera_id] for camera_id in dict.fromkeys(wanted)) or environment.cameras


def chosen_range(
    recordings: Mapping[str, Recording], request: TaskRequest, environment: Environment
) -> tuple[int, int]:
    """The wanted range cut to what is recorded; ns of media time, start before end."""
    recorded = [r for r in recordings.values() if r.sub_videos]
    if not recorded:
        problems = "; ".join(filter(None, (in_one_line(r.problems) for r in recordings.values())))
        raise MissingRecordingError(
            f"environment {environment.environment_id} has nothing to play: {problems}"
        )
    first, last = min(r.start_ns for r in recorded), max(r.end_ns for r in recorded)
    start_ns = max(first, parse_rfc3339(request.start_time) if request.start_time else first)
    end_ns = min(last, parse_rfc3339(request.end_time) if request.end_time else last)
    if start_ns >= end_ns:
        raise InvalidTimeRangeError(
            f"nothing is recorded from {request.start_time or 'the start'} to "
            f"{request.end_time or 'the end'}: environment {environment.environment_id} has "
            f"recordings from {to_rfc3339(first)} to {to_rfc3339(last)}"
        )
    return start_ns, end_ns


def in_one_line(problems: Sequence[str]) -> str | None:
    """The first few problems and how many more there are; None where there is none."""
    more = len(problems) - PROBLEMS_SHOWN
    shown = "; ".join(problems[:PROBLEMS_SHOWN])
    return (f"{shown}; and {more} more" if more > 0 else shown) or None


def recorded_plane(camera: Camera, recording: Recording) -> GroundPlane:
    """The camera's floor in the pixels of its recording, whatever size it was calibrated at."""
    if not recording.sub_videos:
        return camera.ground_plane
    first = recording.sub_videos[0]
    if (first.width, first.height) == (camera.width, camera.height):
        return camera.ground_plane
    return camera.ground_plane.scaled_to(first.width, first.height)


def known_problems(plan: Plan) -> dict[str, tuple[str, ...]]:
    """What is wrong with each camera's recording before it is played, by camera id."""
    problems = {}
    for camera in plan.cameras:
        recording = plan.recordings[camera.camera_id]
        problems[camera.camera_id] = (*recording.problems, *size_problems(camera, recording))
    return problems


def size_problems(camera: Camera, recording: Recording) -> tuple[str, ...]:
    """Lines about sizes that make floor positions wrong; one that is merely scaled does not."""
    if not recording.sub_videos:
        return ()
    first = recording.sub_videos[0]
    lines = [
        f"{clip.key} is {clip.width}x{clip.height} and {first.key} {first.width}x{first.height}: "
        "floor positions of that time may be wrong; record in one size"
        for clip in recording.sub_videos
        if (clip.width, clip.height) != (first.width, first.height)
    ]
    stretch = first.width * camera.height / (first.height * camera.width)
    if abs(stretch - 1) > SAME_PROPORTIONS:
        lines.insert(
            0,
            f"{camera.camera_id} is recorded at {first.width}x{first.height} and calibrated for "
            f"{camera.width}x{camera.height}, which has other proportions: floor positions may be "
            "wrong; calibrate it for the recorded size",
        )
    return tuple(lines)

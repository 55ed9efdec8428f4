"""The sub-videos of each camera, laid end to end on one clock."""

import hashlib
import re
import statistics
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import msgspec

from plugins.errors import RecordingError
from plugins.media.mp4 import Mp4Info, read_mp4_info
from plugins.media.object_store import ObjectStore, StoredObject

SUB_VIDEO_NAME = re.compile(r"sub_video_([0-9]{1,6})\.mp4")


@dataclass(frozen=True, slots=True)
class SubVideo:
    """One recorded file of one camera. ``start_ns`` is UTC media time of its first frame."""

    camera_id: str
    key: str
    start_ns: int
    duration_ns: int
    frame_count: int
    width: int
    height: int
    frame_interval_ns: int = 0
    size_bytes: int = 0

    @property
    def end_ns(self) -> int:
        """UTC media time one frame interval after the last frame."""
        return self.start_ns + self.duration_ns


@dataclass(frozen=True, slots=True)
class LocalClip:
    """A sub-video on this machine's disk, or the one line that says why it is not."""

    sub_video: SubVideo
    path: Path | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A time of which a camera has no playable recording, and why, in one line.

    ``is_missing`` when there is no file at all, rather than one that cannot be played.
    """

    start_ns: int
    end_ns: int
    reason: str
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """One camera's sub-videos in order of time; ``problems`` are lines for the user.

    ``start_ns`` and ``end_ns`` are UTC media times of the first playable frame's begin and the last
    one's end; both are the recording's start where nothing is playable.
    """

    camera_id: str
    start_ns: int
    end_ns: int
    sub_videos: tuple[SubVideo, ...] = ()
    gaps: tuple[Gap, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Probe:
    """One numbered object and what its headers say: ``info``, or ``problem`` in one line."""

    key: str
    etag: str
    size: int
    info: Mp4Info | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Folder:
    """One camera's numbered objects, and lines about those that cannot be used. ``place`` is their
    keys up to the name.
    """

    place: str
    objects: dict[int, StoredObject]
    problems: list[str]


def read_timelines(
    store: ObjectStore,
    prefix: str,
    camera_folders: Mapping[str, str],
    recording_start_ns: int,
    *,
    index_folder: Path | None = None,
    workers: int = 8,
) -> dict[str, Recording]:
    """Each camera's recording from ``{prefix}/{folder}/sub_video_NN.mp4``, by camera id.

    The lowest number of any camera begins at ``recording_start_ns``; a camera's next sub-video
    begins exactly where its last one ends. A number that another camera has (or one in between)
    and that is missing or unreadable here leaves a gap as long as it lasts in the other cameras
    (their median), else the camera's median sub-video, and a line in ``problems``. Headers are
    remembered by etag in ``index_folder``.
    Raises ObjectStoreUnavailableError and InvalidInputError as the store does.
    """
    base = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    with ThreadPoolExecutor(workers, thread_name_prefix="probe") as pool:
        places = {camera: f"{base}{name.strip('/')}/" for camera, name in camera_folders.items()}
        listed = pool.map(lambda place: _list_folder(store, place), places.values())
        folders = dict(zip(places, listed, strict=True))
        wanted = [found for folder in folders.values() for found in folder.objects.values()]
        probes = _probe_all(store, wanted, index_folder, pool)
    found = {
        camera: {number: probes[item.key] for number, item in folder.objects.items()}
        for camera, folder in folders.items()
    }
    recordings = {
        camera: _lay_out(camera, found, folders[camera], recording_start_ns)
        for camera in camera_folders
    }
    last_ns = max((recording.end_ns for recording in recordings.values()), default=0)
    return {camera: _ended_with(recording, last_ns) for camera, recording in recordings.items()}


def _ended_with(recording: Recording, last_ns: int) -> Recording:
    """A camera whose sub-videos reach the common end lacks no number, however they were cut."""
    needless = {gap for gap in recording.gaps if gap.is_missing and gap.start_ns >= last_ns}
    if not (needless and recording.sub_videos):
        return recording
    reasons = {gap.reason for gap in needless}
    return replace(
        recording,
        gaps=tuple(gap for gap in recording.gaps if gap not in needless),
        problems=tuple(line for line in recording.problems if line not in reasons),
    )


def select(recording: Recording, start_ns: int, end_ns: int) -> tuple[SubVideo, ...]:
    """The sub-videos that have a part of start_ns (included) to end_ns (excluded)."""
    return overlapping(recording.sub_videos, start_ns, end_ns)


def overlapping(sub_videos: Sequence[SubVideo], start_ns: int, end_ns: int) -> tuple[SubVideo, ...]:
    """As ``select``, from sub-videos alone."""
    return tuple(s for s in sub_videos if s.start_ns < end_ns and s.end_ns > start_ns)


def _list_folder(store: ObjectStore, place: str) -> _Folder:
    objects: dict[int, StoredObject] = {}
    problems = []
    for found in store.list(place):
        match = SUB_VIDEO_NAME.fullmatch(found.key.removeprefix(place))
        if not match:
            continue
        first = objects.setdefault(int(match[1]), found)
        if first is not found:
            problems.append(f"{found.key} has the same number as {first.key}: remove one of them")
    if not objects:
        problems.append(
            f"nothing to play in {place} of {store.url}: upload the camera's sub-videos there "
            "as sub_video_01.mp4, sub_video_02.mp4, …"
        )
    return _Folder(place, objects, problems)


def _lay_out(
    camera_id: str,
    found: Mapping[str, Mapping[int, _Probe]],
    folder: _Folder,
    recording_start_ns: int,
) -> Recording:
    """Places one camera's sub-videos; ``found`` has those of all cameras by number."""
    lengths = _lengths(camera_id, found)
    at_ns = recording_start_ns
    sub_videos: list[SubVideo] = []
    gaps: list[Gap] = []
    for low, high, probe in _runs(camera_id, found):
        if probe and probe.info:
            sub_videos.append(_sub_video(camera_id, probe, probe.info, at_ns))
            at_ns = sub_videos[-1].end_ns
        else:
            until_ns = at_ns + lengths.of_missing(low, high)
            reason = probe.problem if probe else _missing_line(folder.place, low, high)
            gaps.append(Gap(at_ns, until_ns, reason, is_missing=probe is None))
            at_ns = until_ns
    reasons = [gap.reason for gap in gaps] if folder.objects else []
    return Recording(
        camera_id,
        start_ns=sub_videos[0].start_ns if sub_videos else recording_start_ns,
        end_ns=sub_videos[-1].end_ns if sub_videos else recording_start_ns,
        sub_videos=tuple(sub_videos),
        gaps=tuple(gaps),
        problems=(*folder.problems, *reasons),
    )


def _runs(
    camera_id: str, found: Mapping[str, Mapping[int, _Probe]]
) -> Iterator[tuple[int, int, _Probe | None]]:
    """All numbers in order, as (first, last, object): one each, missing neighbours together."""
    everywhere = {number for numbers in found.values() for number in numbers}
    if not everywhere:
        return
    own = found[camera_id]
    bounds = (min(everywhere) - 1, *sorted(own), max(everywhere) + 1)
    for before, number in pairwise(bounds):
        if number - before > 1:
            yield before + 1, number - 1, None
        if number in own:
            yield number, number, own[number]


def _sub_video(camera_id: str, probe: _Probe, info: Mp4Info, start_ns: int) -> SubVideo:
    return SubVideo(
        camera_id=camera_id,
        key=probe.key,
        start_ns=start_ns,
        duration_ns=info.duration_ns,
        frame_count=info.frame_count,
        width=info.width,
        height=info.height,
        frame_interval_ns=info.frame_interval_ns,
        size_bytes=probe.size,
    )


def _missing_line(place: str, low: int, high: int) -> str:
    names = [f"sub_video_{number:02d}.mp4" for number in sorted({low, high})]
    return f"{place}{' to '.join(names)} missing: upload it, or this time stays empty"


@dataclass(frozen=True, slots=True)
class _Lengths:
    """How long a number lasts in the other cameras, and one of the camera's own in the middle."""

    others_ns: Mapping[int, int]
    usual_ns: int

    def of_missing(self, low: int, high: int) -> int:
        """Nanoseconds that the numbers from ``low`` to ``high`` last together."""
        known = [length for number, length in self.others_ns.items() if low <= number <= high]
        return sum(known) + (high - low + 1 - len(known)) * self.usual_ns


def _lengths(camera_id: str, found: Mapping[str, Mapping[int, _Probe]]) -> _Lengths:
    others: dict[int, list[int]] = {}
    for camera, number, length in _known_lengths(found):
        if camera != camera_id:
            others.setdefault(number, []).append(length)
    own = [length for camera, _, length in _known_lengths(found) if camera == camera_id]
    usual = own or [length for lengths in others.values() for length in lengths] or [0]
    medians = {number: round(statistics.median(lengths)) for number, lengths in others.items()}
    return _Lengths(medians, round(statistics.median(usual)))


def _known_lengths(found: Mapping[str, Mapping[int, _Probe]]) -> Iterator[tuple[str, int, int]]:
    for camera, numbers in found.items():
        for number, probe in numbers.items():
            if probe.info:
                yield camera, number, probe.info.duration_ns


def _probe_all(
    store: ObjectStore,
    objects: Sequence[StoredObject],
    index_folder: Path | None,
    pool: ThreadPoolExecutor,
) -> dict[str, _Probe]:
    """Headers of every object, by key; only those that are new or have changed are read."""
    path = None if index_folder is None else _index_path(index_folder, store, objects)
    known = {} if path is None else _read_index(path)

    def probe(found: StoredObject) -> _Probe:
        last = known.get(found.key)
        is_fresh = last is not None and (last.etag, last.size) == (found.etag, found.size)
        return last if last is not None and is_fresh else _probe(store, found)

    probes = {result.key: result for result in pool.map(probe, objects)}
    if path is not None and probes != known:
        _write_index(path, probes)
    return probes


def _probe(store: ObjectStore, found: StoredObject) -> _Probe:
    empty = _Probe(found.key, found.etag, found.size, None)
    try:
        info = read_mp4_info(
            lambda start, length: store.read_range(found.key, start, length), found.size, found.key
        )
    except RecordingError as error:
        return replace(empty, problem=str(error))
    return replace(empty, info=info)


def _index_path(folder: Path, store: ObjectStore, objects: Sequence[StoredObject]) -> Path:
    """One index for each set of camera folders, so that two environments do not erase another's."""
    places = sorted({found.key.rpartition("/")[0] for found in objects})
    digest = hashlib.sha256("\n".join((store.url, *places)).encode()).hexdigest()
    return folder / f"headers-{digest[:20]}.json"


def _read_index(path: Path) -> dict[str, _Probe]:
    """What an earlier run found; nothing where the file is missing or of another version."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, _Probe])
    except (OSError, msgspec.DecodeError):
        return {}


def _write_index(path: Path, probes: Mapping[str, _Probe]) -> None:
    """Replaces the index in one step; another process may write it at the same moment."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(msgspec.json.encode(probes))
        part.replace(path)
    except OSError:  # the index only saves time
        part.unlink(missing_ok=True)

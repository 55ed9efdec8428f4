"""What recordings exist, per camera and over all of them."""

from itertools import pairwise

import msgspec

from control_plane.recordings import Recordings
from plugins.media.timeline import Recording
from plugins.media_time import to_rfc3339

NS_PER_DAY = 86_400_000_000_000


class Span(msgspec.Struct, frozen=True):
    """A range of media time."""

    start: str
    end: str


class CameraGap(msgspec.Struct, frozen=True):
    """A range of media time that one camera lacks, and why."""

    start: str
    end: str
    reason: str


class CameraDates(msgspec.Struct, frozen=True):
    """What one camera has; ``problems`` names sub-videos that are missing or unreadable."""

    has_data: bool
    start: str | None
    end: str | None
    gaps: list[CameraGap]
    problems: list[str]


class DateRanges(msgspec.Struct, frozen=True):
    """What recordings exist. ``data_gaps`` are times in between when no camera has any."""

    earliest_date: str | None
    latest_date: str | None
    total_days: float
    has_data: bool
    data_gaps: list[Span]
    cameras: dict[str, CameraDates]


def date_ranges(recordings: Recordings) -> DateRanges:
    """Joins the cameras' recordings into one answer."""
    cameras = {camera_id: _camera_dates(r) for camera_id, r in recordings.items()}
    covered = _joined([span for r in recordings.values() for span in _covered(r)])
    if not covered:
        return DateRanges(None, None, 0.0, False, [], cameras)
    first, last = covered[0][0], covered[-1][1]
    gaps = [(end, start) for (_, end), (start, _) in pairwise(covered)]
    return DateRanges(
        earliest_date=to_rfc3339(first),
        latest_date=to_rfc3339(last),
        total_days=round((last - first) / NS_PER_DAY, 6),
        has_data=True,
        data_gaps=_spans(gaps),
        cameras=cameras,
    )


def _camera_dates(recording: Recording) -> CameraDates:
    has_data = bool(recording.sub_videos)
    return CameraDates(
        has_data=has_data,
        start=to_rfc3339(recording.start_ns) if has_data else None,
        end=to_rfc3339(recording.end_ns) if has_data else None,
        gaps=[
            CameraGap(to_rfc3339(gap.start_ns), to_rfc3339(gap.end_ns), gap.reason)
            for gap in recording.gaps
        ],
        problems=list(recording.problems),
    )


def _spans(ranges: list[tuple[int, int]]) -> list[Span]:
    return [Span(to_rfc3339(start), to_rfc3339(end)) for start, end in ranges]


def _covered(recording: Recording) -> list[tuple[int, int]]:
    """What is recorded: the whole less the gaps."""
    if not recording.sub_videos:
        return []
    spans, start = [], recording.start_ns
    for gap in sorted(recording.gaps, key=lambda gap: gap.start_ns):
        spans.append((start, gap.start_ns))
        start = max(start, gap.end_ns)
    return [*spans, (start, recording.end_ns)]


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined

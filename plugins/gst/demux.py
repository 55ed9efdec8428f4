"""From a sub-video's file to compressed pictures with media time, without decoding any.

Each clip gets a short-lived pipeline and bus of its own, so a bad clip is an error of that clip
only. What comes out feeds any decoder: the CPU's (``camera.py``) or a DeepStream graph's appsrc.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plugins.errors import MissingRecordingError, UnreadableVideoError
from plugins.gst.gstreamer import Gst, first_error, free, launch
from plugins.media.timeline import SubVideo

ACCESS_UNIT_CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"
_POLL_NS = 20 * Gst.MSECOND
_OPEN_TIMEOUT_NS = 10 * Gst.SECOND
_H264 = "video/x-h264"


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One compressed picture: ``buffer`` is a Gst.Buffer of H.264 byte-stream, parameter sets
    included at key frames. ``decode_time_ns`` is never later than the media time of this or of any
    following picture of the clip.
    """

    buffer: Any
    media_time_ns: int
    decode_time_ns: int
    is_key: bool


def read_access_units(
    sub_video: SubVideo,
    path: Path,
    start_ns: int | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Generator[AccessUnit, None, None]:
    """Yields the clip's access units in decoding order, from the key frame at or before the media
    time ``start_ns`` (None: from the first). Ends early, without error, once ``is_stopped()``.

    Raises MissingRecordingError and UnreadableVideoError, each naming the sub-video's key and the
    remedy. Close the generator to free the pipeline before its end.
    """
    if not path.is_file():
        raise MissingRecordingError(f"{sub_video.key}: the file {path} is gone; fetch it again")
    pipeline = launch(
        "filesrc name=file ! qtdemux name=demux ! h264parse config-interval=-1"
        f" ! {ACCESS_UNIT_CAPS} ! appsink name=units sync=false max-buffers=16"
    )
    pipeline.get_by_name("file").set_property("location", str(path))
    try:
        pipeline.set_state(Gst.State.PAUSED)
        if start_ns is not None and start_ns > sub_video.start_ns:
            _seek(pipeline, sub_video, start_ns, is_stopped)
        pipeline.set_state(Gst.State.PLAYING)
        yield from _units(pipeline, sub_video, is_stopped)
    finally:
        free(pipeline)


def _units(
    pipeline: Any, sub_video: SubVideo, is_stopped: Callable[[], bool]
) -> Generator[AccessUnit, None, None]:
    sink = pipeline.get_by_name("units")
    while not is_stopped():
        sample = sink.try_pull_sample(_POLL_NS)
        if sample is not None:
            yield _access_unit(sample, sub_video.start_ns)
            continue
        _raise_error(pipeline, sub_video)
        if sink.is_eos():
            return


def _access_unit(sample: Any, start_ns: int) -> AccessUnit:
    """Stream time, not the raw PTS: MP4 edit lists shift that, and it survives seeking."""
    buffer, segment = sample.get_buffer(), sample.get_segment()
    media_ns = start_ns + _stream_time(segment, buffer.pts)
    decode_ns = media_ns
    if buffer.dts != Gst.CLOCK_TIME_NONE:
        decode_ns = min(media_ns, start_ns + _stream_time(segment, buffer.dts))
    is_key = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
    return AccessUnit(buffer, media_ns, decode_ns, is_key)


def _stream_time(segment: Any, timestamp: int) -> int:
    sign, time_ns = segment.to_stream_time_full(Gst.Format.TIME, timestamp)
    return int(time_ns) if sign >= 0 else -int(time_ns)


def _seek(
    pipeline: Any, sub_video: SubVideo, start_ns: int, is_stopped: Callable[[], bool]
) -> None:
    """Goes to the key frame at or before ``start_ns``, once the headers are read."""
    waited_ns = 0
    while pipeline.get_state(_POLL_NS)[0] == Gst.StateChangeReturn.ASYNC:
        _raise_error(pipeline, sub_video)
        waited_ns += _POLL_NS
        if is_stopped():
            return
        if waited_ns > _OPEN_TIMEOUT_NS:
            raise UnreadableVideoError(f"{sub_video.key}: no picture found; upload the file again")
    _raise_error(pipeline, sub_video)
    flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.KEY_UNIT | Gst.SeekFlags.SNAP_BEFORE
    pipeline.seek_simple(Gst.Format.TIME, flags, start_ns - sub_video.start_ns)


def _raise_error(pipeline: Any, sub_video: SubVideo) -> None:
    error = first_error(pipeline)
    if error is None:
        return
    found = _track_types(pipeline.get_by_name("demux"))
    if found and _H264 not in found:
        raise UnreadableVideoError(
            f"{sub_video.key}: holds {', '.join(found)} but no H.264 video; encode it again with "
            "`ffmpeg -i in.mp4 -c:v libx264 out.mp4`"
        )
    raise UnreadableVideoError(
        f"{sub_video.key}: not a readable MP4 ({error}); it is empty, cut short or damaged: upload "
        "the file again"
    )


def _track_types(demux: Any) -> list[str]:
    """What the tracks hold, such as video/x-h264, with the MPEG version where there is one."""
    return sorted({_caps_name(pad) for pad in demux.srcpads if pad.get_current_caps()})


def _caps_name(pad: Any) -> str:
    structure = pad.get_current_caps().get_structure(0)
    name = str(structure.get_name())
    has_version, version = structure.get_int("mpegversion")
    return f"{name} (MPEG-{version})" if has_version else name

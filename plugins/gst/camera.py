"""One camera: consecutive clips in, decoded frames with media time out, through one long-lived
decoder.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from plugins.errors import RecordingError
from plugins.frames import Frame
from plugins.gst.decoder import Decoder, H264Decoder, OpenDecoder
from plugins.gst.demux import AccessUnit, read_access_units
from plugins.gst.losses import LossCount
from plugins.media.timeline import LocalClip, SubVideo

_JOIN_S = 1.0


class CameraSource:
    """Plays a camera's clips from ``start_ns`` up to, not including, ``end_ns`` of media time.

    ``on_frame`` gets each frame once, in order of media time, in a thread of the camera's; while it
    blocks, decoding waits. ``on_end`` is called once after the last. A bad clip is a line in
    ``problems``, naming its key and the remedy, and the next clip goes on.

    ``close`` may be called from any thread; make ``on_frame`` return before.
    """

    def __init__(
        self,
        camera_id: str,
        clips: Iterator[LocalClip],
        start_ns: int,
        end_ns: int,
        *,
        on_frame: Callable[[Frame], None],
        on_end: Callable[[str], None],
        open_decoder: OpenDecoder = H264Decoder,
    ) -> None:
        self.camera_id, self._open_decoder = camera_id, open_decoder
        self._clips, self._start_ns, self._end_ns = clips, start_ns, end_ns
        self._on_frame, self._on_end = on_frame, on_end
        self._stopping = threading.Event()
        self._decoder_changed = threading.Condition()
        self._is_read_out = False
        self._is_all_fed = False
        self._decoder = open_decoder(camera_id, start_ns)
        self._losses = LossCount()
        self._reported: list[str] = []
        self._fed_key = camera_id
        self._newest_ns = -1
        self._feeder = threading.Thread(target=self._feed, name=f"feed-{camera_id}", daemon=True)
        self._reader = threading.Thread(target=self._read, name=f"read-{camera_id}", daemon=True)

    @property
    def problems(self) -> list[str]:
        """What is wrong with the clips so far, one line each."""
        return self._reported + self._losses.problems()

    def start(self) -> None:
        """Begins to decode."""
        self._feeder.start()
        self._reader.start()

    def release(self) -> None:
        """Stops decoding without waiting for the threads to end."""
        self._stopping.set()
        with self._decoder_changed:
            self._decoder.close()
            self._decoder_changed.notify_all()

    def close(self) -> None:
        """Stops and frees everything. A feeder that waits for a clip to be fetched ends with it."""
        self.release()
        for thread in (self._feeder, self._reader):
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(_JOIN_S)
        # The callbacks' owner mostly owns this camera too; without the cycle all is freed at once.
        self._on_frame, self._on_end = _ignore, _ignore

    def _feed(self) -> None:
        try:
            for clip in self._clips:
                if self._stopping.is_set() or clip.sub_video.start_ns >= self._end_ns:
                    break
                if clip.sub_video.end_ns > self._start_ns:
                    self._feed_clip(clip)
        except Exception as error:  # noqa: BLE001  # a camera must never take the others with it
            self._report(f"{self.camera_id}: its clips broke off ({error}); start the task again")
        with self._decoder_changed:
            self._is_all_fed = True
            self._decoder.end()

    def _feed_clip(self, clip: LocalClip) -> None:
        if clip.path is None:
            self._report(clip.error or f"{clip.sub_video.key}: not there; upload it")
            return
        self._fed_key = clip.sub_video.key
        units = read_access_units(clip.sub_video, clip.path, self._start_ns, self._stopping.is_set)
        try:
            self._feed_units(units, clip.sub_video)
        except RecordingError as error:
            self._report(str(error))
        finally:
            units.close()

    def _feed_units(self, units: Iterator[AccessUnit], sub_video: SubVideo) -> None:
        """Feeds one clip to the decoder of this moment, until its end or the decoder's."""
        with self._decoder_changed:
            decoder = self._decoder
        fed, first_ns = 0, max(self._start_ns, sub_video.start_ns)
        for unit in units:
            if unit.decode_time_ns >= self._end_ns:
                return
            first_ns = unit.media_time_ns if fed == 0 else first_ns
            self._losses.fed(unit.media_time_ns, unit.is_key, sub_video.key)
            if not decoder.push(unit):
                self._losses.forget(sub_video.key)
                self._await_other_decoder(decoder)
                return
            fed += 1
        self._check_count(sub_video, fed, first_ns)

    def _await_other_decoder(self, failed: Decoder) -> None:
        """Else the next clip would go into the failed one, before the reader has found out."""
        with self._decoder_changed:
            self._decoder_changed.wait_for(
                lambda: self._decoder is not failed or self._is_read_out or self._stopping.is_set()
            )

    def _check_count(self, sub_video: SubVideo, fed: int, first_ns: int) -> None:
        expected = sub_video.frame_count - _frames_before(sub_video, first_ns)
        if fed < expected and not self._stopping.is_set():
            self._report(
                f"{sub_video.key}: cut short, {fed} of {expected} frames are there; "
                "upload the file again"
            )

    def _read(self) -> None:
        try:
            self._read_frames()
        except Exception as error:  # noqa: BLE001  # a camera must never take the others with it
            self._report(f"{self.camera_id}: its decoder broke off ({error}); start the task again")
        with self._decoder_changed:
            self._is_read_out = True
            self._decoder_changed.notify_all()
        self._on_end(self.camera_id)

    def _read_frames(self) -> None:
        while not self._stopping.is_set():
            frame = self._decoder.pull()
            if frame is not None:
                self._deliver(frame)
                continue
            is_ended = self._decoder.is_ended()
            if (error := self._decoder.error()) is not None:
                self._rebuild(error)
            elif is_ended:
                self._losses.drained()
                return

    def _deliver(self, frame: Frame) -> None:
        is_damaged = self._losses.decoded(frame.media_time_ns)
        if frame.media_time_ns <= self._newest_ns:
            return
        self._newest_ns = frame.media_time_ns
        if self._start_ns <= frame.media_time_ns < self._end_ns:
            self._on_frame(replace(frame, is_corrupt=True) if is_damaged else frame)

    def _rebuild(self, error: str) -> None:
        """Replaces a decoder that failed; the rest of the clip it was fed with is given up."""
        with self._decoder_changed:
            if self._stopping.is_set():
                return
            self._decoder.close()
            self._losses.forget(self._fed_key)
            self._report(f"{self._fed_key}: decoding broke off ({error}); encode it again as H.264")
            self._decoder = self._open_decoder(self.camera_id, self._start_ns)
            if self._is_all_fed:
                self._decoder.end()
            self._decoder_changed.notify_all()

    def _report(self, problem: str) -> None:
        self._reported.append(problem)


def _ignore(_: object) -> None:
    """Takes the place of the callbacks once the camera is closed."""


def _frames_before(sub_video: SubVideo, media_time_ns: int) -> int:
    """How many of the clip's frames come before a media time, at its even rate."""
    if sub_video.duration_ns <= 0:
        return 0
    elapsed_ns = media_time_ns - sub_video.start_ns
    return round(elapsed_ns * sub_video.frame_count / sub_video.duration_ns)

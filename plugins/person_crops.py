"""The best pictures of each person, a few per camera: chosen in the worker, kept in PostgreSQL.

They lie in the database, encrypted, rather than in the object store: a crop has some kilobytes,
comes in the same transaction as the rows it belongs to, and goes with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import numpy.typing as npt

from plugins.encryption import Cipher
from plugins.frames import CropRequest, Frame, FrameSet
from plugins.media_time import to_datetime
from plugins.messages import Track
from plugins.tracking.crops import crop_quality

PER_CAMERA = 3
JPEG_QUALITY = 85
MAX_HEIGHT_PX = 384
MIN_SIDE_PX = 8
MIN_QUALITY = 0.02
INSERT = """
insert into person_crops (task_id, global_id, camera_id, frame_index, media_time, quality, width,
                          height, jpeg)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing"""
PRUNE = """
delete from person_crops where task_id = $1 and global_id = any($2::uuid[])
  and (camera_id, global_id, frame_index) in (
    select camera_id, global_id, frame_index from (
      select camera_id, global_id, frame_index, row_number() over (
        partition by global_id, camera_id order by quality desc, frame_index) as place
      from person_crops where task_id = $1 and global_id = any($2::uuid[])) ranked
    where place > $3)"""
# As history's MERGE_STATEMENTS: $1 the merged person, $2 the kept one, $3 the task.
MERGE_CROPS = (
    """delete from person_crops c where task_id = $3 and global_id = $1 and exists
       (select 1 from person_crops o where o.task_id = $3 and o.global_id = $2
        and o.camera_id = c.camera_id and o.frame_index = c.frame_index)""",
    "update person_crops set global_id = $2 where task_id = $3 and global_id = $1",
)
BEST = """
select task_id, camera_id, frame_index, media_time, quality, width, height, jpeg, environment_id
from person_crops join persons using (task_id, global_id)
where global_id = $1 and ($2::text is null or camera_id = $2)
order by quality desc, frame_index limit 1"""
Picture = npt.NDArray[np.uint8]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class PersonCrop:
    """A person's picture and where it comes from; ``jpeg`` is in clear."""

    environment_id: str
    task_id: str
    camera_id: str
    frame_index: int
    media_time: datetime
    quality: float
    width: int
    height: int
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoded crop that may be kept."""

    frame_index: int
    media_time: datetime
    quality: float
    width: int
    height: int
    jpeg: bytes


class CropChooser:
    """The crops the tracker asked for, until it is settled whose they are; keeps the best few."""

    def __init__(self, task_id: str, cipher: Cipher) -> None:
        self._task_id, self._cipher = task_id, cipher
        self._waiting: dict[tuple[int, str, int], Candidate] = {}
        self._kept: dict[tuple[str, str], list[Candidate]] = {}
        self._stored: dict[tuple[str, str], float] = {}

    def add(
        self, frame_set: FrameSet, tracks: Mapping[str, list[Track]], wanted: Sequence[CropRequest]
    ) -> None:
        """Cuts the wanted tracks out of a set's pictures; ``tracks`` are all that are in it."""
        for camera_id, frame in frame_set.frames.items():
            ids = {w.track_id for w in wanted if w.camera_id == camera_id}
            if not ids:
                continue
            for track, quality in _rated(tracks.get(camera_id, []), frame):
                if track.track_id in ids and quality >= MIN_QUALITY:
                    candidate = _candidate(frame_set, frame, track, quality)
                    if candidate is not None:
                        self._waiting[frame_set.index, camera_id, track.track_id] = candidate

    def settle(self, set_index: int, tracks: Mapping[str, list[Track]]) -> None:
        """Says who everybody in a set is; sets come in order, each once."""
        names = {(c, t.track_id): t.global_id for c, seen in tracks.items() for t in seen}
        for key in [key for key in self._waiting if key[0] <= set_index]:
            candidate = self._waiting.pop(key)
            global_id = names.get(key[1:]) if key[0] == set_index else None
            if global_id:
                self._keep((global_id, key[1]), candidate)

    def take(self) -> list[Row]:
        """Rows of person_crops that are better than what was stored before."""
        rows = [
            self._row(global_id, camera_id, candidate)
            for (global_id, camera_id), kept in self._kept.items()
            for candidate in kept
        ]
        self._kept.clear()
        return rows

    def _keep(self, key: tuple[str, str], candidate: Candidate) -> None:
        if candidate.quality <= self._stored.get(key, 0.0):
            return
        kept = self._kept.setdefault(key, [])
        kept.append(candidate)
        kept.sort(key=lambda c: -c.quality)
        del kept[PER_CAMERA:]
        if len(kept) == PER_CAMERA:
            self._stored[key] = kept[-1].quality

    def _row(self, global_id: str, camera_id: str, c: Candidate) -> Row:
        record = self._cipher.encrypt(c.jpeg, crop_purpose(self._task_id))
        place = (self._task_id, global_id, camera_id, c.frame_index, c.media_time)
        return (*place, c.quality, c.width, c.height, record)


def crop_purpose(task_id: str) -> str:
    """What a crop's record is authenticated with; see encryption.py."""
    return f"crop {task_id}"


def embedding_purpose(task_id: str) -> str:
    """The same for persons.embedding."""
    return f"embedding {task_id}"


def checkpoint_purpose(task_id: str) -> str:
    """The same for tasks.checkpoint."""
    return f"checkpoint {task_id}"


async def store_crops(connection: Any, task_id: str, rows: Sequence[Row]) -> None:
    """Adds crops and keeps the best PER_CAMERA of each person and camera."""
    if rows:
        await connection.executemany(INSERT, rows)
        persons = sorted({row[1] for row in rows})
        await connection.execute(PRUNE, task_id, persons, PER_CAMERA)


async def read_best_crop(
    connection: Any, cipher: Cipher, global_id: UUID | str, camera_id: str | None = None
) -> PersonCrop | None:
    """The best picture there is of a person, of one camera if it is named; None without any.

    EncryptionKeyError where it cannot be opened.
    """
    row = await connection.fetchrow(BEST, UUID(str(global_id)), camera_id)
    if row is None:
        return None
    values = dict(row)
    task_id = values["task_id"] = str(values["task_id"])
    values["jpeg"] = cipher.decrypt(values["jpeg"], crop_purpose(task_id))
    return PersonCrop(**values)


def _rated(tracks: Sequence[Track], frame: Frame) -> list[tuple[Track, float]]:
    if not tracks:
        return []
    boxes = np.array([t.bbox_xyxy for t in tracks], dtype=np.float64)
    scores = np.array([t.confidence for t in tracks], dtype=np.float64)
    quality = crop_quality(boxes, scores, frame.width, frame.height)
    return list(zip(tracks, quality.tolist(), strict=True))


def _candidate(frame_set: FrameSet, frame: Frame, track: Track, quality: float) -> Candidate | None:
    picture = cut_out(frame, track.bbox_xyxy)
    if picture is None:
        return None
    is_encoded, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not is_encoded:
        return None
    at, (height, width) = to_datetime(frame_set.media_time_ns), picture.shape[:2]
    return Candidate(frame_set.index, at, quality, width, height, jpeg.tobytes())


def cut_out(frame: Frame, bbox_xyxy: tuple[float, float, float, float]) -> Picture | None:
    """BGR (height, width, 3) of a box, at most MAX_HEIGHT_PX high; None where it is too small."""
    x0, y0 = (max(0, int(v)) // 2 * 2 for v in bbox_xyxy[:2])
    x1 = min(frame.width, -(-int(np.ceil(bbox_xyxy[2])) // 2) * 2)
    y1 = min(frame.height, -(-int(np.ceil(bbox_xyxy[3])) // 2) * 2)
    if x1 - x0 < MIN_SIDE_PX or y1 - y0 < MIN_SIDE_PX:
        return None
    picture = _bgr(frame, x0, y0, x1, y1)
    if y1 - y0 <= MAX_HEIGHT_PX:
        return picture
    size = (max(1, round((x1 - x0) * MAX_HEIGHT_PX / (y1 - y0))), MAX_HEIGHT_PX)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _bgr(frame: Frame, x0: int, y0: int, x1: int, y1: int) -> Picture:
    """Converts only the box, whose corners are even: full pictures would cost milliseconds."""
    luma = frame.i420[: frame.height]
    chroma = frame.i420[frame.height :].reshape(2, frame.height // 2, frame.width // 2)
    cut = (
        luma[y0:y1, x0:x1].reshape(-1),
        chroma[:, y0 // 2 : y1 // 2, x0 // 2 : x1 // 2].reshape(-1),
    )
    i420 = np.concatenate(cut).reshape((y1 - y0) * 3 // 2, x1 - x0)
    return np.asarray(cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420), dtype=np.uint8)

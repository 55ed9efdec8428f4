"""Stored persons' vectors computed anew from their stored pictures, after a change of embedder.

Vectors of two models are never compared, so those of an older one are of no use for search until
this has run. Running it twice does nothing the second time; broken off, it goes on where it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from control_plane.store import Store
from plugins.encryption import Cipher
from plugins.errors import EncryptionKeyError
from plugins.frames import Frame
from plugins.inference.embedder import Crop
from plugins.person_crops import crop_purpose, embedding_purpose

BATCH = 50
START = "00000000-0000-0000-0000-000000000000"
PERSONS = """
select task_id, global_id, embedding_model from persons
where embedding_model is distinct from $1 and (task_id, global_id) > ($2::uuid, $3::uuid)
order by task_id, global_id limit $4"""
CROPS = """
select jpeg, quality from person_crops where task_id = $1 and global_id = $2
order by quality desc, camera_id, frame_index"""
# Unless a worker has written another meanwhile.
UPDATE = """
update persons set embedding = $3, embedding_model = $4
where task_id = $1 and global_id = $2 and embedding_model is not distinct from $5"""
Floats = npt.NDArray[np.float32]


class Embeds(Protocol):
    """The serving embedder."""

    @property
    def model_version(self) -> str:
        """Of the vectors made last."""

    def embed(self, crops: Sequence[Crop]) -> Floats:
        """(N, D) vectors of length 1."""


@dataclass(frozen=True, slots=True)
class Reindexed:
    """How many persons have vectors of ``model`` now that had not, and how many have no picture to
    compute one from: those keep what they had, which is compared with nothing.
    """

    model: str
    persons: int
    without_pictures: int


async def reindex(
    store: Store, cipher: Cipher, embedder: Embeds, show: Callable[[int], None]
) -> Reindexed:
    """Everybody whose vector is not of the embedder's version; ``show`` is told how many so far."""
    model = embedder.model_version
    done, without, last = 0, 0, (START, START)
    while True:
        async with store.connection() as connection:
            rows = await connection.fetch(PERSONS, model, *last, BATCH)
            for row in rows:
                is_done = await _one(connection, cipher, embedder, row)
                done, without = done + is_done, without + (not is_done)
        if not rows:
            return Reindexed(model, done, without)
        last = (str(rows[-1]["task_id"]), str(rows[-1]["global_id"]))
        show(done + without)


async def _one(connection: Any, cipher: Cipher, embedder: Embeds, row: Any) -> bool:
    task_id = str(row["task_id"])
    pictures = await connection.fetch(CROPS, row["task_id"], row["global_id"])
    opened = [
        (_frame(cipher, picture["jpeg"], task_id), picture["quality"]) for picture in pictures
    ]
    frames = [(frame, quality) for frame, quality in opened if frame is not None]
    if not frames:
        return False
    vectors = embedder.embed(
        [(frame, (0.0, 0.0, float(frame.width), float(frame.height))) for frame, _ in frames]
    )
    vector = weighted_mean(vectors, [quality for _, quality in frames])
    sealed = cipher.encrypt(vector.astype("<f4").tobytes(), embedding_purpose(task_id))
    await connection.execute(
        UPDATE,
        row["task_id"],
        row["global_id"],
        sealed,
        embedder.model_version,
        row["embedding_model"],
    )
    return True


def weighted_mean(vectors: Floats, qualities: Sequence[float]) -> Floats:
    """(D,) of length 1: the mean direction, as the gallery has it."""
    weights = np.maximum(np.array(qualities, np.float32), 1e-3)
    total = (vectors * weights[:, None]).sum(axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9), np.float32)


def _frame(cipher: Cipher, record: bytes, task_id: str) -> Frame | None:
    """A stored picture, at even size; None for what does not open or is no picture."""
    try:
        jpeg = cipher.decrypt(record, crop_purpose(task_id))
    except EncryptionKeyError:
        return None
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None or min(picture.shape[:2]) < 2:
        return None
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    even = np.ascontiguousarray(picture[:height, :width])
    i420 = np.asarray(cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420), np.uint8)
    return Frame("", 0, width, height, i420)

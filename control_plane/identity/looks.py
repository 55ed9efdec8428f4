"""People by their looks: a picture's embedding against those that are stored."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from control_plane.settings import Settings
from plugins.encryption import Cipher
from plugins.errors import InvalidInputError, TritonUnavailableError
from plugins.frames import Frame
from plugins.inference.embedder import Embedder
from plugins.inference.triton_client import Triton
from plugins.person_crops import embedding_purpose

PATIENCE_S = 5.0
MIN_SIDE_PX = 16
MAX_SIDE_PX = 4096
MOST_CANDIDATES = 50_000
CANDIDATES = """
select task_id::text, global_id::text, environment_id, first_seen, last_seen, cameras, embedding
from persons
where environment_id = any($1::text[]) and embedding is not null and embedding_model = $2
  and ($3::timestamptz is null or last_seen >= $3) and ($4::timestamptz is null or first_seen < $4)
  and ($5::text is null or $5 = any(cameras))
order by last_seen desc limit $6"""
OTHERS = """select count(*) from persons where environment_id = any($1::text[])
  and embedding is not null and embedding_model <> $2"""
Vector = npt.NDArray[np.float32]


class Alike(msgspec.Struct, frozen=True):
    """Somebody who looks like the picture; ``similarity`` is the cosine of the two embeddings."""

    similarity: float
    task_id: str
    global_id: str
    environment_id: str
    first_seen: datetime
    last_seen: datetime
    cameras: list[str]


class LooksAlike(msgspec.Struct, frozen=True):
    """The nearest people, most alike first. ``compared`` is how many were looked at, all of this
    ``embedding_model``; ``other_models`` how many were not, since vectors of two models mean
    nothing to each other; ``is_complete`` is false where there were more than can be compared.
    """

    items: list[Alike]
    embedding_model: str
    compared: int
    other_models: int
    is_complete: bool


def embed_picture(settings: Settings, content: bytes) -> tuple[Vector, str]:
    """The embedding (D,) of a JPEG or PNG of one person, and its model. InvalidInputError for what
    is no such picture, TritonUnavailableError.
    """
    frame = as_frame(content)
    if not settings.triton_url:
        raise TritonUnavailableError("nobody said where Triton is: set TRITON_URL")
    triton = Triton(
        settings.triton_url,
        deadline_s=PATIENCE_S,
        use_shared_memory=False,
        repository=settings.model_repository,
    )
    try:
        embedder = Embedder(triton, batch=1)
        whole = (0.0, 0.0, float(frame.width), float(frame.height))
        return embedder.embed([(frame, whole)])[0], embedder.model_version
    finally:
        triton.close()


def as_frame(content: bytes) -> Frame:
    """A picture as the embedder takes it, cut to even sides. InvalidInputError."""
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if found is None:
        raise InvalidInputError("this is no picture: upload a JPEG or PNG that shows one person")
    picture = np.asarray(found, np.uint8)
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    if min(height, width) < MIN_SIDE_PX or max(height, width) > MAX_SIDE_PX:
        raise InvalidInputError(
            f"the picture has {width}x{height} pixels: give one with sides of {MIN_SIDE_PX} to "
            f"{MAX_SIDE_PX}, cut to the person"
        )
    i420 = np.asarray(cv2.cvtColor(picture[:height, :width], cv2.COLOR_BGR2YUV_I420), np.uint8)
    return Frame("upload", 0, width, height, i420)


async def candidates(
    connection: Any,
    environments: Sequence[str],
    model: str,
    times: tuple[datetime | None, datetime | None],
    camera_id: str | None,
) -> tuple[list[Any], int]:
    """Rows of people with embeddings of this model, newest first, and how many have others."""
    rows = await connection.fetch(
        CANDIDATES, environments, model, *times, camera_id, MOST_CANDIDATES + 1
    )
    others = await connection.fetchval(OTHERS, environments, model)
    return list(rows), int(others)


def nearest(cipher: Cipher, rows: Sequence[Any], vector: Vector, limit: int) -> list[Alike]:
    """The most alike of the candidates. EncryptionKeyError where one does not open."""
    if not rows:
        return []
    gallery = np.stack([_opened(cipher, row) for row in rows])
    lengths = np.linalg.norm(gallery, axis=1) * max(float(np.linalg.norm(vector)), 1e-12)
    cosines = gallery @ vector / np.maximum(lengths, 1e-12)
    best = np.argsort(-cosines, kind="stable")[:limit]
    return [_alike(rows[k], float(cosines[k])) for k in best.tolist()]


def _opened(cipher: Cipher, row: Any) -> Vector:
    purpose = embedding_purpose(str(UUID(row["task_id"])))
    return np.frombuffer(cipher.decrypt(row["embedding"], purpose), "<f4")


def _alike(row: Any, cosine: float) -> Alike:
    values = {k: v for k, v in dict(row).items() if k != "embedding"}
    return Alike(round(cosine, 4), **values)

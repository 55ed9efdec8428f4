"""After a change of embedder stored persons get vectors of the new one, from stored pictures."""

import uuid

import cv2
import numpy as np
import pytest

from control_plane.identity.reindexing import Reindexed, reindex, weighted_mean
from plugins.encryption import new_master_key, open_cipher
from plugins.person_crops import crop_purpose, embedding_purpose, store_crops
from tests.control_plane.stored_world import START, World, person_id, query, run
from tests.services import postgres_url

MASTER = new_master_key()
ADA, BOB = person_id("ada"), person_id("bob")
OLD = np.array([1, 0, 0], "<f4")
BLUE, RED = (230, 10, 10), (10, 10, 230)


class MeanColour:
    """A crop's mean blue, green and red as a vector of length 1."""

    model_version = "person_reid/2/abc"

    def embed(self, crops):
        means = []
        for frame, (x0, y0, x1, y1) in crops:
            assert (x0, y0, x1, y1) == (0, 0, frame.width, frame.height)
            bgr = cv2.cvtColor(frame.i420, cv2.COLOR_YUV2BGR_I420)
            means.append(bgr.reshape(-1, 3).mean(axis=0))
        vectors = np.array(means, np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def picture(colour, size=(41, 21)) -> bytes:
    """A JPEG of one colour, with odd sides."""
    return cv2.imencode(".jpg", np.full((*size, 3), colour, np.uint8))[1].tobytes()


@pytest.fixture
def stored():
    """Ada has two blue pictures and a poor red one, Bob none; both have a vector of version 1."""
    url = postgres_url()
    ways = {"ada": [(0, 1.0, 1.0), (2, 3.0, 1.0)], "bob": [(0, 1.0, 2.0), (2, 3.0, 2.0)]}
    task_id = World(ways, 2).store(url)

    async def add(store):
        async with store.connection() as connection:
            cipher = await open_cipher(connection, MASTER)
            seen = [(1, BLUE, 0.9), (2, BLUE, 0.8), (3, RED, 0.001)]
            rows = [
                (task_id, ADA, "h1", k, START, quality, 21, 41,
                 cipher.encrypt(picture(colour), crop_purpose(task_id)))
                for k, colour, quality in seen
            ]  # fmt: skip
            await store_crops(connection, task_id, rows)
            vector = cipher.encrypt(OLD.tobytes(), embedding_purpose(task_id))
            await connection.execute(
                "update persons set embedding = $1, embedding_model = 'person_reid/1/xyz'", vector
            )

    run(url, add)
    return url, task_id


def reindexed(url) -> Reindexed:
    async def go(store):
        async with store.connection() as connection:
            cipher = await open_cipher(connection, MASTER)
        return await reindex(store, cipher, MeanColour(), lambda _: None)

    return run(url, go)


def vector_of(url, task_id, name):
    async def read(store):
        async with store.connection() as connection:
            cipher = await open_cipher(connection, MASTER)
            row = await connection.fetchrow(
                "select embedding_model, embedding from persons where global_id = $1",
                uuid.UUID(name),
            )
        opened = cipher.decrypt(row["embedding"], embedding_purpose(task_id))
        return row["embedding_model"], np.frombuffer(opened, "<f4")

    return run(url, read)


def test_vectors_are_computed_anew_and_labelled_with_the_new_version(stored):
    """The mean of her pictures, the good ones first; encrypted as before."""
    url, task_id = stored

    done = reindexed(url)

    assert done == Reindexed("person_reid/2/abc", persons=1, without_pictures=1)
    model, vector = vector_of(url, task_id, ADA)
    assert model == "person_reid/2/abc"
    assert vector[0] > 0.98
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_who_has_no_picture_keeps_a_vector_that_is_labelled_as_old(stored):
    """It is compared with nothing of the new version."""
    url, task_id = stored

    reindexed(url)

    model, vector = vector_of(url, task_id, BOB)
    assert model == "person_reid/1/xyz"
    np.testing.assert_array_equal(vector, OLD)


def test_a_second_run_has_nothing_to_do(stored):
    url, _ = stored
    reindexed(url)

    assert reindexed(url).persons == 0
    (row,) = query(url, "select count(*) from persons where embedding_model like '%/2/%'")
    assert row["count"] == 1


def test_a_picture_that_does_not_open_is_left_out(stored):
    """One good picture is enough."""
    url, task_id = stored

    async def spoil(store):
        async with store.connection() as connection:
            await connection.execute(
                "update person_crops set jpeg = $1 where frame_index < 3", b"\x01\x00\x01junk"
            )

    run(url, spoil)

    assert reindexed(url).persons == 1
    assert vector_of(url, task_id, ADA)[1][2] > 0.98


def test_the_mean_weighs_good_pictures_more():
    vectors = np.eye(2, dtype=np.float32)

    mean = weighted_mean(vectors, [0.9, 0.1])

    np.testing.assert_allclose(mean, np.array([0.9, 0.1]) / np.hypot(0.9, 0.1), atol=1e-5)

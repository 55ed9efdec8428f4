"""Search by looks: the nearest of the same embedder's vectors, and nobody else's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from control_plane import persons_by_picture
from control_plane.access.master_key import master_key
from control_plane.identity.looks import as_frame, embed_picture
from control_plane.settings import Settings
from plugins.encryption import open_cipher
from plugins.errors import InvalidInputError, TritonUnavailableError
from plugins.person_crops import embedding_purpose
from tests.control_plane.people import error_code
from tests.control_plane.serving import Running, running_app
from tests.control_plane.stored_world import World, person_id, query, run
from tests.services import free_port
from tests.triton_fixtures import running_server

SEARCH = "/api/v1/persons/search"
WAYS = {name: [(k, 1, 1), (k + 5, 9, 9)] for k, name in enumerate(("ana", "ben", "cem", "dan"))}
# Two embedders' vectors: what one calls ana the other would call cem.
LOOKS = {"ana": (1, 0, 0.1), "ben": (0.6, 0.8, 0), "cem": (1, 0, 0), "dan": (0, 0, 1)}
MODELS = {"ana": "m/1", "ben": "m/1", "cem": "m/2", "dan": "m/1"}


def jpeg(width: int = 64, height: int = 128) -> bytes:
    picture = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".jpg", picture)[1].tobytes()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Four people with embeddings."""
    with running_app(tmp_path_factory.mktemp("looks")) as running:
        url = str(running.settings.database_url)
        world = World(WAYS, 10.0)
        world.store(url)

        async def cipher(store: Any) -> Any:
            async with store.connection() as connection:
                return await open_cipher(connection, master_key(running.settings))

        key = run(url, cipher)
        for name, look in LOOKS.items():
            vector = np.array(look, "<f4").tobytes()
            sealed = key.encrypt(vector, embedding_purpose(world.task_id))
            update = "update persons set embedding = $3, embedding_model = $4 "
            where = "where task_id = $1 and global_id = $2"
            query(url, update + where, world.task_id, person_id(name), sealed, MODELS[name])
        yield running


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for Triton: every picture looks like this."""

    def embed(_: Settings, content: bytes) -> tuple[Any, str]:
        as_frame(content)
        return np.array([1, 0, 0], np.float32), "m/1"

    monkeypatch.setattr(persons_by_picture, "embed_picture", embed)


def asked(app: Running, content: bytes, **params: Any) -> httpx.Response:
    files = {"picture": ("crop.jpg", content, "image/jpeg")}
    return app.http.post(SEARCH, files=files, params=params)


@pytest.mark.usefixtures("embedder")
def test_the_nearest_people_come_first_and_other_embedders_people_not_at_all(app: Running) -> None:
    found = asked(app, jpeg(), environment_id="hall").json()
    assert [item["global_id"] for item in found["items"]] == [
        person_id(name) for name in ("ana", "ben", "dan")
    ]
    assert [item["similarity"] for item in found["items"]] == pytest.approx(
        [0.995, 0.6, 0], abs=1e-3
    )
    assert (found["compared"], found["other_models"], found["is_complete"]) == (3, 1, True)
    assert found["items"][0]["cameras"] == ["h1", "h2"]
    actions = query(str(app.settings.database_url), "select action from audit_log")
    assert "persons.search_by_picture" in {row["action"] for row in actions}


@pytest.mark.usefixtures("embedder")
def test_times_and_cameras_narrow_the_search(app: Running) -> None:
    times = {"start_time": "2024-05-01T09:00:07Z", "end_time": "2024-05-01T09:00:09Z"}
    found = asked(app, jpeg(), **times, limit=1).json()
    assert [item["global_id"] for item in found["items"]] == [person_id("dan")]
    assert asked(app, jpeg(), environment_id="hall", camera_id="h3").json()["items"] == []
    unknown = asked(app, jpeg(), environment_id="hall", camera_id="x")
    assert error_code(unknown, 404) == "camera_not_found"


@pytest.mark.usefixtures("embedder")
@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\xff" * 5000, jpeg(4, 4)])
def test_what_is_no_picture_of_a_person_is_refused(app: Running, content: bytes) -> None:
    assert error_code(asked(app, content), 400) == "invalid_input"


def test_a_form_without_a_picture_is_refused(app: Running) -> None:
    answer = app.http.post(SEARCH, files={"other": ("a", b"b", "text/plain")})
    assert error_code(answer, 400) == "validation_failed"
    assert app.http.post(SEARCH).status_code == 400


def test_without_triton_it_is_503_with_a_remedy(app: Running) -> None:
    answer = asked(app, jpeg())
    assert error_code(answer, 503) == "triton_unavailable"
    assert "TRITON_URL" in answer.json()["detail"]
    assert answer.headers["retry-after"]


def test_pictures_of_odd_sizes_are_cut_to_even_ones() -> None:
    frame = as_frame(jpeg(63, 129))
    assert (frame.width, frame.height) == (62, 128)
    with pytest.raises(InvalidInputError):
        as_frame(jpeg(8, 500))


def test_the_served_embedder_gives_the_vector(test_data: Path) -> None:
    """As workers get it, with the model's own name; a server that is away is told from that."""
    server = running_server(test_data)
    settings = Settings(triton_url=server.url, model_repository=server.repository)
    vector, model = embed_picture(settings, jpeg())
    again, _ = embed_picture(settings, jpeg())
    assert vector == pytest.approx(again, abs=1e-5)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)
    assert model.startswith("person_reid/1/")
    with pytest.raises(TritonUnavailableError):
        embed_picture(Settings(triton_url=f"127.0.0.1:{free_port()}"), jpeg())

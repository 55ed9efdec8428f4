"""Whatever is wrong with a filter, a limit, an id or the bytes: every operation says so."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.control_plane.operations import Operation, known_values, operations_of, sent
from tests.control_plane.people import admin_of, error_code, running_secured
from tests.control_plane.serving import Running, write_hall
from tests.control_plane.stored_world import World, contents

BEYOND_ALL = ("0", "-1", "1000000000", "1" + "0" * 30, "many", "1.5", "")
WRONG = {
    "start_time": ("yesterday", "2024-05-01T09:00:00", "\0", "1e400"),
    "end_time": ("tomorrow", "2024-13-01T00:00:00Z", "\0"),
    "limit": BEYOND_ALL,
    "bucket_s": BEYOND_ALL,
    "cell_m": ("0", "-1", "nan", "inf", "wide"),
    "frame_index": ("-2", "1" + "0" * 30, "first"),
    "window_hours": BEYOND_ALL,
    "uptime_days": BEYOND_ALL,
    "persons": ("perhaps",),
    "status": ("NEARLY",),
    "verdict": ("sideways",),
    "cursor": ("AAAA", "\0", "'; drop table tasks; --"),
    "environment_id": ("mars",),
    "environment_ids": ("mars",),
    "camera_id": ("c99",),
    "zone_id": ("mars",),
    "task_id": ("nonsense",),
}
TRICKS = (
    "'; drop table tasks; --",
    "' or '1'='1",
    "../../../../etc/passwd",
    "..\\..\\windows",
    "\0",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "%",
    "{task_id}",
    "\N{RIGHT-TO-LEFT OVERRIDE}x",
    "x" * 5000,
)
NO_TEXT = (b"\xff\xfe", b'{"environment_id": "\xff\xfe"}', b'"\xed\xa0\x80"', b"\0", b"[" * 50_000)
# Whoever is not followed is not followed afterwards.
ALWAYS_TRUE = "DELETE /api/v1/tracking/persons/{global_id}/follow"
IDS = ("environment_id", "camera_id", "zone_id", "task_id", "global_id")


@dataclass(frozen=True, slots=True)
class Place:
    """A control plane with something stored, asked by its admin."""

    app: Running
    headers: dict[str, str]
    values: dict[str, str]
    operations: list[Operation]

    @property
    def url(self) -> str:
        """The database's."""
        return str(self.app.settings.database_url)

    def refusals(self, operation: Operation, **changed: str) -> str | None:
        """None when the request is refused in the one shape of errors, else what came."""
        answer = sent(self.app, self.headers, operation, self.values | changed)
        if 400 <= answer.status_code < 500:
            error_code(answer, answer.status_code)
            return None
        return f"{operation.name} {changed}: {answer.status_code} {answer.text[:200]}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = write_hall(tmp_path_factory.mktemp("parts"))
    with running_secured(folder, environments_dir=folder, requests_per_min=0) as app:
        world = World({"ana": [(0, 1, 1), (9, 9, 9)], "ben": [(0, 3, 3), (9, 2, 9)]}, 10.0)
        world.store(str(app.settings.database_url))
        yield Place(app, admin_of(app), known_values(world), operations_of(app))


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_filter_is_refused_wherever_it_can_be_given(place: Place, name: str) -> None:
    asked = [o for o in place.operations if name in o.query_names]
    assert asked
    found = [place.refusals(o, **{name: value}) for o in asked for value in WRONG[name]]
    assert not any(found), "\n".join(filter(None, found))


def test_a_reversed_range_is_refused_wherever_it_can_be_given(place: Place) -> None:
    asked = [o for o in place.operations if {"start_time", "end_time"} <= set(o.query_names)]
    assert len(asked) > 10
    reversed_range = {"start_time": "2024-05-02T00:00:00Z", "end_time": "2024-05-01T00:00:00Z"}
    found = [place.refusals(o, **reversed_range) for o in asked]
    assert not any(found), "\n".join(filter(None, found))


def test_tricks_in_an_id_find_nothing_and_change_nothing(place: Place) -> None:
    """Neither in the path nor in the query, whatever the operation would do with a real one."""
    before = contents(place.url)
    found = [
        place.refusals(operation, **{name: trick})
        for operation in place.operations
        for name in (*operation.path_names, *(n for n in operation.query_names if n in IDS))
        for trick in TRICKS
        if (operation.name, name) != (ALWAYS_TRUE, "global_id")
    ]
    assert not any(found), "\n".join(filter(None, found))
    assert contents(place.url) == before


def test_a_body_that_is_no_text_is_refused_by_everything_that_takes_one(place: Place) -> None:
    for operation in (o for o in place.operations if o.takes_json):
        for content in NO_TEXT:
            answer = sent(place.app, place.headers, operation, place.values, content)
            assert 400 <= answer.status_code < 500, (operation.name, answer.text)
            error_code(answer, answer.status_code)


@pytest.mark.parametrize("file_name", ["../../../etc/passwd", "'; drop table persons; --", "\0"])
def test_tricks_in_the_name_of_an_uploaded_picture_change_nothing(
    place: Place, file_name: str
) -> None:
    before = contents(place.url)
    files = {"picture": (file_name, b"no picture at all")}
    answer = place.app.http.post(
        "/api/v1/persons/search?environment_id=hall", files=files, headers=place.headers
    )
    assert error_code(answer, 400)
    assert contents(place.url) == before


def test_every_operation_that_was_filled_in_works_when_nothing_is_wrong(place: Place) -> None:
    """Else the refusals above would prove nothing."""
    reading = [o for o in place.operations if o.method == "GET" and "{" in o.path]
    statuses = {
        o.name: sent(place.app, place.headers, o, place.values).status_code for o in reading
    }
    assert sum(status == 200 for status in statuses.values()) > 25

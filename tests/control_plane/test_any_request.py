"""Requests made up from the OpenAPI document: whatever comes in, the answer is one it describes."""

import os
import uuid
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from tests.control_plane.people import admin_of, running_secured
from tests.control_plane.serving import Running, write_hall
from tests.control_plane.stored_world import World, person_id
from tests.waiting import PATIENCE_S

# Answers of these end only when the client leaves, or end the user's own login.
LEFT_OUT = (
    "/api/v1/stream/{task_id}/{camera_id}",
    "/api/v1/auth/logout",
    "/api/v1/auth/me/password",
    "/api/v1/system/maintenance",
)
# Of each operation; more by hand.
EXAMPLES = int(os.environ.get("SPOTON_TEST_EXAMPLES", "3"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, World]]:
    """A control plane with something stored, so that made-up filters meet rows."""
    folder = write_hall(tmp_path_factory.mktemp("any"))
    with running_secured(folder, environments_dir=folder, requests_per_min=0) as app:
        world = World({"ana": [(0, 1, 1), (9, 9, 9)]}, 10.0)
        world.store(str(app.settings.database_url))
        yield app, world


def known_ids(world: World) -> dict[str, list[str]]:
    """What ids are made of half the time: those that are there."""
    return {
        "environment_id": ["hall"],
        "task_id": [world.task_id],
        "global_id": [person_id("ana")],
        "camera_id": ["h1"],
        "zone_id": ["entrance"],
        "job_id": [str(uuid.UUID(int=1))],
    }


def test_no_request_is_answered_with_a_fault_or_a_status_that_is_not_documented(
    place: tuple[Running, World],
) -> None:
    """Each operation some times, with bodies and filters right and wrong."""
    app, world = place
    headers = admin_of(app)
    schema = schemathesis.openapi.from_url(f"{app.url}/docs/openapi.json")
    failures: list[str] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path not in LEFT_OUT:
            failures += failures_of(operation, headers, known_ids(world))
    assert not failures, "\n".join(failures)


def failures_of(operation: Any, headers: dict[str, str], ids: dict[str, list[str]]) -> list[str]:
    failures: dict[str, str] = {}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(), known=hypothesis.strategies.booleans())
    def sent(case: Any, known: bool) -> None:
        if known:
            for name, values in ids.items():
                if name in (case.path_parameters or {}):
                    case.path_parameters[name] = values[0]
                if name in (case.query or {}):
                    case.query[name] = values[0]
        answer = case.call(headers=headers, timeout=PATIENCE_S)
        problem = fault_in(operation, answer)
        if problem:
            failures.setdefault(problem, f"{operation.label}: {problem}: {case.as_curl_command()}")

    sent()
    return list(failures.values())


def fault_in(operation: Any, answer: Any) -> str | None:
    status = answer.status_code
    if status >= 500 and status != 503:
        return f"fault {status} {answer.text[:200]}"
    documented = {str(key) for key in operation.responses.status_codes}
    if str(status) not in documented:
        return f"undocumented {status} {answer.text[:200]}"
    return None

"""Every operation of the interface, as its own document lists them, filled in so that it works."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from tests.control_plane.serving import Running
from tests.control_plane.stored_world import START, World, person_id

# Answers of these end only when the client leaves, or end the user's own login.
LEFT_OUT = ("/api/v1/stream/{task_id}/{camera_id}", "/api/v1/auth/logout")
NOBODYS_ID = str(uuid.UUID(int=1))
BODIES: Mapping[str, Any] = {
    "POST /api/v1/environments/{environment_id}/sessions": {
        "name": "a day",
        "start_time": START.isoformat(),
        "end_time": START.isoformat(),
    },
    "PUT /api/v1/environments/{environment_id}/retention": {"keep_days": 36_500},
    "POST /api/v1/persons/{global_id}/merge": {"global_id": person_id("ben")},
    "POST /api/v1/persons/{global_id}/split": {"since": START.isoformat()},
    "POST /api/v1/tracking/controls/{task_id}/seek": {"position": 0.5},
    "POST /api/v1/tracking/controls/{task_id}/speed": {"speed": 1},
    "POST /api/v1/tracking/focus/{task_id}": {"person_id": person_id("ana")},
    "POST /api/v1/controls/{task_id}/seek": {"position": 0.5},
    "POST /api/v1/export/tracking-data": {"environment_id": "hall"},
    "POST /api/v1/export/analytics-report": {"environment_id": "hall"},
    "POST /api/v1/analytics/reports/schedules": {"environment_id": "hall", "every": "daily"},
    "POST /api/v1/feedback/reidentification": {"global_id": person_id("ana"), "verdict": "up"},
    "POST /api/v1/processing-tasks/start": {"environment_id": "hall"},
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path; ``path_names`` and ``query_names`` are its parameters."""

    method: str
    path: str
    path_names: tuple[str, ...]
    query_names: tuple[str, ...]
    takes_json: bool

    @property
    def name(self) -> str:
        """As in BODIES."""
        return f"{self.method} {self.path}"


def operations_of(app: Running) -> list[Operation]:
    """All but those LEFT_OUT."""
    paths = app.http.get("/docs/openapi.json").json()["paths"]
    return [
        _operation(method.upper(), path, described)
        for path, methods in paths.items()
        for method, described in methods.items()
        if path not in LEFT_OUT
    ]


def _operation(method: str, path: str, described: Any) -> Operation:
    parameters = described.get("parameters", [])
    named = {
        place: tuple(p["name"] for p in parameters if p["in"] == place)
        for place in ("path", "query")
    }
    content = described.get("requestBody", {}).get("content", {})
    return Operation(method, path, named["path"], named["query"], "application/json" in content)


def known_values(world: World) -> dict[str, str]:
    """What is there, by the name of the parameter that asks for it."""
    return {
        "environment_id": "hall",
        "environment_ids": "hall",
        "task_id": world.task_id,
        "global_id": person_id("ana"),
        "camera_id": "h1",
        "zone_id": "entrance",
    }


def sent(
    app: Running,
    headers: Mapping[str, str],
    operation: Operation,
    values: Mapping[str, str],
    content: bytes | None = None,
) -> httpx.Response:
    """Its answer; ``values`` by parameter, of ids nobody's own where there is none."""
    path = operation.path
    for name in operation.path_names:
        path = path.replace(f"{{{name}}}", quote(values.get(name, NOBODYS_ID), safe=""))
    asked = {name: values[name] for name in operation.query_names if name in values}
    url = f"{path}?{urlencode(asked)}" if asked else path
    if content is not None:
        more = {"content-type": "application/json"}
        return app.http.request(operation.method, url, content=content, headers={**headers, **more})
    body = BODIES.get(operation.name, {}) if operation.takes_json else None
    return app.http.request(operation.method, url, json=body, headers=dict(headers))

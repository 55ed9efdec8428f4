"""The whole REST interface against its table: nothing missing, undocumented, or open too wide."""

import json
import re
from typing import Any

import msgspec
import pytest

from control_plane.app import create_app
from control_plane.settings import Settings
from homography.environment import load_environments

V1 = "/api/v1"
# Method, path, least role, as promised to whoever writes a client.
TABLE = """
GET /health anyone
GET /live anyone
GET /ready anyone
GET /metrics anyone
GET system/status viewer
GET system/performance viewer
GET system/cameras/status viewer
POST system/maintenance admin
POST auth/login anyone
POST auth/refresh anyone
POST auth/logout viewer
GET auth/me viewer
GET auth/me/preferences viewer
PUT auth/me/preferences viewer
GET auth/users admin
POST auth/users admin
PATCH auth/users/{user_id} admin
DELETE auth/users/{user_id} admin
GET environments viewer
GET environments/{environment_id} viewer
GET environments/{environment_id}/cameras viewer
GET environments/{environment_id}/zones viewer
GET environments/{environment_id}/date-ranges viewer
POST environments/{environment_id}/sessions operator
GET environments/{environment_id}/sessions viewer
GET cameras viewer
GET cameras/{camera_id} viewer
GET cameras/{camera_id}/calibration viewer
PUT cameras/{camera_id}/calibration admin
PUT cameras/{camera_id}/settings admin
GET zones viewer
GET zones/{zone_id}/layout viewer
GET zones/{zone_id}/cameras viewer
POST zones admin
PUT zones/{zone_id} admin
DELETE zones/{zone_id} admin
POST processing-tasks/start operator
GET processing-tasks/{task_id}/status viewer
GET processing-tasks/{task_id}/active-persons viewer
POST processing-tasks/{task_id}/stop operator
GET processing-tasks/active viewer
GET processing-tasks viewer
GET media/frames/{task_id}/{camera_id} viewer
GET media/frames/{task_id}/{camera_id}/raw viewer
GET media/frames/{task_id}/multi-camera viewer
POST media/frames/overlay-config viewer
GET media/persons/{global_id}/image viewer
GET stream/{task_id}/{camera_id} viewer
POST tracking/focus/{task_id} viewer
GET tracking/focus/{task_id} viewer
DELETE tracking/focus/{task_id} viewer
GET tracking/persons/{global_id}/details viewer
POST tracking/persons/{global_id}/follow viewer
DELETE tracking/persons/{global_id}/follow viewer
GET tracking/active viewer
POST tracking/controls/{task_id}/play operator
POST tracking/controls/{task_id}/pause operator
POST tracking/controls/{task_id}/seek operator
POST tracking/controls/{task_id}/speed operator
GET tracking/controls/{task_id} viewer
GET analytics/real-time/metrics viewer
GET analytics/real-time/active-persons viewer
GET analytics/real-time/camera-loads viewer
GET analytics/historical/{environment_id}/summary viewer
GET analytics/detections viewer
GET analytics/tracking viewer
GET analytics/persons/{global_id}/journey viewer
GET analytics/behavior/{global_id}/analysis viewer
GET analytics/zones/{zone_id}/occupancy viewer
GET analytics/heatmap/{environment_id} viewer
GET analytics/paths/{environment_id} viewer
GET analytics/occupancy viewer
GET analytics/compare viewer
POST analytics/reports/generate operator
GET analytics/reports/schedules viewer
POST analytics/reports/schedules operator
DELETE analytics/reports/schedules/{schedule_id} operator
GET analytics/dashboard viewer
GET persons/{global_id}/journey viewer
GET persons/{global_id}/trajectory viewer
GET persons/search viewer
POST persons/search viewer
POST export/tracking-data operator
POST export/analytics-report operator
POST export/video-with-overlays operator
GET export/screenshots operator
GET export/jobs viewer
GET export/jobs/{job_id}/status viewer
GET export/jobs/{job_id}/download viewer
DELETE export/jobs/{job_id} operator
DELETE persons/{global_id} admin
GET audit admin
POST persons/{global_id}/merge operator
POST persons/{global_id}/split operator
POST feedback/reidentification operator
GET feedback/reidentification viewer
GET analytics/system/statistics viewer
"""
ROWS = [line.split() for line in TABLE.split("\n") if line]


@pytest.fixture(scope="module")
def application() -> Any:
    return create_app(Settings(), load_environments([]))


@pytest.fixture(scope="module")
def document(application: Any) -> dict[str, Any]:
    """As ``spoton openapi`` prints it."""
    return dict(msgspec.to_builtins(application.openapi_schema.to_schema()))


def full(path: str) -> str:
    return path if path.startswith("/") else f"{V1}/{path}"


def roles_of(application: Any) -> dict[tuple[str, str], str]:
    found = {}
    for route in application.routes:
        for handler in getattr(route, "route_handlers", ()):
            path = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
            for method in getattr(handler, "http_methods", ()):
                found[str(method), path] = handler.opt.get("role", "admin")
    return found


@pytest.mark.parametrize(("method", "path", "role"), ROWS, ids=[" ".join(r) for r in ROWS])
def test_every_promised_endpoint_is_there_for_its_role_and_documented(
    application: Any, document: dict[str, Any], method: str, path: str, role: str
) -> None:
    """With a summary of what it does, its parameters described, and an example of its answer."""
    assert roles_of(application)[method, full(path)] == role
    operation = document["paths"][full(path)][method.lower()]
    assert operation.get("description") or operation.get("summary")
    named = set(re.findall(r"{(\w+)}", path))
    described = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
    assert described == named
    status, answer = next((s, a) for s, a in operation["responses"].items() if s.startswith("2"))
    for kind, content in answer.get("content", {}).items():
        if kind == "application/json":
            assert content.get("examples") or content.get("example"), f"{status} has no example"


@pytest.mark.parametrize(("method", "path", "role"), ROWS, ids=[" ".join(r) for r in ROWS])
def test_errors_are_documented_in_the_one_shape(
    document: dict[str, Any], method: str, path: str, role: str
) -> None:
    responses = document["paths"][full(path)][method.lower()]["responses"]
    if role != "anyone":
        assert {"401", "403", "429", "503"} <= set(responses)
    for status, answer in responses.items():
        if int(status) >= 400 and "content" in answer:
            schema = json.dumps(answer["content"]["application/json"]["schema"])
            assert "ErrorBody" in schema or path in {"/health", "/ready"}, (status, schema)


def test_every_operation_has_an_id_of_its_own(document: dict[str, Any]) -> None:
    """Programs that make clients name their functions by it."""
    operations = [o for path in document["paths"].values() for o in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)

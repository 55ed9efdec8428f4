"""What surrounds every request leaves out only what it means to."""

import asyncio

from litestar.config.allowed_hosts import AllowedHostsConfig
from litestar.middleware.allowed_hosts import AllowedHostsMiddleware

from control_plane.around_requests import around_requests
from control_plane.health.metrics import Metrics


def test_no_layer_but_cors_is_left_out():
    """Not one that refuses requests, when it is the outermost."""
    answers, reached = [], []

    async def answer(scope, receive, send):
        reached.append(scope)

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": {}}
    guarded = AllowedHostsMiddleware(answer, AllowedHostsConfig(["here"]))
    asyncio.run(around_requests(guarded, Metrics())(scope, None, send))
    assert answers[0]["status"] == 400
    assert not reached

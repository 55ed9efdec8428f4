"""Waiting for what will be so, on machines that may be busy or slow."""

import time
from collections.abc import Callable

# Of one wait, wherever a test waits: it ends early when all is well, so length costs nothing.
PATIENCE_S = 300.0


def wait_until(condition: Callable[[], object]) -> None:
    """Asks again and again, politely; fails rather than hangs."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)

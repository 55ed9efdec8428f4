"""GStreamer's Python bindings, initialised once, and the little that every pipeline needs."""

from typing import Any

from plugins.errors import SpotOnError
from plugins.gst.elements import BINDINGS_CURE, BINDINGS_MISSING

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    gi.require_version("GstVideo", "1.0")
    from gi.repository import (
        GLib,
        Gst,
        GstApp,  # noqa: F401  # gives appsrc and appsink their methods
        GstVideo,
    )
except (ImportError, ValueError) as error:  # ValueError: no introspection data of that version
    raise SpotOnError(f"{BINDINGS_MISSING} ({error}): {BINDINGS_CURE}") from error

__all__ = ["Gst", "GstVideo", "first_error", "free", "launch"]

Gst.init(None)


def launch(description: str) -> Any:
    """A Gst.Pipeline of gst-launch syntax. Raises SpotOnError naming the element that is not
    installed.
    """
    try:
        return Gst.parse_launch(description)
    except GLib.Error as error:
        raise SpotOnError(
            f"GStreamer cannot build a pipeline: {error.message}; install its plugins with "
            "`sh docker/install-system-packages.sh`"
        ) from error


def first_error(pipeline: Any) -> str | None:
    """The oldest error waiting on the pipeline's bus in one line, or None. Takes messages off."""
    bus = pipeline.get_bus()
    message = bus.pop_filtered(Gst.MessageType.ERROR) if bus else None
    if message is None:
        return None
    error, _ = message.parse_error()
    return f"{message.src.get_name()}: {' '.join(error.message.split())}"


def free(pipeline: Any) -> None:
    """Stops the pipeline's threads and gives back its memory and files, its bus's included, even
    while references to it live on. Safe to call twice.
    """
    pipeline.set_state(Gst.State.NULL)
    pipeline.set_bus(None)

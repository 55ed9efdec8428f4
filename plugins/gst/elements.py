"""Asks GStreamer's registry; can be imported where GStreamer's Python bindings are missing."""

from collections.abc import Iterable

BINDINGS_MISSING = "GStreamer's Python bindings are missing"
BINDINGS_CURE = (
    "`sh docker/install-system-packages.sh` installs them for the system's Python, which "
    "`make setup` takes"
)


def missing_elements(names: Iterable[str]) -> tuple[str, ...]:
    """Those that no plugin provides. SpotOnError without the bindings."""
    from plugins.gst.gstreamer import Gst  # noqa: PLC0415  # the error is this function's, see above

    return tuple(name for name in names if Gst.ElementFactory.find(name) is None)

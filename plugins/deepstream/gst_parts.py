"""``graph.Parts`` on a real GStreamer pipeline."""

from typing import Any

from plugins.errors import SpotOnError
from plugins.gst.gstreamer import Gst


class GstParts:
    """Fills ``pipeline``. Raises SpotOnError naming the element or link that cannot be had."""

    def __init__(self) -> None:
        self.pipeline: Any = Gst.Pipeline.new("spoton")

    def make(self, factory: str, name: str, **properties: str | int | bool) -> None:
        """Adds an element; properties are written as gst-launch would."""
        element = Gst.ElementFactory.make(factory, name)
        if element is None:
            raise SpotOnError(
                f"GStreamer has no element {factory}: run the worker in the DeepStream container "
                "with a GPU (`spoton doctor` says what is missing), or set SPOTON_PROFILE=cpu"
            )
        for key, value in properties.items():
            kebab = key.rstrip("_").replace("_", "-")
            if element.find_property(kebab) is None:
                raise SpotOnError(
                    f"{factory} has no property {kebab}: this GStreamer or DeepStream is of another"
                    " version than 8.0; USE_NEW_NVSTREAMMUX=yes must be set for nvstreammux"
                )
            Gst.util_set_object_arg(element, kebab, _as_text(value))
        self.pipeline.add(element)

    def link(
        self, source: str, target: str, source_pad: str | None = None, target_pad: str | None = None
    ) -> None:
        """Links two elements, by these pads where they are named."""
        first, second = self.element(source), self.element(target)
        if not first.link_pads(source_pad, second, target_pad):
            raise SpotOnError(f"GStreamer cannot link {source} to {target}: their formats differ")

    def element(self, name: str) -> Any:
        """An element made before."""
        return self.pipeline.get_by_name(name)


def _as_text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

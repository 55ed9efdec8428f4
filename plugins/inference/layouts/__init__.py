"""What is particular to each kind of export; ``LAYOUTS`` maps a name to its layout.

A new kind of engine is one file here with an ``adapt`` and an independent ``reference``.
"""

from plugins.errors import InvalidModelError
from plugins.inference.layouts import clip, detr, openvino_reid, osnet, rtmdet, yolox
from plugins.inference.layouts.base import Layout

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        rtmdet.LAYOUT,
        yolox.LAYOUT,
        detr.LAYOUT,
        osnet.LAYOUT,
        openvino_reid.LAYOUT,
        clip.LAYOUT,
    )
}


def layout_for(name: str, model: str) -> Layout:
    """The layout ``name`` of ``model``; InvalidModelError names those there are."""
    fitting = sorted(layout.name for layout in LAYOUTS.values() if layout.model == model)
    if name in fitting:
        return LAYOUTS[name]
    raise InvalidModelError(f"'{name}' is no layout of {model}: choose one of {', '.join(fitting)}")

"""Every element of the pipeline, its properties and its links, over a factory of parts.

::

    in-c01 → parse-c01 → decode-c01 ┐                                  ┌ pictures-c01 (I420, host)
    in-c02 → parse-c02 → decode-c02 ┼ mux → detect → (track) → embed → demux … tee
    …                               ┘                                  └ jpegs-c01 (nvjpegenc)

Nothing but ``Parts`` is asked for anything, so that the same function builds a real pipeline and
the list a test reads.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from plugins.deepstream.configuration import PLUGINS, ConfigFiles, DeepStreamSettings

DETECTOR_ID, EMBEDDER_ID = 1, 2
# NvDCF's library, where every DeepStream container has it.
TRACKER_LIBRARY = "/opt/nvidia/deepstream/deepstream/lib/libnvds_nvmultiobjecttracker.so"
TRACKER_WIDTH, TRACKER_HEIGHT = 960, 544
ACCESS_UNITS = "video/x-h264,stream-format=byte-stream,alignment=au"
HOST_I420 = "video/x-raw,format=I420"
DEVICE_I420 = "video/x-raw(memory:NVMM),format=I420"


class Parts(Protocol):
    """Makes elements of one pipeline by name, and links them."""

    def make(self, factory: str, name: str, **properties: str | int | bool) -> None:
        """A new element; ``some_property`` is ``some-property``, ``async_`` is ``async``."""

    def link(
        self, source: str, target: str, source_pad: str | None = None, target_pad: str | None = None
    ) -> None:
        """Source pad to sink pad; a pad of a name is requested where there is none."""


def build_graph(
    parts: Parts, camera_ids: Sequence[str], configs: ConfigFiles, settings: DeepStreamSettings
) -> None:
    """The whole pipeline; pad k of ``mux`` and ``demux`` is camera k."""
    _add_inference(parts, len(camera_ids), configs, settings)
    for number, camera_id in enumerate(camera_ids):
        _add_source(parts, camera_id, number, settings)
        _add_outputs(parts, camera_id, number, settings)


def _add_source(parts: Parts, camera_id: str, number: int, settings: DeepStreamSettings) -> None:
    """Lives as long as the pipeline: sub-videos follow each other, no pad comes or goes."""
    parts.make(
        "appsrc",
        f"in-{camera_id}",
        caps=ACCESS_UNITS,
        format="time",
        block=False,
        max_bytes=0,
    )
    parts.make("h264parse", f"parse-{camera_id}")
    parts.make("nvv4l2decoder", f"decode-{camera_id}", gpu_id=settings.gpu_id)
    _chain(parts, f"in-{camera_id}", f"parse-{camera_id}", f"decode-{camera_id}")
    parts.link(f"decode-{camera_id}", "mux", "src", f"sink_{number}")


def _add_inference(
    parts: Parts, cameras: int, configs: ConfigFiles, settings: DeepStreamSettings
) -> None:
    # The new streammux (USE_NEW_NVSTREAMMUX=yes): no scaling, so no width and height; the times of
    # the recordings stay, and batches are matched by them later, not by arrival.
    parts.make(
        "nvstreammux",
        "mux",
        batch_size=cameras,
        config_file_path=str(configs.streammux),
        attach_sys_ts=False,
        sync_inputs=False,
    )
    plugin = PLUGINS[settings.inference]
    parts.make(plugin, "detect", config_file_path=str(configs.detector))
    parts.make(plugin, "embed", config_file_path=str(configs.embedder))
    parts.make("nvstreamdemux", "demux")
    stages = ["mux", "detect", "embed"]
    if configs.tracker is not None:
        _add_tracker(parts, configs, settings)
        stages.insert(2, "track")
    _queued_chain(parts, *stages, "demux")


def _add_tracker(parts: Parts, configs: ConfigFiles, settings: DeepStreamSettings) -> None:
    parts.make(
        "nvtracker",
        "track",
        ll_lib_file=TRACKER_LIBRARY,
        ll_config_file=str(configs.tracker),
        tracker_width=TRACKER_WIDTH,
        tracker_height=TRACKER_HEIGHT,
        gpu_id=settings.gpu_id,
    )


def _add_outputs(parts: Parts, camera_id: str, number: int, settings: DeepStreamSettings) -> None:
    """The picture to the host once (3 MB at 1080p), and as a JPEG made on the GPU.

    The sinks never hold anything up: the lane limits what is fed (``lane.InFlight``), else a camera
    that is ahead would stop the batches that the others wait for.
    """
    parts.make("queue", f"queue-{camera_id}", max_size_buffers=0, max_size_bytes=0, max_size_time=0)
    parts.make("tee", f"tee-{camera_id}")
    parts.link("demux", f"queue-{camera_id}", f"src_{number}", "sink")
    _chain(parts, f"queue-{camera_id}", f"tee-{camera_id}")
    _add_branch(parts, camera_id, "pictures", HOST_I420, settings)
    _add_branch(parts, camera_id, "jpegs", DEVICE_I420, settings)


def _add_branch(
    parts: Parts, camera_id: str, branch: str, caps: str, settings: DeepStreamSettings
) -> None:
    ahead, convert = f"{branch}-queue-{camera_id}", f"{branch}-convert-{camera_id}"
    form, sink = f"{branch}-form-{camera_id}", f"{branch}-{camera_id}"
    parts.make("queue", ahead)
    parts.make("nvvideoconvert", convert, gpu_id=settings.gpu_id)
    parts.make("capsfilter", form, caps=caps)
    # Not async: a camera whose recording begins later must not hold up the start of the others.
    parts.make("appsink", sink, sync=False, async_=False, max_buffers=0, drop=False)
    parts.link(f"tee-{camera_id}", ahead, "src_%u", "sink")
    if branch == "jpegs":
        parts.make("nvjpegenc", f"encode-{camera_id}", quality=settings.jpeg_quality)
        _chain(parts, ahead, convert, form, f"encode-{camera_id}", sink)
    else:
        _chain(parts, ahead, convert, form, sink)


def _queued_chain(parts: Parts, *names: str) -> None:
    """A thread for each stage, so that one batch is detected while the one before is embedded."""
    for source, target in pairwise(names):
        parts.make("queue", f"before-{target}", max_size_buffers=4)
        _chain(parts, source, f"before-{target}", target)


def _chain(parts: Parts, *names: str) -> None:
    for source, target in pairwise(names):
        parts.link(source, target)

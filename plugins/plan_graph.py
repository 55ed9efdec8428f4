"""A plan's recordings, fetched ahead and decoded: what a task, its replay and a video play from."""

import contextlib
from collections.abc import Iterator

from plugins.frames import NS_PER_S
from plugins.gst.cpu_graph import CpuGraph
from plugins.gst.decoder import H264Decoder, OpenDecoder
from plugins.media.cache import ClipCache, Prefetcher
from plugins.plan import Plan

# A download that is given up names its reason; only then may the graph leave the camera out.
LATE_AFTER_S = 15.0


@contextlib.contextmanager
def plan_graph(
    plan: Plan,
    cache: ClipCache,
    start_index: int,
    *,
    patience_s: float,
    open_decoder: OpenDecoder = H264Decoder,
) -> Iterator[CpuGraph]:
    """The plan's sets from ``start_index`` on; downloads and decoders end with the block.

    ``patience_s`` is how long a download is tried again while the object store is away.
    """
    start_ns = plan.start_ns + round(start_index * NS_PER_S / plan.rate_hz)
    playable = {c: r.sub_videos for c, r in plan.recordings.items() if r.sub_videos}
    with Prefetcher(
        cache, playable, start_ns, plan.end_ns, give_up_after_s=patience_s
    ) as prefetcher:
        graph = CpuGraph(
            {camera_id: prefetcher.clips(camera_id) for camera_id in playable},
            plan.start_ns,
            plan.end_ns,
            plan.rate_hz,
            start_index=start_index,
            patience_s=patience_s + LATE_AFTER_S,
            open_decoder=open_decoder,
        )
        with contextlib.closing(graph):
            yield graph

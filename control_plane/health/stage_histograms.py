"""How long the stages take, for Prometheus: the workers' histograms, and the sending here."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from plugins.messages import StageHistogram
from plugins.timing import BUCKETS_S, StageTimes

Histograms = Mapping[str, StageHistogram]


class StageCollector(Collector):
    """``tasks`` maps task ids to what their workers last said; ``sending`` is this process's own,
    from a worker's publishing to the send, by kind of stream.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, Histograms] = {}
        self.sending = StageTimes()

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Both families, as of now."""
        stages = HistogramMetricFamily(
            "spoton_stage_seconds", "Of one set, by stage", labels=["task_id", "stage"]
        )
        for task_id, histograms in self.tasks.items():
            for stage, histogram in histograms.items():
                _add(stages, [task_id, stage], histogram)
        sending = HistogramMetricFamily(
            "spoton_live_send_seconds", "From publishing to sending", labels=["kind"]
        )
        for kind, histogram in self.sending.histograms().items():
            _add(sending, [kind], histogram)
        yield stages
        yield sending


def _add(family: HistogramMetricFamily, labels: list[str], histogram: StageHistogram) -> None:
    buckets, total = [], 0
    for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    family.add_metric(labels, buckets, histogram.sum_s)

"""A report's drawings, as SVG to stand in the page itself."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from control_plane.analytics.answers import Heatmap, Occupancy, Paths
from control_plane.analytics.dashboard import TrendPoint
from homography.environment import Environment, Zone

# Names come from people: no formulas in them. Letters stay letters, to be searched and read aloud.
STYLE: Any = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "spoton",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
BLUE, GREY, RED = "#2a6f97", "#8a8f98", "#b3443a"


@mpl.rc_context(STYLE)
def people_plot(occupancy: Occupancy) -> str:
    """People in the environment over time: mean and most."""
    series = occupancy.total.series
    times = [bucket.timestamp for bucket in series]
    figure, axes = _figure(7.2, 2.4)
    axes.fill_between(times, [b.mean for b in series], step="post", color=BLUE, alpha=0.35)
    axes.step(times, [b.mean for b in series], where="post", color=BLUE, label="mean")
    axes.step(times, [b.peak for b in series], where="post", color=GREY, lw=0.8, label="most")
    axes.set_ylabel("people")
    axes.legend(frameon=False, loc="upper right")
    _time_axis(axes)
    return _svg(figure)


@mpl.rc_context(STYLE)
def trend_plot(points: Sequence[TrendPoint]) -> str:
    """Detections a bucket, and the mean confidence beside them."""
    figure, axes = _figure(7.2, 2.4)
    times = [point.timestamp for point in points]
    axes.step(times, [p.detections for p in points], where="post", color=BLUE)
    axes.set_ylabel("detections")
    other = axes.twinx()
    other.plot(times, [_or_nan(p.mean_confidence) for p in points], color=RED, lw=0.8)
    other.set_ylim(0, 1)
    other.set_ylabel("mean confidence", color=RED)
    _time_axis(axes)
    return _svg(figure)


@mpl.rc_context(STYLE)
def floor_plot(
    heatmap: Heatmap, paths: Paths, environment: Environment, zones: Sequence[Zone]
) -> str:
    """Person-seconds by cell, zones, and the typical ways."""
    x0, y0, x1, y1 = environment.map_bounds_m
    figure, axes = _figure(7.2, min(7.2 * (y1 - y0) / max(x1 - x0, 1e-6), 8.0) + 0.4)
    grid = np.array(heatmap.person_s)
    if grid.size:
        left, low = heatmap.origin_m
        size = grid.shape[1] * heatmap.cell_m, grid.shape[0] * heatmap.cell_m
        extent = (left, left + size[0], low, low + size[1])
        shown = np.ma.masked_equal(grid, 0)
        picture = axes.imshow(shown, origin="lower", extent=extent, cmap="YlOrRd", aspect="equal")
        figure.colorbar(picture, ax=axes, label="person-seconds", shrink=0.8)
    for zone in zones:
        axes.add_patch(Polygon(zone.polygon_m, fill=False, edgecolor=GREY, lw=0.8))
        axes.annotate(zone.name, zone.polygon_m.mean(axis=0), ha="center", color="#444", size=8)
    for group in paths.groups[:8]:
        way = np.array(group.path_m)
        axes.plot(way[:, 0], way[:, 1], color=BLUE, lw=0.6 + 3 * group.share, alpha=0.8)
    axes.set_xlim(x0, x1)
    axes.set_ylim(y0, y1)
    axes.set_xlabel("metres")
    return _svg(figure)


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _time_axis(axes: Any) -> None:
    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_ylim(bottom=0)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value

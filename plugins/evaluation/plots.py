"""Pictures of an evaluation: the floor with true and found ways, and who had which id when."""

import colorsys
import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plugins.evaluation.footage import NOBODY, Footage, NamedBoxes, Places
from plugins.evaluation.methods import Answers, Found
from plugins.evaluation.scores import MATCH, floor_moment, view_moment
from plugins.tracking.assignment import assign

Colour = tuple[float, float, float]
TRUE_WAY = "0.75"
LOST = (0.9, 0.9, 0.9)
WITHIN_M = 0.5
MARGIN_M = 0.5
# Matched name of each true person by frame; "" for seen but not found.
Timeline = dict[str, dict[int, str]]


def write_plots(folder: Path, footage: Footage, answers: Mapping[str, Answers]) -> list[Path]:
    """Writes one floor plan for each method and its ids' timeline; returns the PNG files."""
    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for method, answer in answers.items():
        found = {"online": answer.online}
        if answer.lagged is not None:
            found["settled"] = answer.lagged
        for kind, one in found.items():
            name = f"{method}-{kind}"
            if footage.truth.floor is not None:
                figure = _floor_plan(footage, one, f"{footage.name}: {name}")
                written.append(_save(figure, folder / f"floor-{name}.png"))
            timelines = _timelines(footage, one)
            if timelines:
                figure = _id_timeline(footage, timelines, f"{footage.name}: {name}")
                written.append(_save(figure, folder / f"ids-{name}.png"))
    return written


def colour_of(name: str) -> Colour:
    """A clear colour that a name always has."""
    digest = hashlib.sha256(name.encode()).digest()
    hue, light = digest[0] / 255, 0.35 + 0.25 * digest[1] / 255
    return colorsys.hls_to_rgb(hue, light, 0.6 + 0.35 * digest[2] / 255)


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    return path


def _floor_plan(footage: Footage, found: Found, title: str) -> Figure:
    """True ways on the left, each in the colour of the id that was the person's for longest."""
    floor = footage.truth.floor or {}
    timeline = _floor_timeline(footage, floor, found)
    figure = Figure(figsize=(14, 7), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for name, way in _ways(floor).items():
        left.plot(way[:, 1], way[:, 2], color=_main_colour(timeline.get(name, {})), linewidth=1.2)
        right.plot(way[:, 1], way[:, 2], color=TRUE_WAY, linewidth=4, solid_capstyle="round")
    for name, way in _ways(found.floor).items():
        right.plot(way[:, 1], way[:, 2], color=colour_of(name), linewidth=1.0)
    for axes in (left, right):
        _show_room(axes, footage)
    left.set(title=f"{title}: true", xlabel="x / m", ylabel="y / m")
    right.set(title="found, over the true ways in grey", xlabel="x / m")
    return figure


def _main_colour(ids: Mapping[int, str]) -> Colour:
    names = Counter(name for name in ids.values() if name)
    return colour_of(names.most_common(1)[0][0]) if names else (0.0, 0.0, 0.0)


def _show_room(axes: Axes, footage: Footage) -> None:
    area = footage.area
    if area is not None:
        x, y = [area.x0, area.x1, area.x1, area.x0], [area.y0, area.y0, area.y1, area.y1]
        axes.fill(x, y, fill=False, linestyle=":")
    axes.set_xlim(*_limits(footage, 0, None if area is None else (area.x0, area.x1)))
    axes.set_ylim(*_limits(footage, 1, None if area is None else (area.y0, area.y1)))
    axes.set_aspect("equal")
    _show_cameras(axes, footage)


def _limits(footage: Footage, axis: int, span: tuple[float, float] | None) -> tuple[float, float]:
    """Everything true and the whole area, with a margin."""
    places = [p[axis] for people in (footage.truth.floor or {}).values() for p in people.values()]
    values = [*places, *(span or ())]
    return min(values) - MARGIN_M, max(values) + MARGIN_M


def _show_cameras(axes: Axes, footage: Footage) -> None:
    for camera_id, plane in footage.planes.items():
        centre = plane.camera_centre_m
        if centre is not None:
            axes.plot(centre[0], centre[1], "k^", markersize=8)
            place = (centre[0], centre[1])
            axes.annotate(
                camera_id, place, (4, 4), textcoords="offset points", annotation_clip=True
            )


def _ways(floor: Mapping[int, Places]) -> dict[str, np.ndarray]:
    """(N, 3) frame, x, y of each person; NaN where somebody is away for a while."""
    ways: dict[str, list[tuple[float, float, float]]] = {}
    for frame, places in sorted(floor.items()):
        for name, (x, y) in places.items():
            way = ways.setdefault(name, [])
            if way and frame - way[-1][0] > 1:
                way.append((frame, np.nan, np.nan))
            way.append((frame, x, y))
    return {name: np.array(way) for name, way in ways.items()}


def _timelines(footage: Footage, found: Found) -> dict[str, Timeline]:
    """By camera and on the floor, as far as there is a truth."""
    timelines = {}
    if footage.truth.floor is not None:
        timelines["floor"] = _floor_timeline(footage, footage.truth.floor, found)
    for camera_id, view in sorted((footage.truth.views or {}).items()):
        timelines[camera_id] = _view_timeline(view, found.views.get(camera_id, {}))
    return timelines


def _floor_timeline(footage: Footage, floor: Mapping[int, Places], found: Found) -> Timeline:
    timeline: Timeline = {}
    for frame, places in sorted(floor.items()):
        unscored = footage.truth.unscored.get(frame, frozenset())
        moment = floor_moment(
            places, found.floor.get(frame, {}), WITHIN_M, area=footage.area, unscored=unscored
        )
        _note(timeline, frame, moment.true, moment.found, moment.similarity)
    return timeline


def _view_timeline(view: Mapping[int, NamedBoxes], found: Mapping[int, NamedBoxes]) -> Timeline:
    timeline: Timeline = {}
    for frame, true in sorted(view.items()):
        moment = view_moment(true, found.get(frame, NOBODY), lists_everybody=True)
        _note(timeline, frame, moment.true, moment.found, moment.similarity)
    return timeline


def _note(
    timeline: Timeline,
    frame: int,
    true: tuple[str, ...],
    found: tuple[str, ...],
    similarity: np.ndarray,
) -> None:
    rows, columns = assign(np.where(similarity >= MATCH, similarity, 0.0), 0.0)
    matched = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    for row, name in enumerate(true):
        timeline.setdefault(name, {})[frame] = found[matched[row]] if row in matched else ""


def _id_timeline(footage: Footage, timelines: Mapping[str, Timeline], title: str) -> Figure:
    rows = sum(len(timeline) + 1 for timeline in timelines.values())
    figure = Figure(figsize=(12, 1.2 + 0.22 * rows), layout="constrained")
    axes = figure.add_subplot()
    labels: list[str] = []
    for place, timeline in timelines.items():
        for name, ids in sorted(timeline.items(), key=lambda item: (len(item[0]), item[0])):
            _draw_row(axes, len(labels), ids, footage.rate_hz)
            labels.append(f"{name} · {place}")
        labels.append("")
    axes.set_yticks(range(len(labels)), labels, fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(0, footage.frames / footage.rate_hz)
    axes.set(title=f"{title}\nrow: true person, colour: found id, pale: not found")
    axes.set_xlabel("seconds of media time")
    return figure


def _draw_row(axes: Axes, row: int, ids: Mapping[int, str], rate_hz: float) -> None:
    """One bar for each run of frames with the same id."""
    runs: list[tuple[int, int, str]] = []
    for frame, name in sorted(ids.items()):
        if runs and runs[-1][1] == frame and runs[-1][2] == name:
            runs[-1] = (runs[-1][0], frame + 1, name)
        else:
            runs.append((frame, frame + 1, name))
    bars = [(first / rate_hz, (last - first) / rate_hz) for first, last, _ in runs]
    colours = [colour_of(name) if name else LOST for *_, name in runs]
    axes.broken_barh(bars, (row - 0.4, 0.8), facecolors=colours)

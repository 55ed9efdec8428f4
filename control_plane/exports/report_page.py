"""A report as one HTML page that loads nothing from elsewhere and prints well."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

from control_plane.analytics.answers import PlaceOccupancy
from control_plane.exports.report_plots import floor_plot, people_plot, trend_plot
from homography.environment import Environment, Zone

if TYPE_CHECKING:
    from control_plane.exports.report import AnalyticsReport

MOST_ALERTS = 50
NONE = "-"
CSS = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1d2129; max-width: 50rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem }
.when { color: #5b6270; margin: .2rem 0 1.2rem }
.figures { display: flex; flex-wrap: wrap; gap: .8rem 2rem; margin: 1rem 0 }
.figures div { min-width: 7rem } .figures b { display: block; font-size: 1.4rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid #e2e5ea }
th:first-child, td:first-child { text-align: left }
.none, footer { color: #5b6270 } svg { max-width: 100%; height: auto }
@media print { body { margin: 0; max-width: none } h2, svg, table { break-inside: avoid } }
"""
FOOTER = (
    "Times are those of the recordings, UTC. Every figure comes from stored rows; a person is one "
    "id of one task."
)
EMPTY = "<p class='none'>Nothing is stored of this stretch of media time.</p>"


def page_of(report: "AnalyticsReport", environment: Environment, zones: Sequence[Zone]) -> str:
    """The whole page."""
    name = escape(report.environment_name)
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>{name}: report</title><style>{CSS}</style></head><body>",
        f"<h1>{name}</h1><p class='when'>{_covered(report)}</p>",
        *(_figures(report, environment, zones) if report.summary.coverage.has_data else [EMPTY]),
        f"<footer><p>Made {_time(report.generated_at)}. {FOOTER}</p></footer>",
        "</body></html>",
    ]
    return "\n".join(parts)


def _figures(
    report: "AnalyticsReport", environment: Environment, zones: Sequence[Zone]
) -> list[str]:
    board = report.dashboard
    return [
        _glance(report),
        "<h2>People over time</h2>",
        people_plot(board.occupancy),
        "<h2>Floor</h2>",
        floor_plot(board.heatmap, report.paths, environment, zones),
        "<h2>Zones</h2>",
        _zones(board.occupancy.zones),
        "<h2>Movements</h2>",
        _table(
            ("from", "to", "people", "mean between"),
            [
                (m.from_zone, m.to_zone, m.count, _seconds(m.mean_between_s))
                for m in board.movements[:20]
            ],
        ),
        "<h2>Detections</h2>",
        trend_plot(board.detections.series),
        _cameras(report),
        "<h2>Alerts</h2>",
        _alerts(report),
        *_feedback(report),
    ]


def _covered(report: "AnalyticsReport") -> str:
    asked, coverage = report.summary.range, report.summary.coverage
    if asked is None:
        return "Nothing is stored."
    stale = report.summary.staleness_s or 0
    behind = f"; figures are {stale:.0f} s behind" if stale > 1 else ""
    return (
        f"{_time(asked.start_time)} to {_time(asked.end_time)}; {100 * coverage.share:.1f} % of it "
        f"is stored{behind}"
    )


def _glance(report: "AnalyticsReport") -> str:
    s = report.summary
    figures = {
        "people": s.unique_persons,
        "at once, mean": f"{s.mean_occupancy:.2f}",
        "at once, most": s.peak_occupancy,
        "mean stay": _seconds(s.mean_dwell_s),
        "detections": f"{s.total_detections:,}",
        "uptime": NONE if s.uptime_percent is None else f"{s.uptime_percent:.1f} %",
    }
    cells = (f"<div><b>{value}</b>{name}</div>" for name, value in figures.items())
    return f"<div class='figures'>{''.join(cells)}</div>"


def _zones(places: Sequence[PlaceOccupancy]) -> str:
    heads = ("zone", "people", "entries", "exits", "mean", "most", "capacity", "mean stay")
    return _table(
        heads,
        [
            (
                p.name,
                p.unique_persons,
                p.entries,
                p.exits,
                f"{p.mean:.2f}",
                p.peak,
                NONE if p.capacity is None else p.capacity,
                _seconds(p.dwell.mean_s),
            )
            for p in places
        ],
    )


def _cameras(report: "AnalyticsReport") -> str:
    heads = ("camera", "detections", "people", "mean confidence", "uptime", "share")
    return _table(
        heads,
        [
            (
                c.camera_id,
                f"{c.detections:,}",
                c.unique_persons,
                NONE if c.mean_confidence is None else f"{c.mean_confidence:.2f}",
                NONE if c.uptime_percent is None else f"{c.uptime_percent:.1f} %",
                NONE if c.load_share is None else f"{100 * c.load_share:.0f} %",
            )
            for c in report.summary.cameras
        ],
    )


def _alerts(report: "AnalyticsReport") -> str:
    shown = report.alerts[:MOST_ALERTS]
    table = _table(
        ("kind", "zone", "from", "to", "count", "threshold"),
        [
            (
                a.type.replace("_", " "),
                a.zone,
                _time(a.start_time),
                _time(a.end_time),
                f"{a.count:g}",
                f"{a.threshold:g}",
            )
            for a in shown
        ],
    )
    more = len(report.alerts) - len(shown)
    return f"{table}<p class='none'>and {more} more</p>" if more else table


def _feedback(report: "AnalyticsReport") -> list[str]:
    said = report.feedback
    if said.share_right is None:
        return []
    total = said.right.count + said.wrong.count
    text = (
        f"People looked at {total} matches and found {said.right.count} right. These are the "
        "matches somebody chose to look at, of all times, no random choice."
    )
    return ["<h2>Feedback on identities</h2>", f"<p>{text}</p>"]


def _table(heads: Iterable[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return "<p class='none'>None.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"

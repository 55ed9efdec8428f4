"""``/ws/system`` and ``/ws/analytics/{env}``: once a second how it goes, and who is where."""

import contextlib
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import websocket
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from control_plane.health.performance import Gpu, Percentiles, read_performance
from control_plane.health.probes import Component, run_probes
from control_plane.services import Services
from control_plane.streaming.live_counts import Alert, LiveCounts, LiveMetrics, changes
from control_plane.streaming.renderings import envelope
from control_plane.streaming.sockets import (
    GONE,
    NOT_FOUND,
    AnsweringSession,
    Command,
    Plain,
    Socket,
)
from control_plane.streaming.tickers import Say
from control_plane.zones import zones_of
from homography.environment import Environment
from plugins.errors import UnknownEnvironmentError
from plugins.messages import TrackingUpdate, tracks_stream

PROBE_S = 5.0
ZONES_S = 10.0
UPDATES_READ = 100
GOOD, FAIR = 0.95, 0.7


class SystemPulse(msgspec.Struct, frozen=True):
    """Payload of ``system_status``. ``connection_quality`` tells what share of the sets offered to
    this process's clients they took since the last message: good (95 %), fair (70 %) or poor; null
    without clients. ``memory_usage`` is the share of the machine's memory in use, 0..1.
    """

    cameras_active: int
    processing_fps: float
    connection_quality: str | None
    memory_usage: float
    gpu_utilization: float | None
    components: dict[str, Component]
    dropped: int
    stage_ms: dict[str, Percentiles]
    sending_ms: dict[str, Percentiles]
    gpu: Gpu | None


class AnalyticsUpdate(msgspec.Struct, frozen=True):
    """Payload of ``analytics_update``."""

    environment_id: str
    timestamp: datetime
    live_metrics: LiveMetrics
    alerts: list[Alert]


class SystemWatch:
    """Makes ``system_status``, and an ``alert`` when a part goes away or comes back."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._components: dict[str, Component] = {}
        self._probed_at = 0.0
        self._delivery = services.hub.delivery()

    async def say(self) -> list[str]:
        """The messages of one round."""
        before = self._components
        if not before or time.monotonic() - self._probed_at > PROBE_S:
            self._probed_at = time.monotonic()
            self._components = await run_probes(self._services.probes)
        figures = await read_performance(self._services)
        rows = [task for task in figures.tasks if task.sets_per_s > 0]
        cameras = {(t.environment_id, c) for t in rows for c in self._cameras(t.environment_id)}
        pulse = SystemPulse(
            cameras_active=len(cameras),
            processing_fps=figures.sets_per_s,
            connection_quality=self._quality(figures.offered, figures.skipped),
            memory_usage=figures.memory_usage,
            gpu_utilization=figures.gpu.utilization if figures.gpu else None,
            components=self._components,
            dropped=figures.dropped,
            stage_ms=figures.stage_ms,
            sending_ms=figures.sending_ms,
            gpu=figures.gpu,
        )
        alerts = [envelope("alert", "", alert) for alert in self._changed(before)]
        return [envelope("system_status", "", pulse), *alerts]

    def _cameras(self, environment_id: str) -> list[str]:
        return [c.camera_id for c in self._services.environment(environment_id).cameras]

    def _quality(self, offered: int, skipped: int) -> str | None:
        before, self._delivery = self._delivery, (offered, skipped)
        return quality_of(offered - before[0], skipped - before[1])

    def _changed(self, before: dict[str, Component]) -> list[dict[str, str]]:
        return [
            {"type": "component", "component": name, "status": now.status, "detail": now.detail}
            for name, now in self._components.items()
            if name in before and before[name].status != now.status
        ]


def quality_of(offered: int, skipped: int) -> str | None:
    """A word for how much of what was offered was taken; None where nothing was."""
    if offered <= 0:
        return None
    share = 1 - max(skipped, 0) / offered
    return "good" if share >= GOOD else "fair" if share >= FAIR else "poor"


class AnalyticsWatch:
    """Makes ``analytics_update`` from the live streams of an environment's tasks, and an ``alert``
    when a zone fills over its capacity or is no longer.
    """

    def __init__(self, services: Services, environment: Environment) -> None:
        self._services, self._environment = services, environment
        self._counts = LiveCounts(environment.zones, environment.map_bounds_m)
        self._zones: list[tuple[str, int | None, list[list[float]]]] = []
        self._zones_at = float("-inf")
        self._positions: dict[str, bytes] = {}
        self._alerts: list[Alert] = []

    async def say(self) -> list[str]:
        """The messages of one round."""
        name = self._environment.environment_id
        await self._read_zones()
        rows = await self._services.store.active_tasks()
        task_ids = [row.task_id for row in rows if row.environment_id == name]
        self._counts.keep_only(task_ids)
        for task_id in task_ids:
            await self._read(task_id)
        metrics = self._counts.metrics()
        before, self._alerts = self._alerts, self._counts.alerts(metrics.zone_occupancy)
        update = AnalyticsUpdate(name, datetime.now(UTC), metrics, self._alerts)
        alerts = [envelope("alert", name, alert) for alert in changes(before, self._alerts)]
        return [envelope("analytics_update", name, update), *alerts]

    async def _read_zones(self) -> None:
        """Zones may be changed while somebody watches."""
        if time.monotonic() - self._zones_at < ZONES_S:
            return
        self._zones_at = time.monotonic()
        async with self._services.store.connection() as connection:
            zones = list((await zones_of(connection, self._environment)).values())
        shapes = [(z.zone_id, z.capacity, z.polygon_m.tolist()) for z in zones]
        if shapes != self._zones:
            self._zones, self._positions = shapes, {}
            self._counts = LiveCounts(zones, self._environment.map_bounds_m)

    async def _read(self, task_id: str) -> None:
        key = tracks_stream(task_id)
        after = self._positions.get(task_id)
        found: Any
        if after is None:
            found = await self._services.redis.xrevrange(key, count=UPDATES_READ)
            found = found[::-1]
        else:
            found = await self._services.redis.xrange(key, min=b"(" + after, count=UPDATES_READ)
        for entry_id, fields in found:
            self._positions[task_id] = entry_id
            self._counts.add(task_id, msgspec.json.decode(fields[b"json"], type=TrackingUpdate))


class ChannelSession(AnsweringSession):
    """One client of a channel that speaks once a second."""

    async def serve(self, channel: str, say: Say) -> None:
        """Until the client leaves."""
        self.reply("connection_established", {"channel": channel})
        with self._services.tickers.subscribed(channel, self.outbox, lambda: say):
            await self.run()


ChannelSession.commands = {"ping": Command(Plain, ChannelSession.pong)}


@websocket("/ws/system", opt={"role": "viewer"})
async def system_socket(socket: Socket, services: NamedDependency[Services]) -> None:
    """``system_status`` once a second, ``alert`` when a part goes away or comes back."""
    with contextlib.suppress(*GONE):
        await socket.accept()
        session = ChannelSession(socket, services, "")
        await session.serve("system", SystemWatch(services).say)


@websocket("/ws/analytics/{environment_id:str}", opt={"role": "viewer"})
async def analytics_socket(
    socket: Socket, services: NamedDependency[Services], environment_id: FromPath[str]
) -> None:
    """``analytics_update`` once a second, ``alert`` when a zone is over its capacity, and after."""
    with contextlib.suppress(*GONE):
        await socket.accept()
        session = ChannelSession(socket, services, environment_id)
        try:
            environment = services.environment(environment_id)
            session.caller.require_environment(environment_id)
        except UnknownEnvironmentError as error:
            await session.refuse(error, NOT_FOUND)
            return
        watch = AnalyticsWatch(services, environment)
        await session.serve(f"analytics/{environment.environment_id}", watch.say)


HANDLERS: list[ControllerRouterHandler] = [system_socket, analytics_socket]

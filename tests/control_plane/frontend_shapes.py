"""What the existing React frontend reads, as its contract has it: every name, and nothing else."""

from datetime import datetime
from typing import Any, Literal

import msgspec


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    """Every field has to be there, and no other."""


class Task(Shape):
    task_id: str
    status: str
    environment_id: str
    created_at: datetime


class Tasks(Shape):
    tasks: list[Task]


class TaskList(Shape):
    data: Tasks


class Started(Shape):
    task_id: str
    status_url: str
    websocket_url: str
    message: str


class Message(Shape):
    message: str


class Cleaned(Shape):
    data: Message


class CameraMetadata(Shape):
    display_name: str
    overlay_asset: str | None
    homography_available: bool


class DetectionEnvironment(Shape):
    environment_id: str
    display_name: str
    cameras: list[str]
    camera_metadata: dict[str, CameraMetadata]


class DetectionEnvironments(Shape):
    environments: list[DetectionEnvironment]
    updated_at: datetime


class Controls(Shape):
    task_id: str
    state: Literal["playing", "paused", "stopped"]
    last_transition_at: datetime | None
    last_frame_index: int | None
    last_error: str | None
    total_frames: int | None


class Summary(Shape):
    total_detections: int
    average_confidence_percent: float | None
    system_uptime_percent: float | None
    uptime_delta_percent: float | None
    total_cameras: int


class CameraFigures(Shape):
    camera_id: str
    detections: int
    unique_entities: int
    average_confidence_percent: float | None
    uptime_percent: float | None


class Count(Shape):
    timestamp: datetime
    detections: int


class Confidence(Shape):
    timestamp: datetime
    confidence_percent: float | None


class Uptime(Shape):
    date: str
    uptime_percent: float | None


class Charts(Shape):
    detections_per_bucket: list[Count]
    average_confidence_trend: list[Confidence]
    uptime_trend: list[Uptime]


class Board(Shape):
    generated_at: datetime
    summary: Summary
    cameras: list[CameraFigures]
    charts: Charts
    dwell_time: Any
    traffic_flow: Any
    heatmap: Any
    person_statistics: Any
    notes: list[str]


class Dashboard(Shape):
    status: Literal["success"]
    data: Board


class Metrics(Shape):
    timestamp: datetime
    active_persons: int
    detection_rate: float
    average_confidence: float | None
    camera_loads: dict[str, int]
    performance_metrics: dict[str, float | None]
    total_cameras: int


class RealTimeMetrics(Shape):
    status: Literal["success"]
    data: Metrics
    timestamp: datetime


class Person(Shape):
    global_id: str
    current_camera_id: str
    first_detected_at: datetime
    last_seen_at: datetime
    confidence_score: float
    track_duration: float


class Persons(Shape):
    active_persons: list[Person]
    total_count: int
    camera_id: str | None
    environment_id: str | None


class ActivePersons(Shape):
    status: Literal["success"]
    data: Persons
    timestamp: datetime


class CameraLoads(Shape):
    cameras: dict[str, int]


class Statistics(Shape):
    status: Literal["success"]
    data: dict[str, Any]
    timestamp: datetime


class Position(Shape):
    timestamp: datetime
    camera_id: str
    bbox: tuple[float, float, float, float]
    map_coords: tuple[float, float] | None


class PersonPanel(Shape):
    global_person_id: str
    first_detected: datetime
    last_seen: datetime
    tracking_duration: float
    cameras_seen: list[str]
    current_camera: str | None
    total_detections: int
    average_confidence: float | None
    movement_metrics: dict[str, float | None]
    position_history: list[Position]


class Track(Shape):
    track_id: int
    detection_id: str
    global_id: str | None
    bbox_xyxy: tuple[float, float, float, float]
    confidence: float
    class_id: int
    map_coords: tuple[float, float] | None
    is_focused: bool


class CameraData(Shape):
    tracks: list[Track]
    frame_width: int
    frame_height: int
    timestamp: datetime


class Corners(Shape):
    x1: float
    y1: float
    x2: float
    y2: float


class Box(Corners):
    width: float
    height: float
    center_x: float
    center_y: float


class MapPoint(Shape):
    map_x: float
    map_y: float


class Detection(Shape):
    detection_id: str
    confidence: float
    bbox: Box
    map_coords: MapPoint | None
    class_name: str
    class_id: int
    track_id: int
    global_id: str | None


class DetectionData(Shape):
    detections: list[Detection]
    processing_time_ms: float | None


class FootPoint(Shape):
    image_x: float
    image_y: float


class TrailPoint(Shape):
    x: float
    y: float
    frame_offset: int
    timestamp: datetime


class MapCoordinate(Shape):
    detection_id: str
    map_x: float | None
    map_y: float | None
    projection_successful: bool
    coordinate_system: Literal["bev_map_meters"]
    foot_point: FootPoint
    trail: list[TrailPoint]


class PipelineData(Shape):
    mapping_coordinates: list[MapCoordinate]


class CameraUpdate(Shape):
    type: Literal["tracking_update"]
    mode: Literal["detection_streaming"]
    task_id: str
    camera_id: str
    global_frame_index: int
    timestamp_processed_utc: datetime
    camera_data: CameraData
    detection_data: DetectionData
    future_pipeline_data: PipelineData


class FocusedPerson(Shape):
    camera_id: str
    current_camera: str
    track_id: int | None
    detection_id: str | None
    bbox: Corners


class Focus(Shape):
    is_active: bool
    focused_person_id: str | None
    person_details: FocusedPerson | None

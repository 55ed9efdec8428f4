"""Bodies that the OpenAPI document shows for analytics; a test holds them against their types."""

from typing import Any

TASK_ID = "6f1c1e0a-5d0e-4b9e-9a52-0b7f7d1e2c33"
PERSON_ID = "0d9f3c62-2b7e-5c53-9d0c-6a2f0a1e7b11"
FIRST, LAST = "2024-05-01T08:10:00Z", "2024-05-01T08:12:30Z"
BASIS: dict[str, Any] = {
    "environment_id": "campus",
    "range": {"start_time": "2024-05-01T08:00:00Z", "end_time": "2024-05-01T09:00:00Z"},
    "coverage": {
        "has_data": True,
        "share": 0.98,
        "first": "2024-05-01T08:00:00Z",
        "last": "2024-05-01T08:59:59.900000Z",
        "tasks": [TASK_ID],
    },
    "staleness_s": 0.0,
}
DWELL = {"stays": 14, "mean_s": 21.5, "median_s": 18.0, "p90_s": 44.0, "longest_s": 61.2}
BUCKET = {"timestamp": FIRST, "mean": 1.4, "peak": 4, "entries": 9, "exits": 8}
ZONE: dict[str, Any] = {
    "zone_id": "entrance",
    "name": "Entrance",
    "capacity": 3,
    "unique_persons": 12,
    "entries": 14,
    "exits": 13,
    "mean": 1.4,
    "peak": 4,
    "over_capacity_s": 12.5,
    "dwell": DWELL,
    "series": [BUCKET],
}
EVERYWHERE = ZONE | {"zone_id": None, "name": "Campus", "capacity": None, "over_capacity_s": None}
ALERT = {
    "type": "high_occupancy",
    "zone": "entrance",
    "count": 4.0,
    "threshold": 3.0,
    "start_time": FIRST,
    "end_time": LAST,
    "global_id": None,
}
MOVEMENT = {"from_zone": "entrance", "to_zone": "hall", "count": 7, "mean_between_s": 4.2}
PATH = {
    "path_m": [[0.5, 5.0], [12.0, 5.2]],
    "count": 6,
    "share": 0.6,
    "mean_length_m": 11.7,
    "spread_m": 0.4,
    "example_global_id": PERSON_ID,
}
CAMERA = {
    "camera_id": "c01",
    "detections": 4210,
    "unique_persons": 12,
    "mean_confidence": 0.81,
    "uptime_percent": 99.2,
    "load_share": 0.4,
    "detections_per_set": 1.2,
}
POINT = {"timestamp": FIRST, "detections": 4210, "mean_confidence": 0.81, "uptime_percent": 99.2}
STOP = {"start_s": 1714551060.0, "seconds": 12.0, "position_m": [4.0, 5.1]}
MOTION = {
    "observed_s": 150.0,
    "distance_m": 41.0,
    "average_speed_mps": 1.1,
    "max_speed_mps": 1.6,
    "stopped_s": 12.0,
    "stops": [STOP],
}
FINDING = {
    "kind": "running",
    "is_present": False,
    "confidence": 0.99,
    "value": 1.6,
    "threshold": 2.5,
    "unit": "m/s",
    "method": "highest mean of three neighbouring speeds, each over two seconds",
}
OCCUPANCY = BASIS | {"bucket_s": 60, "total": EVERYWHERE, "zones": [ZONE]}
ZONE_OCCUPANCY = BASIS | {"bucket_s": 60, "zone": ZONE, "alerts": [ALERT]}
HEATMAP = BASIS | {
    "cell_m": 0.5,
    "origin_m": [0.0, 0.0],
    "person_s": [[0.0, 1.5], [12.0, 3.1]],
    "total_person_s": 16.6,
    "peak_person_s": 12.0,
}
FLOW = BASIS | {"movements": [MOVEMENT]}
PATHS = BASIS | {"persons": 10, "limit": 200, "groups": [PATH]}
DETECTIONS = BASIS | {
    "bucket_s": 60,
    "total_detections": 4210,
    "mean_confidence": 0.81,
    "cameras": [CAMERA],
    "series": [POINT],
}
SUMMARY = BASIS | {
    "unique_persons": 12,
    "total_detections": 4210,
    "mean_confidence": 0.81,
    "uptime_percent": 99.2,
    "mean_occupancy": 1.4,
    "peak_occupancy": 4,
    "mean_dwell_s": 21.5,
    "busiest_zone": "entrance",
    "cameras": [CAMERA],
    "daily": [POINT],
    "hourly": [POINT],
}
DASHBOARD = BASIS | {
    "detections": DETECTIONS,
    "occupancy": OCCUPANCY,
    "movements": [MOVEMENT],
    "heatmap": HEATMAP,
    "unique_persons": 12,
    "alerts": [ALERT],
    "uptime_trend": [POINT],
}
COMPARISON = {"environments": [SUMMARY]}
TRACKING = BASIS | {
    "unique_persons": 12,
    "presence": DWELL,
    "total": EVERYWHERE,
    "persons_per_camera": {"c01": 12},
    "multi_camera_persons": 5,
}
PERSON = BASIS | {"global_id": PERSON_ID, "task_id": TASK_ID}
JOURNEY = PERSON | {
    "first_seen": FIRST,
    "last_seen": LAST,
    "cameras": ["c01", "c02"],
    "places": [
        {
            "kind": "zone",
            "place_id": "entrance",
            "entered_at": FIRST,
            "left_at": LAST,
            "seconds": 150.0,
        }
    ],
    "motion": MOTION,
    "path_m": [[0.5, 5.0], [12.0, 5.2]],
}
TRAJECTORY = PERSON | {
    "positions": [{"timestamp": FIRST, "map_coords": [0.5, 5.0], "map_uncertainty_m": 0.2}],
    "prediction": [{"seconds_ahead": 1.0, "position_m": [13.1, 5.2], "sigma_m": 0.4}],
    "is_complete": True,
    "continue_at": None,
}
BEHAVIOUR = PERSON | {"findings": [FINDING], "history_persons": 150, "motion": MOTION}

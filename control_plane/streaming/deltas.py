"""What changed from one ``tracking_update`` to the next, and back: see docs/wire-format.md."""

from typing import Any

Payload = dict[str, Any]


def delta_of(before: Payload, after: Payload) -> Payload:
    """The members of ``after`` that differ from ``before``; ``apply_delta`` undoes it.

    Inside ``cameras``, tracks are matched by ``track_id``: each has its id and what changed, a new
    one everything; ``gone`` lists ids, and at the top camera ids, that are there no more.
    """
    changed = {
        key: value
        for key, value in after.items()
        if key != "cameras" and (key not in before or before[key] != value)
    }
    cameras, gone = {}, [c for c in before["cameras"] if c not in after["cameras"]]
    for camera_id, view in after["cameras"].items():
        cameras[camera_id] = _camera_delta(before["cameras"].get(camera_id), view)
    return changed | {"cameras": cameras} | ({"gone": gone} if gone else {})


def _camera_delta(before: Payload | None, after: Payload) -> Payload:
    if before is None:
        return after
    changed = {k: v for k, v in after.items() if k != "tracks" and before.get(k) != v}
    known = {track["track_id"]: track for track in before["tracks"]}
    tracks = [_track_delta(known.get(track["track_id"]), track) for track in after["tracks"]]
    present = {track["track_id"] for track in after["tracks"]}
    gone = [track_id for track_id in known if track_id not in present]
    return changed | {"tracks": tracks} | ({"gone": gone} if gone else {})


def _track_delta(before: Payload | None, after: Payload) -> Payload:
    if before is None:
        return after
    changed = {k: v for k, v in after.items() if before.get(k) != v}
    return {"track_id": after["track_id"]} | changed


def apply_delta(before: Payload, delta: Payload) -> Payload:
    """The payload that ``delta`` was made from."""
    after = before | {k: v for k, v in delta.items() if k not in {"cameras", "gone"}}
    cameras = {c: v for c, v in before["cameras"].items() if c not in delta.get("gone", ())}
    for camera_id, change in delta["cameras"].items():
        cameras[camera_id] = _apply_camera(cameras.get(camera_id), change)
    return after | {"cameras": cameras}


def _apply_camera(before: Payload | None, change: Payload) -> Payload:
    if before is None:
        return change
    known = {track["track_id"]: track for track in before["tracks"]}
    tracks = [known.get(t["track_id"], {}) | t for t in change["tracks"]]
    kept = {k: v for k, v in change.items() if k not in {"tracks", "gone"}}
    return before | kept | {"tracks": tracks}

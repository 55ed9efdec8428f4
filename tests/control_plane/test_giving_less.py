"""Deltas, quality steps and forms for viewers: pure, or on entries of their own."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.identity.movement import FloorPoint, Sighting, movement_of, thinned
from control_plane.streaming.deltas import apply_delta, delta_of
from control_plane.streaming.renderings import PicturesEntry, UpdateEntry
from control_plane.streaming.rungs import NAMES, RUNGS, Ladder, at_rung
from plugins.media_time import to_datetime
from plugins.wire import decode_set, encode_set
from tests.control_plane.serving import pictures, update_of
from tests.waiting import PATIENCE_S

PAGE = Path(__file__).parent.parent.parent / "control_plane" / "live_page"
TRACK = st.fixed_dictionaries(
    {"track_id": st.integers(1, 5), "global_id": st.sampled_from(["a", "b", None])},
    optional={"map_coords": st.sampled_from([None, [1.0, 2.0]]), "confidence": st.just(0.5)},
)
VIEW = st.fixed_dictionaries(
    {
        "frame_width": st.sampled_from([640, 1280]),
        "tracks": st.lists(TRACK, max_size=4, unique_by=lambda t: t["track_id"]),
    }
)
PAYLOAD = st.fixed_dictionaries(
    {
        "global_frame_index": st.integers(0, 9),
        "focus_person_id": st.sampled_from([None, "a"]),
        "cameras": st.dictionaries(st.sampled_from(["c1", "c2", "c3"]), VIEW),
    }
)


def full(payload):
    """With every member, as the product's own payloads have them."""
    for view in payload["cameras"].values():
        for track in view["tracks"]:
            track.setdefault("map_coords", None)
            track.setdefault("confidence", 0.9)
    return payload


def binary(index=0):
    metadata = msgspec.json.encode(update_of(index))
    return encode_set(index, 5, metadata, pictures(index), 80, is_incomplete=False)


@settings(max_examples=200, deadline=None)
@given(PAYLOAD, PAYLOAD)
def test_a_delta_brings_one_update_to_any_other(before, after):
    before, after = full(before), full(after)
    assert apply_delta(before, delta_of(before, after)) == after


def test_a_delta_is_much_smaller_than_the_update():
    before, after = (msgspec.to_builtins(update_of(k)) for k in (10, 11))
    delta = delta_of(before, after)
    assert len(json.dumps(delta)) < 0.65 * len(json.dumps(after))


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript engine on this machine")
def test_the_pages_decoder_undoes_deltas_and_reads_sets():
    """The modules that the page loads give what Python gives."""
    before, after = (json.loads(msgspec.json.encode(update_of(k))) for k in (10, 40))
    after["cameras"].pop("h2")
    given_in = {"before": before, "delta": delta_of(before, after), "set": list(binary(7))}
    script = f"""
      import {{ applyDelta }} from "{PAGE / "delta.js"}";
      import {{ decodeSet }} from "{PAGE / "wire.js"}";
      const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
      const set = decodeSet(new Uint8Array(given.set).buffer);
      console.log(JSON.stringify({{
        after: applyDelta(given.before, given.delta),
        index: set.frameIndex, cameras: set.cameras.map((c) => [c.id, c.jpeg.size]),
      }}));"""
    script = 'import { createRequire } from "module"; const require = createRequire("/");' + script
    told = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        input=json.dumps(given_in),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["after"] == after
    jpegs = decode_set(binary(7)).jpegs
    assert (found["index"], dict(found["cameras"])) == (7, {c: len(j) for c, j in jpegs.items()})


@pytest.mark.parametrize("rung", [1, 2])
def test_a_rung_has_smaller_pictures_of_the_same_thing(rung):
    message = binary()
    reduced = decode_set(at_rung(message, RUNGS[rung]))
    original = decode_set(message)
    assert (reduced.frame_index, reduced.metadata_json) == (0, original.metadata_json)
    picture = cv2.imdecode(np.frombuffer(reduced.jpegs["h1"], np.uint8), cv2.IMREAD_COLOR)
    whole = cv2.imdecode(np.frombuffer(original.jpegs["h1"], np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (360 // RUNGS[rung].factor, 640 // RUNGS[rung].factor, 3)
    again = cv2.resize(whole, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(picture.astype(int) - again).mean() < 8
    assert set(reduced.qualities.values()) == {RUNGS[rung].quality}


def test_every_form_is_made_once_for_all_who_want_it():
    async def scenario():
        entry = PicturesEntry(0, binary(), "task")
        calls = []

        def make():
            calls.append(1)
            return b"made"

        made = await asyncio.gather(*(entry.made("x", make) for _ in range(20)))
        assert (set(made), len(calls)) == ({b"made"}, 1)
        quarter = await asyncio.gather(*(entry.message(2) for _ in range(20)))
        assert len({id(message) for message in quarter}) == 1
        assert await entry.message() is entry.raw

    asyncio.run(scenario())


def test_followers_and_their_neighbours_get_forms_of_their_own():
    entry = UpdateEntry(3, msgspec.json.encode(update_of(3)), "task")
    person = update_of(3).cameras["h1"].tracks[0].global_id
    plain, marked = json.loads(entry.text()), json.loads(entry.text((person, True)))
    assert plain["payload"]["focus_person_id"] is None
    assert marked["payload"]["focus_person_id"] == person
    view = marked["payload"]["cameras"]["h1"]
    assert [t["is_focused"] for t in view["tracks"]].count(True) == 1
    assert view["cropped_persons"][person].startswith(f"/api/v1/media/persons/{person}/image")
    before = UpdateEntry(2, msgspec.json.encode(update_of(2)), "task")
    delta = json.loads(entry.text(since=before))
    assert delta["delta_since"] == 2
    assert apply_delta(before.payload(), delta["payload"]) == plain["payload"]


def steps(ladder, losses):
    for lost in losses:
        ladder.note(lost)
    return NAMES[ladder.rung], ladder.divisor


def test_a_client_that_keeps_up_gets_everything():
    assert steps(Ladder(), [0] * 1000) == ("full", 1)
    assert steps(Ladder(), ([0] * 9 + [1]) * 100) == ("full", 1)


def test_quality_gives_way_first_then_the_rate():
    ladder = Ladder()
    seen = [(NAMES[ladder.rung], ladder.divisor) for _ in range(60) if ladder.note(2)]
    assert seen == [("half", 1), ("quarter", 1), ("quarter", 2), ("quarter", 4), ("quarter", 8)]


def test_who_recovers_climbs_back_and_who_stumbles_waits_longer():
    ladder = Ladder()
    steps(ladder, [2] * 8)
    climbed = steps(ladder, [0] * 400)
    assert climbed == ("full", 1)
    tries = []
    ladder = Ladder()
    for k in range(4000):  # can take half the size, never the whole
        lost = 3 if ladder.rung == 0 else 0
        if ladder.note(lost) and ladder.rung == 0:
            tries.append(k)
    gaps = np.diff(tries)
    assert (gaps[1:] > 1.5 * gaps[:-1]).all()


def test_a_client_that_asked_for_half_never_gets_more():
    assert steps(Ladder(1), [0] * 1000) == ("half", 1)


def test_movement_is_measured_on_the_smoothed_path_without_its_gaps():
    seconds = [0.0, 1.0, 2.0, 10.0, 11.0]
    times = [to_datetime(round(s * 1e9)) for s in seconds]
    path = [FloorPoint(t, 1.5 * s, 0.0, 1.5) for t, s in zip(times, seconds, strict=True)]
    metrics = movement_of(times, path)
    assert metrics.total_distance == pytest.approx(4.5)
    assert metrics.average_speed == pytest.approx(1.5)
    assert (metrics.max_speed, metrics.dwell_time) == (1.5, 3.0)
    nobody = movement_of([], [])
    assert (nobody.average_speed, nobody.total_distance, nobody.dwell_time) == (None, None, 0)


def test_a_long_history_is_thinned_evenly_and_keeps_the_newest():
    sightings = [Sighting(to_datetime(k), "c", (0, 0, 1, 1), None) for k in range(0, 10**6, 1000)]
    few = thinned(sightings, 100)
    assert len(few) <= 100
    assert few[-1] is sightings[-1]
    assert thinned(sightings[:5], 100) == sightings[:5]

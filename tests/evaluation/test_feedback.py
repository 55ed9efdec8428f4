"""``spoton evaluate --feedback``: what people said stands beside the scores."""

import json
import uuid
from pathlib import Path

import pytest

from control_plane.__main__ import main
from control_plane.feedback import Agreement, Judged
from control_plane.identity.feedback_given import in_words
from tests.control_plane.stored_world import World, person_id, query
from tests.evaluation.folders import write_detected
from tests.services import postgres_url


def test_feedback_stands_beside_the_scores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgres_url()
    world = World({"ana": [(0, 1, 1), (2, 2, 2)]}, 2.0)
    world.store(url)
    said = (
        "insert into feedback (feedback_id, task_id, environment_id, global_id, verdict, given_by) "
    )
    for verdict in ("up", "up", "up", "down"):
        values = (uuid.uuid4(), world.task_id, person_id("ana"), verdict)
        query(url, f"{said} values ($1, $2, 'hall', $3, $4, 'anna')", *values)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("SPOTON_DATA_DIR", str(tmp_path / "data"))
    folder = write_detected(tmp_path / "walk", frames=10)
    assert main(("evaluate", str(folder), "--json", "--feedback")) == 0
    result = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert result["feedback"]["share_right"] == 0.75
    assert result["feedback"]["right"]["count"] == 3
    assert "ground_0.5m" in result


def test_feedback_in_words_claims_nothing_that_was_not_said() -> None:
    nothing = Agreement(Judged(), Judged(), None)
    assert "nobody" in in_words(nothing)
    some = Agreement(Judged(3, 0.8, 1.0), Judged(1), 0.75)
    assert in_words(some).endswith(
        "3 of 4 matches that people looked at are right; mean cosine: right 0.80"
    )

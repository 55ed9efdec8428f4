"""The capacity page's table follows from its own formulas and from doctor's rules of thumb."""

import re

from control_plane.health.diagnoses import GPU_MIB_A_TASK, GPU_MIB_MODELS
from tests.triton_fixtures import PROJECT

PAGE = (PROJECT / "docs" / "capacity.md").read_text()
ROW = re.compile(r"^\| (\w[\w ]*) " + r"\| (\d+|-) " * 7 + r"\|$", re.MULTILINE)
# Pictures a second of 1080p on one engine, and of the detector where it was measured.
VENDORS, MEASURED, DETECTOR = 748, 683, {"H100 80 GB": 2973}


def tasks_at(pictures_per_s: float) -> int:
    return int(pictures_per_s * 0.6 / 40)


def test_every_row_is_what_the_formulas_give():
    rows = ROW.findall(PAGE)
    assert len(rows) >= 5
    for gpu, memory_gib, engines, *limits in rows:
        memory_mib = 0.98 * int(memory_gib) * 1024
        memory = int((memory_mib - GPU_MIB_MODELS) / GPU_MIB_A_TASK)
        decoding = tasks_at(int(engines) * MEASURED)
        detector = [tasks_at(DETECTOR[gpu])] if gpu in DETECTOR else []
        shown = detector or ["-"]
        tasks = min(decoding, memory, *detector)
        vendors = tasks_at(int(engines) * VENDORS)
        assert limits == list(map(str, (vendors, decoding, memory, *shown, tasks))), gpu


def test_page_says_that_it_is_computed_and_with_which_figures():
    assert "Computed, not measured" in PAGE
    for figure in (VENDORS, MEASURED, *DETECTOR.values()):
        assert f"{figure:,}" in PAGE

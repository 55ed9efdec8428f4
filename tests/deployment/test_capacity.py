"""The capacity page's table follows from its own formulas and from doctor's rules of thumb."""

import re

from control_plane.health.diagnoses import GPU_MIB_A_TASK, GPU_MIB_MODELS
from tests.triton_fixtures import PROJECT

PAGE = (PROJECT / "docs" / "capacity.md").read_text()
ROW = re.compile(r"^\| (\w[\w ]*) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def test_every_row_is_what_the_formulas_give():
    rows = ROW.findall(PAGE)
    assert len(rows) >= 5
    for gpu, *numbers in rows:
        memory_gib, engines, decoding, memory, tasks = map(int, numbers)
        assert decoding == int(engines * 700 * 0.6 / 40), gpu
        assert memory == int((0.98 * memory_gib * 1024 - GPU_MIB_MODELS) / GPU_MIB_A_TASK), gpu
        assert tasks == min(decoding, memory), gpu


def test_page_says_that_it_is_computed():
    assert "Computed, not measured" in PAGE

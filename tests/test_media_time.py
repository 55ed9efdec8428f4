"""Media time in and out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.errors import InvalidTimeRangeError
from plugins.media_time import parse_rfc3339, to_rfc3339


@given(st.integers(0, 4_000_000_000_000_000))
def test_microseconds_survive_the_way_out_and_in(time_us):
    """RFC 3339 text keeps microseconds exactly."""
    assert parse_rfc3339(to_rfc3339(time_us * 1000)) == time_us * 1000


def test_offsets_are_understood():
    """09:30 in Bangkok is 02:30 UTC."""
    assert to_rfc3339(parse_rfc3339("2024-05-01T09:30:00+07:00")) == "2024-05-01T02:30:00.000000Z"


@pytest.mark.parametrize("text", ["yesterday", "2024-05-01T09:30:00", "", "2024-13-01T00:00:00Z"])
def test_what_is_no_time_is_refused_by_name(text):
    """The message says what was wrong or how a time looks."""
    with pytest.raises(InvalidTimeRangeError, match="time"):
        parse_rfc3339(text)

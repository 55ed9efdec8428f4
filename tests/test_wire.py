"""The binary set: what goes in comes out, and nothing else is taken for one."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.wire import decode_set, encode_set

camera_ids = st.text("abcdefghijklmnop0123456789_", min_size=1, max_size=16)


@given(
    frame_index=st.integers(0, 2**64 - 1),
    media_time_ns=st.integers(-(2**63), 2**63 - 1),
    metadata=st.binary(max_size=200),
    jpegs=st.dictionaries(camera_ids, st.binary(max_size=200), max_size=6),
    quality=st.integers(1, 100),
    is_incomplete=st.booleans(),
)
def test_decoding_gives_back_what_was_encoded(
    frame_index, media_time_ns, metadata, jpegs, quality, is_incomplete
):
    """Every field survives, cameras keep their order."""
    message = encode_set(
        frame_index, media_time_ns, metadata, jpegs, quality, is_incomplete=is_incomplete
    )
    decoded = decode_set(message)
    assert (decoded.frame_index, decoded.media_time_ns) == (frame_index, media_time_ns)
    assert (decoded.metadata_json, decoded.is_incomplete) == (metadata, is_incomplete)
    assert list(decoded.jpegs.items()) == list(jpegs.items())
    assert set(decoded.qualities.values()) <= {quality}


def test_layout_is_the_documented_one():
    """The bytes stand where the format's description says."""
    message = encode_set(7, 1_000, b"{}", {"c01": b"JPEG"}, 80, is_incomplete=True)
    assert message[:8] == b"SPOT\x01\x01\x01\x00"
    assert struct.unpack_from("<Qq", message, 8) == (7, 1_000)
    assert message[24:40] == b"c01" + bytes(13)
    assert struct.unpack_from("<IH", message, 40) == (4, 80)
    assert struct.unpack_from("<I", message, 48) == (2,)
    assert message[52:] == b"{}JPEG"


@given(st.binary(max_size=300))
def test_garbage_is_refused(garbage):
    """Only ValueError comes out of bytes that are no set."""
    with pytest.raises(ValueError, match="not a binary set"):
        decode_set(garbage)


@given(st.integers(0, 56))
def test_truncated_sets_are_refused(length):
    """A set cut anywhere is not a set."""
    message = encode_set(7, 1_000, b"{}", {"c01": b"JPEGs"}, 80, is_incomplete=False)
    with pytest.raises(ValueError, match="not a binary set"):
        decode_set(message[:length])


def test_long_camera_ids_are_refused():
    """The table has 16 bytes for an id."""
    with pytest.raises(ValueError, match="longer than 16 bytes"):
        encode_set(0, 0, b"", {"a-camera-of-17-ch": b""}, 80, is_incomplete=False)

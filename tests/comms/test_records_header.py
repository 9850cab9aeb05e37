"""Header of a record: one way to write each, and everything else refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.records.faults import RecordFault
from comms.records.header import Header, counter_bytes, encode_header, least_counter, read_header
from comms.records.schedule import COUNTER_LAST

COUNTERS = st.integers(0, COUNTER_LAST)


@given(st.integers(0, 2**32 - 1), st.integers(0, 255), COUNTERS)
def test_what_is_written_is_read(epoch: int, channel: int, counter: int) -> None:
    written = encode_header(epoch, channel, counter)
    assert read_header(written + b"rest") == Header(epoch & 3, channel, counter, len(written))


@given(st.binary(max_size=9))
def test_every_header_has_one_way_to_be_written(raw: bytes) -> None:
    header = read_header(raw)
    if isinstance(header, Header):
        assert encode_header(header.epoch_bits, header.channel, header.counter) == raw[: header.length]


@given(COUNTERS)
def test_a_counter_takes_as_few_bytes_as_can_be(counter: int) -> None:
    size = counter_bytes(counter)
    assert counter >> 8 * size == 0
    assert size == 1 or counter >> 8 * (size - 1)
    assert least_counter(size) <= counter


@pytest.mark.parametrize(("raw", "fault"), [
    ("", RecordFault.TOO_SHORT), ("00", RecordFault.NOT_A_RECORD), ("4001", RecordFault.NOT_A_RECORD),
    ("06010203040506", RecordFault.RESERVED), ("0701020304050607", RecordFault.RESERVED), ("01", RecordFault.TOO_SHORT),
    ("0201", RecordFault.TOO_SHORT), ("020001", RecordFault.NOT_SHORTEST), ("3908", RecordFault.TOO_SHORT),
    ("390600", RecordFault.NOT_SHORTEST), ("39", RecordFault.TOO_SHORT), ("0500ffffffff", RecordFault.NOT_SHORTEST),
])
def test_what_is_no_header_is_refused_by_name(raw: str, fault: RecordFault) -> None:
    assert read_header(bytes.fromhex(raw)) is fault


@pytest.mark.parametrize(("channel", "counter"), [(256, 0), (-1, 0), (0, COUNTER_LAST + 1), (0, -1)])
def test_what_has_no_room_is_not_written(channel: int, counter: int) -> None:
    with pytest.raises(ValueError, match="no room"):
        encode_header(0, channel, counter)


def test_an_implied_channel_takes_no_byte() -> None:
    assert encode_header(3, 31, 5, implied=True) == b"\xc1\x05"
    assert encode_header(3, 31, 5) == b"\xf9\x1f\x05"

"""Frames in a stream: found in any pieces, after any garbage, with every byte accounted for and little held."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.serial_frames import FrameBuffer, StreamCounters

SYNC = b"\xab\xab"
LENGTH = 6


def frame(number: int, wrong: int = 0) -> bytes:
    body = SYNC + bytes((number, 0, 7))
    return body + bytes((sum(body) + wrong & 0xFF,))


def sound(candidate: bytes) -> bool:
    return sum(candidate[:-1]) & 0xFF == candidate[-1]


def feed(data: bytes, chunk: int) -> tuple[list[bytes], StreamCounters]:
    buffer, counters, found = FrameBuffer(SYNC, LENGTH), StreamCounters(), []

    def accept(candidate: bytes) -> bool:
        good = sound(candidate)
        if good:
            found.append(candidate)
        return good

    for at in range(0, len(data), chunk):
        buffer.feed(data[at : at + chunk], accept, counters)
    return found, counters


@settings(max_examples=200, deadline=None, derandomize=True)
@given(noise=st.lists(st.binary(max_size=12), min_size=4, max_size=4), chunk=st.integers(1, 40))
def test_pieces_change_nothing_and_every_byte_is_accounted_for(noise: list[bytes], chunk: int) -> None:
    data = b"".join(part + frame(i) for i, part in enumerate(noise))
    found, counters = feed(data, chunk)
    assert (found, counters) == feed(data, len(data))
    assert counters.frames == len(found)
    held = len(data) - counters.skipped_bytes - LENGTH * counters.frames
    assert 0 <= held < LENGTH


def test_a_chance_start_costs_no_true_frame() -> None:
    found, counters = feed(b"\xab" + frame(1) + b"\xab\xab" + frame(2), 3)
    assert found == [frame(1), frame(2)]
    assert counters.skipped_bytes == 3


def test_a_wrong_sum_is_refused() -> None:
    found, counters = feed(frame(1, wrong=1) + frame(2), 100)
    assert (found, counters.refused, counters.skipped_bytes) == ([frame(2)], 1, LENGTH)


def test_clear_forgets_half_a_frame() -> None:
    buffer, counters = FrameBuffer(SYNC, LENGTH), StreamCounters()
    buffer.feed(frame(1)[:4], sound, counters)
    buffer.clear()
    buffer.feed(frame(1)[4:] + frame(2), sound, counters)
    assert (counters.frames, counters.skipped_bytes) == (1, 2)

"""The simulated star tracker sends the frames of docs/protocols/star-tracker.md, byte for byte."""

from __future__ import annotations

import binascii
import struct
from math import pi

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.bus import SimSerialBus
from hil.chips.startracker import StarTracker, TrackerStatus

ARCSEC = pi / 180.0 / 3600.0


def line() -> tuple[SimSerialBus, StarTracker]:
    bus, tracker = SimSerialBus("uart2"), StarTracker(temperature_c=-12.34)
    bus.attach(tracker)
    return bus, tracker


def test_frame_of_a_valid_solution() -> None:
    bus, tracker = line()
    tracker.solve((0.5, -0.5, 0.5, -0.5), 123_456, 12.5 * ARCSEC, 17)
    frame = bus.read(100)
    half = 1 << 29
    body = struct.pack("<BBHI4iHBBh", 1, 28, 0, 123_456, half, -half, half, -half, 125, 17, 1, -1234)
    assert frame[:2] == b"\xa5\x5a"
    assert frame[2:-2] == body
    assert len(frame) == 34
    assert frame[-2:] == binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "little")


def test_invalid_solution_carries_a_zero_quaternion() -> None:
    bus, tracker = line()
    tracker.solve((1.0, 0.0, 0.0, 0.0), 1000, 0.0, 0, TrackerStatus.TOO_FAST | TrackerStatus.BLINDED)
    tracker.solve(None, 1000, 0.0, 0, TrackerStatus.SELF_TEST_FAILED)
    for status in (6, 8):
        frame = bus.read(34)
        assert frame[10:26] == bytes(16)
        assert frame[29] == status


def test_counter_counts_every_frame_wraps_and_restarts() -> None:
    bus, tracker = line()
    counters = []
    for _ in range(0x10002):
        tracker.solve(None, 0, 0.0, 0, TrackerStatus.BLINDED)
        counters.append(int.from_bytes(bus.read(34)[4:6], "little"))
    assert counters[:3] == [0, 1, 2]
    assert counters[-3:] == [0xFFFF, 0, 1]
    tracker.reset()
    tracker.solve(None, 0, 0.0, 0, TrackerStatus.BLINDED)
    assert bus.read(34)[4:6] == b"\0\0"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.tuples(*[st.floats(-1.0, 1.0)] * 4), st.floats(0.0, 1.0), st.integers(0, 1 << 40), st.integers(0, 1000))
def test_any_solution_fits_a_frame_with_a_right_sum(q, sigma: float, age_us: int, stars: int) -> None:
    bus, tracker = line()
    tracker.solve(q, age_us, sigma, stars)
    frame = bus.read(100)
    assert len(frame) == 34
    assert binascii.crc_hqx(frame[2:-2], 0xFFFF) == int.from_bytes(frame[-2:], "little")
    for sent, value in zip(struct.unpack("<4i", frame[10:26]), q, strict=True):
        assert abs(sent / 2**30 - value) <= 2**-31 + 1e-15


def test_misuse_is_refused() -> None:
    _, tracker = line()
    with pytest.raises(ValueError, match="quaternion"):
        tracker.solve(None, 0, 0.0, 0)
    with pytest.raises(RuntimeError, match="no serial bus"):
        StarTracker().solve((1.0, 0.0, 0.0, 0.0), 0, 0.0, 5)


def test_commands_are_ignored() -> None:
    bus, _ = line()
    bus.write(b"\xa5\x5a\x01\x00")
    assert bus.read(10) == b""

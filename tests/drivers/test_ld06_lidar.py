"""LD06: the manual's packet, revolutions, the step past 360 deg, lost, repeated and jumping packets, garbage, fuzz."""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import ld06_lidar
from drivers.checksum import crc8_ld06
from drivers.device import OracleKind
from drivers.errors import Cause, DeviceError
from tests.drivers.scripted import SerialLine, cause_of, feed, published

SPEED = 3600
PACKETS_A_TURN = 37
"""At 10 turns/s: 4500 / 12 / 10, rounded down."""


def packet(
    start: float, end: float, time_ms: int = 0, speed: int = SPEED, distances: tuple[int, ...] = (1000,) * 12,
    intensity: int = 200, wrong: int = 0,
) -> bytes:
    points = b"".join(struct.pack("<HB", distance, intensity) for distance in distances)
    body = struct.pack("<BBHH", 0x54, 0x2C, speed, round(start * 100) % 36000) + points
    body += struct.pack("<HH", round(end * 100) % 36000, time_ms % 30000)
    return body + bytes((crc8_ld06(body) ^ wrong,))


def turning(count: int, start: float = 0.0, time_ms: float = 0.0, step: float = 0.8) -> list[bytes]:
    """Consecutive packets of a lidar that turns at 10 Hz: 12 points 0.8 deg apart, 9.6 deg a packet."""
    packets = []
    for index in range(count):
        at = start + 12 * step * index
        packets.append(packet(at % 360, (at + 11 * step) % 360, round(time_ms + 12 * step * index / 3.6)))
    return packets


def lidar(**fields: Any) -> tuple[SerialLine, ld06_lidar.Device]:
    line = SerialLine("uart5", chunk=100, takes_commands=False)
    return line, ld06_lidar.Device(line, None, ld06_lidar.Settings(**fields))


def test_every_reference_row(shared_data: Path) -> None:
    rows = published(shared_data, "LD06/LD19")
    assert len(rows) == 3
    for row in rows:
        read = ld06_lidar.packet(bytes.fromhex(row["bytes"]))
        values = {"speed": read.speed_deg_s, "end": read.end_cdeg / 100, "point": read.intensity[0]}
        assert values[row["registers"].split()[0]] == pytest.approx(float(row["expected"]))
        assert (read.start_cdeg, read.distance_mm[0], read.time_ms) == (32427, 224, 6714)


def test_a_scan_is_one_revolution_in_si() -> None:
    line, device = lidar()
    scans = feed(line, device, b"".join(turning(PACKETS_A_TURN * 3 + 5)))
    assert len(scans) == 2
    scan = scans[0]
    assert len(scan.angle_rad) == len(scan.range_m) == len(scan.intensity) == 450
    assert scan.angle_rad[0] == pytest.approx(0.0, abs=0.015)
    assert scan.angle_rad[-1] == pytest.approx(2 * math.pi, abs=0.015)
    assert list(scan.angle_rad) == sorted(scan.angle_rad)
    assert all(0.0 <= angle < 2 * math.pi for angle in scan.angle_rad)
    assert scan.range_m[0] == pytest.approx(1.0)
    assert scan.intensity[0] == 200
    assert scan.rate_rad_s == pytest.approx(2 * math.pi * 10)


def test_the_first_scan_is_not_whole_and_is_not_shown() -> None:
    line, device = lidar()
    assert feed(line, device, b"".join(turning(20, start=180.0))) == []
    for _ in device.initialise():
        pass
    assert feed(line, device, b"".join(turning(38, start=350.0))) == []
    assert len(feed(line, device, b"".join(turning(3, start=354.8, time_ms=101.3)))) == 1


def test_a_packet_that_passes_360_deg_is_shared_between_two_scans() -> None:
    line, device = lidar()
    (scan,) = feed(line, device, b"".join(turning(39, start=355.6)))
    assert scan.angle_rad[0] == pytest.approx(math.radians(0.4), abs=1e-3)  # the seventh point of the first packet
    assert scan.angle_rad[-1] == pytest.approx(math.radians(359.6), abs=1e-3)
    assert len(scan.angle_rad) == 450


def test_what_did_not_come_back_or_cannot_be_measured_is_none() -> None:
    line, device = lidar(max_range_m=8.0)
    distances = (0, 19, 20, 8000, 8001, 65535) * 2
    rest = turning(PACKETS_A_TURN + 2)[1:]
    feed(line, device, packet(350.4, 359.2, 29998))
    (scan,) = feed(line, device, packet(0.0, 8.8, 0, distances=distances) + b"".join(rest))
    assert scan.range_m[:6] == (None, None, 0.02, 8.0, None, None)


def test_a_lost_packet_is_a_gap_and_nothing_is_invented() -> None:
    line, device = lidar()
    packets = turning(PACKETS_A_TURN * 3)
    del packets[50:53]
    scans = feed(line, device, b"".join(packets))
    assert len(scans[0].angle_rad) == 450 - 36
    steps = [b - a for a, b in zip(scans[0].angle_rad, scans[0].angle_rad[1:], strict=False)]
    assert max(steps) == pytest.approx(math.radians(0.8 + 3 * 9.6), abs=1e-3)


def test_a_loss_across_the_zero_still_ends_the_scan() -> None:
    line, device = lidar()
    packets = turning(PACKETS_A_TURN * 4)
    del packets[73:78]
    assert len(feed(line, device, b"".join(packets))) == 2
    assert device.counters.gaps == 0


def test_a_loss_of_a_whole_turn_does_not_join_two_scans() -> None:
    line, device = lidar()
    packets = turning(PACKETS_A_TURN * 5)
    del packets[50:90]
    scans = feed(line, device, b"".join(packets))
    assert device.counters.gaps == 1
    assert all(list(scan.angle_rad) == sorted(scan.angle_rad) for scan in scans)
    assert len(scans[0].angle_rad) < 200


def test_a_repeated_packet_is_counted_and_adds_nothing() -> None:
    line, device = lidar()
    packets = turning(PACKETS_A_TURN * 3)
    packets[50:50] = [packets[49]] * 5
    scans = feed(line, device, b"".join(packets))
    assert len(scans[0].angle_rad) == 450
    assert (device.counters.repeats, device.counters.refused) == (5, 5)


def test_a_lidar_that_repeats_one_packet_for_ever_makes_no_scans() -> None:
    line, device = lidar()
    assert feed(line, device, turning(1)[0] * 500) == []


def test_a_packet_out_of_order_is_refused() -> None:
    line, device = lidar()
    packets = turning(PACKETS_A_TURN * 3)
    packets.insert(60, packet(100.0, 108.8, 157))
    scans = feed(line, device, b"".join(packets))
    assert device.counters.jumps == 1
    assert len(scans[0].angle_rad) == 450


def test_a_lidar_that_stands_still_does_not_grow_a_scan_without_end() -> None:
    line, device = lidar()
    for index in range(2000):
        assert feed(line, device, packet(10.0, 10.0, 3 * index, speed=0)) == []
    assert device.counters.refused > 0


def test_the_time_may_pass_its_modulus() -> None:
    line, device = lidar()
    assert len(feed(line, device, b"".join(turning(PACKETS_A_TURN * 3, time_ms=29_900)))) == 1
    assert device.counters.refused == 0


@pytest.mark.parametrize("chunk", [1, 13, 47, 4096])
def test_packets_may_come_in_pieces(chunk: int) -> None:
    line, device = lidar()
    feed(line, device, b"".join(turning(40)), chunk)
    assert (device.counters.frames, device.counters.skipped_bytes) == (40, 0)


def test_a_wrong_crc_loses_one_packet_and_not_the_next() -> None:
    line, device = lidar()
    feed(line, device, packet(0, 8.8, wrong=1) + packet(9.6, 18.4, 3))
    assert (device.counters.frames, device.counters.refused) == (1, 1)
    assert device.counters.skipped_bytes == 47


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (bytes(47), Cause.PROTOCOL), (b"\xff" * 47, Cause.PROTOCOL), (packet(0, 8.8)[:-1], Cause.SHORT_READ),
        (packet(0, 8.8, wrong=4), Cause.CHECKSUM), (packet(0, 90.0), Cause.IMPLAUSIBLE),
        (packet(8.8, 0.0), Cause.IMPLAUSIBLE), (packet(0, 8.8, speed=9000), Cause.IMPLAUSIBLE),
    ],
)
def test_what_is_no_packet_is_refused(data: bytes, cause: Cause) -> None:
    assert cause_of(ld06_lidar.packet, data) is cause


@settings(max_examples=100, deadline=None, derandomize=True)
@given(garbage=st.binary(max_size=300), chunk=st.integers(1, 200))
def test_after_any_garbage_packets_are_heard_again(garbage: bytes, chunk: int) -> None:
    line, device = lidar()
    feed(line, device, garbage + b"".join(turning(PACKETS_A_TURN * 3)), chunk)
    assert device.counters.frames >= PACKETS_A_TURN * 3 - 1


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.binary(max_size=60) | st.binary(min_size=44, max_size=44).map(lambda b: b"\x54\x2c" + b))
def test_any_bytes_are_a_packet_or_a_named_rejection(data: bytes) -> None:
    with suppress(DeviceError):
        ld06_lidar.packet(data)
    with suppress(DeviceError):
        ld06_lidar.packet(data + bytes((crc8_ld06(data),)))


def test_what_it_was_held_against_is_declared() -> None:
    assert [oracle.kind for oracle in ld06_lidar.ORACLES] == [OracleKind.PROTOCOL]

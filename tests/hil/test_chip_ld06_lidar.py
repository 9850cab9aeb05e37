"""The simulated LD06 sends the packets of its manual, byte for byte, as fast as the real one."""

from __future__ import annotations

import struct
from itertools import pairwise
from math import cos, pi, radians, tau
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.bus import SimSerialBus
from hil.chips.ld06_lidar import Ld06Lidar
from tests.drivers.scripted import crc8_bitwise, published

SECOND = 1_000_000_000
MS = 1_000_000


def crc8(data: bytes) -> int:
    return crc8_bitwise(data, 0x4D)


def collect(lidar: Ld06Lidar) -> list[bytes]:
    sent: list[bytes] = []
    lidar.connect(sent.append)
    return sent


def points(packet: bytes) -> list[tuple[int, int]]:
    flat = struct.unpack("<" + "HB" * 12, packet[6:42])
    return list(zip(flat[::2], flat[1::2], strict=True))


def test_packet_of_the_manual(shared_data: Path) -> None:
    rows = published(shared_data, "LD06/LD19")
    stated = {row["registers"]: float(row["expected"]) for row in rows}
    (packet,) = {bytes.fromhex(row["bytes"]) for row in rows}
    echoes = points(packet)
    turn = iter(range(12))
    # That part measured about 2270 points a second: 10.43 deg in eleven steps at 2152 deg/s.
    lidar = Ld06Lidar(
        lambda angle: 0.0, sweep=lambda angles: [mm / 1000.0 for mm, _ in echoes],
        intensity_of=lambda angle, distance: echoes[next(turn)][1], points_per_s=2270,
        start_ns=int.from_bytes(packet[44:46], "little") * MS - 12 * SECOND // 2270,
    )
    lidar.rate_rad_s = radians(stated["speed [2:4]"])
    lidar.angle_rad = radians(int.from_bytes(packet[4:6], "little") / 100.0)
    sent = collect(lidar)
    lidar.advance(6715 * MS)
    assert sent == [packet]
    assert int.from_bytes(packet[42:44], "little") / 100.0 == pytest.approx(stated["end angle [42:44]"])
    assert echoes[0][1] == stated["point 0 intensity"]


def test_375_packets_a_second_and_ten_turns() -> None:
    bus = SimSerialBus("uart4")
    lidar = Ld06Lidar(lambda angle: 1.0)
    bus.attach(lidar)
    packets = []
    for tick in range(1, 201):
        lidar.advance(tick * 5 * MS)
        data = bus.read(4096)
        packets += [data[i : i + 47] for i in range(0, len(data), 47)]
    assert len(packets) == 375
    assert bus.dropped == 0
    starts = [int.from_bytes(p[4:6], "little") for p in packets]
    assert sum(after < before for before, after in pairwise(starts)) in (9, 10)
    for packet in packets:
        assert len(packet) == 47
        assert packet[:2] == b"\x54\x2c"
        assert crc8(packet) == 0
        assert int.from_bytes(packet[2:4], "little") == 3600
        span = (int.from_bytes(packet[42:44], "little") - int.from_bytes(packet[4:6], "little")) % 36000
        assert abs(span - 880) <= 1


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(0.0, tau), st.lists(st.one_of(st.none(), st.floats(0.0, 20.0)), min_size=12, max_size=12))
def test_distances_are_millimetres_and_0_where_nothing_comes_back(angle: float, ranges: list[float | None]) -> None:
    lidar = Ld06Lidar(lambda angle: None, sweep=lambda angles: ranges)
    lidar.angle_rad = angle
    sent = collect(lidar)
    lidar.advance(3 * MS)
    (packet,) = sent
    assert crc8(packet) == 0
    for (millimetres, intensity), truth in zip(points(packet), ranges, strict=True):
        if truth is None or truth < 0.02 or truth > 12.0:
            assert (millimetres, intensity) == (0, 0)
        else:
            assert abs(millimetres / 1000.0 - truth) <= 0.00051
            assert intensity == 200


def test_the_beam_is_asked_at_the_angles_that_the_packet_names() -> None:
    asked: list[float] = []

    def wall(angle: float) -> float:
        asked.append(angle)
        return 2.0 + cos(angle)

    lidar = Ld06Lidar(wall)
    sent = collect(lidar)
    lidar.advance(SECOND // 5)
    assert len(asked) == 75 * 12
    assert min(asked) >= 0.0
    assert max(asked) < tau
    for index, packet in enumerate(sent):
        start = int.from_bytes(packet[4:6], "little") / 100.0
        step = ((int.from_bytes(packet[42:44], "little") / 100.0 - start) % 360.0) / 11
        for n in range(12):
            error = (radians(start + n * step) - asked[12 * index + n] + pi) % tau - pi
            assert abs(error) < radians(0.011)


def test_timestamp_starts_again_at_30_s() -> None:
    lidar = Ld06Lidar(lambda angle: 1.0, start_ns=30 * SECOND - 10 * MS)
    sent = collect(lidar)
    lidar.advance(30 * SECOND + 10 * MS)
    stamps = [int.from_bytes(p[44:46], "little") for p in sent]
    assert max(stamps) == 29_998
    assert stamps[-1] < 10
    assert all((b - a) % 30_000 in (2, 3) for a, b in pairwise(stamps))


def test_faults_hit_the_next_packets_and_end() -> None:
    lidar = Ld06Lidar(lambda angle: 1.0)
    sent = collect(lidar)
    lidar.drop_packets, lidar.bad_crcs = 2, 1
    lidar.advance(16 * MS)  # six packets
    assert len(sent) == lidar.packets == 4
    assert [crc8(p) == 0 for p in sent] == [False, True, True, True]
    assert int.from_bytes(sent[0][4:6], "little") == 1920  # the beam went on meanwhile
    lidar.silent = True
    lidar.advance(SECOND)
    assert len(sent) == 4


def test_slow_motor_shows_in_speed_and_span() -> None:
    lidar = Ld06Lidar(lambda angle: 1.0)
    lidar.rate_rad_s = 5.0 * tau
    sent = collect(lidar)
    lidar.advance(3 * MS)
    assert int.from_bytes(sent[0][2:4], "little") == 1800
    assert int.from_bytes(sent[0][42:44], "little") == 440


def test_it_hears_nothing_and_starts_at_the_front_after_reset() -> None:
    bus = SimSerialBus("uart4")
    lidar = Ld06Lidar(lambda angle: 1.0)
    bus.attach(lidar)
    bus.write(b"\x54\x2c")
    lidar.advance(20 * MS)
    bus.read(4096)
    lidar.reset()
    lidar.advance(30 * MS)
    assert bus.read(4096)[4:6] == b"\0\0"


def test_an_unread_line_overflows_where_the_port_says() -> None:
    bus = SimSerialBus("uart4")
    lidar = Ld06Lidar(lambda angle: 1.0)
    bus.attach(lidar)
    lidar.advance(SECOND)
    assert bus.dropped == 375 * 47 - 4096

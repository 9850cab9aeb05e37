"""The simulated ARS408 lists what is before it in the bits of its interface document and obeys its configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus.protocol import CanFrame
from hil.can import SimCanBus
from hil.chips.ars408 import Ars408, DynamicProperty, RadarTarget
from tests.drivers.scripted import published
from tests.hil.scripted_bench import drain

SECOND = 1_000_000_000
CYCLE = SECOND // 13


def pair(sensor_id: int = 0) -> tuple[SimCanBus, Ars408]:
    bus, radar = SimCanBus("can1"), Ars408(sensor_id)
    bus.attach(radar)
    return bus, radar


def of(frames: list[CanFrame], can_id: int) -> list[bytes]:
    return [frame.data for frame in frames if frame.can_id == can_id]


def decode(data: bytes) -> tuple[float, ...]:
    word = int.from_bytes(data, "big")
    return (
        (word >> 43 & 0x1FFF) * 0.2 - 500.0, (word >> 32 & 0x7FF) * 0.2 - 204.6, (word >> 22 & 0x3FF) * 0.25 - 128.0,
        (word >> 13 & 0x1FF) * 0.25 - 64.0, (word & 0xFF) * 0.5 - 64.0,
    )


def test_frames_of_published_decoders(shared_data: Path) -> None:
    rows = [row for row in published(shared_data, "ARS408-21") if row["registers"][:5] == "0x60B"]
    assert len(rows) >= 7
    for wanted in {row["bytes"] for row in rows}:
        values = {row["registers"].split()[1]: float(row["expected"]) for row in rows if row["bytes"] == wanted}
        raw = bytes.fromhex(wanted)
        x, y, vx, vy, rcs = decode(raw)
        bus, radar = pair()
        radar.objects = [
            RadarTarget(
                raw[0], values.get("DistLong", x), values.get("DistLat", y), values.get("VrelLong", vx),
                values.get("VrelLat", vy), values.get("RCS", rcs), DynamicProperty(raw[6] & 7),
            )
        ]
        bus.advance(CYCLE)
        (got,) = of(drain(bus), 0x60B)
        # Bits 4 and 3 of byte 6 belong to nothing.
        assert got == raw[:6] + bytes((raw[6] & 0xE7,)) + raw[7:], values


def test_published_configuration_selects_objects(shared_data: Path) -> None:
    (row,) = [r for r in published(shared_data, "ARS408-21") if r["registers"].startswith("0x200")]
    bus, _ = pair()
    bus.send(CanFrame(0x200, bytes.fromhex("0800000000000000")))
    bus.advance(CYCLE)
    assert drain(bus) == []
    bus.send(CanFrame(0x200, bytes.fromhex(row["bytes"])))
    bus.advance(2 * CYCLE)
    assert of(drain(bus), 0x60A)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.floats(-180.0, 180.0), st.floats(-180.0, 180.0), st.floats(-128.0, 127.75), st.floats(-64.0, 63.75),
    st.floats(-64.0, 63.5), st.sampled_from(DynamicProperty), st.integers(0, 255),
)
def test_objects_are_rounded_to_their_steps(
    x: float, y: float, vx: float, vy: float, rcs: float, dynamic: DynamicProperty, object_id: int
) -> None:
    bus, radar = pair()
    radar.objects = [RadarTarget(object_id, x, y, vx, vy, rcs, dynamic)]
    bus.advance(CYCLE)
    frames = of(drain(bus), 0x60B)
    if x * x + y * y > 250.0**2:
        assert frames == []
        return
    (data,) = frames
    got = decode(data)
    for value, truth, step in zip(got, (x, y, vx, vy, rcs), (0.2, 0.2, 0.25, 0.25, 0.5), strict=True):
        assert abs(value - truth) <= step / 2 + 1e-9
    assert (data[0], data[6] & 7) == (object_id, dynamic)


def test_thirteen_lists_and_one_state_a_second() -> None:
    bus, radar = pair()
    radar.objects = [RadarTarget(3, 10.0, 1.0), RadarTarget(4, 20.0, -1.0)]
    frames: list[CanFrame] = []
    for tick in range(1, 2001):
        bus.advance(tick * 5_000_000)
        frames += drain(bus)
    headers = of(frames, 0x60A)
    assert len(headers) == 130
    assert len(of(frames, 0x60B)) == 260
    assert len(of(frames, 0x201)) == 10
    assert all(header[0] == 2 and header[3] == 0x10 for header in headers)
    counters = [int.from_bytes(header[1:3], "big") for header in headers]
    assert counters == list(range(1, 131))
    assert radar.counter == 130


def test_state_tells_configuration_errors_and_missing_motion() -> None:
    bus, radar = pair(sensor_id=2)
    radar.interference = radar.temperature_error = True
    bus.advance(SECOND)
    (state,) = of(drain(bus), 0x221)
    assert state == bytes((0x40, 125 >> 2, (125 & 3) << 6 | 0x18, 0, 0x02, 0xC4, 0, 0))
    bus.now_ns = SECOND + 900_000_000
    bus.send(CanFrame(0x320, b"\0\0"))
    bus.send(CanFrame(0x321, b"\x80\0"))
    radar.interference = radar.temperature_error = False
    radar.voltage_error = radar.persistent_error = radar.temporary_error = True
    bus.advance(2 * SECOND)
    (state,) = of(drain(bus), 0x221)
    assert state[2] & 0x3F == 0x26
    assert state[5] >> 6 == 0


def test_every_id_is_ten_hex_higher_for_each_sensor() -> None:
    for sensor_id in range(8):
        bus, radar = pair(sensor_id)
        radar.objects = [RadarTarget(1, 5.0, 0.0)]
        bus.send(CanFrame(0x200 + 0x10 * sensor_id, bytes((0x30, 0, 0, 0, 0, 0x0C, 0, 0))))
        bus.advance(SECOND)
        ids = {frame.can_id - 0x10 * sensor_id for frame in drain(bus)}
        assert ids == {0x201, 0x60A, 0x60B, 0x60C, 0x60D}
    with pytest.raises(ValueError, match="sensor id"):
        Ars408(8)


def test_sensor_id_moves_at_once_and_stays_only_when_stored() -> None:
    bus, radar = pair()
    bus.send(CanFrame(0x200, bytes((0x02, 0, 0, 0, 3, 0, 0, 0))))
    assert radar.sensor_id == 3
    bus.send(CanFrame(0x200, bytes((0x02, 0, 0, 0, 5, 0, 0, 0))))
    assert radar.sensor_id == 3
    radar.reset()
    assert radar.sensor_id == 0
    bus.send(CanFrame(0x200, bytes((0x82, 0, 0, 0, 3, 0x80, 0, 0))))
    bus.advance(SECOND)
    assert of(drain(bus), 0x231)[0][0] == 0xC0
    radar.reset()
    assert radar.sensor_id == 3


def test_only_valid_fields_are_taken() -> None:
    bus, _ = pair()
    bus.send(CanFrame(0x200, bytes((0x00, 0xFF, 0xFF, 0, 0xFF, 0xFE, 0xFE, 0))))
    bus.advance(SECOND)
    assert of(drain(bus), 0x201)[0] == bytes((0x40, 31, 0x40, 0, 0, 0xC4, 0, 0))
    distance = 200 // 2
    bus.send(CanFrame(0x200, bytes((0x45, distance >> 2, (distance & 3) << 6, 0, 0x60, 0x13, 0x03, 0))))
    bus.advance(2 * SECOND)
    state = of(drain(bus), 0x201)[0]
    assert state[1] << 2 | state[2] >> 6 == distance
    assert (state[3] << 1 | state[4] >> 7, state[4] >> 4 & 7, state[5] >> 1 & 1, state[7] >> 2) == (3, 1, 1, 1)
    bus.send(CanFrame(0x200, bytes((0x01, 0xFF, 0xC0, 0, 0, 0, 0, 0))))  # 2046 m
    bus.send(CanFrame(0x200, b"\x08"))
    bus.advance(3 * SECOND)
    assert of(drain(bus), 0x201)[0][1:3] == state[1:3]


def test_quality_and_extended_frames_follow_the_general_ones() -> None:
    bus, radar = pair()
    radar.objects = [
        RadarTarget(7, 10.0, 1.0, probability=5, measured=3, length_m=2.0, width_m=1.0), RadarTarget(8, 9.0, 0.0),
    ]
    bus.send(CanFrame(0x200, bytes((0x30, 0, 0, 0, 0, 0x0C, 0, 0))))
    bus.advance(CYCLE)
    frames = drain(bus)
    assert [frame.can_id for frame in frames] == [0x60A, 0x60B, 0x60B, 0x60C, 0x60C, 0x60D, 0x60D]
    quality, extended = frames[3].data, frames[5].data
    assert (len(quality), quality[0], quality[6] >> 5, quality[6] >> 2 & 7) == (7, 7, 5, 3)
    assert quality[1] >> 3 == 15  # 0.2 m is below 0.224 m
    assert (extended[0], extended[6], extended[7]) == (7, 10, 5)
    word = int.from_bytes(extended, "big")
    assert (word >> 45 & 0x7FF, word >> 36 & 0x1FF, word >> 22 & 0x3FF) == (1000, 250, 450)


def test_lists_are_sorted_as_configured_and_bounded() -> None:
    bus, radar = pair()
    radar.objects = [RadarTarget(i, 150.0 - i, 0.0, rcs_dbsm=i / 4) for i in range(120)]
    bus.advance(CYCLE)
    frames = drain(bus)
    assert of(frames, 0x60A)[0][0] == 100
    assert [data[0] for data in of(frames, 0x60B)] == list(range(100))
    bus.send(CanFrame(0x200, bytes((0x40, 0, 0, 0, 0, 0x10, 0, 0))))
    bus.advance(2 * CYCLE)
    assert [data[0] for data in of(drain(bus), 0x60B)] == list(range(119, 19, -1))
    bus.send(CanFrame(0x200, bytes((0x40, 0, 0, 0, 0, 0x20, 0, 0))))
    bus.advance(3 * CYCLE)
    assert of(drain(bus), 0x60B)[0][0] == 119


def test_what_cannot_be_told_is_not_listed() -> None:
    bus, radar = pair()
    radar.objects = [RadarTarget(1, 260.0, 0.0), RadarTarget(2, 10.0, 206.0), RadarTarget(3, 10.0, 0.0, vx_m_s=-500.0)]
    bus.advance(CYCLE)
    frames = drain(bus)
    (data,) = of(frames, 0x60B)
    assert data[0] == 3
    assert decode(data)[2] == -128.0
    assert of(frames, 0x60A)[0][0] == 1


def test_lost_frames_silence_and_a_radar_that_does_not_measure() -> None:
    bus, radar = pair()
    radar.objects = [RadarTarget(1, 10.0, 0.0), RadarTarget(2, 20.0, 0.0)]
    radar.lost = {0x60B: 1, 0x60A: 2}
    bus.advance(2 * CYCLE)
    frames = drain(bus)
    assert [data[0] for data in of(frames, 0x60B)] == [2, 1, 2]
    assert of(frames, 0x60A) == []
    radar.measuring = False
    bus.advance(SECOND)
    assert [frame.can_id for frame in drain(bus)] == [0x201]
    radar.silent = True
    bus.send(CanFrame(0x200, bytes((0x02, 0, 0, 0, 3, 0, 0, 0))))
    bus.advance(3 * SECOND)
    assert drain(bus) == []
    assert radar.sensor_id == 0


def test_cluster_mode_sends_an_empty_cluster_list() -> None:
    bus, _ = pair()
    bus.send(CanFrame(0x200, bytes((0x08, 0, 0, 0, 0x10, 0, 0, 0))))
    bus.advance(CYCLE)
    assert [(frame.can_id, frame.data) for frame in drain(bus)] == [(0x600, bytes((0, 0, 0, 1, 0x10)))]

"""The simulated battery management system sends the frames that real ones were heard to send."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import pytest

from drivers.bus.protocol import CanFrame
from hil.can import SimCanBus
from hil.chips.can_bms import BmsCondition, BmsStyle, CanBms
from tests.drivers.scripted import published
from tests.hil.scripted_bench import drain

SECOND = 1_000_000_000
MS = 1_000_000


def pair(style: BmsStyle = BmsStyle.VICTRON) -> tuple[SimCanBus, CanBms]:
    bus, bms = SimCanBus("can1"), CanBms(style)
    bus.attach(bms)
    return bus, bms


def test_captured_frames(shared_data: Path) -> None:
    rows = published(shared_data, "Pylontech/Victron CAN BMS")
    assert len(rows) >= 10
    frames: dict[bytes, list[tuple[str, str]]] = {}
    ids: dict[bytes, int] = {}
    for row in rows:
        wanted = bytes.fromhex(row["bytes"])
        frames.setdefault(wanted, []).append((row["registers"].split()[-1], row["expected"]))
        ids[wanted] = int(row["registers"].split()[0], 16)
    for wanted, values in frames.items():
        bms = CanBms(BmsStyle.PYLONTECH)
        # What a capture says without being a row of its own: both current limits, temperature, and of V1.3 the rest.
        if ids[wanted] == 0x351:
            bms.charge_current_limit_a = bms.discharge_current_limit_a = 480.0
            bms.discharge_voltage_limit_v = 45.0
        elif ids[wanted] == 0x356:
            bms.temperature_c = 36.3
            bms.current_a = int.from_bytes(wanted[2:4], "little", signed=True) / 10.0
        for name, text in values:
            if name == "CVL":
                bms.charge_voltage_limit_v = float(text)
            elif name == "DCL":
                bms.discharge_current_limit_a = float(text)
            elif name == "DVL":
                bms.discharge_voltage_limit_v = float(text)
            elif name == "SOC":
                bms.state_of_charge = float(text) / 100.0
            elif name == "SOH":
                bms.state_of_health = float(text) / 100.0
            elif name == "V":
                bms.voltage_v = float(text)
            elif name == "I":
                bms.current_a = float(text)
            else:
                assert name == "name"
                bms.manufacturer = text
        assert bms.payload(ids[wanted]) == wanted, values


@pytest.mark.parametrize("style", BmsStyle)
def test_each_frame_of_its_style_once_a_second(style: BmsStyle) -> None:
    bus, _ = pair(style)
    heard: list[tuple[int, int]] = []
    for tick in range(1, 601):
        bus.advance(tick * 5 * MS)
        heard += [(tick * 5, frame.can_id) for frame in drain(bus)]
    assert [can_id for _, can_id in heard[:6]] == list(style.value)
    assert [at for at, _ in heard[:6]] == [1000, 1020, 1040, 1060, 1080, 1100]
    for can_id in style.value:
        times = [at for at, other in heard if other == can_id]
        assert len(times) in (2, 3)
        assert all(b - a == 1000 for a, b in pairwise(times))
    assert (0x359 in style.value) == (style is BmsStyle.PYLONTECH)


def test_lengths_of_frames() -> None:
    victron, pylontech = CanBms(BmsStyle.VICTRON), CanBms(BmsStyle.PYLONTECH)
    assert [len(victron.payload(i)) for i in BmsStyle.VICTRON.value] == [8, 6, 6, 8, 2, 8]
    assert [len(pylontech.payload(i)) for i in BmsStyle.PYLONTECH.value] == [8, 4, 6, 7, 2, 8]
    assert pylontech.payload(0x359) == bytes.fromhex("0000000001504e")
    assert pylontech.payload(0x35C) == b"\xc0\x00"
    assert pylontech.payload(0x35E) == b"PYLON   "
    assert struct.unpack("<3H", victron.payload(0x355)) == (80, 100, 8000)


def test_victron_conditions_have_two_bits_each() -> None:
    bms = CanBms()
    bms.alarms = {BmsCondition.HIGH_VOLTAGE, BmsCondition.INTERNAL}
    bms.warnings = {BmsCondition.LOW_TEMPERATURE}
    data = bms.payload(0x35A)
    assert data == bytes((0xA6, 0xAA, 0x6A, 0x02, 0xAA, 0xA9, 0xAA, 0x0A))
    bms.supported = frozenset({BmsCondition.HIGH_VOLTAGE})
    assert bms.payload(0x35A) == bytes((0x04, 0, 0, 0, 0x08, 0, 0, 0x08))


def test_pylontech_protections_and_alarms() -> None:
    bms = CanBms(BmsStyle.PYLONTECH)
    bms.alarms = {BmsCondition.LOW_VOLTAGE, BmsCondition.HIGH_CHARGE_CURRENT, BmsCondition.CELL_IMBALANCE}
    bms.warnings = {BmsCondition.HIGH_CURRENT, BmsCondition.INTERNAL}
    bms.modules = 3
    assert bms.payload(0x359) == bytes((0x04, 0x01, 0x80, 0x08, 3)) + b"PN"
    bms.charge_enabled = False
    bms.force_charge = bms.full_charge_request = True
    assert bms.payload(0x35C) == b"\x68\x00"


def test_discharge_is_negative_and_values_saturate() -> None:
    bms = CanBms()
    bms.current_a, bms.temperature_c, bms.voltage_v = -12.3, -4.5, 1e6
    assert struct.unpack("<hhh", bms.payload(0x356)) == (32767, -123, -45)


def test_silence_of_the_system_and_of_one_frame() -> None:
    bus, bms = pair()
    bms.silent_ids = {0x356}
    bus.advance(1500 * MS)
    assert {frame.can_id for frame in drain(bus)} == set(BmsStyle.VICTRON.value) - {0x356}
    bms.silent = True
    bus.advance(5500 * MS)
    assert drain(bus) == []
    bms.silent = False
    bus.advance(6500 * MS)
    assert len(drain(bus)) == 5


def test_keep_alives_are_noted_and_reset_begins_the_round_again() -> None:
    bus, bms = pair()
    bus.advance(7 * MS)
    bus.send(CanFrame(0x306, bytes(8)))
    assert bms.keep_alive_ns is None
    bus.send(CanFrame(0x305, bytes(8)))
    assert bms.keep_alive_ns == 7 * MS
    bus.advance(1050 * MS)
    drain(bus)
    bms.reset()
    bus.advance(2049 * MS)
    assert drain(bus) == []
    bus.advance(2050 * MS)
    assert [frame.can_id for frame in drain(bus)] == [0x351]

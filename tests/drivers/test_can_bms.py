"""BMS on CAN: captures of real packs, the published signal database, nothing stale or impossible shown as a value."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import can_bms
from drivers.bus.protocol import CanFrame
from drivers.device import Oracle
from drivers.errors import Cause, DeviceError
from drivers.samples import BmsSample
from tests.drivers.scripted import CanPort, cause_of, published

MS = 1_000_000
LIMITS, CHARGE, MEASURED, PROTECTION, ALARM, REQUEST, NAME = 0x351, 0x355, 0x356, 0x359, 0x35A, 0x35C, 0x35E

V1_2 = {
    LIMITS: "1402c012c012c201", CHARGE: "58005e00", MEASURED: "7a13f2fe6b01", PROTECTION: "0000000006504e",
    REQUEST: "c000", NAME: "50594c4f4e202020",
}
V1_3 = {
    LIMITS: "1002c012c012c201", CHARGE: "540060000000", MEASURED: "7b13e9fe6b01", ALARM: "0000000000000000",
    NAME: "50594c4f4e202020",
}
"""What two Pylontech US5000 sent (Setfire Labs, Pylontech CAN V1.2 against V1.3)."""


def bms(**changes: float | bool) -> tuple[CanPort, can_bms.Device]:
    bus = CanPort()
    return bus, can_bms.Device(bus, None, can_bms.Settings(**changes))


def feed(device: can_bms.Device, frames: dict[int, str], now_ns: int = 0) -> BmsSample:
    for can_id, data in frames.items():
        sample = device.take(CanFrame(can_id, bytes.fromhex(data)), now_ns)
    assert sample is not None
    return sample


def limits(data: bytes) -> can_bms.Limits:
    return can_bms.limits(data, 100.0, 1000.0)


def measurement(data: bytes) -> can_bms.Measurement:
    return can_bms.measurement(data, 100.0, 1000.0)


FIELDS = {
    "CVL": ("charge_voltage_limit_v", 1.0), "DCL": ("discharge_current_limit_a", 1.0),
    "DVL": ("discharge_voltage_limit_v", 1.0), "SOC": ("state_of_charge", 0.01), "SOH": ("state_of_health", 0.01),
    "V": ("voltage_v", 1.0), "I": ("current_a", 1.0), "name": ("manufacturer", None),
}


def test_every_published_capture(shared_data: Path) -> None:
    rows = published(shared_data, "Pylontech/Victron CAN BMS")
    assert len(rows) == 10
    for row in rows:
        words = row["registers"].split()
        _, device = bms()
        sample = device.take(CanFrame(int(words[0], 16), bytes.fromhex(row["bytes"])), 0)
        field, scale = FIELDS[words[-1]]
        if scale is None:
            assert getattr(sample, field) == row["expected"]
        else:
            assert getattr(sample, field) == pytest.approx(float(row["expected"]) * scale), row


def test_a_pack_of_firmware_v1_2_is_read_whole() -> None:
    _, device = bms()
    sample = feed(device, V1_2)
    assert sample.charge_current_limit_a == sample.discharge_current_limit_a == pytest.approx(480.0)
    assert sample.temperature_c == pytest.approx(36.3)
    assert (sample.alarms, sample.warnings, sample.manufacturer) == ((), (), "PYLON")


def test_a_pack_of_firmware_v1_3_is_read_whole() -> None:
    _, device = bms()
    sample = feed(device, V1_3)
    assert (sample.state_of_charge, sample.state_of_health) == (0.84, 0.96)
    assert sample.current_a == pytest.approx(-27.9)
    assert (sample.alarms, sample.warnings) == ((), ())


# -- the published signal database pylon_CAN_210124.dbc: message id, start bit | length, sign, factor

DBC = [
    (LIMITS, "Battery_charge_voltage", 0, 16, True, 0.1, "charge_voltage_limit_v"),
    (LIMITS, "Battery_charge_current_limit", 16, 16, True, 0.1, "charge_current_limit_a"),
    (LIMITS, "Battery_discharge_current_limit", 32, 16, True, 0.1, "discharge_current_limit_a"),
    (LIMITS, "Battery_discharge_voltage", 48, 16, False, 0.1, "discharge_voltage_limit_v"),
    (CHARGE, "SoC", 0, 16, False, 0.01, "state_of_charge"),
    (CHARGE, "SoH", 16, 16, False, 0.01, "state_of_health"),
    (MEASURED, "Battery_voltage", 0, 16, True, 0.01, "voltage_v"),
    (MEASURED, "Battery_current", 16, 16, True, 0.1, "current_a"),
    (MEASURED, "Battery_temperature", 32, 16, True, 0.1, "temperature_c"),
]
FLAG_BITS = {
    "over-voltage": 1, "under-voltage": 2, "over-temperature": 3, "under-temperature": 4,
    "discharge over-current": 7, "charge over-current": 8, "system error": 11,
}
WARNING_BITS = {
    "voltage high": 17, "voltage low": 18, "temperature high": 19, "temperature low": 20,
    "discharge current high": 23, "charge current high": 24, "internal error": 27,
}


def signal(data: bytes, start: int, length: int, signed: bool) -> int:
    """A little-endian signal of a DBC file, bit by bit."""
    value = sum((data[bit // 8] >> bit % 8 & 1) << (bit - start) for bit in range(start, start + length))
    return value - (1 << length) if signed and value >> (length - 1) else value


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    volts=st.integers(300, 800), charge=st.integers(0, 9999), discharge=st.integers(-9999, 0), low=st.integers(1, 299),
    soc=st.integers(0, 100), soh=st.integers(1, 100), voltage=st.integers(1, 9999), current=st.integers(-9999, 9999),
    temperature=st.integers(-400, 1000),
)
def test_every_value_is_where_the_published_database_says(
    volts: int, charge: int, discharge: int, low: int, soc: int, soh: int, voltage: int, current: int,
    temperature: int,
) -> None:
    frames = {
        LIMITS: struct.pack("<HhhH", volts, charge, discharge, low), CHARGE: struct.pack("<HH", soc, soh),
        MEASURED: struct.pack("<Hhh", voltage, current, temperature),
    }
    _, device = bms()
    sample = feed(device, {can_id: data.hex() for can_id, data in frames.items()})
    for can_id, name, start, length, signed, factor, field in DBC:
        expected = signal(frames[can_id], start, length, signed) * factor
        # The database gives the discharge limit as negative; samples hold magnitudes.
        expected = abs(expected) if name == "Battery_discharge_current_limit" else expected
        assert getattr(sample, field) == pytest.approx(expected), name


@pytest.mark.parametrize(("word", "bit"), [*FLAG_BITS.items(), *WARNING_BITS.items()])
def test_every_protection_bit_is_where_the_published_database_says(word: str, bit: int) -> None:
    data = (1 << bit).to_bytes(4, "little") + b"\x06PN"
    assert signal(data, bit, 1, False) == 1
    flags = can_bms.protections(data)
    assert flags == (((word,), ()) if bit < 16 else ((), (word,)))


def test_a_protection_bit_without_a_name_is_told_by_its_number() -> None:
    assert can_bms.protections(b"\x20\x00\x00\x80\x06PN") == (("protection bit 5",), ("warning bit 15",))


@pytest.mark.parametrize(("byte", "shift", "word"), [
    (0, 0, "general"), (0, 2, "voltage high"), (0, 4, "voltage low"), (0, 6, "temperature high"),
    (1, 0, "temperature low"), (1, 2, "temperature high while charging"), (1, 4, "temperature low while charging"),
    (1, 6, "discharge current high"), (2, 0, "charge current high"), (2, 2, "contactor"), (2, 4, "short circuit"),
    (2, 6, "internal error"), (3, 0, "cell imbalance"),
])
def test_every_victron_pair_speaks_when_active_and_only_then(byte: int, shift: int, word: str) -> None:
    for offset, place in ((0, 0), (4, 1)):
        for pair, expected in ((0b00, ()), (0b01, (word,)), (0b10, ()), (0b11, ())):
            data = bytearray(8)
            data[byte + offset] = pair << shift
            flags = can_bms.victron_alarms(bytes(data))
            assert flags[place] == expected
            assert flags[1 - place] == ()


def test_a_victron_pack_that_is_offline_says_so() -> None:
    assert can_bms.victron_alarms(bytes(7) + b"\x04") == ((), ("system offline",))
    assert can_bms.victron_alarms(bytes(7) + b"\x08") == ((), ())


@pytest.mark.parametrize(("flags", "words"), [
    (0xC0, ()), (0x40, ("charging not allowed",)), (0x80, ("discharging not allowed",)),
    (0xE0, ("charging requested now",)), (0xD0, ("charging requested now",)), (0xC8, ("full charge requested",)),
    (0x00, ("charging not allowed", "discharging not allowed")),
])
def test_what_the_pack_allows_and_asks_for_is_told_in_words(flags: int, words: tuple[str, ...]) -> None:
    assert can_bms.requests(bytes((flags, 0))) == words
    assert can_bms.requests(bytes((flags,))) == words


# -- variants, refusals, age


def test_six_bytes_of_limits_have_no_discharge_voltage_and_zero_says_the_same() -> None:
    for data in ("1402c012c012", "1402c012c0120000"):
        assert limits(bytes.fromhex(data)).discharge_voltage_v is None


def test_the_sign_of_the_discharge_limit_does_not_matter() -> None:
    positive, negative = struct.pack("<Hhh", 560, 500, 600), struct.pack("<Hhh", 560, 500, -600)
    assert limits(positive) == limits(negative)


@pytest.mark.parametrize(("fine", "expected"), [
    (8449, 0.8449), (8301, 0.8301), (8550, 0.84), (0, 0.84), (0xFFFF, 0.84),
])
def test_the_finer_state_of_charge_counts_where_it_agrees(fine: int, expected: float) -> None:
    assert can_bms.charge_state(struct.pack("<HHH", 84, 96, fine)).state_of_charge == pytest.approx(expected)


def test_a_state_of_health_of_zero_or_none_at_all_is_unknown() -> None:
    assert can_bms.charge_state(b"\x32\x00") == (0.5, None)
    assert can_bms.charge_state(b"\x32\x00\x00\x00") == (0.5, None)


def test_a_measurement_that_the_pack_does_not_have_is_none() -> None:
    assert measurement(struct.pack("<Hhh", 4987, 0x7FFF, 0x7FFF)) == (pytest.approx(49.87), None, None)
    assert measurement(struct.pack("<Hh", 4987, -10)) == (pytest.approx(49.87), -1.0, None)


@pytest.mark.parametrize(("decode", "data", "cause"), [
    (limits, b"", Cause.SHORT_READ), (limits, bytes(7), Cause.SHORT_READ), (limits, bytes(8), Cause.IMPLAUSIBLE),
    (limits, b"\xff" * 8, Cause.IMPLAUSIBLE), (limits, struct.pack("<Hhh", 1001, 0, 0), Cause.IMPLAUSIBLE),
    (limits, struct.pack("<Hhh", 560, -1, 0), Cause.IMPLAUSIBLE),
    (limits, struct.pack("<Hhh", 560, 10_001, 0), Cause.IMPLAUSIBLE),
    (limits, struct.pack("<Hhh", 560, 0, -0x8000), Cause.IMPLAUSIBLE),
    (limits, struct.pack("<HhhH", 560, 0, 0, 560), Cause.IMPLAUSIBLE),
    (can_bms.charge_state, bytes(3), Cause.SHORT_READ), (can_bms.charge_state, b"\xff" * 8, Cause.IMPLAUSIBLE),
    (can_bms.charge_state, struct.pack("<HH", 101, 90), Cause.IMPLAUSIBLE),
    (can_bms.charge_state, struct.pack("<HH", 90, 101), Cause.IMPLAUSIBLE),
    (measurement, bytes(5), Cause.SHORT_READ), (measurement, bytes(6), Cause.IMPLAUSIBLE),
    (measurement, b"\xff" * 8, Cause.IMPLAUSIBLE), (measurement, struct.pack("<Hhh", 10_001, 0, 0), Cause.IMPLAUSIBLE),
    (measurement, struct.pack("<Hhh", 5000, -10_001, 0), Cause.IMPLAUSIBLE),
    (measurement, struct.pack("<Hhh", 5000, 0, 1251), Cause.IMPLAUSIBLE),
    (measurement, struct.pack("<Hhh", 5000, 0, -501), Cause.IMPLAUSIBLE),
    (can_bms.protections, bytes(6), Cause.SHORT_READ), (can_bms.protections, b"\xff" * 7, Cause.IMPLAUSIBLE),
    (can_bms.victron_alarms, bytes(7), Cause.SHORT_READ), (can_bms.victron_alarms, b"\xff" * 8, Cause.IMPLAUSIBLE),
    (can_bms.requests, b"", Cause.SHORT_READ), (can_bms.requests, b"\xff\xff", Cause.IMPLAUSIBLE),
    (can_bms.manufacturer, b"", Cause.SHORT_READ), (can_bms.manufacturer, bytes(8), Cause.IMPLAUSIBLE),
    (can_bms.manufacturer, b"\xff" * 8, Cause.IMPLAUSIBLE), (can_bms.manufacturer, b"BAT\x07", Cause.IMPLAUSIBLE),
])
def test_what_no_pack_can_say_is_refused(decode: Callable[[bytes], object], data: bytes, cause: Cause) -> None:
    assert cause_of(decode, data) is cause


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.binary(max_size=12))
def test_no_bytes_raise_anything_but_a_device_error(data: bytes) -> None:
    for codec in can_bms.CODECS:
        for sized in (data, data.ljust(8, b"\x01")[: codec.length or 8]):
            try:
                codec.decode(sized)
            except DeviceError:
                continue


def test_nothing_is_known_before_it_was_heard() -> None:
    _, device = bms()
    sample = device.sample(0)
    values = (
        sample.charge_voltage_limit_v, sample.charge_current_limit_a, sample.discharge_current_limit_a,
        sample.discharge_voltage_limit_v, sample.state_of_charge, sample.state_of_health, sample.voltage_v,
        sample.current_a, sample.temperature_c, sample.manufacturer,
    )
    assert values == (None,) * 10
    assert (sample.alarms, sample.warnings) == ((), ("alarm state unknown",))


def test_each_value_is_shown_until_its_own_frame_is_stale() -> None:
    _, device = bms(stale_ms=3000)
    feed(device, V1_2)
    sample = feed(device, {MEASURED: V1_2[MEASURED]}, 3000 * MS)
    assert sample.state_of_charge == 0.88
    sample = feed(device, {MEASURED: V1_2[MEASURED]}, 3001 * MS)
    assert sample.voltage_v == pytest.approx(49.86)
    assert (sample.state_of_charge, sample.charge_voltage_limit_v, sample.manufacturer) == (None, None, None)
    assert sample.warnings == ("alarm state unknown",)


def test_a_refused_frame_leaves_what_was_known_until_that_is_stale() -> None:
    _, device = bms()
    feed(device, V1_2)
    assert cause_of(device.take, CanFrame(CHARGE, b"\xff\xff\xff\xff"), 10 * MS) is Cause.IMPLAUSIBLE
    assert device.sample(20 * MS).state_of_charge == 0.88
    assert (device.counters.frames, device.counters.refused) == (7, 1)


def test_alarms_of_both_kinds_of_frame_are_told_once_each() -> None:
    _, device = bms()
    feed(device, {PROTECTION: "02000200060000"})
    sample = feed(device, {ALARM: "0400000004000000", REQUEST: "40"})
    assert sample.alarms == ("over-voltage", "voltage high")
    assert sample.warnings == ("voltage high", "charging not allowed")


def test_the_pack_is_answered_only_where_that_is_wanted_and_a_bus_fault_hides_nothing() -> None:
    silent, device = bms()
    feed(device, V1_2)
    assert silent.sent == []
    bus, device = bms(keep_alive=True)
    feed(device, V1_2)
    assert bus.sent == [CanFrame(0x305, bytes(8))]
    bus.refuse = True
    assert feed(device, {LIMITS: V1_2[LIMITS]}).charge_voltage_limit_v == pytest.approx(53.2)
    assert device.counters.keep_alive_failed == 1


def test_it_listens_to_its_ids_alone() -> None:
    _, device = bms()
    assert set(device.can_ids) == {LIMITS, CHARGE, MEASURED, PROTECTION, ALARM, REQUEST, NAME}
    assert cause_of(device.take, CanFrame(0x352, b""), 0) is Cause.PROTOCOL
    assert cause_of(device.take, CanFrame(LIMITS, bytes.fromhex(V1_2[LIMITS]), True), 0) is Cause.PROTOCOL


def test_its_proofs_are_named() -> None:
    assert all(isinstance(oracle, Oracle) for oracle in can_bms.ORACLES)

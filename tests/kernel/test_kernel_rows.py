"""Every value that a Linux driver computed (tests/data/kernel_runs.csv) against this project's codec of the same part.

A row without a mapping fails. Where the two differ on purpose, the row is named in ``MISSING`` with the reason, or its
mapping says which of Linux's own slips explains Linux's number exactly.
"""

from __future__ import annotations

import csv
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers import (
    ads1115,
    ds3231,
    icm42688p,
    ina226,
    lsm303dlhc,
    ltc4162,
    max34451,
    opt3001,
    rm3100,
    sbs_battery,
    tmp423,
    vl53l0x,
)
from drivers.errors import DeviceError
from drivers.samples import ImuSample

ROWS = Path(__file__).resolve().parents[1] / "data/kernel_runs.csv"
FEWEST = 4
"""Rows a part."""
GAUSS_T = 1e-4
ICM_BEFORE, ICM_AFTER = b"\0", b"\0\0\x08"
"""Of a burst: the byte that answers the address; the FSYNC count and INT_STATUS with new data."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: what stood in the registers, and what Linux said."""

    part: str
    attribute: str
    registers: tuple[int, ...]
    data: tuple[bytes, ...]
    expected: str
    note: dict[str, int]

    @property
    def key(self) -> tuple[str, str, str]:
        return self.part, self.attribute, " ".join(part.hex() for part in self.data)

    @property
    def failed(self) -> bool:
        """Whether Linux's driver refused."""
        return self.expected.startswith("error")

    @property
    def number(self) -> float:
        return math.nan if self.failed else float(self.expected)


@dataclass(frozen=True, slots=True)
class Compared:
    """Our value and Linux's in the same unit; ``ours`` is ``None`` where the codec has no value."""

    ours: object
    theirs: object
    tolerance: float = 0.0


def rows() -> list[Row]:
    with ROWS.open(encoding="utf-8", newline="") as file:
        return [
            Row(
                record["part"], record["unit"].partition("(")[2].rstrip(")"),
                tuple(int(register, 16) for register in record["registers"].split()),
                tuple(bytes.fromhex(part) for part in record["bytes"].split()), record["expected"],
                {key: int(value) for key, _, value in (pair.partition("=") for pair in record["note"].split())},
            )
            for record in csv.DictReader(file)
        ]


def scaled(decode: Callable[[Row], float | None], unit: float, step: float) -> Callable[[Row], Compared]:
    """A number: Linux's is in ``unit`` and off by at most ``step`` of them, because it is rounded or cut."""

    def compare(row: Row) -> Compared:
        return Compared(decode(row), row.number * unit, step * unit)

    return compare


# LTC4162-L ------------------------------------------------------------------------------------------------------------

HEALTH = {
    1 << 5: "Overheat", 1 << 4: "Safety timer expire", 1 << 2: "Watchdog timer expire", 1 << 1: "Unspecified failure",
    1 << 0: "Dead",
}
TERMINATED = 1 << 3
BROKEN = (1 << 1, 1 << 0)


def ltc_status(row: Row) -> Compared:
    state = ltc4162.charger_state(row.data[0])
    charging = state & (ltc4162.PRECHARGE | ltc4162.CONSTANT_CURRENT_VOLTAGE)
    word = "Full" if state == TERMINATED else "Unknown" if state in BROKEN else "Not charging"
    return Compared("Charging" if charging else word, row.expected)


def ltc_input_voltage(row: Row) -> Compared:
    # The comment in Linux's source says 1.649 mV, as the data sheet does; the code multiplies by 1694 uV.
    return Compared(ltc4162.input_voltage_v(row.data[0]), row.number * 1e-6 * 1649 / 1694, 1e-9)


def ltc_input_current(row: Row) -> Compared:
    ours = ltc4162.current_a(row.data[0], row.note["rsnsi_uohm"] * 1e-6)
    if ours >= 0:
        return Compared(ours, row.number * 1e-6, 100e-6)
    # Linux divides by an unsigned number, so that a negative current wraps around 2^32 before the division.
    raw = int.from_bytes(row.data[0], "little", signed=True)
    wrapped = raw * 14660 % 2**32 // row.note["rsnsi_uohm"] * 100
    assert wrapped == int(row.expected), "no longer explained by the unsigned division"
    return Compared(ours, raw * 1.466 / row.note["rsnsi_uohm"], 1e-9)


# Smart battery --------------------------------------------------------------------------------------------------------


def sbs_level(row: Row) -> Compared:
    alarms = sbs_battery.status(row.data[0])
    if "gauge not initialised" in alarms:
        return Compared("Unknown", row.expected)
    if "fully discharged" in alarms:
        return Compared("Critical", row.expected)
    return Compared(row.expected in ("Normal", "Full"), True)


def sbs_energy_wh(row: Row) -> float:
    design_v = 25.2
    return sbs_battery.charge_c(row.data[0], True, design_v) * design_v / 3600.0


# the others -----------------------------------------------------------------------------------------------------------


def ads1115_volts(row: Row) -> float | None:
    configuration, result = row.data
    return ads1115.voltage_v(result, ads1115.full_scale_v(configuration))


def ina226_power(row: Row) -> Compared:
    ours = ina226.power_w(row.data[0], ina226.SHUNT_LSB_V / (row.note["shunt_uohm"] * 1e-6))
    # Linux computes in 32 bits: above 2147 W its microwatts wrap around.
    wraps = round((ours * 1e6 - row.number) / 2**32)
    assert wraps == 0 or ours > 2**31 * 1e-6
    return Compared(ours, (row.number + wraps * 2**32) * 1e-6, 1e-6)


def tmp423_c(channel: int) -> Callable[[Row], float | None]:
    return lambda row: tmp423.channel_c(row.data[1] + row.data[2], channel, bool(row.data[0][0] & 0x04))


def tmp423_fault(row: Row) -> Compared:
    return Compared(tmp423_c(1)(row) is None, row.expected == "1")


def ds3231_text(form: str) -> Callable[[Row], Compared]:
    def compare(row: Row) -> Compared:
        moment = datetime.fromtimestamp(ds3231.time_of_day(row.data[0]).unix_s, UTC)
        return Compared(moment.strftime(form), row.expected)

    return compare


def lsm303_axis(axis: int) -> Callable[[Row], Compared]:
    def compare(row: Row) -> Compared:
        code = row.data[0][0] >> 5
        xy, z = next((xy, z) for gain, xy, z in lsm303dlhc.LSB_PER_GAUSS.values() if gain == code)
        # Linux's scales are cut to whole microgauss.
        ours = lsm303dlhc.field(row.data[1], xy, z).field_t[axis]
        return Compared(ours, row.number * GAUSS_T, abs(row.number) * GAUSS_T * 1e-3)

    return compare


def rm3100_axis(axis: int) -> Callable[[Row], Compared]:
    def compare(row: Row) -> Compared:
        cycles = int.from_bytes(row.data[0], "big")
        ours = rm3100.field(row.data[1], rm3100.LSB_PER_UT[cycles]).field_t[axis]
        # Linux's scale has three digits.
        return Compared(ours, row.number * GAUSS_T, abs(row.number) * GAUSS_T * 3e-3)

    return compare


def icm_sample(results: bytes, gyro_code: int = 0, accel_code: int = 0) -> ImuSample | None:
    """The burst that an ICM-42688-P gives on SPI with these results; its family shares registers and scales."""
    settings = icm42688p.Settings(
        gyro_range_deg_s=2000.0 / 2**gyro_code, accel_range_g=(16, 8, 4, 2)[accel_code],
    )
    frame = ICM_BEFORE + results + ICM_AFTER
    return icm42688p.burst(frame, settings.rate_lsb_rad_s, settings.force_lsb_m_s2)


def icm_axis(axis: int, gyro: bool) -> Callable[[Row], Compared]:
    def compare(row: Row) -> Compared:
        code = row.data[0][0] >> 5
        sample = icm_sample(row.data[1], **{"gyro_code" if gyro else "accel_code": code})
        ours = None if sample is None else (sample.rate_rad_s if gyro else sample.specific_force_m_s2)[axis]
        # Linux's scales have nine decimals, four digits at the finest range.
        return Compared(ours, row.number, abs(row.number) * 1e-4)

    return compare


def icm_temperature(row: Row) -> Compared:
    sample = icm_sample(row.data[0])
    return Compared(None if sample is None else sample.temperature_c, row.number * 1e-3, 1e-3)


def ina226_scaled(decode: Callable[[bytes, float], float], unit: float) -> Callable[[Row], Compared]:
    return scaled(
        lambda row: decode(row.data[0], ina226.SHUNT_LSB_V / (row.note["shunt_uohm"] * 1e-6)), unit, 0.5000001,
    )


MAPPINGS: dict[tuple[str, str], Callable[[Row], Compared]] = {
    ("LTC4162-L", "vbat"): scaled(lambda r: ltc4162.battery_voltage_v(r.data[0], r.note["cells"]), 1e-6, 1.0),
    ("LTC4162-L", "voltage_now"): ltc_input_voltage,
    ("LTC4162-L", "ibat"): scaled(lambda r: ltc4162.current_a(r.data[0], r.note["rsnsb_uohm"] * 1e-6), 1e-6, 100.0),
    ("LTC4162-L", "current_now"): ltc_input_current,
    ("LTC4162-L", "temp"): scaled(lambda r: ltc4162.die_temperature_c(r.data[0]), 0.01, 1.0),
    ("LTC4162-L", "status"): ltc_status,
    ("LTC4162-L", "health"): lambda r: Compared(HEALTH.get(ltc4162.charger_state(r.data[0]), "Good"), r.expected),
    ("LTC4162-L", "online"): lambda r: Compared(
        bool(ltc4162.system_status(r.data[0]) & ltc4162.INPUT_ABOVE_BATTERY), r.expected == "1",
    ),
    ("SBS battery", "voltage_now"): scaled(lambda r: sbs_battery.voltage_v(r.data[0]), 1e-6, 0.01),
    ("SBS battery", "current_now"): scaled(lambda r: sbs_battery.current_a(r.data[0]), 1e-6, 0.01),
    # Linux takes 273.1 K for 0 deg C, this project 273.15 K.
    ("SBS battery", "temp"): scaled(lambda r: sbs_battery.temperature_c(r.data[0]), 0.1, 0.5000001),
    ("SBS battery", "capacity"): scaled(lambda r: sbs_battery.state_of_charge(r.data[0]), 0.01, 1e-6),
    ("SBS battery", "charge_now"): scaled(lambda r: sbs_battery.charge_c(r.data[0]), 3.6e-3, 0.01),
    ("SBS battery", "charge_full"): scaled(lambda r: sbs_battery.charge_c(r.data[0]), 3.6e-3, 0.01),
    ("SBS battery", "energy_now"): scaled(sbs_energy_wh, 1e-6, 0.01),
    ("SBS battery", "capacity_level"): sbs_level,
    ("VL53L0X", "in_distance_raw"): scaled(lambda r: vl53l0x.measurement(r.data[0]).range_m, 1.0, 1e-9),
    ("MAX34451", "in1_input"): scaled(lambda r: max34451.voltage_v(r.data[1]), 1e-3, 1e-6),
    ("MAX34451", "curr1_input"): scaled(lambda r: max34451.current_a(r.data[1]), 1e-3, 1e-6),
    **{
        ("MAX34451", f"temp{n}_input"): scaled(lambda r: max34451.temperature_c(r.data[1]), 1e-3, 1e-6)
        for n in (1, 2, 5)
    },
    **{
        ("ADS1115", f"in_voltage{inputs}_raw"): scaled(ads1115_volts, 1e-3, 1e-6)
        for inputs in ("0", "1", "2", "3", "0-voltage1", "0-voltage3", "1-voltage3", "2-voltage3")
    },
    ("INA226", "in0_input"): scaled(lambda r: ina226.shunt_voltage_v(r.data[0]), 1e-3, 0.5000001),
    ("INA226", "in1_input"): scaled(lambda r: ina226.bus_voltage_v(r.data[0]), 1e-3, 0.5000001),
    ("INA226", "curr1_input"): ina226_scaled(ina226.current_a, 1e-3),
    ("INA226", "power1_input"): ina226_power,
    **{("TMP423", f"temp{n + 1}_input"): scaled(tmp423_c(n), 1e-3, 0.5000001) for n in range(4)},
    ("TMP423", "temp2_fault"): tmp423_fault,
    ("DS3231", "date"): ds3231_text("%Y-%m-%d"),
    ("DS3231", "time"): ds3231_text("%H:%M:%S"),
    ("DS3231", "since_epoch"): scaled(lambda r: float(ds3231.time_of_day(r.data[0]).unix_s), 1.0, 0.0),
    ("DS3231", "temp1_input"): scaled(lambda r: ds3231.temperature_c(r.data[0]), 1e-3, 1e-6),
    **{("LSM303DLHC mag", f"in_magn_{name}_raw"): lsm303_axis(axis) for axis, name in enumerate("xyz")},
    **{("RM3100", f"in_magn_{name}_raw"): rm3100_axis(axis) for axis, name in enumerate("xyz")},
    **{("ICM-42605", f"in_accel_{name}_raw"): icm_axis(axis, False) for axis, name in enumerate("xyz")},
    **{("ICM-42605", f"in_anglvel_{name}_raw"): icm_axis(axis, True) for axis, name in enumerate("xyz")},
    ("ICM-42605", "in_temp_raw"): icm_temperature,
    ("OPT3001", "in_illuminance_input"): scaled(lambda r: opt3001.illuminance(r.data[0]).lux, 1.0, 1e-6),
}

MISSING: dict[tuple[str, str, str], str] = {
    ("LTC4162-L", "vbat", "ff7f"): "6.3 V a cell",
    ("SBS battery", "voltage_now", "ffff"): "all ones: nobody answered",
    ("SBS battery", "temp", "e60f"): "133.9 deg C is beyond a pack's range",
    ("VL53L0X", "in_distance_raw", "590000000000000000001ffd"): "8.189 m is four times the part's range",
    ("VL53L0X", "in_distance_raw", "210000000000000000001ffe"): "device error 4, no target; Linux looks at no error",
    ("VL53L0X", "in_distance_raw", "110000000000000000000014"): "device error 2",
    ("VL53L0X", "in_distance_raw", "410000000000000000001fff"): "device error 8",
    ("MAX34451", "curr1_input", "01 9cff"): "negative; the part measures one direction only",
    ("MAX34451", "curr1_input", "01 0180"): "negative; the part measures one direction only",
    ("MAX34451", "temp1_input", "10 6ee7"): "below -55 deg C",
    ("MAX34451", "temp2_input", "11 6ee7"): "below -55 deg C",
    ("MAX34451", "temp5_input", "14 7f3e"): "above 150 deg C",
    ("ADS1115", "in_voltage3_raw", "f483 7fff"): "end of the range: the truth is beyond",
    ("ADS1115", "in_voltage2-voltage3_raw", "b883 8000"): "end of the range: the truth is beyond",
    ("TMP423", "temp2_input", "04 80 01"): "OPEN: no diode",
    ("DS3231", "temp1_input", "7fc0"): "above 125 deg C",
    **{
        ("LSM303DLHC mag", f"in_magn_{axis}_raw", "a0 f0000190fe70"): "F000h marks a saturated axis" for axis in "xyz"
    },
    **{
        ("RM3100", f"in_magn_{axis}_raw", "00c8 7fffff800000012345"): "two axes beyond 1.1 mT" for axis in "xyz"
    },
    **{
        ("ICM-42605", attribute, f"{code}1a5c0001ffff8000012c8000fed4"): "two other channels were not measured"
        for attribute, code in (
            ("in_accel_x_raw", "09 "), ("in_accel_y_raw", "09 "), ("in_anglvel_x_raw", "09 "),
            ("in_anglvel_z_raw", "09 "), ("in_temp_raw", ""),
        )
    },
}
"""Where Linux hands on a number and the codec, on purpose, has none."""
ONE_SIGN = {"VL53L0X", "OPT3001"}


@functools.cache
def every_row() -> tuple[Row, ...]:
    return tuple(rows())


def compared(row: Row) -> Compared:
    """Both values; a codec that refuses the bytes has none, and neither has a Linux driver that failed."""
    theirs: object = None if row.failed else row.expected
    try:
        both = MAPPINGS[row.part, row.attribute](row)
    except DeviceError:
        return Compared(None, theirs)
    return Compared(both.ours, None) if row.failed else both


@pytest.mark.parametrize("row", every_row(), ids=lambda row: " ".join(row.key))
def test_codec_agrees_with_linux_on_every_row(row: Row) -> None:
    assert (row.part, row.attribute) in MAPPINGS, f"no codec is mapped to {row.part} {row.attribute}"
    both = compared(row)
    if row.key in MISSING:
        assert both.ours is None, f"meant to be missing ({MISSING[row.key]}), but is {both.ours}"
    elif isinstance(both.ours, float):
        assert both.ours == pytest.approx(both.theirs, rel=1e-12, abs=both.tolerance)
    else:
        assert both.ours == both.theirs


def test_rows_that_are_meant_to_be_missing_exist() -> None:
    assert set(MISSING) <= {row.key for row in every_row()}


def test_each_part_has_enough_rows_and_both_signs() -> None:
    counts: dict[str, int] = {}
    for row in every_row():
        counts[row.part] = counts.get(row.part, 0) + 1
    assert {part for part, _ in MAPPINGS} == set(counts)
    assert min(counts.values()) >= FEWEST
    negative = {row.part for row in every_row() if row.expected.startswith("-")}
    assert negative == set(counts) - ONE_SIGN

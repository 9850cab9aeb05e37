"""Published register bytes through the codecs: every row of the examples that concerns a supported part.

The rows come from datasheets, from captures of real parts, and from runs of Linux's own drivers over the same bytes
(``../shared/data/datasheet_examples.csv``, ``tests/data/kernel_runs.csv`` for those made with ``hil/kernel``). A row
says bytes and what they mean; here stands which codec must say the same. A row of a supported part that no codec is
held against counts as failed.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.harness import Report
from drivers import (
    adis16470,
    adm1272,
    ads1115,
    ars408,
    can_bms,
    ds3231,
    gmc_geiger,
    ina226,
    ina228,
    ld06_lidar,
    lsm303dlhc,
    ltc3350,
    max31865,
    opt3001,
    rm3100,
    tfmini_plus,
    tmp423,
    ve_direct,
)
from drivers.errors import DeviceError
from drivers.pmbus import Direct
from firmware_py.reference import independent, parts

EXAMPLES = Path(__file__).resolve().parents[2] / "shared" / "data" / "datasheet_examples.csv"
G = 9.80665
Found = float | str | None

SUPPORTED = (
    "ADIS16470", "ADM1272", "ADM1275", "ADS1115", "ARS408-21", "DS1338", "DS3231", "GQ GMC", "INA226", "INA228",
    "INA238", "LD06", "LSM303DLHC", "LTC3350", "MAX31865", "OPT3001", "Pylontech", "RM3100", "TFmini", "TMP421",
    "TMP423", "VE.Direct",
)
"""How the names of supported parts begin. TMP421, INA238, ADM1275 and DS1338 share registers with a supported part."""


@dataclass(frozen=True, slots=True)
class Row:
    """One published example. ``data`` is by register where the row lists several."""

    part: str
    registers: str
    bytes: str
    expected: str
    unit: str
    kind: str

    @property
    def by_register(self) -> dict[str, bytes]:
        """Bytes of each register of a kernel run."""
        return dict(zip(self.registers.split(), map(bytes.fromhex, self.bytes.split()), strict=True))

    @property
    def raw(self) -> bytes:
        """Bytes of a row with one register or frame."""
        return bytes.fromhex(self.bytes)

    @property
    def supported(self) -> bool:
        """Whether a driver here has the part."""
        return self.part.startswith(SUPPORTED)


def rows(path: Path = EXAMPLES) -> list[Row]:
    """All rows of a file of examples. Raises OSError if it isn't there."""
    with path.open(encoding="utf-8", newline="") as file:
        read = csv.DictReader(file)
        return [Row(r["part"], r["registers"], r["bytes"], r["expected"], r["unit"], r["kind"]) for r in read]


def _ina226(row: Row) -> Found:
    if row.kind == "datasheet":
        if row.registers == "0x05":
            return float(ina226.calibration(1e-3, 0.002))
        return ina226.bus_voltage_v(row.raw) if row.registers == "0x02" else ina226.power_w(row.raw, 1e-3)
    data = row.by_register
    # Linux calibrates with 2048: the current register then counts in shunt LSB, 2.5 uV over 10 mOhm or 2 mOhm.
    lsb_a = 2.5e-6 / 0.01
    table: dict[str, Callable[[], Found]] = {
        "curr1_input mA": lambda: ina226.current_a(data["0x04"], lsb_a * (5 if "2mOhm" in row.part else 1)) * 1e3,
        "in0_input mV": lambda: float(round(ina226.shunt_voltage_v(data["0x01"]) * 1e3)),
        "in1_input mV": lambda: ina226.bus_voltage_v(data["0x02"]) * 1e3,
        "power1_input uW": lambda: ina226.power_w(data["0x03"], lsb_a * (5 if "2mOhm" in row.part else 1)) * 1e6,
        "in_current3_raw raw": lambda: ina226.current_a(data["0x04"], 1.0),
        "in_current3_scale per LSB (IIO unit)": lambda: lsb_a * 1e3,
        "in_power2_raw raw": lambda: ina226.power_w(data["0x03"], 1.0) / 25.0,
        "in_power2_scale per LSB (IIO unit)": lambda: 25.0 * lsb_a * 1e3,
        "in_shunt_resistor": lambda: ina226.SHUNT_LSB_V / lsb_a,
        "in_voltage0_raw raw": lambda: ina226.shunt_voltage_v(data["0x01"]) / ina226.SHUNT_LSB_V,
        "in_voltage0_scale per LSB (IIO unit)": lambda: ina226.SHUNT_LSB_V * 1e3,
        "in_voltage1_raw raw": lambda: ina226.bus_voltage_v(data["0x02"]) / 1.25e-3,
        "in_voltage1_scale per LSB (IIO unit)": lambda: ina226.bus_voltage_v(b"\x00\x01") * 1e3,
        # Conversion times are the reset configuration's, VBUSCT = VSHCT = 4: 1.1 ms.
        "in_voltage0_integration_time": lambda: _INA226_TIMES_S[int.from_bytes(data["0x00"], "big") >> 3 & 7],
        "in_voltage1_integration_time": lambda: _INA226_TIMES_S[int.from_bytes(data["0x00"], "big") >> 6 & 7],
    }
    return table[row.unit]()


_INA226_TIMES_S = (140e-6, 204e-6, 332e-6, 588e-6, 1100e-6, 2116e-6, 4156e-6, 8244e-6)


def _ina228(row: Row) -> Found:
    lsb_a = 19.073486e-6
    register = row.registers.split()[-1]
    table: dict[str, Callable[[], Found]] = {
        "VSHUNT": lambda: ina228.shunt_voltage_v(row.raw, 0), "VBUS": lambda: ina228.bus_voltage_v(row.raw),
        "DIETEMP": lambda: ina228.die_temperature_c(row.raw), "CURRENT": lambda: ina228.current_a(row.raw, lsb_a),
        "ENERGY": lambda: ina228.energy_j(row.raw, lsb_a), "CHARGE": lambda: ina228.charge_c(row.raw, lsb_a),
    }
    return table[register]()


def _ina238(row: Row) -> Found:
    # The INA238 has 16-bit results where the INA228 has the same scale at 20 bits: its word is the upper 16 of ours.
    data = row.by_register
    shunt_v = ina228.shunt_voltage_v(data["0x04"] + b"\x00", 0)
    table: dict[str, Callable[[], Found]] = {
        "in0_input mV": lambda: shunt_v * 1e3,
        "in1_input mV": lambda: ina228.bus_voltage_v(data["0x05"] + b"\x00") * 1e3,
        "temp1_input mdegC": lambda: ina228.die_temperature_c(data["0x06"]) * 1e3,
        # Linux calibrates with 16384: 2 mA a count of the upper 16 bits over 10 mOhm.
        "curr1_input mA": lambda: ina228.current_a(data["0x07"] + b"\x00", 2e-3 / 16) * 1e3,
        "power1_input uW": lambda: int.from_bytes(data.get("0x08", b"") + data.get("0x09", b"") + data.get("0x0a", b""),
                                                  "big") * 0.2 * 2e-3 * 1e6,
    }
    return table[row.unit]()


def _max31865(row: Row) -> Found:
    if row.unit != "degC":
        return max31865.ratio(row.raw)
    return max31865.celsius_of(max31865.ratio(row.raw) * 400.0, 100.0)


def _tmp42x(row: Row) -> Found:
    if row.part == "TMP421":
        data = row.raw + b"\x00" if row.registers == "0x00" else b"\x00" + row.raw
        return tmp423.channel_c(data, 0, extended=False)
    data_of = row.by_register
    channel = int(row.unit[4]) - 1
    pair = data_of[f"0x{channel:02x}"] + data_of[f"0x{0x10 + channel:02x}"]
    value = tmp423.channel_c(pair, channel, extended=data_of["0x09"] == b"\x04")
    return None if value is None else value * 1e3


def _adm127x(row: Row) -> Found:
    if row.part == "ADM1275":
        if "encode" in row.registers:
            # Over 2 mOhm a current gives twice the code's slope.
            code = Direct(2 * adm1272.ADM1275_CURRENT.m, 20475, -1).encode(float(row.expected))
            return float(row.expected) if code.to_bytes(2, "little") == row.raw else float(code)
        return adm1272.current_a(row.raw, adm1272.ADM1275_CURRENT)
    data = row.by_register
    table: dict[str, Callable[[], Found]] = {
        "curr1_input mA": lambda: adm1272.current_a(data["0x8c"], adm1272.current(15, 1e-3)) * 1e3,
        "in1_input mV": lambda: adm1272.voltage_v(data["0x88"], adm1272.voltage(60)) * 1e3,
        "in2_input mV": lambda: adm1272.voltage_v(data["0x8b"], adm1272.voltage(60)) * 1e3,
        "power1_input uW": lambda: adm1272.power_w(data["0x97"], adm1272.power(60, 15, 1e-3)) * 1e6,
        "temp1_input mdegC": lambda: (adm1272.temperature_c(data["0x8d"]) or math.nan) * 1e3,
    }
    return table[row.unit]()


def _time(row: Row) -> Found:
    data = row.by_register
    if row.unit == "temp1_input mdegC":
        return ds3231.temperature_c(data["0x11"] + data["0x12"]) * 1e3
    if row.unit == "name":
        return row.expected  # how Linux names its own device says nothing of the bytes
    unix_s = ds3231.time_of_day(b"".join(data[f"0x{register:02x}"] for register in range(7))).unix_s
    when = datetime.fromtimestamp(unix_s, UTC)
    return {"date": f"{when:%Y-%m-%d}", "time": f"{when:%H:%M:%S}", "since_epoch": str(unix_s)}[row.unit]


def _lsm303(row: Row) -> Found:
    data = row.by_register
    # Registers 03h..08h; the row's data bytes are X, Z, Y.
    axes = b"".join(data[f"0x{register:02x}"] for register in range(3, 9))
    sample = lsm303dlhc.field(axes, 1100, 980)
    index = "xyz".index(row.unit[len("in_magn_")])
    scale = (1e-4 / 1100, 1e-4 / 1100, 1e-4 / 980)[index]
    if row.unit.endswith("raw"):
        return float(round(sample.field_t[index] / scale))
    raw = int.from_bytes(axes[(0, 4, 2)[index] : (0, 4, 2)[index] + 2], "big", signed=True)
    return sample.field_t[index] / raw * 1e4


def _ads1115(row: Row) -> Found:
    data = row.by_register
    range_v = ads1115.full_scale_v(data["0x01"])
    volts = ads1115.voltage_v(data["0x00"], range_v)
    if volts is None:
        return None
    scale_mv = range_v * 1e3 / 32768
    return volts * 1e3 / scale_mv if "raw" in row.unit else scale_mv


def _opt3001(row: Row) -> Found:
    data = row.raw if row.registers == "0x00" else row.by_register["0x00"]
    return opt3001.illuminance(data).lux


def _adis16470(row: Row) -> Found:
    what = row.registers.split()[-1]
    sample = adis16470.burst(row.raw)
    if what == "checksum":
        return f"0x{int.from_bytes(row.raw[-2:], 'big'):04x}"  # the codec has accepted it
    axis = "XYZ".index(what[0]) if "_" in what else 0
    if what.endswith("GYRO"):
        return math.degrees(sample.rate_rad_s[axis])
    return sample.specific_force_m_s2[axis] / G if what.endswith("ACCL") else sample.temperature_c


def _rm3100(row: Row) -> Found:
    # Linux rounds the scale to 13.3 nT at 200 cycles; the part's own is 75 counts a microtesla.
    return rm3100.axis_t(row.raw, rm3100.LSB_PER_UT[200]) * 1e6


def _ltc3350(row: Row) -> Found:
    what = row.registers.split()[-1]
    table: dict[str, Callable[[bytes], float]] = {
        "MEAS_VCAP1": ltc3350.cell_voltage_v, "MEAS_VIN": ltc3350.input_voltage_v, "MEAS_VCAP": ltc3350.stack_voltage_v,
    }
    return table[what](row.raw)


def _gmc(row: Row) -> Found:
    if row.registers == "<GETVER>>":
        return gmc_geiger.version(row.raw)
    if row.registers == "<GETVOLT>>":
        return gmc_geiger.battery_voltage_v(row.raw)
    return float(gmc_geiger.counts_per_second(row.raw).counts_per_second)


def _ld06(row: Row) -> Found:
    packet = ld06_lidar.packet(row.raw)
    if row.registers.startswith("speed"):
        return float(packet.speed_deg_s)
    return packet.end_cdeg / 100.0 if row.registers.startswith("end") else float(packet.intensity[0])


def _tfmini(row: Row) -> Found:
    if row.bytes == "-":  # the formula of the temperature: T / 8 - 256
        frame = _tfmini_frame(1000, 500, (25 + 256) * 8)
        temperature = tfmini_plus.measurement(frame).temperature_c
        return row.expected if temperature == 25.0 else temperature
    low, high = row.raw
    value = tfmini_plus.measurement(_tfmini_frame(high << 8 | low, 500, 2248)).range_m
    return None if value is None else value * 100.0


def _tfmini_frame(distance: int, strength: int, temperature: int) -> bytes:
    words = b"".join(word.to_bytes(2, "little") for word in (distance, strength, temperature))
    body = b"YY" + words
    return body + bytes((sum(body) & 0xFF,))


def _bms(row: Row) -> Found:
    identifier, what = row.registers.split()[0], row.registers.split()[-1]
    if identifier == "0x351":
        limits = can_bms.limits(row.raw, 100.0, 1000.0)
        return {
            "CVL": limits.charge_voltage_v, "DCL": limits.discharge_current_a, "DVL": limits.discharge_voltage_v,
            "CCL": limits.charge_current_a,
        }[what]
    if identifier == "0x355":
        state = can_bms.charge_state(row.raw)
        share = state.state_of_charge if what == "SOC" else state.state_of_health
        return None if share is None else share * 100.0
    if identifier == "0x356":
        measured = can_bms.measurement(row.raw, 100.0, 1000.0)
        return measured.voltage_v if what == "V" else measured.current_a
    return can_bms.manufacturer(row.raw)


def _ars408(row: Row) -> Found:
    if row.registers.startswith("0x200"):
        frame = ars408.encode_configuration(output=1)
        return row.expected if frame == row.raw else frame.hex()
    seen = ars408.object_general(row.raw)
    # The manual's axes: x ahead, y left; the row's names are the manual's.
    return {
        "DistLong": seen.x_m, "DistLat": seen.y_m, "VrelLong": seen.vx_m_s, "VrelLat": seen.vy_m_s,
        "RCS": seen.rcs_dbsm,
    }[row.registers.split()[-1]]


def _ve_direct(row: Row) -> Found:
    if row.part == "VE.Direct HEX":
        frame = ve_direct.hex_frame(row.bytes.encode("ascii"))
        if row.registers.startswith("get"):
            asked = int(row.registers.split()[1], 16)
            same = frame.register == asked and ve_direct.hex_get(asked).strip() == row.bytes.encode("ascii")
            return row.expected if same else str(frame)
        return row.expected  # it was accepted: its sum is 55h
    name, value = ve_direct.field(row.bytes.encode("ascii").decode("unicode_escape").encode("ascii"))
    return value if name == row.registers else None


CHECKS: tuple[tuple[str, Callable[[Row], Found]], ...] = (
    ("INA226", _ina226), ("INA228", _ina228), ("INA238", _ina238), ("MAX31865", _max31865), ("TMP42", _tmp42x),
    ("ADM127", _adm127x), ("DS", _time), ("LSM303DLHC", _lsm303), ("ADS1115", _ads1115), ("OPT3001", _opt3001),
    ("ADIS16470", _adis16470), ("RM3100", _rm3100), ("LTC3350", _ltc3350), ("GQ GMC", _gmc), ("LD06", _ld06),
    ("TFmini", _tfmini), ("Pylontech", _bms), ("ARS408-21", _ars408), ("VE.Direct", _ve_direct),
)


def verdict(row: Row) -> str | None:
    """``None`` if the codec says what the row says; otherwise what it says instead."""
    for prefix, check in CHECKS:
        if row.part.startswith(prefix):
            try:
                found = check(row)
            except DeviceError as error:
                return f"refused: {error}"
            except KeyError as error:
                return f"no codec for {error}"
            return None if _same(found, row) else f"{found} instead of {row.expected}"
    return "no codec"


def _same(found: Found, row: Row) -> bool:
    if found is None:
        return False
    if isinstance(found, str):
        return found.strip() == row.expected.strip()
    if not re.fullmatch(r"-?[0-9.]+(e-?\d+)?", row.expected):
        return False
    expected = float(row.expected)
    # Half a step of the last printed digit; then what a source's own rounding costs.
    digits = len(row.expected.partition(".")[2])
    tolerance = 0.5 * 10.0**-digits * 1.001
    if row.part == "MAX31865":
        tolerance = 0.05 if row.unit == "degC" else 0.001  # codes of Table 9 are rounded
    elif row.kind == "kernel-run":
        tolerance = max(tolerance, 1.0 if not digits else 1e-3 * abs(expected))  # integer arithmetic of the kernel
    elif row.part == "RM3100":
        tolerance = 0.0026 * abs(expected)  # 13.3 nT instead of 13.333
    elif row.part.startswith("INA22"):
        tolerance = max(tolerance, 5e-4 * abs(expected))  # 3.2, 19.07 uA and 119.82 W are printed rounded
    return abs(found - expected) <= tolerance


def failures(path: Path = EXAMPLES) -> Iterator[tuple[Row, str]]:
    """Rows of supported parts that a codec reads otherwise, with what it reads."""
    for row in rows(path):
        if row.supported:
            wrong = verdict(row)
            if wrong is not None:
                yield row, wrong


def run(report: Report) -> None:
    """Add the figures of this subject; a second."""
    known = parts()
    proven = sum(independent(module) for _, module in known)
    if EXAMPLES.exists():
        concerned = [row for row in rows() if row.supported]
        wrong = list(failures())
        for row, why in wrong:
            print(f"  {row.part} {row.registers[:40]} {row.unit}: {why}")
        held = len(concerned) - len(wrong)
        report.add("published rows of supported parts", held, f"of {len(concerned)}", None, "all", not wrong)
    report.add("parts with at least one independent oracle", proven, f"of {len(known)}", None, ">= 20", proven >= 20)

"""Runs in the guest: register tables on i2c-stub, Linux's own driver bound to them, what sysfs then says.

One ``Chip`` is a driver with the registers it needs to bind; one ``Run`` changes some of them. After sysfs was read the
registers that belong to a reading are read back from the stub, so a row shows what stood there when the driver looked,
including what the driver itself wrote (an amplifier's range, a calibration).
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from smbus2 import SMBus

from hil.kernel.inside import adapter, call, emit, modprobe

__all__ = ["CHIPS", "Chip", "Reading", "Run", "main"]

PLACES = ("hwmon/hwmon*", "power_supply/*", "iio:device*", "rtc/rtc*")
"""Where a driver's attributes lie below its device."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One attribute and the registers that it is made of.

    Attributes:
        attribute: file in sysfs; ``{n}`` stands for the page.
        unit: of the value; begins with a physical unit or says what the text is.
        registers: first register of each part of ``bytes``.
        scale: attribute that multiplies it, and
        offset: one that is added before (IIO: value = (raw + offset) x scale).
    """

    attribute: str
    unit: str
    registers: tuple[int, ...]
    scale: str = ""
    offset: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """Registers (hex, as on the wire) beside the chip's own, and attributes that are written first.

    ``filled``: the row shows the registers as they were filled in, not as the driver left them.
    """

    registers: Mapping[int, str]
    writes: tuple[tuple[str, str], ...] = ()
    readings: tuple[Reading, ...] = ()
    page: int | None = None
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Chip:
    """One part: Linux's driver, its source file, and the register table.

    ``words``: two bytes make one register; otherwise they are two registers in a row. ``pages``: PAGE at 00h banks
    registers 21h to FFh.
    """

    part: str
    module: str
    source: str
    type: str
    address: int
    registers: Mapping[int, str]
    readings: tuple[Reading, ...]
    runs: tuple[Run, ...]
    words: bool = False
    pages: bool = False
    properties: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


def _sweep(register: int, values: str, **more: str) -> tuple[Run, ...]:
    """One run for each of the values of one register."""
    return tuple(Run({register: value, **{int(k[1:], 16): v for k, v in more.items()}}) for value in values.split())


_LTC4162 = (
    Reading("vbat", "uV", (0x3A,)), Reading("voltage_now", "uV", (0x3B,)), Reading("ibat", "uA", (0x3D,)),
    Reading("current_now", "uA", (0x3E,)), Reading("temp", "0.01 degC", (0x3F,)), Reading("status", "status", (0x34,)),
    Reading("health", "health", (0x34,)), Reading("online", "online", (0x39,)),
)
_SBS = (
    Reading("voltage_now", "uV", (0x09,)), Reading("current_now", "uA", (0x0A,)),
    Reading("temp", "0.1 degC", (0x08,)), Reading("capacity", "%", (0x0D,)),
    Reading("charge_now", "uAh", (0x0F,)), Reading("charge_full", "uAh", (0x10,)),
    Reading("energy_now", "uWh", (0x0F,)), Reading("capacity_level", "level", (0x16,)),
)
_INA226 = (
    Reading("in0_input", "mV shunt", (0x01,)), Reading("in1_input", "mV bus", (0x02,)),
    Reading("power1_input", "uW", (0x03, 0x05)), Reading("curr1_input", "mA", (0x04, 0x05)),
)
_TMP423 = (
    Reading("temp1_input", "mdegC", (0x09, 0x00, 0x10)), Reading("temp2_input", "mdegC", (0x09, 0x01, 0x11)),
    Reading("temp3_input", "mdegC", (0x09, 0x02, 0x12)), Reading("temp4_input", "mdegC", (0x09, 0x03, 0x13)),
    Reading("temp2_fault", "fault", (0x09, 0x01, 0x11)),
)
_DS3231 = (
    Reading("date", "date", (0x00,)), Reading("time", "time", (0x00,)),
    Reading("since_epoch", "s since 1970", (0x00,)), Reading("hwmon/temp1_input", "mdegC", (0x11,)),
)
_LSM303 = tuple(Reading(f"in_magn_{a}_raw", "gauss", (0x01, 0x03), f"in_magn_{a}_scale") for a in "xyz")
_RM3100 = tuple(Reading(f"in_magn_{a}_raw", "gauss", (0x04, 0x24), "in_magn_scale") for a in "xyz")
_ICM42605 = (
    *(Reading(f"in_accel_{a}_raw", "m/s2", (0x50, 0x1D), "in_accel_scale") for a in "xyz"),
    *(Reading(f"in_anglvel_{a}_raw", "rad/s", (0x4F, 0x1D), "in_anglvel_scale") for a in "xyz"),
    Reading("in_temp_raw", "mdegC", (0x1D,), "in_temp_scale", "in_temp_offset"),
)


def _ina226(shunt_uohm: int, *runs: str) -> Chip:
    shunt = (("shunt_resistor", str(shunt_uohm)),)
    table = tuple(Run(dict(zip((0x01, 0x02, 0x03, 0x04), run.split(), strict=True)), shunt) for run in runs)
    return Chip(
        "INA226", "ina2xx", "drivers/hwmon/ina2xx.c", "ina226", 0x40,
        {0x00: "4127", 0xFE: "5449", 0xFF: "2260"}, _INA226, table, words=True,
        note=f"shunt_uohm={shunt_uohm}",
    )


def _ltc4162(cells: int, sense_uohm: tuple[int, int], *runs: str) -> Chip:
    order = (0x34, 0x39, 0x3A, 0x3B, 0x3D, 0x3E, 0x3F)
    return Chip(
        "LTC4162-L", "ltc4162-l-charger", "drivers/power/supply/ltc4162-l-charger.c", "ltc4162-l", 0x68,
        {0x43: f"{cells:02x}03", 0x4A: "0100"}, _LTC4162,
        tuple(Run(dict(zip(order, run.split(), strict=True))) for run in runs), words=True,
        properties={"lltc,rsnsb-micro-ohms": sense_uohm[0], "lltc,rsnsi-micro-ohms": sense_uohm[1]},
        note=f"cells={cells} rsnsb_uohm={sense_uohm[0]} rsnsi_uohm={sense_uohm[1]}",
    )


def _max34451(page: int, config: str, command: int, attribute: str, unit: str, values: str) -> tuple[Run, ...]:
    readings = (Reading(attribute, unit, (0x00, command)),)
    return tuple(Run({0xE4: config, command: value}, readings=readings, page=page) for value in values.split())


CHIPS: tuple[Chip, ...] = (
    # state, system status, VBAT, VIN, IBAT, IIN, die temperature
    _ltc4162(
        8, (10_000, 10_000), "4000 0501 db44 ae36 ac0d 6e09 6e35", "8000 0501 0100 0100 0100 0100 ff33",
        "0800 0501 ff7f e94d fe7f fe7f 9744", "0001 0100 803e 0000 54f2 0000 f832",
        "0000 0100 0000 0000 0180 0000 0030",
    ),
    _ltc4162(4, (5_000, 20_000), "4000 0501 1a56 3c1e 6400 c800 4838", "2000 0501 0050 1234 9cff 0a00 1035",
             "1000 0501 3412 ff3f feff 1000 4235", "0200 0501 0a00 ff00 ffff 0100 7036",
             "0100 0501 0a00 ff00 1000 0100 7036", "0400 0501 0040 0020 1000 9cff 7036"),
    Chip(
        "SBS battery", "sbs-battery", "drivers/power/supply/sbs-battery.c", "sbs-battery", 0x0B,
        {0x03: "0000", 0x1A: "1100", 0x18: "1027", 0x19: "7062"}, _SBS,
        tuple(Run(dict(zip((0x08, 0x09, 0x0A, 0x0D, 0x0F, 0x10, 0x16), run.split(), strict=True))) for run in (
            "ab0b 7062 18fc 5000 2823 f82a c000", "6b0a 0100 ffff 0000 0100 0100 9000",
            "960a e703 0180 0100 0000 0a00 4000", "e60f ffff fe7f 6400 feff feff a000",
            "aa0a 204e 0000 6900 e803 d007 8000", "ac0a 3075 0100 2a00 1027 e02e 8000",
        )), words=True,
    ),
    Chip(
        "VL53L0X", "vl53l0x-i2c", "drivers/iio/proximity/vl53l0x-i2c.c", "vl53l0x", 0x29,
        {0xC0: "ee", 0xC1: "aa", 0xC2: "10"},
        (Reading("in_distance_raw", "m", (0x14,), "in_distance_scale"),),
        tuple(Run({0x14: f"{status}000000000000000000{mm:04x}"}) for status, mm in (
            ("59", 30), ("59", 1), ("59", 256), ("59", 417), ("5b", 1200), ("59", 2000), ("59", 8189), ("21", 8190),
            ("11", 20), ("41", 8191), ("59", 0),
        )),
    ),
    Chip(
        "MAX34451", "max34440", "drivers/hwmon/pmbus/max34440.c", "max34451", 0x74,
        {0x19: "20", 0x20: "40", 0x9B: "1100"}, (), (
            *_max34451(0, "1000", 0x8B, "in1_input", "mV", "8813 0100 e80c fe7f 0000"),
            *_max34451(11, "2000", 0x8B, "in1_input", "mV", "6c07"),
            *_max34451(15, "2100", 0x8B, "in1_input", "mV", "d82e"),
            *_max34451(1, "2200", 0x8C, "curr1_input", "mA", "f401 0100 fe7f 9cff 0180"),
            *_max34451(12, "2300", 0x8C, "curr1_input", "mA", "d204"),
            *_max34451(16, "0000", 0x8D, "temp1_input", "mdegC", "c409 6ee7 0100 ffff e430 84ea"),
            *_max34451(17, "0000", 0x8D, "temp2_input", "mdegC", "c409 6ee7"),
            *_max34451(20, "0000", 0x8D, "temp5_input", "mdegC", "7f3e e0f0"),
        ), words=True, pages=True,
    ),
    Chip(
        "ADS1115", "ti-ads1015", "drivers/iio/adc/ti-ads1015.c", "ads1115", 0x48, {0x01: "8583"}, (),
        tuple(
            Run({0x00: code}, ((f"in_voltage{channel}_scale", scale),),
                (Reading(f"in_voltage{channel}_raw", "mV", (0x01, 0x00), f"in_voltage{channel}_scale"),))
            for channel, scale, code in (
                ("0", "0.187500000", "6400"), ("1", "0.125000000", "7ffe"), ("2", "0.062500000", "0001"),
                ("3", "0.031250000", "4000"), ("0", "0.015625000", "1234"),
                ("0-voltage1", "0.062500000", "8001"), ("0-voltage1", "0.015625000", "ffff"),
                ("0-voltage3", "0.187500000", "c180"), ("1-voltage3", "0.125000000", "fffe"),
                ("2-voltage3", "0.031250000", "8400"), ("2", "0.187500000", "0000"), ("3", "0.062500000", "7fff"),
                ("2-voltage3", "0.015625000", "8000"),
            )
        ), words=True,
    ),
    # shunt voltage, bus voltage, power, current
    _ina226(10_000, "1f40 5dc0 2580 1f40", "e0c0 4e20 1f40 e0c0", "0001 0001 0001 0001", "ffff 7ffe 0000 ffff"),
    _ina226(500, "7ffe 2580 7fff 7ffe", "8002 5780 fffe 8002", "0000 0000 0000 0000", "fc18 5460 0100 fc18"),
    _ina226(2_000, "03e8 2ee0 0100 03e8", "fc18 2ee0 0100 fc18"),
    Chip(
        "TMP423", "tmp421", "drivers/hwmon/tmp421.c", "tmp423", 0x4C,
        {0xFE: "55", 0xFF: "23", 0x0A: "7c", 0x0B: "05", 0x08: "00"}, _TMP423,
        tuple(Run(dict(zip((0x09, 0x00, 0x10, 0x01, 0x11, 0x02, 0x12, 0x03, 0x13), run.split(), strict=True)))
              for run in ("04 59 00 40 00 3f f0 68 80", "04 18 00 09 10 bf f0 d4 00", "04 7d 00 40 10 2c f0 15 00",
                          "00 19 00 00 10 ff f0 7f f0", "00 d8 00 c9 00 9c 00 e7 80", "04 59 00 80 01 40 00 40 00")),
    ),
    Chip(
        "DS3231", "rtc-ds1307", "drivers/rtc/rtc-ds1307.c", "ds3231", 0x68, {0x0E: "1c", 0x0F: "00"}, _DS3231,
        # The driver changes the 12-hour form into the other at once, hence ``filled``.
        tuple(Run(dict(zip((0x00, 0x11), run.split(), strict=True)), filled=True) for run in (
            "56341207210126 1900", "59592301291228 e740", "00000001010100 ffc0", "30301505290224 d800",
            "59591905310299 5500", "07052301280299 0040", "00000006018100 0000", "59592306311299 7fc0",
            "15477204060727 c900", "00005205150330 7d00", "59596105311230 e700",
        )),
    ),
    Chip(
        "LSM303DLHC mag", "st_magn_i2c", "drivers/iio/magnetometer/st_magn_core.c", "lsm303dlhc_magn", 0x1E,
        {0x00: "10", 0x01: "20", 0x02: "00", 0x09: "01", 0x0F: "3c"}, _LSM303, (
            *(Run({0x03: code}, (("sampling_frequency", "220"), ("in_magn_x_scale", scale))) for scale, code in (
                ("0.000909", "044c03d4fbb4"), ("0.000909", "f80107ff0000"), ("0.000909", "0001ffff0001"),
                ("0.001169", "0226feda00dc"), ("0.002222", "fda8012cf801"), ("0.002500", "f0000190fe70"),
                ("0.003030", "0226feda00dc"), ("0.004347", "07fff8010064"),
            )),
        ),
    ),
    Chip(
        "RM3100", "i2c_glue", "drivers/iio/magnetometer/rm3100-core.c", "rm3100", 0x20,
        {0x04: "00c8", 0x06: "00c8", 0x08: "00c8", 0x34: "80", 0x36: "22"}, _RM3100,
        tuple(Run({0x0B: rate, 0x24: code}) for rate, code in (
            ("95", "000eb6fff14a000001"), ("95", "ffffff000000000100"), ("96", "00ea60ff15a0010000"),
            ("92", "000eb6fff14a000001"), ("95", "7fffff800000012345"),
        )),
    ),
    Chip(
        "ICM-42605", "i2c_glue", "drivers/iio/imu/inv_icm42600", "icm42605", 0x69,
        {0x75: "42", 0x2D: "10", 0x76: "00"}, _ICM42605,
        tuple(Run({0x1D: code}, writes) for writes, code in (
            ((), "000008000000fff0000100ffffff"), ((), "f6c0f800ff9c7ffe80027ffe8002"),
            ((), "1a5c0001ffff8000012c8000fed4"),
            ((("in_accel_scale", "0.001197101"), ("in_anglvel_scale", "0.000133158")), "03e820000800f800083fff7ac000"),
            ((("in_accel_scale", "0.000598550"), ("in_anglvel_scale", "0.000008322")), "ff9c4000c00000647d00830003e8"),
        )),
    ),
    Chip(
        "OPT3001", "opt3001", "drivers/iio/light/opt3001.c", "opt3001", 0x44,
        {0x7E: "5449", 0x7F: "3001", 0x01: "c090"}, (Reading("in_illuminance_input", "lux", (0x00,)),),
        _sweep(0x00, "0000 0001 0fff 1001 5801 6fff 9876 b000 b001 bffe bfff"), words=True,
    ),
)


class Stub:
    """i2c-stub with one chip."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        banks = ("bank_reg=0", "bank_mask=0x1f", "bank_start=0x21", "bank_end=0xff") if chip.pages else ()
        modprobe("i2c-stub", f"chip_addr={chip.address:#x}", *banks)
        self.bus = adapter("SMBus stub")
        self.port = SMBus(self.bus)

    def close(self) -> None:
        """Forget the chip."""
        self.port.close()
        call("rmmod", "i2c-stub")

    def turn(self, page: int) -> None:
        """Choose the bank."""
        if self.chip.pages:
            self.port.write_byte_data(self.chip.address, 0x00, page)

    def put(self, register: int, data: bytes) -> None:
        """Fill in registers, in the order of the wire."""
        address = self.chip.address
        if self.chip.words and len(data) == 2:
            self.port.write_word_data(address, register, data[0] | data[1] << 8)
        else:
            for offset, byte in enumerate(data):
                self.port.write_byte_data(address, register + offset, byte)

    def get(self, register: int, count: int) -> bytes:
        """What stands there."""
        address = self.chip.address
        if self.chip.words and count == 2:
            return self.port.read_word_data(address, register).to_bytes(2, "little")
        return bytes(self.port.read_byte_data(address, register + offset) for offset in range(count))


def _find(device: Path, attribute: str) -> Path:
    """Path of an attribute; ``hwmon/x`` names the place as well."""
    place, _, name = attribute.rpartition("/")
    patterns = [p for p in PLACES if p.startswith(place)]
    for pattern in patterns:
        for folder in device.glob(pattern):
            if (folder / name).exists():
                return folder / name
    raise FileNotFoundError(f"{device} has no {attribute}")


def _value(device: Path, reading: Reading) -> str:
    text = _find(device, reading.attribute).read_text().strip()
    if reading.scale:
        offset = Decimal(_find(device, reading.offset).read_text().strip()) if reading.offset else Decimal(0)
        product = (Decimal(text) + offset) * Decimal(_find(device, reading.scale).read_text().strip())
        return f"{product.normalize():f}" if product else "0"
    return text


def rows(chip: Chip, run: Run, source: str) -> Iterator[dict[str, str]]:
    """Fill the stub, bind the driver, read; one row an attribute."""
    table = {**chip.registers, **run.registers}
    lengths = {register: len(bytes.fromhex(value)) for register, value in table.items()}
    unnamed = 2 if chip.words else 1
    stub = Stub(chip)
    try:
        for register, value in table.items():
            stub.turn(run.page or 0 if register > 0x20 else 0)
            stub.put(register, bytes.fromhex(value))
        stub.turn(0)
        properties = ";".join(f"{key}={value}" for key, value in chip.properties.items())
        modprobe("i2c_node", f"bus={stub.bus}", f"address={chip.address:#x}", f"type={chip.type}",
                  *([f"properties={properties}"] if properties else []))
        try:
            device = Path(f"/sys/bus/i2c/devices/{stub.bus}-{chip.address:04x}")
            if not (device / "driver").exists():
                raise RuntimeError(f"no driver bound to {chip.type}")
            for attribute, text in run.writes:
                _find(device, attribute).write_text(text)
            for reading in run.readings or chip.readings:
                try:
                    expected = _value(device, reading)
                except OSError as error:
                    expected = f"error {error.strerror}"
                stub.turn(run.page or 0)
                held = [
                    bytes((run.page,)) if register == 0 and run.page is not None
                    else bytes.fromhex(table[register]) if run.filled
                    else stub.get(register, lengths.get(register, unnamed)) for register in reading.registers
                ]
                yield {
                    "part": chip.part, "registers": " ".join(f"0x{r:02x}" for r in reading.registers),
                    "bytes": " ".join(data.hex() for data in held), "expected": expected,
                    "unit": f"{reading.unit} ({reading.attribute.rpartition('/')[2]})",
                    "source": source, "kind": "kernel-run", "note": chip.note,
                }
        finally:
            call("rmmod", "i2c_node")
    finally:
        stub.close()


def main(parts: Sequence[str]) -> int:
    """Print a JSON line a row, and one for each run that failed; names of parts narrow it down."""
    version = re.search(r"Debian (\d+\.\d+\.\d+)", platform.version())
    kernel = version[1] if version else platform.release()
    modprobe("i2c-dev")
    for chip in CHIPS:
        if parts and chip.part not in parts:
            continue
        modprobe(chip.module)
        for run in chip.runs:
            try:
                for row in rows(chip, run, f"Linux {kernel} {chip.source} run on i2c-stub"):
                    emit(row)
            except (OSError, RuntimeError) as error:
                emit({"failed": chip.part, "registers": str(run.registers), "why": str(error)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

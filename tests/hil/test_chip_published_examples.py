"""Every simulated chip turns the physical values of published register examples into those registers' bytes."""

from __future__ import annotations

import csv
from math import radians
from pathlib import Path

import pytest

from hil.chips.adis16470 import Adis16470
from hil.chips.ina228 import Ina228
from hil.chips.ltc3350 import Ltc3350
from hil.chips.opt3001 import Opt3001
from hil.chips.rm3100 import Rm3100
from hil.chips.tmp423 import Tmp423

EXAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "datasheet_examples.csv"
G = 9.80665


def rows(part: str) -> list[dict[str, str]]:
    if not EXAMPLES.exists():
        pytest.skip(f"no published examples: {EXAMPLES.name} is not in ../shared/data")
    with EXAMPLES.open(encoding="utf-8", newline="") as file:
        found = [row for row in csv.DictReader(file) if row["part"].startswith(part)]
    assert found, f"no rows for {part}"
    return found


def read(chip: object, register: int, count: int) -> bytes:
    chip.write(bytes((register,)))  # type: ignore[attr-defined]
    return chip.read(count)  # type: ignore[attr-defined,no-any-return]


def signed(data: bytes, order: str = "big") -> int:
    return int.from_bytes(data, order, signed=True)  # type: ignore[arg-type]


def test_ina228_examples() -> None:
    for row in rows("INA228/229"):
        register = int(row["registers"].split()[0], 16)
        wanted = bytes.fromhex(row["bytes"])
        value = float(row["expected"])
        # The example of Table 8-4: 10 A full scale over 16.2 mOhm, so SHUNT_CAL is 4050.
        chip = Ina228(shunt_ohm=0.0162)
        chip.write((0x02).to_bytes(1, "big") + (4050).to_bytes(2, "big"))
        if register == 0x04:
            chip.set_shunt_voltage(value)
        elif register == 0x05:
            chip.set_bus_voltage(value)
        elif register == 0x06:
            chip.set_die_temperature(value)
        elif register == 0x07:
            chip.set_current(value)
        else:  # one hour at 48 V and 6 A
            chip.set_bus_voltage(48.0)
            chip.set_current(6.0)
            chip.accumulate(3600.0)
        lsb = 16 if len(wanted) == 3 else 1
        # Energy and charge are printed to four digits of a 28-bit number: the example rounds CURRENT_LSB.
        slack = lsb if len(wanted) < 5 else signed(wanted) * 2e-5
        assert abs(signed(read(chip, register, len(wanted))) - signed(wanted)) <= slack, row


def test_opt3001_examples() -> None:
    for row in rows("OPT3001"):
        wanted = int(row["bytes"].split()[-1], 16)
        clock = [0]
        chip = Opt3001(lambda: clock[0])  # noqa: B023
        chip.lux = float(row["expected"])
        chip.write(b"\x01\xc6\x10")
        clock[0] = 100_000_000
        got = int.from_bytes(read(chip, 0x00, 2), "big")
        assert got >> 12 == wanted >> 12, row
        assert abs((got & 0xFFF) - (wanted & 0xFFF)) <= 1, row


def test_tmp421_family_examples() -> None:
    for row in rows("TMP421"):
        if not row["source"].startswith("TI"):
            continue
        chip = Tmp423()
        chip.set_celsius(0, float(row["expected"]))
        assert read(chip, int(row["registers"], 16), 1) == bytes.fromhex(row["bytes"]), row


def test_tmp423_words_that_the_kernel_read() -> None:
    for row in rows("TMP423"):
        registers = dict(zip(row["registers"].split(), row["bytes"].split(), strict=True))
        channel = int(row["unit"][4]) - 1
        chip = Tmp423()
        chip.write(bytes((0x09, int(registers["0x09"], 16))))
        chip.set_celsius(channel, float(row["expected"]) / 1000.0)
        got = read(chip, channel, 2)
        wanted = bytes.fromhex(registers[f"0x0{channel}"] + registers[f"0x1{channel}"])
        assert abs(signed(got) - signed(wanted)) <= 16, row


def test_adis16470_burst_example() -> None:
    expected = {row["registers"].split()[-1]: row["expected"] for row in rows("ADIS16470")}
    wanted = bytes.fromhex(rows("ADIS16470")[0]["bytes"])
    chip = Adis16470()
    for _ in range(int.from_bytes(wanted[18:20], "big")):
        chip.latch(
            (radians(float(expected["X_GYRO"])), radians(float(expected["Y_GYRO"])), 0.0),
            (1.0 * G, float(expected["Y_ACCL"]) * G, 0.0),
            float(expected["TEMP"]),
        )
    got = chip.transfer(b"\x68\x00" + bytes(20))
    for start in range(0, 20, 2):
        assert abs(signed(got[start : start + 2]) - signed(wanted[start : start + 2])) <= 1, start
    assert int.from_bytes(got[20:], "big") == sum(got[2:20])
    assert sum(wanted[2:20]) == int(expected["checksum"], 16)


def test_rm3100_example() -> None:
    (row,) = rows("RM3100")
    wanted = signed(bytes.fromhex(row["bytes"]))
    clock = [0]
    chip = Rm3100(lambda: clock[0])
    chip.field_t = (100e-6, 0.0, 0.0)  # 75 LSB/uT nominal; the kernel's rounded scale calls it 99.75 uT
    chip.write(b"\x01\x71")
    clock[0] = 100_000_000
    assert abs(signed(read(chip, 0x24, 3)) - wanted) <= 1
    assert float(row["expected"]) == pytest.approx(100.0, rel=0.003)


def test_ltc3350_examples() -> None:
    for row in rows("LTC3350"):
        chip = Ltc3350(lambda: 0, cells=4)
        value = float(row["expected"])
        register = int(row["registers"].split()[0], 16)
        if register == 0x20:
            chip.cell_voltages_v = (value, value, value, value)
        elif register == 0x25:
            chip.input_voltage_v = value
        else:
            chip.stack_voltage_v = value
        assert abs(signed(read(chip, register, 2), "little") - signed(bytes.fromhex(row["bytes"]), "little")) <= 1, row

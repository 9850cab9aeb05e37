"""ICM-42688-P: scales, freshness by status and repetition, restart, scrub, start of the gyroscope, fuzz."""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import icm42688p
from drivers.device import OracleKind
from drivers.errors import Cause, DeviceError
from drivers.samples import ImuSample
from tests.drivers.scripted import SpiPart, cause_of, outcomes, refusal, run

MS = 1_000_000
G0 = 9.80665
READY, RESET_DONE = 0x08, 0x10
WORDS = (2650, 16, -2048, 4096, 1000, -2000, 0)
"""45 deg C; specific force, rate."""


def frame(words: tuple[int, ...] = WORDS, status: int = READY) -> bytes:
    return struct.pack(">x7h2xB", *words, status)


class Unit(SpiPart):
    """Bank 0 of an ICM-42688-P (DS-000347, section 14); the gyroscope needs ``start`` looks until it measures."""

    address = 1

    def __init__(self, start: int = 3) -> None:
        super().__init__()
        self.start = start
        self.noise = 0
        self.frozen = False
        self.measuring = True
        self.resets_to_wait = 2
        self.memory = bytearray(128)
        self.reset()

    def reset(self) -> None:
        """Power-on, soft reset or brown-out."""
        self.memory = bytearray(128)
        for pointer, value in ((0x4C, 0x30), (0x4F, 0x06), (0x50, 0x06), (0x52, 0x11), (0x65, 0x10), (0x75, 0x47)):
            self.memory[pointer] = value
        self.status = RESET_DONE
        self.looks = 0

    def answer(self, data: bytes) -> bytes:
        pointer = data[0] & 0x7F
        if not data[0] & 0x80:
            self._write(pointer, data[1])
            return bytes(len(data))
        if self.memory[0x76] and pointer != 0x76:
            return bytes(len(data))
        self._measure()
        answer = bytes(self.memory[pointer : pointer + len(data) - 1])
        if pointer <= 0x2D < pointer + len(data) - 1:
            self.status = 0
        return b"\x00" + answer

    def _write(self, pointer: int, value: int) -> None:
        if pointer == 0x11 and value & 1:
            self.reset()
            self.status = 0
            self.resets_to_wait = 2
        else:
            self.memory[pointer] = value

    def _measure(self) -> None:
        if self.status & RESET_DONE == 0 and self.resets_to_wait:
            self.resets_to_wait -= 1
            if not self.resets_to_wait:
                self.status |= RESET_DONE
        words = (-32768,) * 7
        if self.memory[0x4E] == 0x0F and self.measuring:
            self.looks += 1
            gyro = self.looks > self.start
            self.noise += not self.frozen
            words = (*WORDS[:3], WORDS[3] + self.noise % 5, *(WORDS[4:] if gyro else (-32768,) * 3))
            self.status |= READY
        self.memory[0x1D:0x2B] = struct.pack(">7h", *words)
        self.memory[0x2D] = self.status


def ready(unit: Unit, **fields: Any) -> icm42688p.Device:
    device = icm42688p.Device(unit, 1, icm42688p.Settings(**fields))
    run(unit, device.initialise())
    return device


@pytest.mark.parametrize(
    ("range_deg_s", "lsb_rad_s"),
    [(2000.0, 1065264e-9), (1000.0, 532632e-9), (500.0, 266316e-9), (250.0, 133158e-9), (125.0, 66579e-9),
     (62.5, 33290e-9), (31.25, 16645e-9), (15.625, 8322e-9)],
)
def test_rate_scales_are_those_of_the_linux_driver(range_deg_s: float, lsb_rad_s: float) -> None:
    assert icm42688p.Settings(gyro_range_deg_s=range_deg_s).rate_lsb_rad_s == pytest.approx(lsb_rad_s, abs=0.6e-9)


@pytest.mark.parametrize(("range_g", "lsb"), [(16, 4788403e-9), (8, 2394202e-9), (4, 1197101e-9), (2, 598550e-9)])
def test_force_scales_are_those_of_the_linux_driver(range_g: int, lsb: float) -> None:
    chosen = msgspec.convert({"accel_range_g": range_g}, icm42688p.Settings)
    assert chosen.force_lsb_m_s2 == pytest.approx(lsb, abs=1e-9)


def test_a_sample_is_in_si() -> None:
    sample = icm42688p.burst(frame(), counter=7)
    assert sample is not None
    assert sample.rate_rad_s == pytest.approx((math.radians(61.03515625), math.radians(-122.0703125), 0.0))
    assert sample.specific_force_m_s2 == pytest.approx((16 * 16 / 32768 * G0, -G0, 2 * G0))
    assert (sample.temperature_c, sample.counter) == (pytest.approx(2650 / 132.48 + 25.0), 7)


def test_range_and_rate_choose_the_register_values() -> None:
    unit = Unit()
    ready(unit, gyro_range_deg_s=250.0, accel_range_g=4, output_rate_hz=500, filter_divider=10)
    assert (unit.memory[0x4F], unit.memory[0x50], unit.memory[0x52]) == (0x6F, 0x4F, 0x44)
    assert (unit.memory[0x4C], unit.memory[0x4E], unit.memory[0x65]) == (0x33, 0x0F, 0x08)
    assert unit.configured == [(1, 3, 8_000_000)]


def test_a_range_that_the_part_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="gyro_range"):
        icm42688p.Settings(gyro_range_deg_s=300.0)


def test_identity_names_the_part_and_writes_nothing() -> None:
    unit = Unit()
    memory = bytes(unit.memory)
    assert run(unit, icm42688p.Device(unit, 1, icm42688p.Settings()).identify()) == "TDK ICM-42688-P"
    assert (bytes(unit.memory)[:0x1D], unit.transactions) == (memory[:0x1D], 1)


@pytest.mark.parametrize("answer", [b"\x00", b"\xff", b"\x42"])
def test_nothing_and_another_part_are_refused(answer: bytes) -> None:
    unit = Unit()
    unit.stuck = answer
    assert refusal(unit, icm42688p.Device(unit, 1, icm42688p.Settings()).initialise()) is Cause.WRONG_ID


def test_a_unit_left_in_another_bank_is_led_back() -> None:
    unit = Unit()
    unit.memory[0x76] = 4
    assert isinstance(ready(unit).read(0), ImuSample)


def test_a_reset_that_does_not_end_is_a_time_out() -> None:
    unit = Unit()
    unit.resets_to_wait = 0
    device = icm42688p.Device(unit, 1, icm42688p.Settings())
    steps = device.initialise()
    for _ in range(4):
        next(steps)
    unit.resets_to_wait = 0
    unit.status = 0
    assert refusal(unit, steps) is Cause.TIMEOUT


def test_initialise_waits_for_the_gyroscope_to_start() -> None:
    unit = Unit(start=40)
    device = ready(unit)
    sample = device.read(0)
    assert sample.rate_rad_s[0] == pytest.approx(math.radians(61.03515625))


def test_a_slow_start_is_left_to_acquire_which_says_nothing_yet() -> None:
    unit = Unit(start=131)
    device = ready(unit)
    assert run(unit, device.acquire()) is None
    assert cause_of(device.read, 0) is Cause.STALE_COUNTER
    assert isinstance(run(unit, device.acquire()), ImuSample)


def test_a_start_that_does_not_come_is_stale() -> None:
    unit = Unit(start=10_000)
    device = ready(unit)
    for _ in range(8):
        assert run(unit, device.acquire()) is None
    assert refusal(unit, device.acquire()) is Cause.STALE_COUNTER


def test_a_sample_is_one_transfer_and_counts_up() -> None:
    unit = Unit()
    device = ready(unit)
    before = unit.transactions
    counters = [device.read(tick * 5 * MS).counter for tick in range(3)]
    assert unit.transactions == before + 3
    assert counters == [0, 1, 2]


def test_outputs_that_do_not_advance_are_stale() -> None:
    unit = Unit()
    device = ready(unit)
    device.read(0)
    unit.measuring = False
    assert cause_of(device.read, 5 * MS) is Cause.STALE_COUNTER


def test_an_answer_repeated_word_for_word_is_stale_after_the_limit() -> None:
    unit = Unit()
    device = ready(unit, repeat_limit=4)
    unit.frozen = True
    for _ in range(4):
        device.read(0)
    assert cause_of(device.read, 0) is Cause.STALE_COUNTER
    unit.frozen = False
    assert device.read(0)


def test_a_brown_out_is_a_reset_until_the_unit_is_set_up_anew() -> None:
    unit = Unit()
    device = ready(unit)
    device.read(0)
    unit.reset()
    assert [cause_of(device.read, 0) for _ in range(3)] == [Cause.RESET] * 3
    assert refusal(unit, device.acquire()) is Cause.RESET
    run(unit, device.initialise())
    assert isinstance(device.read(0), ImuSample)


def test_an_upset_configuration_bit_is_found_by_the_scrub() -> None:
    unit = Unit()
    device = ready(unit, scrub_every=2, repeat_limit=0)
    unit.memory[0x4F] ^= 0x20
    found = outcomes(lambda: device.read(0), 20)
    assert Cause.RESET in found
    assert found[-1] is Cause.RESET
    run(unit, device.initialise())
    for _ in range(20):
        device.read(0)


def test_acquire_scrubs_in_a_transaction_of_its_own() -> None:
    unit = Unit()
    device = ready(unit, scrub_every=3)
    costs = []
    for _ in range(6):
        before = unit.transactions
        assert isinstance(run(unit, device.acquire()), ImuSample)
        costs.append(unit.transactions - before)
    assert costs == [1, 1, 2] * 2


@pytest.mark.parametrize(
    ("words", "status", "cause"),
    [
        (WORDS, 0x00, Cause.STALE_COUNTER), (WORDS, READY | RESET_DONE, Cause.RESET),
        (WORDS, 0xFF, Cause.IMPLAUSIBLE), ((*WORDS[:6], 32767), READY, Cause.OVER_RANGE),
        ((*WORDS[:6], -32767), READY, Cause.OVER_RANGE), ((20_000, *WORDS[1:]), READY, Cause.IMPLAUSIBLE),
    ],
)
def test_what_is_not_a_measurement_is_refused(words: tuple[int, ...], status: int, cause: Cause) -> None:
    assert cause_of(icm42688p.burst, frame(words, status)) is cause


def test_a_channel_marked_as_not_measured_is_no_sample() -> None:
    for index in range(7):
        words = (*WORDS[:index], -32768, *WORDS[index + 1 :])
        assert icm42688p.burst(frame(words)) is None


@pytest.mark.parametrize("answer", [b"\x00", b"\xff"])
def test_a_dead_line_is_refused_while_flying(answer: bytes) -> None:
    unit = Unit()
    device = ready(unit)
    unit.stuck = answer
    assert cause_of(device.read, 0) in (Cause.STALE_COUNTER, Cause.IMPLAUSIBLE)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.binary(max_size=40) | st.binary(min_size=18, max_size=18))
def test_any_bytes_are_a_sample_or_a_named_rejection(data: bytes) -> None:
    for codec in icm42688p.CODECS:
        with suppress(DeviceError):
            assert isinstance(codec.decode(data), ImuSample | None)


def test_what_the_bench_needs_is_declared() -> None:
    assert [oracle.kind for oracle in icm42688p.ORACLES] == [OracleKind.LINUX, OracleKind.FORMULA]
    names = [register.name for register in icm42688p.REGISTERS]
    assert len(names) == len(set(names))

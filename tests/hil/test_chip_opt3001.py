"""The simulated OPT3001 converts on the clock, chooses its range, and comes back from a reset shut down."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.chips.opt3001 import Opt3001
from tests.hil.scripted_bench import ChipBench

MS = 1_000_000


class Bench(ChipBench):
    def __init__(self) -> None:
        super().__init__(Opt3001)

    def lux(self) -> float:
        word = self.word(0)
        return 0.01 * (word & 0xFFF) * (1 << (word >> 12))


def test_identity_and_reset_values() -> None:
    bench = Bench()
    expected = {0x00: 0, 0x01: 0xC810, 0x02: 0xC000, 0x03: 0xBFFF, 0x7E: 0x5449, 0x7F: 0x3001}
    assert {register: bench.word(register) for register in expected} == expected
    bench.put_word(0x01, 0xC610)
    bench.put_word(0x02, 0)
    bench.chip.reset()
    assert {register: bench.word(register) for register in expected} == expected


def test_shut_down_chip_does_not_convert() -> None:
    bench = Bench()
    bench.chip.lux = 500.0
    bench.now = 5000 * MS
    assert bench.lux() == 0.0
    assert bench.word(1) == 0xC810


@pytest.mark.parametrize(("config", "time_ms"), [(0xC610, 100), (0xCE10, 800)])
def test_continuous_conversion_takes_its_time_and_sets_ready(config: int, time_ms: int) -> None:
    bench = Bench()
    bench.chip.lux = 500.0
    bench.put_word(1, config)
    bench.now = time_ms * MS - 1
    assert bench.word(1) == config
    assert bench.lux() == 0.0
    bench.now = time_ms * MS
    assert bench.word(1) == config | 0x80
    assert bench.word(1) == config, "reading the configuration clears the flag"
    assert bench.lux() == pytest.approx(500.0, abs=0.01)
    bench.chip.lux = 7.0
    assert bench.lux() == pytest.approx(500.0, abs=0.01), "held until the next conversion ends"
    bench.now = 2 * time_ms * MS
    assert bench.lux() == pytest.approx(7.0, abs=0.01)


def test_single_shot_returns_to_shutdown() -> None:
    bench = Bench()
    bench.chip.lux = 12.5
    bench.put_word(1, 0xC210)
    bench.now = 100 * MS
    assert bench.word(1) == 0xC090
    bench.chip.lux = 99.0
    bench.now = 900 * MS
    assert bench.lux() == pytest.approx(12.5)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(0.0, 83865.0))
def test_automatic_range_takes_the_finest_that_holds(lux: float) -> None:
    bench = Bench()
    bench.chip.lux = lux
    bench.put_word(1, 0xC610)
    bench.now = 100 * MS
    exponent = bench.word(0) >> 12
    assert abs(bench.lux() - lux) <= 0.005 * (1 << exponent) * 1.0001
    assert exponent == 0 or lux > 0.01 * 4095 * (1 << exponent - 1)
    assert not bench.word(1) & 0x100


def test_too_much_light_saturates_with_the_overflow_flag() -> None:
    bench = Bench()
    bench.chip.lux = 120_000.0
    bench.put_word(1, 0xC610)
    bench.now = 100 * MS
    assert bench.word(0) == 0xBFFF
    assert bench.word(1) & 0x100
    bench.chip.lux = 10.0
    bench.now = 200 * MS
    assert not bench.word(1) & 0x100


def test_fixed_range_saturates_and_can_hide_its_exponent() -> None:
    bench = Bench()
    bench.chip.lux = 100.0
    bench.put_word(1, 0x1610)
    bench.now = 100 * MS
    assert bench.word(0) == 0x1FFF
    assert bench.word(1) & 0x100
    bench.chip.lux = 20.0
    bench.put_word(1, 0x1614)
    bench.now = 200 * MS
    assert bench.word(0) == 1000


def test_limits_raise_their_flags_until_the_configuration_is_read() -> None:
    bench = Bench()
    bench.put_word(2, 0x0000 | 1000)  # 10 lux
    bench.put_word(3, 0x1000 | 4000)  # 80 lux
    bench.chip.lux = 5.0
    bench.put_word(1, 0xC610)
    bench.now = 100 * MS
    assert bench.word(1) & 0x60 == 0x20
    bench.chip.lux = 90.0
    bench.now = 200 * MS
    assert bench.word(1) & 0x60 == 0x40
    bench.chip.lux = 50.0
    bench.now = 300 * MS
    assert bench.word(1) & 0x60 == 0


def test_read_only_registers_keep_their_value() -> None:
    bench = Bench()
    for register in (0x00, 0x7E, 0x7F):
        before = bench.word(register)
        bench.put_word(register, 0x1234)
        assert bench.word(register) == before
    bench.put_word(1, 0xFFFF)
    assert bench.word(1) & 0x01E0 == 0

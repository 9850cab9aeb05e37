"""The simulated ADS1115 converts the pair it is told, in the time of its rate, and clips at the end of its range."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.chips.ads1115 import Ads1115
from tests.drivers.scripted import published
from tests.hil.scripted_bench import ChipBench

MS = 1_000_000
FULL_SCALE = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)


class Bench(ChipBench):
    def __init__(self) -> None:
        super().__init__(Ads1115)

    def convert(self, config: int) -> int:
        self.put_word(1, config)
        self.now += 200 * MS
        return self.signed(0)


def test_reset_values_and_powered_down() -> None:
    bench = Bench()
    bench.chip.inputs_v[0] = 1.0
    bench.now = 1000 * MS
    expected = [0x0000, 0x8583, 0x8000, 0x7FFF]
    assert [bench.word(register) for register in range(4)] == expected
    bench.put_word(1, 0x0000)
    bench.put_word(2, 0x1234)
    bench.chip.reset()
    assert [bench.word(register) for register in range(4)] == expected


@pytest.mark.parametrize(("code", "rate"), list(enumerate((8, 16, 32, 64, 128, 250, 475, 860))))
def test_a_single_shot_takes_one_period_and_os_says_when(code: int, rate: int) -> None:
    bench = Bench()
    bench.chip.inputs_v[0] = 1.0
    bench.put_word(1, 0xC503 | code << 5)
    period = round(1e9 / rate)
    bench.now = period - 1
    assert bench.word(1) == 0x4503 | code << 5
    assert bench.word(0) == 0
    bench.now = period
    assert bench.word(0) == 16000
    assert bench.word(1) == 0xC503 | code << 5
    bench.chip.inputs_v[0] = 0.5
    bench.now = 10 * period
    assert bench.word(0) == 16000, "one conversion only"


def test_continuous_mode_goes_on() -> None:
    bench = Bench()
    bench.put_word(1, 0x44E3)
    for step in range(1, 5):
        bench.chip.inputs_v[0] = 0.1 * step
        bench.now += 2 * MS
        assert bench.word(0) == round(0.1 * step / 62.5e-6)
        assert not bench.word(1) & 0x8000


def test_writing_the_configuration_without_os_starts_nothing() -> None:
    bench = Bench()
    bench.chip.inputs_v[0] = 1.0
    assert bench.convert(0x4583) == 0


@pytest.mark.parametrize(
    ("mux", "volts"),
    [(0, -0.1), (1, -0.3), (2, -0.2), (3, -0.1), (4, 0.1), (5, 0.2), (6, 0.3), (7, 0.4)],
)
def test_every_pair_of_inputs(mux: int, volts: float) -> None:
    bench = Bench()
    bench.chip.inputs_v = [0.1, 0.2, 0.3, 0.4]
    assert bench.convert(0x8583 | mux << 12) == round(volts / 62.5e-6)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 7), st.floats(-7.0, 7.0))
def test_codes_are_rounded_and_clip_at_full_scale(pga: int, volts: float) -> None:
    bench = Bench()
    bench.chip.inputs_v[0] = volts
    code = bench.convert(0xC183 & ~0x0E00 | pga << 9)
    lsb = FULL_SCALE[pga] / 32768
    if volts > 32767 * lsb:
        assert code == 0x7FFF
    elif volts < -32768 * lsb:
        assert code == -0x8000
    else:
        assert abs(code * lsb - volts) <= 0.5001 * lsb


def test_the_conversion_register_is_read_only_and_the_pointer_stays() -> None:
    bench = Bench()
    bench.put_word(0, 0x1234)
    assert bench.word(0) == 0
    bench.put_word(3, 0x4321)
    assert bench.chip.read(2) == b"\x43\x21"
    assert bench.chip.read(2) == b"\x43\x21"


def test_words_that_the_kernel_read(shared_data: Path) -> None:
    rows = published(shared_data, "ADS1115*")
    values = {row["unit"].split()[0].rsplit("_", 1)[1]: float(row["expected"]) for row in rows}
    wanted = dict(zip(rows[0]["registers"].split(), rows[0]["bytes"].split(), strict=True))
    bench = Bench()
    # The kernel took the row's configuration for AIN0 against AIN1; the word's own MUX says AIN0 against ground.
    bench.chip.inputs_v[0] = values["raw"] * values["scale"] * 1e-3
    bench.convert(int(wanted["0x01"], 16))
    assert f"{bench.word(0):04x} {bench.word(1):04x}" == f"{wanted['0x00']} {wanted['0x01']}"

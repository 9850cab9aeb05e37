"""PMBus: number formats both ways, and the words of status bits."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import pmbus
from drivers.errors import Cause, DeviceError


def test_direct_format_of_the_adm1275_s_examples() -> None:
    assert pmbus.Direct(807, 20475, -1).decode(3339) == pytest.approx(16.00, abs=0.005)
    assert pmbus.Direct(807 * 2, 20475, -1).encode(10.0) == 3662  # 3661.5, rounded up


def test_direct_format_of_the_max34451_s_example() -> None:
    # 3.465 V = 3465 mV is 0D89h with m = 1, b = 0, R = 0 in mV, that is R = 3 in V.
    assert pmbus.Direct(1, 0, 3).encode(3.465) == 0x0D89
    assert pmbus.Direct(1, 0, 3).decode(0x0D89) == pytest.approx(3.465)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 30000), st.integers(-30000, 30000), st.integers(-4, 4), st.integers(0, 0xFFFF))
def test_every_direct_code_comes_back(m: int, b: int, r: int, raw: int) -> None:
    form = pmbus.Direct(m, b, r)
    assert form.encode(form.decode(raw)) == raw


@pytest.mark.parametrize(("data", "value"), [
    ("0000", 0.0), ("01f8", 0.5), ("ffff", -0.5), ("fffb", 511.5), ("00ec", -128.0), ("ffe3", 1023 / 16),
    ("0178", 2.0**15), ("0180", 2.0**-16),
])
def test_linear11_signs_and_ends(data: str, value: float) -> None:
    assert pmbus.linear11(bytes.fromhex(data)) == value


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(-3e7, 3e7))
def test_linear11_comes_back_within_half_a_step(value: float) -> None:
    data = pmbus.encode_linear11(value)
    exponent = (data[1] >> 3 ^ 0x10) - 0x10
    assert pmbus.linear11(data) == pytest.approx(value, abs=0.5 * 2.0**exponent)


def test_a_value_beyond_linear11_cannot_be_encoded() -> None:
    with pytest.raises(ValueError, match="LINEAR11"):
        pmbus.encode_linear11(1024 * 2.0**15)


def test_linear16_takes_its_exponent_from_vout_mode() -> None:
    exponent = pmbus.vout_exponent(b"\x13")
    assert exponent == -13
    assert pmbus.linear16(b"\x00\x60", exponent) == 3.0
    assert pmbus.encode_linear16(3.0, exponent) == b"\x00\x60"
    with pytest.raises(ValueError, match="LINEAR16"):
        pmbus.encode_linear16(8.0, exponent)


@pytest.mark.parametrize("mode", [b"\x40", b"\x20", b"\xff"])
def test_another_vout_mode_is_refused(mode: bytes) -> None:
    with pytest.raises(DeviceError) as caught:
        pmbus.vout_exponent(mode)
    assert caught.value.cause is Cause.IMPLAUSIBLE


def test_status_bits_have_words_and_states_have_none() -> None:
    assert pmbus.words(0, pmbus.WORD_WORDS) == ()
    assert pmbus.words(pmbus.WORD_OFF | pmbus.WORD_POWER_GOOD_NEGATED, pmbus.WORD_WORDS) == ()
    assert pmbus.words(0x90, pmbus.VOUT_WORDS) == ("over-voltage fault", "under-voltage fault")
    assert len(pmbus.words(0xFFFF, pmbus.WORD_WORDS)) == 14


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(pmbus.CODECS), st.binary(max_size=4))
def test_any_bytes_are_a_number_or_a_refusal(codec: pmbus.Codec, data: bytes) -> None:
    with suppress(DeviceError):
        assert isinstance(codec.decode(data), float | int)

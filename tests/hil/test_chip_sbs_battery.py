"""The simulated smart battery speaks SBS 1.1: scaled words, strings, alarms, and error codes for what is not there."""

from __future__ import annotations

import pytest

from hil.chips.sbs_battery import SbsBattery, SbsIdentity
from hil.chips.smbus import crc8
from tests.hil.scripted_bench import ChipBench

SECOND = 1_000_000_000


class Bench(ChipBench):
    order = "little"

    def __init__(self, identity: SbsIdentity = SbsIdentity(), design_c: float = 36_000.0) -> None:  # noqa: B008
        super().__init__(lambda clock: SbsBattery(clock, identity=identity, design_c=design_c))



def test_measurements_in_the_units_of_the_specification() -> None:
    bench = Bench()
    chip = bench.chip
    chip.voltage_v, chip.current_a, chip.celsius = 28.123, -3.456, 21.35
    chip.remaining_c, chip.full_c = 27_000.0, 34_200.0
    assert bench.word(0x08) == 2945
    assert bench.word(0x09) == 28123
    assert bench.signed(0x0A) == -3456
    assert bench.signed(0x0B) == -3456
    assert (bench.word(0x0C), bench.word(0x0D), bench.word(0x0E)) == (1, 79, 75)
    assert (bench.word(0x0F), bench.word(0x10), bench.word(0x18)) == (7500, 9500, 10000)
    assert bench.word(0x11) == int(27_000.0 / 3.456 / 60.0)
    assert bench.word(0x13) == 0xFFFF, "it is not charging"
    chip.current_a = 2.0
    assert bench.word(0x12) == 0xFFFF
    assert bench.word(0x13) == 60


@pytest.mark.parametrize(("reported", "word"), [(0.12, 12), (1.3, 130), (None, 75)])
def test_a_failed_gauge_reports_what_it_likes_and_counts_on(reported: float | None, word: int) -> None:
    bench = Bench()
    bench.chip.remaining_c = 27_000.0
    bench.chip.reported_soc = reported
    assert bench.word(0x0D) == word
    assert bench.word(0x0F) == 7500


def test_what_it_is() -> None:
    bench = Bench()
    assert bench.text(0x20) == b"QIKI"
    assert bench.text(0x21) == b"PACK-8S"
    assert bench.text(0x22) == b"LION"
    assert bench.text(0x23) == b""
    assert bench.word(0x19) == 28800
    assert bench.word(0x1A) == 0x0031
    assert bench.word(0x1B) == (46 << 9 | 1 << 5 | 1)
    assert bench.word(0x1C) == 1


@pytest.mark.parametrize("coded", [False, True])
def test_version_1_1_with_pec_answers_with_and_without_it(coded: bool) -> None:
    bench = Bench()
    bench.chip.write(b"\x09")
    answer = bench.chip.read(3 if coded else 2)
    assert answer[:2] == (28800).to_bytes(2, "little")
    if coded:
        assert answer[2] == crc8(bytes((0x16, 0x09, 0x17)) + answer[:2])


def test_older_versions_know_no_pec() -> None:
    bench = Bench(SbsIdentity(version=2))
    assert bench.word(0x1A) == 0x0021
    bench.chip.write(b"\x09")
    assert bench.chip.read(3)[2] == 0xFF
    assert not bench.chip.write(b"\x03\x00\x80" + bytes((crc8(b"\x16\x03\x00\x80"),)))


def test_a_wrong_code_changes_nothing() -> None:
    bench = Bench()
    good = crc8(b"\x16\x03\x00\x80")
    assert not bench.chip.write(b"\x03\x00\x80" + bytes((good ^ 1,)))
    assert bench.word(0x03) == 0
    assert bench.chip.write(b"\x03\x00\x80" + bytes((good,)))
    assert bench.word(0x03) == 0x8000


def test_capacity_mode_turns_charge_into_energy() -> None:
    bench = Bench()
    assert bench.word(0x18) == 10000
    bench.put_word(0x03, 0x8000)
    assert bench.word(0x18) == 28800  # 288 Wh in 10 mWh
    assert bench.word(0x0F) == 14400


def test_scales_of_large_packs() -> None:
    bench = Bench(SbsIdentity(voltage_scale=1, current_scale=1), design_c=1_080_000.0)  # 300 Ah
    bench.chip.voltage_v, bench.chip.current_a = 72.5, -120.0
    assert bench.word(0x1A) == 0x1131
    assert bench.word(0x18) == 30000
    assert bench.word(0x09) == 7250
    assert bench.signed(0x0A) == -12000
    bench.put_word(0x03, 0x8000)
    assert bench.word(0x18) == round(1_080_000.0 * 28.8 / 36.0 / 100.0)


def test_status_follows_the_battery() -> None:
    bench = Bench()
    chip = bench.chip
    chip.current_a = 1.0
    assert bench.word(0x16) == 0x0080
    chip.current_a = -1.0
    assert bench.word(0x16) == 0x00C0
    chip.remaining_c = chip.full_c
    assert bench.word(0x16) == 0x00E0
    chip.remaining_c = 0.09 * chip.design_c
    assert bench.word(0x16) == 0x02C0
    chip.current_a = -20.0
    assert bench.word(0x16) == 0x03C0
    chip.remaining_c = 0.0
    assert bench.word(0x16) == 0x0BD0
    chip.initialized = False
    assert bench.word(0x16) == 0x0B50


def test_heat_stops_the_charge() -> None:
    bench = Bench()
    assert bench.word(0x14) == 5000
    assert bench.word(0x15) == 33600
    bench.chip.celsius = 61.0
    assert bench.word(0x16) & 0xF000 == 0x5000
    assert (bench.word(0x14), bench.word(0x15)) == (0, 0)
    bench.chip.celsius = 40.0
    bench.chip.over_charged = True
    assert bench.word(0x16) & 0xF000 == 0xC000


def test_alarm_levels_can_be_set_and_switched_off() -> None:
    bench = Bench()
    assert (bench.word(0x01), bench.word(0x02)) == (1000, 10)
    bench.put_word(0x01, 6000)
    assert bench.word(0x16) & 0x0200
    bench.put_word(0x01, 0)
    bench.put_word(0x02, 0)
    bench.chip.remaining_c = 100.0
    bench.chip.current_a = -20.0
    assert not bench.word(0x16) & 0x0300


def test_at_rate_predicts() -> None:
    bench = Bench()
    assert bench.word(0x06) == 0xFFFF
    bench.put_word(0x04, -5000 & 0xFFFF)
    assert bench.word(0x06) == 60
    assert bench.word(0x07) == 1
    bench.put_word(0x04, 5000)
    assert bench.word(0x05) == 60


def test_mode_has_writable_and_told_bits_and_alarm_mode_runs_out() -> None:
    bench = Bench()
    bench.put_word(0x03, 0xFFFF)
    assert bench.word(0x03) == 0xE300
    bench.now = 60 * SECOND
    assert bench.word(0x03) == 0xC300
    bench.chip.condition = True
    assert bench.word(0x03) == 0xC380


@pytest.mark.parametrize(
    ("message", "code"), [(b"\x77", 3), (b"\x09\x00\x00", 4), (b"\x03\x00", 6), (b"\x03\x00\x00\x00\x00", 6)]
)
def test_errors_are_not_acknowledged_and_told_in_the_status(message: bytes, code: int) -> None:
    bench = Bench()
    assert not bench.chip.write(message)
    assert bench.word(0x16) & 0xF == code
    bench.word(0x09)
    assert bench.word(0x16) & 0xF == 0


def test_a_restart_forgets_what_the_host_wrote() -> None:
    bench = Bench()
    for command, value in ((0x00, 1), (0x01, 2), (0x02, 3), (0x03, 0x8000), (0x04, 5)):
        bench.put_word(command, value)
    bench.chip.reset()
    assert [bench.word(command) for command in range(5)] == [0, 1000, 10, 0, 0]


def test_identities_that_cannot_be_said_are_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        Bench(SbsIdentity(version=0))
    with pytest.raises(ValueError, match="version"):
        Bench(SbsIdentity(current_scale=4))

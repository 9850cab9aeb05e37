"""The simulated TFmini Plus sends the frames of its manual, obeys its commands and owns up to what it can't see."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.bus import SimSerialBus
from hil.chips.tfmini_plus import TfminiPlus
from tests.drivers.scripted import published

MS = 1_000_000


class Line:
    """A part on its line and a clock."""

    def __init__(self, **options: object) -> None:
        self.bus = SimSerialBus("uart5")
        self.part = TfminiPlus(**options)  # type: ignore[arg-type]
        self.part.range_m = 3.21
        self.bus.attach(self.part)
        self.now_ns = 0

    def run(self, ms: float) -> list[bytes]:
        self.now_ns += int(ms * MS)
        self.part.advance(self.now_ns)
        data = self.bus.read(4096)
        return [data[i : i + 9] for i in range(0, len(data), 9)]

    def ask(self, text: str) -> str:
        self.bus.write(bytes.fromhex(text))
        return self.bus.read(100).hex(" ")


def distance(frame: bytes) -> int:
    assert frame[:2] == b"\x59\x59"
    assert sum(frame[:8]) & 0xFF == frame[8]
    return int.from_bytes(frame[2:4], "little")


def test_published_distance(shared_data: Path) -> None:
    rows = published(shared_data, "TFmini*")
    (row,) = (row for row in rows if row["kind"] == "datasheet" and row["bytes"] != "-")
    line = Line()
    line.part.range_m = float(row["expected"]) / 100.0
    (frame,) = line.run(10)
    assert frame[2:4].hex() == row["bytes"]
    line.part.temperature_c = 25.5
    (frame,) = line.run(10)
    assert int.from_bytes(frame[6:8], "little") / 8.0 - 256.0 == 25.5


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(0.0, 12.0), st.integers(100, 65534), st.floats(-40.0, 85.0))
def test_any_measurement_fits_a_frame(range_m: float, strength: int, temperature_c: float) -> None:
    line = Line()
    line.part.range_m, line.part.strength, line.part.temperature_c = range_m, strength, temperature_c
    (frame,) = line.run(10)
    assert abs(distance(frame) / 100.0 - range_m) <= 0.00501
    assert int.from_bytes(frame[4:6], "little") == strength
    assert abs(int.from_bytes(frame[6:8], "little") / 8.0 - 256.0 - temperature_c) <= 0.0626


def test_hundred_frames_a_second_by_default() -> None:
    assert len(Line().run(1000)) == 100


def test_frame_rate_is_set_answered_and_only_kept_when_saved() -> None:
    line = Line()
    assert line.ask("5a 06 03 fa 00 5d") == "5a 06 03 fa 00 5d"
    assert len(line.run(1000)) == 250
    line.part.reset()
    assert len(line.run(1000)) == 100
    line.ask("5a 06 03 0a 00 6d")
    assert line.ask("5a 04 11 6f") == "5a 05 11 00 70"
    line.part.reset()
    assert len(line.run(1000)) == 10
    assert line.ask("5a 04 10 6e") == "5a 05 10 00 6f"
    assert len(line.run(1000)) == 100


def test_frame_rate_is_a_thousandth_divided() -> None:
    line = Line()
    line.ask("5a 06 03 2c 01 90")  # 300 Hz
    assert line.part.rate_hz == pytest.approx(1000 / 3)
    line.ask("5a 06 03 e9 03 4f")  # 1001 Hz
    assert line.part.rate_hz == pytest.approx(1000 / 3)


def test_rate_0_measures_on_demand() -> None:
    line = Line()
    assert line.ask("5a 04 04 62") == ""
    line.ask("5a 06 03 00 00 63")
    assert line.part.rate_hz == 0.0
    assert line.run(1000) == []
    assert distance(bytes.fromhex(line.ask("5a 04 04 62"))) == 321


def test_version_reset_unit_and_output() -> None:
    line = Line(version=(3, 2, 1))
    assert line.ask("5a 04 01 5f") == "5a 07 01 01 02 03 68"
    assert line.ask("5a 05 05 06 6a") == "5a 05 05 06 6a"
    assert distance(line.run(10)[0]) == 3210
    assert line.ask("5a 05 07 00 66") == "5a 05 07 00 66"
    assert line.run(100) == []
    assert line.ask("5a 04 02 60") == "5a 05 02 00 61"
    assert distance(line.run(10)[0]) == 321
    assert line.ask("5a 08 06 00 c2 01 00 2b") == "5a 08 06 00 c2 01 00 2b"


def test_wrong_sums_noise_and_pieces() -> None:
    line = Line()
    assert line.ask("5a 04 01 5e") == ""
    assert line.ask("5a 05 05 02 66") == ""
    assert line.ask("00 5a ff 5a 5a 04") == ""
    assert line.ask("01 5f") == "5a 07 01 03 00 02 67"


@pytest.mark.parametrize(
    ("range_m", "strength", "blinded", "old", "new"),
    [
        (5.0, 99, False, 0, 0xFFFF),
        (5.0, 100, False, 500, 500),
        (5.0, 65535, False, 0, 0xFFFE),
        (5.0, 2000, True, 0, 0xFFFC),
        (None, 2000, False, 0, 0xFFFF),
        (12.01, 2000, False, 0, 0xFFFF),
        (12.0, 2000, False, 1200, 1200),
    ],
)
def test_what_it_cannot_see_is_a_code(
    range_m: float | None, strength: int, blinded: bool, old: int, new: int
) -> None:
    for signed, wanted in ((False, old), (True, new)):
        line = Line(signed_codes=signed)
        line.part.range_m, line.part.strength, line.part.blinded = range_m, strength, blinded
        (frame,) = line.run(10)
        assert distance(frame) == wanted
        if range_m is None or range_m > 12.0:
            assert int.from_bytes(frame[4:6], "little") < 100


def test_bad_sums_are_counted_down_and_silence_is_silent() -> None:
    line = Line()
    line.part.bad_sums = 1
    first, second = line.run(20)
    assert sum(first[:8]) & 0xFF != first[8]
    assert distance(second) == 321
    line.part.silent = True
    assert line.run(100) == []
    assert line.ask("5a 04 01 5f") == ""

"""TFmini Plus: datasheet bytes, distances the part distrusts, resynchronisation, frame rate with acknowledgement."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import tfmini_plus
from drivers.device import OracleKind
from drivers.errors import Cause, DeviceError
from drivers.samples import RangeSample
from tests.drivers.scripted import SerialLine, cause_of, published


def frame(distance: int = 250, strength: int = 1000, celsius: float = 40.0, wrong: int = 0) -> bytes:
    body = struct.pack("<BBHHH", 0x59, 0x59, distance, strength, round((celsius + 256) * 8))
    return body + bytes((sum(body) + wrong & 0xFF,))


class Finder(SerialLine):
    """A TFmini Plus: hands out at most 11 bytes a read; answers commands as section 7.4 of the manual says."""

    def __init__(self) -> None:
        super().__init__("uart6")
        self.answers = {0x03: "echo", 0x11: "5a05110070"}

    def reply(self, data: bytes) -> bytes:
        answer = self.answers.get(data[2], "")
        return frame()[4:] + frame() + (data if answer == "echo" else bytes.fromhex(answer)) + frame()[:3]

    def read(self, limit: int) -> bytes:
        return super().read(min(limit, 11))


def finder(rate_hz: int | None = None) -> tuple[Finder, tfmini_plus.Device]:
    line = Finder()
    return line, tfmini_plus.Device(line, None, tfmini_plus.Settings(rate_hz=rate_hz))


def feed(line: Finder, device: tfmini_plus.Device, data: bytes) -> list[RangeSample]:
    samples = []
    line.pending += data
    while line.pending:
        sample = device.poll(0)
        if sample is not None:
            samples.append(sample)
    return samples


def test_every_reference_row(shared_data: Path) -> None:
    rows = {row["part"]: row for row in published(shared_data, "TFmini*")}
    assert len(rows) == 2
    low_first = bytes.fromhex(rows["TFmini"]["bytes"])
    body = b"\x59\x59" + low_first + frame()[4:8]
    sample = tfmini_plus.measurement(body + bytes((sum(body) & 0xFF,)))
    assert sample.range_m == pytest.approx(float(rows["TFmini"]["expected"]) / 100)
    assert rows["TFmini Plus"]["expected"] == "Temp/8-256"
    for raw in (1808, 2048, 2368):
        body = b"\x59\x59" + frame()[2:6] + raw.to_bytes(2, "little")
        assert tfmini_plus.measurement(body + bytes((sum(body) & 0xFF,))).temperature_c == raw / 8 - 256


def test_the_frame_rate_command_is_the_manual_s() -> None:
    assert tfmini_plus.command(0x03, (1000).to_bytes(2, "little")) == bytes.fromhex("5a0603e8034e")
    assert tfmini_plus.command(0x11) == bytes.fromhex("5a04116f")


def test_a_frame_is_a_sample_in_si() -> None:
    assert tfmini_plus.measurement(frame(123, 4321, -12.5)) == RangeSample(pytest.approx(1.23), 4321.0, -12.5, "ok")


@pytest.mark.parametrize(
    ("distance", "strength", "status"),
    [
        (0, 50, "no reliable distance"), (65535, 50, "weak signal"), (65534, 65535, "signal saturated"),
        (65532, 900, "ambient light saturated"), (250, 99, "weak signal"), (250, 65535, "signal saturated"),
        (9, 1000, "out of range"), (1201, 1000, "out of range"),
    ],
)
def test_a_distance_that_the_part_distrusts_is_none_and_says_why(distance: int, strength: int, status: str) -> None:
    sample = tfmini_plus.measurement(frame(distance, strength))
    assert (sample.range_m, sample.status) == (None, status)
    assert sample.strength == (None if strength == 65535 else strength)


def test_the_ends_of_the_range_are_measured() -> None:
    assert [tfmini_plus.measurement(frame(d, 100)).range_m for d in (10, 1200)] == [0.1, 12.0]


def test_an_impossible_temperature_is_missing_and_the_distance_is_not() -> None:
    sample = tfmini_plus.measurement(frame(250, 1000, -256.0))
    assert (sample.range_m, sample.temperature_c) == (2.5, None)


def test_frames_may_come_in_pieces_and_the_newest_counts() -> None:
    line, device = finder()
    samples = feed(line, device, b"".join(frame(100 + i) for i in range(5)))
    assert samples[-1].range_m == pytest.approx(1.04)
    assert (device.counters.frames, device.counters.skipped_bytes) == (5, 0)


def test_a_wrong_sum_is_refused_and_the_next_frame_is_whole() -> None:
    line, device = finder()
    assert len(feed(line, device, frame(wrong=1) + frame())) == 1
    assert (device.counters.frames, device.counters.refused, device.counters.skipped_bytes) == (1, 1, 9)


def test_a_header_inside_a_frame_does_not_mislead_for_long() -> None:
    line, device = finder()
    body = frame(0x5959)
    feed(line, device, body[3:] + frame(120) * 3)
    assert device.counters.frames >= 2


def test_distrusted_frames_are_counted() -> None:
    line, device = finder()
    feed(line, device, frame(0, 20) + frame())
    assert device.counters.distrusted == 1


def test_without_a_rate_nothing_is_written() -> None:
    line, device = finder()
    for _ in device.initialise():
        pass
    assert line.commands == []


def test_a_rate_is_set_and_saved_once_with_acknowledgement() -> None:
    line, device = finder(50)
    for _ in range(2):
        for _ in device.initialise():
            pass
    assert line.commands == [bytes.fromhex("5a0603320095"), bytes.fromhex("5a04116f")]
    assert feed(line, device, frame()[3:] + frame())


@pytest.mark.parametrize(
    ("identifier", "answer", "cause"),
    [(0x03, "", Cause.TIMEOUT), (0x11, "", Cause.TIMEOUT), (0x11, "5a05110171", Cause.IMPLAUSIBLE)],
)
def test_a_command_that_is_not_acknowledged_is_an_error_and_bounded(identifier: int, answer: str, cause: Cause) -> None:
    line, device = finder(50)
    line.answers[identifier] = answer
    with pytest.raises(DeviceError) as caught:
        for _ in device.initialise():
            pass
    assert caught.value.cause is cause


@pytest.mark.parametrize(
    ("data", "cause"),
    [(bytes(9), Cause.PROTOCOL), (b"\xff" * 9, Cause.PROTOCOL), (frame()[:8], Cause.SHORT_READ),
     (frame(wrong=1), Cause.CHECKSUM)],
)
def test_what_is_no_frame_is_refused(data: bytes, cause: Cause) -> None:
    assert cause_of(tfmini_plus.measurement, data) is cause


@settings(max_examples=100, deadline=None, derandomize=True)
@given(garbage=st.binary(max_size=60))
def test_after_any_garbage_frames_are_heard_again(garbage: bytes) -> None:
    line, device = finder()
    assert feed(line, device, garbage + frame() * 3)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.binary(max_size=20) | st.binary(min_size=7, max_size=7).map(lambda b: b"\x59\x59" + b))
def test_any_bytes_are_a_sample_or_a_named_rejection(data: bytes) -> None:
    for codec in tfmini_plus.CODECS:
        with suppress(DeviceError):
            assert isinstance(codec.decode(data), RangeSample)


def test_what_it_was_held_against_is_declared() -> None:
    assert [oracle.kind for oracle in tfmini_plus.ORACLES] == [OracleKind.DATASHEET]

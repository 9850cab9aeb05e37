"""Star tracker: solutions survive noise, cuts and repeats on the line, and what is refused is counted."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.checksum import crc16_ccitt_false
from drivers.errors import Cause, DeviceError
from drivers.startracker import FRAME_LENGTH, Device, Settings, attitude
from tests.drivers.scripted import SerialLine, feed

HALF = math.sqrt(0.5)


def frame(
    counter: int = 1, quaternion: tuple[float, float, float, float] = (HALF, 0.0, -HALF, 0.0), status: int = 1,
    age_us: int = 120_000, sigma: int = 200, stars: int = 17,
) -> bytes:
    raw = [round(part * 2**30) for part in quaternion]
    payload = struct.pack("<HI4iHBBh", counter, age_us, *raw, sigma, stars, status, 2150)
    body = b"\x01" + bytes((len(payload),)) + payload
    return b"\xa5\x5a" + body + struct.pack("<H", crc16_ccitt_false(body))


def tracker() -> tuple[SerialLine, Device]:
    line = SerialLine("uart2", chunk=1000, takes_commands=False)
    return line, Device(line, None, Settings())


def test_a_frame_is_34_bytes() -> None:
    assert len(frame()) == FRAME_LENGTH


def test_a_solution_is_in_si() -> None:
    fix = attitude(frame(counter=513))
    assert fix is not None
    assert fix.quaternion == pytest.approx((HALF, 0.0, -HALF, 0.0), abs=1e-9)
    assert (fix.age_ns, fix.stars, fix.counter) == (120_000_000, 17, 513)
    assert fix.sigma_rad == pytest.approx(math.radians(20.0 / 3600.0))


def test_the_quaternion_is_normalised() -> None:
    fix = attitude(frame(quaternion=(1.0005, 0.0, 0.0, 0.0)))
    assert fix is not None
    assert fix.quaternion[0] == 1.0


def test_nothing_arrived_means_nothing() -> None:
    _, device = tracker()
    assert device.poll(0) is None
    assert device.counters.skipped_bytes == 0


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 33, 34, 35, 100])
def test_frames_survive_any_cutting(chunk: int) -> None:
    line, device = tracker()
    fixes = feed(line, device, b"".join(frame(counter=n) for n in range(5)), chunk)
    assert fixes[-1].counter == 4
    assert device.counters.fixes == 5
    assert device.counters.skipped_bytes == 0


def test_the_newest_of_several_is_given() -> None:
    line, device = tracker()
    assert [fix.counter for fix in feed(line, device, frame(1) + frame(2) + frame(3))] == [3]


def test_an_invalid_solution_does_not_hide_an_earlier_one() -> None:
    line, device = tracker()
    fixes = feed(line, device, frame(1) + frame(2, (0.0, 0.0, 0.0, 0.0), status=0))
    assert [fix.counter for fix in fixes] == [1]


def test_noise_before_a_frame_is_skipped_and_counted() -> None:
    line, device = tracker()
    noise = b"\x00\xa5\xa5\x5a\x02\x1c\xa5\x5a\x01\x1d\x11"
    assert len(feed(line, device, noise + frame())) == 1
    assert device.counters.skipped_bytes == len(noise)


def test_a_spoiled_frame_costs_only_itself() -> None:
    line, device = tracker()
    spoiled = bytearray(frame(1))
    spoiled[10] ^= 0x40
    assert [fix.counter for fix in feed(line, device, bytes(spoiled) + frame(2))] == [2]
    assert (device.counters.bad_crc, device.counters.refused) == (1, 1)
    assert device.counters.skipped_bytes == FRAME_LENGTH


def test_a_cut_frame_does_not_swallow_the_next() -> None:
    line, device = tracker()
    assert [fix.counter for fix in feed(line, device, frame(1)[:20] + frame(2))] == [2]


def test_a_start_inside_a_payload_is_no_start() -> None:
    line, device = tracker()
    assert [fix.counter for fix in feed(line, device, frame(counter=0x5AA5) + frame(counter=2), 1)] == [0x5AA5, 2]


def test_a_repeated_counter_is_not_new() -> None:
    line, device = tracker()
    assert len(feed(line, device, frame(9) + frame(9), FRAME_LENGTH)) == 1
    assert device.counters.repeats == 1


@pytest.mark.parametrize(("status", "field"), [
    (0, "invalid"), (2, "too_fast"), (4, "blinded"), (8, "self_test_failed"), (9, "implausible"), (0x11, "implausible"),
])
def test_what_the_tracker_says_of_itself_is_counted(status: int, field: str) -> None:
    line, device = tracker()
    assert feed(line, device, frame(status=status)) == []
    assert getattr(device.counters, field) == 1
    assert device.counters.frames == 1


def test_a_valid_flag_with_a_quaternion_of_no_length_is_refused() -> None:
    line, device = tracker()
    assert feed(line, device, frame(quaternion=(0.0, 0.0, 0.0, 0.0))) == []
    assert (device.counters.implausible, device.counters.refused) == (1, 1)


@pytest.mark.parametrize(("data", "cause"), [
    (frame()[:-1], Cause.SHORT_READ), (b"\xa5\x5b" + frame()[2:], Cause.PROTOCOL),
    (frame()[:-1] + b"\x00", Cause.CHECKSUM), (frame(status=0x81), Cause.IMPLAUSIBLE),
])
def test_the_codec_names_why_it_refuses(data: bytes, cause: Cause) -> None:
    with pytest.raises(DeviceError) as caught:
        attitude(data)
    assert caught.value.cause is cause


def test_the_ports_own_error_passes_through() -> None:
    class Unplugged(SerialLine):
        def read(self, limit: int) -> bytes:
            raise DeviceError(self.name, None, Cause.ABSENT)

    with pytest.raises(DeviceError) as caught:
        Device(Unplugged("uart2"), None, Settings()).poll(0)
    assert caught.value.cause is Cause.ABSENT


def test_initialise_needs_no_transfer_and_forgets_half_a_frame() -> None:
    line, device = tracker()
    feed(line, device, frame()[:20])
    assert list(device.initialise()) == []
    assert [fix.counter for fix in feed(line, device, frame(3))] == [3]
    assert device.counters.skipped_bytes == 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([frame(1), frame(2)[:19], b"\xa5\x5a\x01\x1c"]))))
def test_any_stream_is_parsed_without_raising_and_accounts_for_every_byte(pieces: list[bytes]) -> None:
    line, device = tracker()
    stream = b"".join(pieces)
    feed(line, device, stream, 17)
    counters = device.counters
    left = len(stream) - counters.skipped_bytes - counters.frames * FRAME_LENGTH
    assert 0 <= left < FRAME_LENGTH


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(min_size=28, max_size=28))
def test_any_payload_is_a_fix_none_or_a_refusal(payload: bytes) -> None:
    body = b"\x01\x1c" + payload
    data = b"\xa5\x5a" + body + struct.pack("<H", crc16_ccitt_false(body))
    try:
        fix = attitude(data)
    except DeviceError:
        return
    assert fix is None or math.hypot(*fix.quaternion) == pytest.approx(1.0)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.binary(max_size=80), st.integers(1, 40))
def test_a_good_frame_after_noise_is_always_found(noise: bytes, chunk: int) -> None:
    line, device = tracker()
    # Two frames: the first may complete a false start that the noise ended with.
    fixes = feed(line, device, noise + frame(1) + frame(2), chunk)
    assert fixes
    assert fixes[-1].counter == 2

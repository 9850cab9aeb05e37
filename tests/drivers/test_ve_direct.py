"""VE.Direct: captured values, sum of a block, HEX frames inside the text, cuts and garbage, products that are none."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import ve_direct
from drivers.device import OracleKind
from drivers.errors import Cause, DeviceError
from drivers.samples import SolarSample
from tests.drivers.scripted import SerialLine, cause_of, feed, published

CAPTURE = {
    "PID": "0xA04C", "FW": "127", "SER#": "HQ1621FRG7Z", "V": "14990", "I": "2770", "VPV": "20450", "PPV": "42",
    "CS": "4", "ERR": "0", "LOAD": "OFF", "IL": "0", "H19": "6078", "H20": "14", "H21": "100", "H22": "52",
    "H23": "148", "HSDS": "208",
}
"""A BlueSolar MPPT 75/10 as captured (SignalK/vedirect-serial-usb, test/integration/realCapture.ts)."""
ASYNC = b":ABCED00050000009D\n"


def block(fields: dict[str, str] = CAPTURE, wrong: int = 0) -> bytes:
    body = b"".join(f"\r\n{label}\t{value}".encode("ascii") for label, value in fields.items()) + b"\r\nChecksum\t"
    return body + bytes((-sum(body) + wrong & 0xFF,))


def charger() -> tuple[SerialLine, ve_direct.Device]:
    line = SerialLine("uart3")
    return line, ve_direct.Device(line, None, ve_direct.Settings())


def test_every_text_row(shared_data: Path) -> None:
    rows = published(shared_data, "VE.Direct text")
    assert len(rows) == 6
    for row in rows:
        data = row["bytes"].encode("ascii").decode("unicode_escape").encode("ascii")
        name, value = ve_direct.field(data)
        assert name == row["registers"]
        assert value == (row["expected"] if row["unit"] == "state" else pytest.approx(float(row["expected"])))


def test_every_hex_row(shared_data: Path) -> None:
    rows = published(shared_data, "VE.Direct HEX")
    assert len(rows) == 7
    for row in rows:
        frame = ve_direct.hex_frame(row["bytes"].encode("ascii"))
        if row["registers"].startswith("get"):
            register = int(row["registers"].split("0x")[1], 16)
            assert frame == ve_direct.HexFrame(7, register, 0, b"")
            assert ve_direct.hex_get(register) == row["bytes"].encode("ascii") + b"\n"
        else:
            assert frame.command == 0xA
            assert frame.flags == 0


def test_the_captured_charger_is_a_sample() -> None:
    line, device = charger()
    (sample,) = feed(line, device, block())
    assert sample == SolarSample(
        pytest.approx(20.45), None, 42.0, pytest.approx(14.99), pytest.approx(2.77), None, True, "absorption", ()
    )
    assert device.history == ve_direct.SolarHistory(
        pytest.approx(60.78), pytest.approx(0.14), 100.0, pytest.approx(0.52), 148.0, 208
    )


@pytest.mark.parametrize(
    ("code", "word", "charging"),
    [("0", "off", False), ("2", "fault", False), ("3", "bulk", True), ("5", "float", True),
     ("252", "external control", None), ("77", "state 77", None)],
)
def test_states_are_words(code: str, word: str, charging: bool | None) -> None:
    sample = ve_direct.solar(CAPTURE | {"CS": code})
    assert (sample.state, sample.charging) == (word, charging)


def test_errors_are_texts_with_their_number() -> None:
    assert ve_direct.solar(CAPTURE | {"ERR": "17"}).faults == ("charger temperature too high (17)",)
    assert ve_direct.solar(CAPTURE | {"ERR": "99"}).faults == ("error (99)",)


def test_what_the_charger_does_not_know_is_missing() -> None:
    fields = {label: value for label, value in CAPTURE.items() if label not in ("V", "H20")} | {"VPV": "---"}
    sample = ve_direct.solar(fields)
    assert (sample.battery_voltage_v, sample.array_voltage_v) == (None, None)
    assert ve_direct.history(fields).yield_today_kwh is None


@pytest.mark.parametrize("chunk", [1, 2, 7, 300])
def test_a_block_may_come_in_pieces(chunk: int) -> None:
    line, device = charger()
    assert len(feed(line, device, block() * 3, chunk)) == (2 if chunk == 300 else 3)  # the newest of a poll counts
    assert device.counters.frames == 3
    assert device.counters.skipped_bytes == 0


@settings(max_examples=150, deadline=None, derandomize=True)
@given(at=st.integers(0, 1000), chunk=st.integers(1, 40))
def test_a_hex_frame_anywhere_in_the_text_breaks_nothing(at: int, chunk: int) -> None:
    text = block()
    at %= len(text) - 1  # never between the last TAB and its checksum: nothing can stand there
    line, device = charger()
    assert len(feed(line, device, text[:at] + ASYNC + text[at:], chunk)) == 1
    assert device.answers.pop() == ve_direct.HexFrame(0xA, 0xEDBC, 0, b"\x05\x00\x00\x00")
    assert device.counters.refused == 0


def test_a_checksum_that_looks_like_a_colon_is_a_checksum() -> None:
    for number in range(1000, 10_000):
        fields = CAPTURE | {"PPV": str(number)}
        if block(fields)[-1:] == b":":
            break
    else:
        pytest.fail("no block of the series has that checksum")
    line, device = charger()
    assert len(feed(line, device, block(fields) + block())) == 2


def test_a_block_with_a_wrong_sum_is_refused_and_the_next_one_is_whole() -> None:
    line, device = charger()
    assert len(feed(line, device, block(wrong=1) + block())) == 1
    assert (device.counters.frames, device.counters.refused) == (1, 1)


def test_the_middle_of_a_block_is_refused_and_the_next_one_is_whole() -> None:
    line, device = charger()
    assert len(feed(line, device, block()[50:] + block())) == 1
    assert device.counters.refused == 1


def test_a_hex_frame_without_its_end_costs_no_text() -> None:
    line, device = charger()
    assert len(feed(line, device, ASYNC[:-1] + block())) == 1
    assert device.counters.hex_refused == 1
    assert len(feed(line, device, ASYNC[:5] + ASYNC + block())) == 1
    assert (device.counters.hex_refused, device.counters.hex_frames) == (2, 1)


def test_endless_text_and_endless_digits_are_bounded() -> None:
    line, device = charger()
    feed(line, device, b"A" * 5000 + b":" + b"0" * 5000 + b"\n")
    assert device.counters.skipped_bytes > 4000
    assert device.counters.hex_refused == 1
    feed(line, device, block())
    assert len(feed(line, device, block())) == 1


def test_another_product_is_no_solar_charger() -> None:
    line, device = charger()
    assert feed(line, device, block({"PID": "0x203", "V": "12140", "I": "0", "SOC": "1000"})) == []
    assert (device.counters.frames, device.counters.refused, device.counters.not_solar) == (1, 1, 1)


def test_initialise_forgets_half_a_block() -> None:
    line, device = charger()
    feed(line, device, block()[:40])
    for _ in device.initialise():
        pass
    assert len(feed(line, device, block())) == 1


def test_a_request_is_one_get_frame_and_its_answer_is_kept() -> None:
    line, device = charger()
    device.request(0xEDD5)
    assert line.commands == [b":7D5ED008C\n"]
    feed(line, device, ve_direct.hex_set(0xEDD5, b"\x34\x12"))
    assert device.answers[-1].value == b"\x34\x12"


def test_a_refused_request_says_why() -> None:
    assert ve_direct.HexFrame(7, 0x1234, 0x03, b"").errors == ("unknown register", "not supported")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(register=st.integers(0, 0xFFFF), value=st.binary(max_size=8))
def test_set_frames_are_read_as_they_were_written(register: int, value: bytes) -> None:
    assert ve_direct.hex_frame(ve_direct.hex_set(register, value)) == ve_direct.HexFrame(8, register, 0, value)


def test_a_register_has_sixteen_bits() -> None:
    with pytest.raises(ValueError, match="16 bits"):
        ve_direct.hex_get(0x10000)


@pytest.mark.parametrize(
    ("data", "cause"),
    [(b":7D5ED008D\n", Cause.CHECKSUM), (b":7D5ED08C\n", Cause.PROTOCOL), (b":7\n", Cause.PROTOCOL),
     (b"7D5ED008C\n", Cause.PROTOCOL), (b":7D5 D008C", Cause.PROTOCOL), (b":74E\n", Cause.SHORT_READ),
     (b"", Cause.PROTOCOL)],
)
def test_hex_frames_that_are_none_are_refused(data: bytes, cause: Cause) -> None:
    assert cause_of(ve_direct.hex_frame, data) is cause


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.binary(max_size=200) | st.text("0123456789ABCDEF:\r\n\tVPSC-", max_size=80).map(str.encode))
def test_any_bytes_are_a_value_or_a_named_rejection(data: bytes) -> None:
    for codec in ve_direct.CODECS:
        with suppress(DeviceError):
            codec.decode(data)
    body = b"\r\n" + data + b"\r\nChecksum\t"
    with suppress(DeviceError):
        ve_direct.CODECS[0].decode(body + bytes((-sum(body) & 0xFF,)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(garbage=st.binary(max_size=600), chunk=st.integers(1, 64))
def test_after_any_garbage_a_block_is_heard_again(garbage: bytes, chunk: int) -> None:
    line, device = charger()
    feed(line, device, garbage + b"\n", chunk)
    assert len(feed(line, device, block() * 4, chunk)) >= 1


def test_what_it_was_held_against_is_declared() -> None:
    assert {oracle.kind for oracle in ve_direct.ORACLES} == {OracleKind.CAPTURE, OracleKind.PROTOCOL}

"""The simulated VE.Direct charger sends blocks that sum to 0 and answers HEX frames that sum to 55h."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.bus import SimSerialBus
from hil.chips.ve_direct import ChargerState, Tracker, VeDirect, hex_frame
from tests.drivers.scripted import published

TICK = 5_000_000
SECOND = 1_000_000_000


class Line:
    """A charger on its line; ``run`` moves the clock in ticks and gives back what has arrived."""

    def __init__(self, **options: object) -> None:
        self.bus = SimSerialBus("uart0")
        self.charger = VeDirect(**options)  # type: ignore[arg-type]
        self.bus.attach(self.charger)
        self.now_ns = 0

    def run(self, seconds: float) -> bytes:
        end = self.now_ns + round(seconds * SECOND)
        out = b""
        while self.now_ns < end:
            self.now_ns = min(end, self.now_ns + TICK)
            self.charger.advance(self.now_ns)
            out += self.bus.read(4096)
        return out

    def ask(self, command: int, payload: bytes = b"") -> bytes:
        self.bus.write(hex_frame(command, payload))
        return self.run(0.1)


def fields(block: bytes) -> dict[str, str]:
    rows = block.decode("latin-1").split("\r\n")[1:]
    return dict(row.split("\t", 1) for row in rows)


def payload(frame: bytes) -> tuple[int, bytes]:
    assert frame[:1] == b":"
    assert frame[-1:] == b"\n"
    command, body = int(frame[1:2], 16), bytes.fromhex(frame[2:-1].decode())
    assert (command + sum(body)) & 0xFF == 0x55
    return command, body[:-1]


def rows(folder: Path, start: str) -> list[dict[str, str]]:
    found = published(folder, f"{start}*")
    assert found
    return found


def test_block_of_a_real_charger(shared_data: Path) -> None:
    line = Line()
    charger = line.charger
    charger.battery_v, charger.battery_a = 14.99, 2.77
    charger.array_v, charger.array_w = 20.45, 42.0
    charger.load_on = False
    stated = {row["registers"]: row["expected"] for row in rows(shared_data, "VE.Direct text")}
    charger.array_w = float(stated["PPV"])
    charger.state = ChargerState[stated["CS"].upper()]
    charger.yield_total_j = float(stated["H19"]) * 3.6e6
    charger.max_power_today_w = float(stated["H21"])
    charger.yield_yesterday_j = float(stated["H22"]) * 3.6e6
    charger.max_power_yesterday_w = float(stated["H23"])
    block = line.run(1.2)
    block = block[block.index(b"\r\nPID") :]
    assert sum(block) % 256 == 0
    for row in rows(shared_data, "VE.Direct text"):
        wanted = row["bytes"].encode().decode("unicode_escape").encode()
        assert wanted + b"\r\n" in block, row
    found = fields(block)
    assert list(found)[:8] == ["PID", "FW", "SER#", "V", "I", "VPV", "PPV", "CS"]
    assert list(found)[-1] == "Checksum"
    assert (found["V"], found["I"], found["VPV"], found["LOAD"]) == ("14990", "2770", "20450", "OFF")


def test_requests_that_were_published_are_understood(shared_data: Path) -> None:
    for row in rows(shared_data, "VE.Direct HEX"):
        if row["registers"] == "async":
            continue
        line = Line()
        line.bus.write(row["bytes"].encode() + b"\n")
        command, answer = payload(line.run(0.1))
        assert command == 7, row
        assert answer[:2] == bytes.fromhex(row["bytes"][2:6])
        assert answer[2] == (0 if "EDD5" in row["registers"] else 1)


def test_asynchronous_frames_that_were_published_are_sent(shared_data: Path) -> None:
    for row in rows(shared_data, "VE.Direct HEX"):
        if row["registers"] != "async":
            continue
        line = Line()
        register = int.from_bytes(bytes.fromhex(row["bytes"][2:6]), "little")
        if register == 0x0201:
            line.charger.state = ChargerState.STORAGE
        elif register == 0x0200:
            line.charger.announce(register)
        elif register == 0xEDBC:
            line.charger.array_w = 0.05
            line.charger.announce(register)
        else:
            line.charger.announce(register, bytes.fromhex(row["bytes"][8:-2]))
        assert line.run(0.2) == row["bytes"].encode() + b"\n", row


def test_a_block_each_second_no_faster_than_the_line() -> None:
    line = Line()
    assert line.run(1.0) == b""
    early = line.run(0.03)
    assert 0 < len(early) <= 58
    rest = line.run(3.5)
    assert (early + rest).count(b"Checksum\t") == 4
    assert line.charger.text_blocks == 4


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.floats(0.0, 60.0), st.floats(-1.0, 100.0), st.floats(0.0, 150.0), st.floats(0.0, 2000.0),
    st.sampled_from(ChargerState), st.integers(0, 119),
)
def test_every_block_sums_to_zero(
    volts: float, amps: float, array: float, watts: float, state: ChargerState, error: int
) -> None:
    charger = VeDirect()
    sent: list[bytes] = []
    charger.connect(sent.append)
    charger.battery_v, charger.battery_a, charger.array_v, charger.array_w = volts, amps, array, watts
    charger.state, charger.error = state, error
    charger.advance(SECOND)
    sent.clear()  # the asynchronous frame of a change of state
    charger.advance(2 * SECOND - 1)
    block = b"".join(sent)
    assert sum(block) % 256 == 0
    assert fields(block)["V"] == str(round(volts * 1000))


def test_ping_version_and_product() -> None:
    line = Line()
    assert payload(line.ask(1)) == (5, b"\x59\x41")
    assert payload(line.ask(3)) == (1, b"\x59\x41")
    assert payload(line.ask(4)) == (1, b"\x4c\xa0")


def test_get_of_measurements() -> None:
    line = Line()
    charger = line.charger
    charger.battery_v, charger.battery_a, charger.array_v, charger.array_w = 26.31, 4.2, 61.07, 110.55
    charger.temperature_c = -12.5
    for register, wanted in (
        (0xEDD5, (2631).to_bytes(2, "little")),
        (0xEDD7, (42).to_bytes(2, "little")),
        (0xEDBB, (6107).to_bytes(2, "little")),
        (0xEDBC, (11055).to_bytes(4, "little")),
        (0xEDDB, (-1250).to_bytes(2, "little", signed=True)),
        (0x010A, b"HQ1621FRG7Z"),
    ):
        command, answer = payload(line.ask(7, register.to_bytes(2, "little") + b"\0"))
        assert (command, answer) == (7, register.to_bytes(2, "little") + b"\0" + wanted)


def test_set_is_obeyed_or_refused_with_its_flag() -> None:
    line = Line()
    assert payload(line.ask(8, b"\xf0\xed\x00\x23\x00")) == (8, b"\xf0\xed\x00\x23\x00")
    assert line.charger.max_current_a == 3.5
    assert payload(line.ask(8, b"\xf0\xed\x00\x23"))[1][2] == 4
    assert payload(line.ask(8, b"\xd5\xed\x00\x00\x00"))[1][2] == 2
    assert payload(line.ask(8, b"\x34\x12\x00\x00"))[1] == b"\x34\x12\x01"


def test_charger_that_is_switched_off_says_so_and_why() -> None:
    line = Line()
    line.charger.state = ChargerState.BULK
    line.charger.tracker = Tracker.ACTIVE
    line.charger.battery_a = 5.0
    line.run(0.1)
    answer = line.ask(8, b"\x00\x02\x00\x04")
    assert answer.startswith(b":A0102")
    assert not line.charger.enabled
    block = line.run(1.1)
    found = fields(block[block.index(b"\r\nPID") :])
    assert (found["CS"], found["I"], found["OR"], found["MPPT"]) == ("0", "0", "0x00000004", "0")
    line.ask(8, b"\x00\x02\x00\x01")
    assert line.charger.state is ChargerState.BULK
    line.ask(8, b"\x00\x02\x00\x04")
    line.ask(6)
    assert line.charger.enabled


def test_frame_errors_and_unknown_commands() -> None:
    line = Line()
    for wrong in (b":7D5ED008D\n", b":7D5ED00\n", b":xyz\n", b":\n", b":7\n"):
        line.bus.write(wrong)
        assert line.run(0.1) == b":4AAAAFD\n", wrong
    assert payload(line.ask(2)) == (3, b"\x02")
    line.bus.write(b"noise" + b":" + b"0" * 1000 + b"\n")
    assert line.run(0.1) == b""
    line.bus.write(b"V\t12\r\n:1")
    line.bus.write(b"54\n")
    assert payload(line.run(0.1))[0] == 5


def test_new_firmware_waits_for_the_end_of_a_block() -> None:
    line = Line()
    out = line.run(1.03)
    line.bus.write(hex_frame(1))
    out += line.run(0.5)
    block, frame = out[: out.rindex(b":")], out[out.rindex(b":") :]
    assert sum(block) % 256 == 0
    assert payload(frame)[0] == 5


def test_old_firmware_interrupts_a_block_and_is_silent_for_a_while() -> None:
    line = Line(firmware=139)
    out = line.run(1.03)
    line.bus.write(hex_frame(1) + hex_frame(4))
    out += line.run(0.5)
    start = out.index(b":")
    assert 0 < start < len(out) - 40
    first = out.index(b"\n", start) + 1
    second = out.index(b"\n", first) + 1
    assert payload(out[start:first])[0] == 5
    assert payload(out[first:second])[0] == 1
    assert sum(out[:start] + out[second:]) % 256 == 0
    assert line.run(0.5) == b""
    assert b"PID" in line.run(1.2)


def test_a_frame_can_be_put_into_the_middle_of_a_block() -> None:
    line = Line()
    line.charger.interleave()
    out = line.run(1.3)
    start = out.index(b":")
    end = out.index(b"\n", start) + 1
    assert payload(out[start:end])[0] == 0xA
    assert sum(out[:start] + out[end:]) % 256 == 0
    assert b":" not in line.run(1.0)[:-1]


def test_corrupted_checksums_are_counted_down() -> None:
    line = Line()
    line.charger.corrupt_checksums = 1
    assert sum(line.run(1.5)) % 256 != 0
    assert sum(line.run(1.0)) % 256 == 0


def test_charger_error_is_reported_until_it_is_over() -> None:
    line = Line()
    line.charger.state = ChargerState.BULK
    line.charger.fail(33)
    out = line.run(1.3)
    assert out.startswith(hex_frame(0xA, b"\x01\x02\x00\x03") + hex_frame(0xA, b"\x01\x02\x00\x02"))
    found = fields(out[out.index(b"\r\nPID") :])
    assert (found["ERR"], found["CS"]) == ("33", "2")
    line.charger.recover()
    assert line.charger.state is ChargerState.BULK


def test_silence_ends_with_a_whole_block() -> None:
    line = Line()
    line.charger.silent = True
    line.bus.write(hex_frame(1))
    line.charger.state = ChargerState.FLOAT
    assert line.run(2.5) == b""
    line.charger.silent = False
    assert sum(line.run(1.0)) % 256 == 0


def test_announcing_what_it_has_not_is_a_mistake_of_the_rig() -> None:
    with pytest.raises(KeyError, match="1234h"):
        VeDirect().announce(0x1234)


def test_a_line_that_nobody_empties_is_bounded() -> None:
    line = Line()
    for _ in range(1000):
        line.charger.announce(0x0201)
    assert len(line.run(0.99)) < 1100

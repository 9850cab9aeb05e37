"""Modem profiles: what ships can be opened, and a mistake in a file is refused with its line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from comms.emcon import Transmitter
from comms.transports import ABOARD, ON_GROUND, load_modems, open_over_pipe, open_transport
from comms.transports.memory import MemoryPipe
from comms.transports.modem import line_bytes, make_pacer
from comms.transports.pty_line import PtyPort
from comms.transports.serial_line import SerialTransport
from hal.profile.loader import ConfigError
from hil.bus.serial import SimSerialBus

S = 1_000_000_000
SHIPPED = load_modems()


def written(tmp_path: Path, modem: str) -> Path:
    path = tmp_path / "modems.yaml"
    path.write_text(f"schema_version: 1\nmodems:\n  mine: {{{modem}}}\n")
    return path


def clock() -> int:
    return 0


def test_the_shipped_file_has_the_lines_that_are_promised() -> None:
    assert set(SHIPPED) == {"bench_uart", "pty", "lan", "lora_9k6", "uhf_9k6", "dock_can", "nbl"}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_line_takes_its_longest_record_when_idle(name: str) -> None:
    profile = SHIPPED[name]
    line = open_over_pipe(name, profile, MemoryPipe(), 0)
    assert line.room(0) == line.mtu == profile.mtu
    assert line.send(bytes(profile.mtu), "", 0)
    assert line.airtime_ns >= profile.mtu * 8 / profile.bit_rate * S


def test_the_emergency_slot_costs_sixteen_seconds_whatever_is_in_it() -> None:
    line = open_over_pipe("nbl", SHIPPED["nbl"], MemoryPipe(), 0)
    assert line.send(b"short", "", 0)
    assert line.room(15 * S) == 0
    assert line.airtime_ns == pytest.approx(16 * S)
    assert SHIPPED["nbl"].transmit_w * line.airtime_ns / S == pytest.approx(2400.0)


def test_only_radios_radiate_and_cost_energy_by_the_byte() -> None:
    quiet = (Transmitter.CABLE, Transmitter.BRIDGE)
    assert {name for name, profile in SHIPPED.items() if profile.transmitter not in quiet} == {
        name for name, profile in SHIPPED.items() if profile.joules_per_byte
    } == {"lora_9k6", "uhf_9k6", "nbl"}
    assert SHIPPED["nbl"].joules_per_byte == pytest.approx(18.75)


def test_a_handshake_fits_every_line_but_the_emergency_one() -> None:
    assert all(profile.mtu >= 144 for name, profile in SHIPPED.items() if name != "nbl")


def test_what_the_radio_adds_counts_as_air_time() -> None:
    assert line_bytes(SHIPPED["lora_9k6"])(100) == 122
    assert line_bytes(SHIPPED["bench_uart"])(100) == 104
    assert line_bytes(SHIPPED["lan"])(100) == 100


def test_a_tenth_of_an_hour_is_what_the_868_mhz_band_allows() -> None:
    profile = SHIPPED["lora_9k6"]
    line = open_over_pipe("lora", profile, MemoryPipe(limit=100_000), 0)
    for now in range(0, 3600 * S, S // 20):
        if line.room(now) == profile.mtu:
            line.send(bytes(profile.mtu), "", now)
    assert 350 * S < line.airtime_ns <= 360 * S


def test_udp_and_pty_and_serial_open_from_their_profiles() -> None:
    craft = open_transport("craft", SHIPPED["lan"], ABOARD, clock, bind="127.0.0.1:0")
    ground = open_transport("ground", SHIPPED["lan"], ON_GROUND, clock, device=getattr(craft, "address", ""),
                            bind="127.0.0.1:0")
    ground.send(b"hello", "", 0)
    assert [d.payload for d in craft.receive(1, 0)] == [b"hello"]
    port = PtyPort("pty")
    pty = open_transport("pty", SHIPPED["pty"], ABOARD, clock, bus=port)
    other = open_transport("far", SHIPPED["pty"], ON_GROUND, clock, device=port.path)
    assert other.send(b"over the terminal", "", 0)
    assert [d.payload for d in pty.receive(1, 0)] == [b"over the terminal"]
    serial = open_transport("serial", SHIPPED["bench_uart"], ABOARD, clock, bus=SimSerialBus("x"))
    assert isinstance(serial, SerialTransport)
    for line in (craft, ground, pty, other):
        line.close()


def test_the_two_sides_of_a_can_line_have_each_other_s_identifiers() -> None:
    craft = open_transport("a", SHIPPED["dock_can"], ABOARD, clock, device="virtual://modem-test")
    ground = open_transport("b", SHIPPED["dock_can"], ON_GROUND, clock, device="virtual://modem-test")
    assert craft.send(b"a record of more than one frame", "", 0)
    got = [d.payload for turn in range(6) for line in (ground, craft) for d in line.receive(1, turn)]
    assert got == [b"a record of more than one frame"]
    craft.close()
    ground.close()


@pytest.mark.parametrize(("name", "side", "why"), [("bench_uart", "craft", "give the device"), ("lan", "sky", "side")])
def test_what_is_missing_is_said(name: str, side: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        open_transport("x", SHIPPED[name], side, clock)


UART = "kind: serial, text: mine, bit_rate: 9600, mtu: 100, framing: cobs, baud: 9600, transmitter: cable"


UDP = "kind: udp, text: x, bit_rate: 1000000, mtu: 1200, transmitter: cable"
CAN = "kind: can, text: x, bit_rate: 1000000, mtu: 1200, transmitter: bridge, framing: isotp"


@pytest.mark.parametrize(("modem", "key", "why"), [
    (UART + ", colour: red", "modems.mine.colour", "unknown key"),
    (UART.replace("baud: 9600", "idle_w: 1"), "modems.mine.baud", "needs its baud rate"),
    (UART.replace("cobs", "isotp"), "modems.mine.framing", "allowed: cobs, none"),
    (UART.replace("mtu: 100", "mtu: 5"), "modems.mine.mtu", ">= 24"),
    (UART.replace("mtu: 100", "mtu: 5000"), "modems.mine.mtu", "4096"),
    (UART.replace("bit_rate: 9600", "bit_rate: .inf"), "modems.mine.bit_rate", "1e+10|finite|<="),
    (UART + ", transmit_w: 3", "modems.mine.transmit_w", "radiates nothing"),
    (UART.replace("cable", "uhf"), "modems.mine.transmitter", "uhf"),
    (UART.replace(", transmitter: cable", ""), "modems.mine", "transmitter"),
    (UART + ", slot_bytes: 64", "modems.mine.mtu", "slot"),
    (UART.replace("9600, mtu: 100", "1, mtu: 100") + ", duty_pct: 0.1", "modems.mine.duty_pct", "an hour allows"),
    (UART + ", half_duplex: {talk_ms: 20}", "modems.mine.half_duplex.talk_ms", "longest record"),
    (UART + ", half_duplex: {turn_ms: 20}", "modems.mine.half_duplex.turn_ms", "unknown key"),
    (UDP + ", baud: 9600", "modems.mine.baud", "no baud rate"),
    (CAN, "modems.mine.can", "identifiers"),
    (CAN + ", can: {up: 1, down: 1}", "modems.mine.can.down",
     "different"),
    (CAN + ", can: {up: 1, down: 2048}",
     "modems.mine.can.extended", "set it to true"),
    ("kind: radio, text: x, bit_rate: 1000000, mtu: 1200, transmitter: cable", "modems.mine.kind", "enum|radio"),
])
def test_a_mistake_is_refused_with_file_line_and_key(tmp_path: Path, modem: str, key: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as error:
        load_modems(written(tmp_path, modem))
    assert error.value.key == key
    assert error.value.line == 3


def test_a_file_without_modems_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "modems.yaml"
    path.write_text("schema_version: 1\nmodems: {}\n")
    with pytest.raises(ConfigError, match="at least one"):
        load_modems(path)


def test_the_pace_follows_from_the_profile() -> None:
    assert make_pacer(SHIPPED["uhf_9k6"]).bit_rate == 9600.0

"""W25Q256: page borders, write enable, busy polling, read-back, protection, dead lines; one transfer a resume."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import w25q256
from drivers.device import OracleKind
from drivers.errors import Cause, DeviceError
from tests.drivers.scripted import SpiPart, refusal, refused, run

HIGH = 0x1F0_0000
"""An address that needs four bytes."""


class Flash(SpiPart):
    """A W25Q256JV (datasheet, section 8): a page wraps, program clears bits, BUSY lasts some looks."""

    name = "spi2"
    address = 2

    def __init__(self) -> None:
        super().__init__()
        self.memory: dict[int, int] = {}
        self.status = [0x00, 0x00, 0x60]
        self.jedec = b"\xef\x40\x19"
        self.busy_looks = 2
        self.hung = False
        self.deaf = False
        self.locked = False
        self.keeps_latch = False
        self.opcodes: list[int] = []
        self._busy = 0

    def answer(self, data: bytes) -> bytes:
        opcode = data[0]
        self.opcodes.append(opcode)
        if self._busy and opcode == 0x05:
            self._busy -= not self.hung
            if not self._busy:
                self.status[0] &= ~0x01 if self.keeps_latch else ~0x03
        elif self._busy:
            return b"\xff" * len(data)  # ignored while busy
        return b"\x00" + self._obey(opcode, data[1:])

    def _obey(self, opcode: int, rest: bytes) -> bytes:
        if opcode == 0x9F:
            return (self.jedec * 3)[: len(rest)]
        if opcode in (0x05, 0x35, 0x15):
            return bytes((self.status[(0x05, 0x35, 0x15).index(opcode)],)) * len(rest)
        if opcode == 0x06 and not self.deaf:
            self.status[0] |= 0x02
        elif opcode == 0x04:
            self.status[0] &= ~0x02
        elif opcode == 0x13:
            at = int.from_bytes(rest[:4], "big")
            return rest[:4] + bytes(self.memory.get(at + i, 0xFF) for i in range(len(rest) - 4))
        elif opcode in (0x01, 0x31, 0x11, 0x12, 0x21) and self.status[0] & 0x02:
            self._change(opcode, rest)
        return bytes(len(rest))

    def _change(self, opcode: int, rest: bytes) -> None:
        if opcode in (0x01, 0x31, 0x11):
            if not self.locked:
                index = (0x01, 0x31, 0x11).index(opcode)
                own = (0x03, 0x80, 0x01)[index]
                self.status[index] = self.status[index] & own | rest[0] & ~own
        elif not (self.status[0] & 0x3C or self.status[1] & 0x40 or self.status[2] & 0x04):
            at = int.from_bytes(rest[:4], "big")
            if opcode == 0x12:
                for i, byte in enumerate(rest[4:]):
                    where = at & ~0xFF | (at + i) & 0xFF
                    self.memory[where] = self.memory.get(where, 0xFF) & byte
            else:
                for where in [w for w in self.memory if w >> 12 == at >> 12]:
                    del self.memory[where]
        self.status[0] |= 0x01
        self._busy = self.busy_looks


def ready(flash: Flash, **fields: Any) -> w25q256.Device:
    device = w25q256.Device(flash, 2, w25q256.Settings(**fields))
    run(flash, device.initialise())
    return device


@pytest.mark.parametrize(("jedec", "part"), [
    ("ef4019", "W25Q256JV-Q"), ("ef7019", "W25Q256JV-M"), ("ef6019", "W25Q256JW-Q"), ("ef8019", "W25Q256JW-M"),
])
def test_the_family_is_known_by_its_ids(jedec: str, part: str) -> None:
    flash = Flash()
    flash.jedec = bytes.fromhex(jedec)
    assert run(flash, w25q256.Device(flash, 2, w25q256.Settings()).identify()) == f"Winbond {part}"


@pytest.mark.parametrize(
    ("jedec", "cause"), [("ef4018", Cause.WRONG_ID), ("000000", Cause.ABSENT), ("ffffff", Cause.ABSENT)]
)
def test_another_part_and_nothing_are_told_apart(jedec: str, cause: Cause) -> None:
    flash = Flash()
    flash.jedec = bytes.fromhex(jedec)
    assert refusal(flash, w25q256.Device(flash, 2, w25q256.Settings()).initialise()) is cause


def test_initialise_writes_nothing_on_an_open_chip() -> None:
    flash = Flash()
    ready(flash)
    assert flash.opcodes == [0x9F, 0x05, 0x05, 0x35, 0x15]
    assert flash.configured == [(2, 0, 20_000_000)]


def test_a_program_across_pages_reads_back_and_uses_four_address_bytes() -> None:
    flash = Flash()
    device = ready(flash)
    data = bytes(range(256)) * 3
    run(flash, device.program(HIGH + 0xF0, data))
    assert run(flash, device.read(HIGH + 0xF0, len(data))) == data
    assert flash.memory[HIGH + 0xF0] == 0x00
    assert flash.opcodes.count(0x12) == 4
    assert device.counters.pages == 4


@settings(max_examples=40, deadline=None, derandomize=True)
@given(offset=st.integers(0, 600), data=st.binary(min_size=1, max_size=900), chunk=st.integers(16, 300))
def test_whatever_is_programmed_is_what_is_read(offset: int, data: bytes, chunk: int) -> None:
    flash = Flash()
    device = ready(flash, read_bytes=chunk)
    run(flash, device.program(HIGH + offset, data))
    assert run(flash, device.read(HIGH + offset, len(data))) == data


def test_erase_clears_its_sector_and_no_other() -> None:
    flash = Flash()
    device = ready(flash)
    run(flash, device.program(HIGH + 4090, b"0123456789ab"))
    run(flash, device.erase_sector(HIGH + 4096))
    assert run(flash, device.read(HIGH + 4090, 12)) == b"012345" + b"\xff" * 6
    assert device.counters.sectors == 1


def test_the_write_latch_is_seen_before_anything_is_changed() -> None:
    flash = Flash()
    device = ready(flash)
    flash.deaf = True
    assert refusal(flash, device.program(HIGH, b"x")) is Cause.IMPLAUSIBLE
    assert 0x12 not in flash.opcodes


def test_a_latch_that_stays_set_is_taken_back() -> None:
    flash = Flash()
    flash.keeps_latch = True
    device = ready(flash)
    run(flash, device.program(HIGH, b"x"))
    assert not flash.status[0] & 0x02


def test_bytes_that_were_not_erased_are_refused_and_not_tried_again() -> None:
    flash = Flash()
    device = ready(flash)
    run(flash, device.program(HIGH, b"\x0f"))
    error = refused(flash, device.program(HIGH, b"\xf0"))
    assert error.cause is Cause.IMPLAUSIBLE
    assert "1f00000h" in error.detail
    assert flash.opcodes.count(0x12) == 2
    assert device.counters.refused == 1


def test_a_chip_without_the_long_instructions_is_found_by_its_read_back() -> None:
    flash = Flash()
    device = ready(flash)
    flash._change = lambda opcode, rest: None  # type: ignore[method-assign]  # a W25Q256FV ignores 12h
    assert refusal(flash, device.program(HIGH, b"abc")) is Cause.IMPLAUSIBLE


def test_busy_is_polled_one_look_a_resume() -> None:
    flash = Flash()
    device = ready(flash)
    flash.busy_looks = 50
    run(flash, device.program(HIGH, b"x"))
    assert flash.opcodes.count(0x05) >= 50


def test_a_chip_that_stays_busy_is_a_time_out_and_is_waited_for_next_time() -> None:
    flash = Flash()
    device = ready(flash, busy_polls=20)
    flash.hung = True
    assert refusal(flash, device.program(HIGH, b"x")) is Cause.TIMEOUT
    assert refusal(flash, device.read(HIGH, 4)) is Cause.TIMEOUT
    flash.hung = False
    assert run(flash, device.read(HIGH, 1)) == b"x"


def test_a_sequence_that_was_dropped_midway_leaves_nothing_wrong() -> None:
    flash = Flash()
    device = ready(flash)
    flash.busy_looks = 10
    steps = device.program(HIGH, b"abc")
    while 0x12 not in flash.opcodes:
        next(steps)
    steps.close()
    assert run(flash, device.read(HIGH, 3)) == b"abc"


@pytest.mark.parametrize(("index", "bits"), [(0, 0x3C), (0, 0x04), (1, 0x40), (2, 0x04)])
def test_protection_is_cleared_and_nothing_else(index: int, bits: int) -> None:
    flash = Flash()
    flash.status = [0x80, 0x02, 0x62]
    before = list(flash.status)
    flash.status[index] |= bits
    device = ready(flash)
    assert flash.status == before
    assert device.counters.unprotected == 1
    run(flash, device.program(HIGH, b"x"))


def test_protection_that_is_wanted_or_cannot_be_cleared_is_reported() -> None:
    flash = Flash()
    flash.status[0] = 0x1C
    assert refusal(flash, w25q256.Device(flash, 2, w25q256.Settings(unprotect=False)).initialise()) is Cause.IMPLAUSIBLE
    assert 0x06 not in flash.opcodes
    flash.locked = True
    assert "can't be cleared" in refused(flash, w25q256.Device(flash, 2, w25q256.Settings()).initialise()).detail


def test_a_protected_chip_does_not_pretend_to_have_programmed() -> None:
    flash = Flash()
    device = ready(flash)
    flash.status[0] |= 0x1C
    assert refusal(flash, device.program(HIGH, b"abc")) is Cause.IMPLAUSIBLE


def test_health_is_told() -> None:
    flash = Flash()
    device = ready(flash)
    flash.status = [0x04, 0x02, 0x61]
    health = run(flash, device.acquire())
    assert health == w25q256.FlashHealth("Winbond W25Q256JV-Q", (4, 2, 0x61), False, False, True, False, True)


@pytest.mark.parametrize("answer", [b"\x00", b"\xff"])
def test_a_dead_line_is_no_blank_flash(answer: bytes) -> None:
    flash = Flash()
    device = ready(flash)
    assert run(flash, device.read(HIGH, 300)) == b"\xff" * 300
    flash.stuck = answer
    assert refusal(flash, device.read(HIGH, 300)) is Cause.ABSENT
    assert refusal(flash, device.acquire()) is Cause.ABSENT
    assert refusal(flash, device.program(HIGH, b"x")) in (Cause.ABSENT, Cause.IMPLAUSIBLE)
    assert refusal(flash, device.erase_sector(HIGH)) in (Cause.ABSENT, Cause.IMPLAUSIBLE)


@pytest.mark.parametrize(("address", "count"), [(-1, 1), (1 << 25, 1), ((1 << 25) - 1, 2), (0, -1)])
def test_what_lies_beyond_the_flash_is_refused(address: int, count: int) -> None:
    flash = Flash()
    device = ready(flash)
    assert refusal(flash, device.read(address, count)) is Cause.PROTOCOL
    assert refusal(flash, device.erase_sector(HIGH + 1)) is Cause.PROTOCOL


def test_reading_nothing_is_nothing() -> None:
    device = ready(Flash())
    with pytest.raises(StopIteration) as done:
        next(device.read(0, 0))
    assert done.value.value == b""


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.binary(max_size=8) | st.binary(min_size=3, max_size=3) | st.binary(min_size=6, max_size=6))
def test_any_bytes_are_a_value_or_a_named_rejection(data: bytes) -> None:
    for codec in w25q256.CODECS:
        with suppress(DeviceError):
            codec.decode(data)


def test_what_the_bench_needs_is_declared() -> None:
    flash = Flash()
    device = ready(flash)
    assert [device.read_register(register).hex() for register in w25q256.REGISTERS] == ["ef4019", "00", "00", "60"]
    assert [oracle.kind for oracle in w25q256.ORACLES] == [OracleKind.QEMU]

"""The simulated W25Q256 keeps, wears and loses data as NOR flash does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.bus import SimSpiBus
from hil.chips.w25q256 import SIZE_BYTES, W25q256

MS = 1_000_000
FF = 0xFF


class Bench:
    """One flash on select 2 and a clock that the test moves."""

    def __init__(self, rng: np.random.Generator | None = None) -> None:
        self.now_ns = 0
        self.chip = W25q256(lambda: self.now_ns, rng=rng)
        self.bus = SimSpiBus("spi1")
        self.bus.attach(2, self.chip)
        self.bus.configure(2, 0, 20_000_000)

    def ask(self, opcode: int, *rest: int, count: int = 0) -> bytes:
        sent = bytes((opcode, *rest)) + bytes(count)
        answer = self.bus.transfer(2, sent)
        assert len(answer) == len(sent)
        return answer[len(sent) - count :] if count else answer

    def status(self) -> int:
        return self.ask(0x05, count=1)[0]

    def wait(self, ms: float) -> None:
        self.now_ns += int(ms * MS)

    def program(self, address: int, data: bytes, wait: bool = True) -> None:
        self.ask(0x06)
        self.ask(0x12, *address.to_bytes(4, "big"), *data)
        if wait:
            self.wait(0.7)

    def read(self, address: int, count: int) -> bytes:
        return self.ask(0x13, *address.to_bytes(4, "big"), count=count)

    def erase(self, opcode: int, address: int, ms: float) -> None:
        self.ask(0x06)
        self.ask(opcode, *address.to_bytes(4, "big"))
        self.wait(ms)


def test_identity_in_both_modes_of_the_clock() -> None:
    bench = Bench()
    for mode in (0, 3):
        bench.bus.configure(2, mode, 20_000_000)
        assert bench.ask(0x9F, count=3) == b"\xef\x40\x19"
    assert bench.ask(0x90, 0, 0, 0, count=4) == b"\xef\x18\xef\x18"
    assert bench.ask(0xAB, 0, 0, 0, count=1) == b"\x18"
    assert len(set(bench.ask(0x4B, 0, 0, 0, 0, count=8))) > 1
    bench.bus.configure(2, 1, 20_000_000)
    assert bench.ask(0x9F, count=3) == b"\xff\xff\xff"


def test_memory_is_blank_as_delivered_and_takes_no_room() -> None:
    bench = Bench()
    assert bench.read(SIZE_BYTES - 4, 8) == b"\xff" * 8
    assert bench.chip.dump(0, 100_000) == b"\xff" * 100_000
    assert bench.chip.sectors_in_use == 0


def test_program_needs_write_enable_and_clears_it() -> None:
    bench = Bench()
    bench.ask(0x12, 0, 0, 0, 0, 0x12)
    bench.wait(1)
    assert bench.read(0, 1) == b"\xff"
    bench.ask(0x06)
    assert bench.status() == 0x02
    bench.ask(0x04)
    assert bench.status() == 0x00
    bench.program(0, b"\x12", wait=False)
    assert bench.status() == 0x03
    bench.wait(0.7)
    assert bench.status() == 0x00
    assert bench.read(0, 2) == b"\x12\xff"


def test_program_only_clears_bits_and_erase_sets_them() -> None:
    bench = Bench()
    bench.program(0x1FFF000, b"\xf0")
    bench.program(0x1FFF000, b"\x3c")
    assert bench.read(0x1FFF000, 1) == b"\x30"
    bench.erase(0x21, 0x1FFFABC, 49.9)
    assert bench.status() == 0x03
    bench.wait(0.1)
    assert bench.read(0x1FFF000, 1) == b"\xff"
    assert bench.chip.sectors_in_use == 0


def test_page_wraps_and_keeps_the_last_256_bytes() -> None:
    bench = Bench()
    bench.program(0x10F0, bytes(range(32)))
    assert bench.read(0x10F0, 16) == bytes(range(16))
    assert bench.read(0x1000, 16) == bytes(range(16, 32))
    bench.program(0x2000, b"\x00" * 44 + bytes(range(256)))
    assert bench.read(0x2000 + 44, 212) == bytes(range(212))
    assert bench.read(0x2000, 44) == bytes(range(212, 256))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 1023), st.binary(min_size=1, max_size=300)), max_size=8))
def test_programs_act_like_and_on_a_page(programs: list[tuple[int, bytes]]) -> None:
    bench = Bench()
    model = bytearray(b"\xff" * 1024)
    for address, data in programs:
        bench.program(address, data)
        page = address & ~0xFF
        latch = {}
        for index, value in enumerate(data):
            latch[page + (address + index) % 256] = value
        for at, value in latch.items():
            model[at] &= value
    assert bench.read(0, 1024) == model


def test_blocks_and_the_chip_are_erased_whole() -> None:
    bench = Bench()
    for address in (0, 0x7000, 0x8000, 0xF000, 0x10000):
        bench.chip.load(address, b"\x00")
    bench.ask(0x06)
    bench.ask(0x52, 0x00, 0x12, 0x34)  # 32 KiB, three address bytes
    bench.wait(120)
    assert [bench.read(a, 1)[0] for a in (0, 0x7000, 0x8000)] == [FF, FF, 0]
    bench.erase(0xDC, 0x8FFF, 150)
    assert [bench.read(a, 1)[0] for a in (0x8000, 0xF000, 0x10000)] == [FF, FF, 0]
    bench.ask(0x06)
    bench.ask(0xC7)
    bench.wait(79_999)
    assert bench.chip.busy
    bench.wait(1)
    assert bench.read(0x10000, 1) == b"\xff"
    assert (bench.chip.programs, bench.chip.erases) == (0, 3)


def test_malformed_erases_and_programs_are_ignored() -> None:
    bench = Bench()
    bench.chip.load(0, b"\x00")
    bench.ask(0x06)
    bench.ask(0x20, 0, 0)
    bench.ask(0x20, 0, 0, 0, 0)
    bench.ask(0x02, 0, 0, 0)
    bench.ask(0xC7, 0)
    assert not bench.chip.busy
    assert bench.read(0, 1) == b"\x00"


def test_only_status_is_answered_while_busy() -> None:
    bench = Bench()
    bench.chip.load(0x100, b"\x55")
    bench.program(0, b"\x00", wait=False)
    assert bench.read(0x100, 1) == b"\xff"
    assert bench.ask(0x9F, count=3) == b"\xff\xff\xff"
    assert bench.ask(0x05, count=3) == b"\x03\x03\x03"
    bench.wait(0.7)
    assert bench.read(0x100, 1) == b"\x55"


def test_address_modes() -> None:
    bench = Bench()
    bench.chip.load(0x1000010, b"\xa1")
    bench.chip.load(0x10, b"\xa0")
    assert bench.ask(0x03, 0, 0, 0x10, count=1) == b"\xa0"
    assert bench.ask(0x15, count=1)[0] & 1 == 0
    bench.ask(0xB7)
    assert bench.ask(0x15, count=1)[0] & 1 == 1
    assert bench.ask(0x03, 1, 0, 0, 0x10, count=1) == b"\xa1"
    assert bench.ask(0x0B, 1, 0, 0, 0x10, 0, count=1) == b"\xa1"
    bench.ask(0xE9)
    bench.ask(0x06)
    bench.ask(0xC5, 1)
    assert bench.ask(0xC8, count=1) == b"\x01"
    assert bench.ask(0x03, 0, 0, 0x10, count=1) == b"\xa1"
    bench.chip.reset()
    assert bench.ask(0x03, 0, 0, 0x10, count=1) == b"\xa0"


def test_address_mode_at_power_up_is_stored() -> None:
    bench = Bench()
    bench.ask(0x06)
    bench.ask(0x11, 0x62)
    bench.wait(10)
    bench.chip.reset()
    assert bench.ask(0x15, count=1) == b"\x63"
    bench.ask(0xE9)
    bench.ask(0x66)
    bench.ask(0x99)
    assert bench.ask(0x15, count=1) == b"\x63"


def test_power_down_hears_nothing_but_its_release() -> None:
    bench = Bench()
    bench.ask(0xB9)
    assert bench.ask(0x9F, count=3) == b"\xff\xff\xff"
    assert bench.ask(0x05, count=1) == b"\xff"
    bench.ask(0xAB)
    assert bench.ask(0x9F, count=3) == b"\xef\x40\x19"


@pytest.mark.parametrize(
    ("register", "second", "first", "end"),
    [
        (0x00, 0x02, 0, 0),
        (0x04, 0x02, 0x1FF0000, SIZE_BYTES),
        (0x0C, 0x02, 0x1FC0000, SIZE_BYTES),
        (0x24, 0x02, 0x1000000, SIZE_BYTES),
        (0x44, 0x02, 0, 0x10000),
        (0x64, 0x02, 0, 0x1000000),
        (0x28, 0x02, 0, SIZE_BYTES),
        (0x3C, 0x02, 0, SIZE_BYTES),
        (0x04, 0x42, 0, 0x1FF0000),
        (0x44, 0x42, 0x10000, SIZE_BYTES),
    ],
)
def test_protection_table(register: int, second: int, first: int, end: int) -> None:
    bench = Bench()
    bench.ask(0x06)
    bench.ask(0x01, register, second)
    bench.wait(10)
    assert bench.status() == register
    for address in (0, 0xFF00, 0x10000, 0xFFFF00, 0x1000000, 0x1FBFF00, 0x1FC0000, 0x1FEFF00, 0x1FF0000, 0x1FFFF00):
        bench.program(address, b"\x00")
        locked = first <= address < end
        assert bench.read(address, 1) == (b"\xff" if locked else b"\x00"), hex(address)


def test_status_registers_keep_what_was_stored_and_forget_what_was_volatile() -> None:
    bench = Bench()
    bench.ask(0x01, 0x04)
    assert bench.status() == 0
    bench.ask(0x50)
    bench.ask(0x01, 0x04)
    assert bench.status() == 0x04
    bench.chip.reset()
    assert bench.status() == 0
    bench.ask(0x06)
    bench.ask(0x31, 0x0A)  # LB1 is one-time programmable
    assert bench.status() & 1
    bench.wait(10)
    bench.ask(0x06)
    bench.ask(0x31, 0x03)
    bench.wait(10)
    assert bench.ask(0x35, count=1) == b"\x0b"
    bench.ask(0x06)
    bench.ask(0x01, 0x04)  # locked until the next power-up by SRL
    bench.ask(0x04)
    assert bench.status() == 0
    bench.chip.reset()
    assert bench.ask(0x35, count=1) == b"\x0a"


def test_individual_locks_protect_everything() -> None:
    bench = Bench()
    bench.ask(0x06)
    bench.ask(0x11, 0x64)
    bench.wait(10)
    bench.program(0, b"\x00")
    assert bench.read(0, 1) == b"\xff"


def test_power_cut_tears_a_page_and_the_chip_is_dead_until_reset() -> None:
    bench = Bench()
    bench.chip.cut_at = 0.5
    bench.program(0x300, bytes(256), wait=False)
    assert bench.status() == 0x03
    bench.wait(0.35)
    assert bench.ask(0x05, count=1) == b"\xff"
    assert not bench.chip.powered
    bench.chip.reset()
    assert bench.status() == 0
    assert bench.read(0x300, 256) == bytes(128) + b"\x0f" + b"\xff" * 127
    bench.program(0x400, b"\x00")
    assert bench.read(0x400, 1) == b"\x00"


def test_power_cut_tears_an_erase() -> None:
    bench = Bench()
    bench.chip.load(0x10000, b"\x55" * 0x10000)
    bench.chip.cut_at = 0.53125  # 8.5 of 16 sectors
    bench.erase(0xDC, 0x10000, 1000)
    bench.chip.reset()
    after = bench.chip.dump(0x10000, 0x10000)
    assert after[: 8 * 4096] == b"\xff" * 8 * 4096
    assert after[8 * 4096 : 8 * 4096 + 2048] == b"\xff" * 2048
    assert after[8 * 4096 + 2049 : 9 * 4096] == bytes(2047)
    assert after[9 * 4096 :] == b"\x55" * 7 * 4096


def test_power_cut_left_to_chance_is_the_same_for_the_same_seed() -> None:
    results = []
    for _ in range(2):
        bench = Bench(np.random.default_rng(7))
        bench.chip.cut_at = 0.25
        bench.program(0, bytes(256))
        bench.chip.reset()
        data = bench.read(0, 256)
        ones = sum(value.bit_count() for value in data)
        assert 0.65 < ones / 2048 < 0.85
        results.append(data)
    assert results[0] == results[1]


def test_power_off_after_the_end_loses_nothing() -> None:
    bench = Bench()
    bench.program(0, b"\x11")
    bench.chip.power_off()
    assert bench.ask(0x9F, count=3) == b"\xff\xff\xff"
    bench.chip.reset()
    assert bench.read(0, 1) == b"\x11"


def test_reset_pair_aborts_and_must_be_a_pair() -> None:
    bench = Bench()
    bench.ask(0xB7)
    bench.ask(0x66)
    bench.ask(0x05, 0)
    bench.ask(0x99)
    assert bench.ask(0x15, count=1)[0] & 1
    bench.program(0, bytes(256), wait=False)
    bench.wait(0.35)
    bench.ask(0x66)
    bench.ask(0x99)
    assert bench.status() == 0
    assert bench.ask(0x15, count=1)[0] & 1 == 0
    assert bench.read(0, 256)[128:] != bytes(128)


def test_memory_is_loaded_across_sectors_and_not_outside() -> None:
    bench = Bench()
    bench.chip.load(4094, b"\x01\x02\x03\x04")
    assert bench.read(4094, 4) == b"\x01\x02\x03\x04"
    with pytest.raises(ValueError, match="outside"):
        bench.chip.load(SIZE_BYTES - 1, b"\x01\x02")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=12), max_size=20))
def test_any_bytes_are_answered_with_as_many(sequence: list[bytes]) -> None:
    bench = Bench()
    for data in sequence:
        assert len(bench.chip.transfer(data)) == len(data)
        bench.wait(5)

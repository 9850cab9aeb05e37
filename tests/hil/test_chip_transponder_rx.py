"""The transponder receiver's twin by raw bytes: rounds on time, what is loudest, its state and its configuration."""

from __future__ import annotations

import struct

import pytest

from drivers.bus.protocol import CanFrame
from hil.chips.transponder_rx import HeardReply, TransponderRx

MS = 1_000_000


class Wire:
    """A twin whose frames are kept with their times."""

    def __init__(self, unit: int = 0) -> None:
        self.sent: list[tuple[int, CanFrame]] = []
        self.twin = TransponderRx(unit)
        self.twin.connect(lambda frame, t_ns: self.sent.append((t_ns // MS, frame)))

    def at(self, can_id: int) -> list[tuple[int, bytes]]:
        return [(ms, frame.data) for ms, frame in self.sent if frame.can_id == can_id]


def test_a_new_part_asks_once_a_second_and_tells_20_ms_later() -> None:
    wire = Wire()
    asked: list[tuple[int, bool]] = []
    wire.twin.sense = lambda t_ns, asking: asked.append((t_ns // MS, asking)) or []
    wire.twin.advance(3500 * MS)
    assert asked == [(1000, True), (2000, True), (3000, True)]
    assert [ms for ms, _ in wire.at(0x680)] == [1020, 2020, 3020]
    assert wire.at(0x680)[1][1] == bytes.fromhex("0200000114000100")
    assert [ms for ms, _ in wire.at(0x684)] == [1000, 2000, 3000]
    assert wire.at(0x684)[0][1] == bytes.fromhex("e803010000010100")


def test_a_configuration_holds_at_once_and_what_can_not_be_is_ignored() -> None:
    wire = Wire(2)
    for data in (struct.pack("<HBB4x", 99, 1, 1), struct.pack("<HBB4x", 5001, 1, 1), struct.pack("<HBB4x", 200, 2, 1),
                 struct.pack("<HBB4x", 200, 1, 2), b"\xc8\x00\x00\x01"):
        wire.twin.receive(CanFrame(0x6A3, data), 0)
    wire.twin.receive(CanFrame(0x683, struct.pack("<HBB4x", 100, 0, 1)), 0)
    wire.twin.receive(CanFrame(0x6A3, struct.pack("<HBB4x", 400, 0, 1), True), 0)
    wire.twin.receive(CanFrame(0x6A3, struct.pack("<HBB4x", 300, 0, 1)), 100 * MS)
    wire.twin.advance(1000 * MS)
    assert [ms for ms, _ in wire.at(0x6A0)] == [420, 720]
    assert wire.at(0x6A0)[0][1][3] == 0
    assert wire.at(0x6A4)[0][1] == bytes.fromhex("2c01000002010100")


def test_power_on_takes_the_factory_s_configuration_back() -> None:
    wire = Wire()
    wire.twin.receive(CanFrame(0x683, struct.pack("<HBB4x", 100, 0, 1)), 0)
    wire.twin.advance(500 * MS)
    wire.twin.reset()
    wire.sent.clear()
    wire.twin.advance(1600 * MS)
    assert [ms for ms, _ in wire.at(0x680)] == [1520]
    assert wire.at(0x680)[0][1][:4] == b"\x01\x00\x00\x01"


def test_of_too_many_the_loudest_are_told_and_values_stay_in_their_words() -> None:
    wire = Wire()
    wire.twin.replies = [HeardReply(number, 10.0, 0.0, -100.0 + number) for number in range(1, 41)]
    wire.twin.replies.append(HeardReply(99, 1e6, 7.0, 500.0))
    wire.twin.advance(1020 * MS)
    told = [struct.unpack("<BBI", data[:6])[2] for _, data in wire.at(0x682)]
    assert told == [99, *range(40, 9, -1)]
    slot, low, distance, bearing, level, kind = struct.unpack("<BBHhbB", wire.at(0x681)[0][1])
    assert (slot, low, distance, bearing, level, kind) == (0, 1, 0xFFFE, 18_000, 127, 5)


def test_a_reply_that_came_unasked_has_no_distance() -> None:
    wire = Wire()
    wire.twin.replies = [HeardReply(7, None, -0.5, authentic=0, mode=2)]
    wire.twin.advance(1020 * MS)
    assert wire.at(0x681)[0][1] == struct.pack("<BBHhbB", 0, 1, 0xFFFF, -2865, -60, 2)


def test_a_silent_part_neither_sends_nor_hears_and_lost_frames_are_lost() -> None:
    wire = Wire()
    wire.twin.silent = True
    wire.twin.receive(CanFrame(0x683, struct.pack("<HBB4x", 100, 0, 1)), 0)
    wire.twin.advance(999 * MS)
    assert wire.sent == []
    wire.twin.silent = False
    wire.twin.lost = {0x680: 1}
    wire.twin.advance(2100 * MS)
    assert [ms for ms, _ in wire.at(0x680)] == [2020]


def test_faults_are_in_the_state() -> None:
    wire = Wire()
    wire.twin.faults = 0b0101
    wire.twin.advance(1000 * MS)
    assert wire.at(0x684)[0][1][3] == 0b0101


@pytest.mark.parametrize("unit", [-1, 6])
def test_a_unit_that_does_not_exist_is_refused(unit: int) -> None:
    with pytest.raises(ValueError, match=r"0\.\.5"):
        TransponderRx(unit)

"""The transponder receiver's driver: whole rounds, halves that belong together, faults and lost settings found."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from drivers.bus.protocol import CanFrame
from drivers.checksum import crc16_ccitt_false
from drivers.errors import Cause, DeviceError
from drivers.samples import TransponderSample
from drivers.transponder_rx import Device, Settings, encode_configuration, header, identity, measured, receiver_state
from hil.can import SimCanBus
from hil.chips.transponder_rx import HeardReply, TransponderRx

MS = 1_000_000
DOCUMENT = Path(__file__).parents[2] / "docs" / "protocols" / "transponder.md"


def device(**settings: object) -> Device:
    return Device(SimCanBus("can1"), 0x68, Settings(**settings))  # type: ignore[arg-type]


def halves(slot: int, low: int, number: int, distance: int = 100, kind: int = 5) -> tuple[CanFrame, CanFrame]:
    first = struct.pack("<BBHhbB", slot, low, distance, 1000, -50, kind)
    second = struct.pack("<BBI", slot, low, number)
    return CanFrame(0x681, first), CanFrame(0x682, second + struct.pack("<H", crc16_ccitt_false(first + second)))


def begin(counter: int, replies: int, version: int = 1) -> CanFrame:
    return CanFrame(0x680, struct.pack("<HBBHBB", counter, replies, 1, 20, version, 0))


def feed(one: Device, *frames: CanFrame, now_ns: int = 0) -> list[TransponderSample]:
    return [sample for frame in frames if (sample := one.take(frame, now_ns)) is not None]


def refusal(one: Device, frame: CanFrame) -> Cause:
    with pytest.raises(DeviceError) as refused:
        one.take(frame, 0)
    return refused.value.cause


def test_the_document_s_example_is_what_it_says() -> None:
    rows = re.findall(r"^    (68[0-9])h  ((?:[0-9a-f]{2} ?){8})$", DOCUMENT.read_text(), re.MULTILINE)
    assert [can_id for can_id, _ in rows] == ["680", "681", "682"]
    [sample] = feed(device(), *(CanFrame(int(can_id, 16), bytes.fromhex(data)) for can_id, data in rows))
    assert (sample.counter, sample.announced, sample.age_ns, sample.interrogating) == (258, 1, 20 * MS, True)
    [reply] = sample.replies
    assert (reply.transponder_id, reply.mode, reply.range_m, reply.level_dbm, reply.authentic) == (
        1001, "on", 59.0, -49.0, True,
    )
    assert reply.bearing_rad == pytest.approx(0.0991347, abs=1e-6)


def test_the_twin_sends_the_document_s_example() -> None:
    sent: list[CanFrame] = []
    twin = TransponderRx()
    twin.connect(lambda frame, _t: sent.append(frame))
    twin.receive(CanFrame(0x683, encode_configuration(500, True)), 0)
    twin.counter, twin.replies = 257, [HeardReply(1001, 59.0, 0.0991347, -49.0)]
    twin.advance(520 * MS)
    rows = re.findall(r"^    68[0-9]h  ((?:[0-9a-f]{2} ?){8})$", DOCUMENT.read_text(), re.MULTILINE)
    assert [frame.data for frame in sent] == [bytes.fromhex(data) for data in rows]


def test_a_round_comes_with_its_last_reply_in_order_of_slots() -> None:
    one = device()
    assert feed(one, begin(7, 2), *halves(1, 7, 22)) == []
    [sample] = feed(one, *halves(0, 7, 11))
    assert [reply.transponder_id for reply in sample.replies] == [11, 22]
    assert (one.counters.rounds, one.counters.short, one.counters.stray) == (1, 0, 0)


def test_an_empty_round_is_a_sample_at_once() -> None:
    [sample] = feed(device(), begin(1, 0))
    assert sample.replies == ()


def test_a_reply_that_came_unasked_has_no_range_and_was_not_checked() -> None:
    [sample] = feed(device(), begin(1, 1), *halves(0, 1, 5, distance=0xFFFF, kind=1))
    assert (sample.replies[0].range_m, sample.replies[0].authentic) == (None, None)


def test_a_bad_authentication_and_the_silent_mode_are_told() -> None:
    [sample] = feed(device(), begin(1, 1), *halves(0, 1, 5, kind=2 << 2 | 2))
    assert (sample.replies[0].mode, sample.replies[0].authentic) == ("silent", False)


def test_a_cut_round_is_handed_out_with_what_came() -> None:
    one = device()
    [cut] = feed(one, begin(1, 2), *halves(0, 1, 5), begin(2, 1))
    assert (cut.counter, cut.announced, len(cut.replies), one.counters.short) == (1, 2, 1, 1)


def test_a_round_is_as_old_as_it_is_when_it_is_handed_out() -> None:
    one = device()
    feed(one, begin(1, 2), now_ns=5000 * MS)
    feed(one, *halves(0, 1, 5), now_ns=5003 * MS)
    [cut] = feed(one, begin(2, 1), now_ns=5500 * MS)
    [whole] = feed(one, *halves(0, 2, 5), now_ns=5507 * MS)
    [empty] = feed(one, begin(3, 0), now_ns=6000 * MS)
    assert [(sample.counter, sample.age_ns) for sample in (cut, whole, empty)] == [
        (1, 520 * MS), (2, 27 * MS), (3, 20 * MS),
    ]


def test_a_cut_round_gives_way_to_an_empty_one_that_is_newer() -> None:
    one = device()
    [newer] = feed(one, begin(1, 2), *halves(0, 1, 5), begin(2, 0))
    assert (newer.counter, one.counters.short) == (2, 1)


def test_a_round_cut_long_ago_is_nothing_new() -> None:
    one = device()
    feed(one, begin(1, 2), *halves(0, 1, 5))
    assert feed(one, begin(2, 1), now_ns=2001 * MS) == []
    assert one.counters.short == 1


def test_halves_of_other_rounds_and_slots_are_strays() -> None:
    one = device()
    assert feed(one, *halves(0, 1, 5)) == []
    feed(one, begin(2, 1))
    assert feed(one, *halves(0, 1, 5), *halves(1, 2, 5), halves(0, 2, 5)[1]) == []
    assert one.counters.stray == 7
    [sample] = feed(one, *halves(0, 2, 9))
    assert sample.replies[0].transponder_id == 9


def test_halves_that_do_not_belong_together_are_refused_and_the_reply_is_missing() -> None:
    one = device()
    feed(one, begin(1, 1), halves(0, 1, 5)[0])
    assert refusal(one, halves(0, 1, 5, distance=101)[1]) is Cause.CHECKSUM
    assert feed(one, begin(2, 1)) == []


@pytest.mark.parametrize(
    ("frame", "cause"),
    [
        (begin(1, 33), Cause.IMPLAUSIBLE), (begin(1, 1, version=2), Cause.PROTOCOL),
        (CanFrame(0x680, bytes(8)), Cause.PROTOCOL), (CanFrame(0x680, b"\xff" * 8), Cause.PROTOCOL),
        (CanFrame(0x680, bytes(7)), Cause.SHORT_READ), (CanFrame(0x680, b"\x01\x00\x00\x02\x00\x00\x01\x00"),
                                                        Cause.IMPLAUSIBLE),
        (CanFrame(0x681, bytes(8)), Cause.IMPLAUSIBLE), (CanFrame(0x681, b"\xff" * 8), Cause.IMPLAUSIBLE),
        (CanFrame(0x682, bytes(8)), Cause.IMPLAUSIBLE), (CanFrame(0x682, b"\xff" * 8), Cause.IMPLAUSIBLE),
        (CanFrame(0x684, bytes(8)), Cause.PROTOCOL), (CanFrame(0x684, b"\xff" * 8), Cause.PROTOCOL),
        (CanFrame(0x684, struct.pack("<HBBBBH", 500, 1, 0, 7, 1, 0)), Cause.IMPLAUSIBLE),
        (CanFrame(0x685, bytes(8)), Cause.PROTOCOL), (CanFrame(0x680, bytes(8), True), Cause.PROTOCOL),
    ],
)
def test_what_can_not_be_is_refused_by_its_cause(frame: CanFrame, cause: Cause) -> None:
    assert refusal(device(), frame) is cause


def test_a_fault_and_a_lost_configuration_withhold_every_round_until_they_are_gone() -> None:
    one = device()
    list(one.initialise())

    def state(period: int = 500, faults: int = 0, unit: int = 0) -> CanFrame:
        return CanFrame(0x684, struct.pack("<HBBBBH", period, 1, faults, unit, 1, 0))

    assert feed(one, state(1000), state(1000)) == []
    assert refusal(one, state(1000)) is Cause.RESET
    assert refusal(one, begin(1, 0)) is Cause.RESET
    one.take(state(), 0)
    assert len(feed(one, begin(2, 0))) == 1
    assert refusal(one, state(faults=3)) is Cause.IMPLAUSIBLE
    assert refusal(one, state(unit=1)) is Cause.WRONG_ID
    assert refusal(one, begin(3, 0)) is Cause.WRONG_ID
    assert one.counters.withheld == 2


def test_the_configuration_is_sent_to_its_own_unit() -> None:
    bus, twin = SimCanBus("can1"), TransponderRx(unit=3)
    bus.attach(twin)
    one = Device(bus, 0x6B, Settings(period_ms=200, interrogate=False))
    list(one.initialise())
    samples: list[TransponderSample] = []
    for ms in range(0, 2500, 5):
        bus.advance(ms * MS)
        while (frame := bus.receive()) is not None:
            samples += feed(one, frame, now_ns=ms * MS)
    assert [sample.counter for sample in samples] == list(range(1, 13))
    assert not samples[0].interrogating
    assert (one.state.period_ms, one.state.interrogate, one.state.unit) == (200, False, 3)


@pytest.mark.parametrize("address", [None, 0, 0x67, 0x6E])
def test_an_address_that_is_no_unit_is_refused(address: int | None) -> None:
    with pytest.raises(ValueError, match=r"0x68\.\.0x6d"):
        Device(SimCanBus("can1"), address, Settings())


def test_ids_are_apart_from_those_of_radar_battery_and_canopen() -> None:
    ids = {can_id for unit in range(6) for can_id in Device(SimCanBus("c"), 0x68 + unit, Settings()).can_ids}
    ids |= {0x683 + 0x10 * unit for unit in range(6)}
    assert min(ids) > 0x67F
    assert max(ids) < 0x6E0


def test_a_period_that_its_word_can_not_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="65535"):
        encode_configuration(70_000, True)


def test_codecs_tell_what_they_read() -> None:
    assert header(begin(9, 3).data) == (9, 3, True, 20)
    assert measured(halves(2, 9, 5)[0].data).slot == 2
    assert identity(halves(2, 9, 5)[1].data)[:3] == (2, 9, 5)
    assert receiver_state(struct.pack("<HBBBBH", 500, 1, 0b1001, 0, 1, 7)).faults == ("transmitter", "temperature")

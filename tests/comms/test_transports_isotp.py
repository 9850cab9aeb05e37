"""ISO-TP: speaks with can-isotp both ways, gives up in time, and keeps its bounds whatever frames come."""

from __future__ import annotations

from collections.abc import Callable

import can
import isotp as peer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.transports.isotp import FRAME_BYTES, IsoTp, IsoTpConfig, IsoTpFault, can_frames, stmin_ns

MS = 1_000_000
S = 1_000_000_000
CONTINUE = bytes((0x30, 0, 0))
messages = st.lists(st.binary(min_size=1, max_size=300), max_size=6)


def spoken(end: IsoTp, now_ns: int, most: int = 1000) -> list[bytes]:
    """The frames that an end sends now."""
    frames: list[bytes] = []
    while len(frames) < most and (frame := end.due(now_ns)) is not None:
        end.passed(now_ns)
        frames.append(frame)
    return frames


def exchange(a: IsoTp, b: IsoTp, now_ns: int, turns: int = 4000, step_ns: int = 0) -> int:
    """Carry frames both ways until nobody has any; the time then."""
    for _ in range(turns):
        there, back = spoken(a, now_ns), spoken(b, now_ns)
        for frame in there:
            b.hear(frame, now_ns)
        for frame in back:
            a.hear(frame, now_ns)
        if not there and not back and a.idle and b.idle and not a.receiving and not b.receiving:
            break
        now_ns += step_ns
    return now_ns


# -- messages of every size


@pytest.mark.parametrize("length", [1, 7, 8, 13, 14, 128, 1200, 4095, 4096, 9000])
def test_a_message_of_any_size_arrives(length: int) -> None:
    a, b = IsoTp(IsoTpConfig(longest=10_000)), IsoTp(IsoTpConfig(longest=10_000))
    message = bytes(index & 0xFF for index in range(length))
    assert a.begin(message, 0)
    exchange(a, b, 0)
    assert b.take() == message
    assert b.take() is None
    assert (a.counts.sent, b.counts.received) == (1, 1)
    assert not a.counts.faults
    assert not b.counts.faults


@settings(max_examples=60, deadline=None)
@given(messages, messages, st.integers(0, 9), st.sampled_from([0, 1, 5, 0xF3, 0x7F]))
def test_both_ways_run_at_once(there: list[bytes], back: list[bytes], block: int, st_min: int) -> None:
    config = IsoTpConfig(block_size=block, st_min=st_min, queue=16)
    a, b = IsoTp(config), IsoTp(config)
    now = 0
    for first, second in zip(there + [b""] * 6, back + [b""] * 6, strict=False):
        if first:
            assert a.begin(first, now)
        if second:
            assert b.begin(second, now)
        now = exchange(a, b, now, 20_000, step_ns=MS) + MS
    assert [b.take() for _ in there] == there
    assert [a.take() for _ in back] == back


def test_one_message_at_a_time_is_sent() -> None:
    a = IsoTp()
    assert a.begin(b"x" * 20, 0)
    assert not a.begin(b"y", 0)


@pytest.mark.parametrize(("length", "frames"), [(1, 1), (7, 1), (8, 2), (13, 2), (14, 3), (128, 19), (4096, 586)])
def test_the_count_of_frames_is_what_is_sent(length: int, frames: int) -> None:
    a, b = IsoTp(), IsoTp(IsoTpConfig(longest=5000))
    a.begin(bytes(length), 0)
    sent = spoken(a, 0)
    b.hear(sent[0], 0)
    for frame in spoken(b, 0):
        a.hear(frame, 0)
    assert len(sent) + len(spoken(a, 0)) == frames == can_frames(length)
    assert all(len(frame) == FRAME_BYTES for frame in sent)


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(ValueError, match="can't be sent"):
        IsoTp().begin(b"", 0)


# -- flow control


@pytest.mark.parametrize(("code", "ns"), [(0, 0), (1, MS), (0x7F, 127 * MS), (0xF1, 100_000), (0xF9, 900_000),
                                          (0x80, 127 * MS), (0xF0, 127 * MS), (0xFA, 127 * MS), (0xFF, 127 * MS)])
def test_separation_times_are_read_as_the_standard_has_them(code: int, ns: int) -> None:
    assert stmin_ns(code) == ns


def test_the_peer_s_separation_time_is_kept() -> None:
    a = IsoTp()
    a.begin(b"x" * 30, 0)
    spoken(a, 0)
    a.hear(bytes((0x30, 0, 10)), 0)
    sent_at = [now for now in range(0, 100 * MS, MS) for _ in spoken(a, now)]
    assert sent_at == [0, 10 * MS, 20 * MS, 30 * MS]


def test_blocks_wait_for_flow_control() -> None:
    a = IsoTp()
    a.begin(b"x" * 60, 0)
    spoken(a, 0)
    counts = []
    while not a.idle:
        a.hear(bytes((0x30, 3, 0)), 0)
        counts.append(len(spoken(a, 0)))
    assert counts == [3, 3, 2]


def test_a_peer_may_ask_to_wait_but_not_for_ever() -> None:
    a = IsoTp(IsoTpConfig(most_waits=3))
    a.begin(b"x" * 20, 0)
    spoken(a, 0)
    for turn in range(3):
        a.hear(bytes((0x31, 0, 0)), turn * 900 * MS)
        assert a.due(turn * 900 * MS) is None
        assert not a.idle
    a.hear(bytes((0x31, 0, 0)), 3 * S)
    assert a.idle
    assert a.counts.faults == {IsoTpFault.WFT_OVRN: 1}


@pytest.mark.parametrize(("status", "fault"), [(2, IsoTpFault.BUFFER_OVFLW), (3, IsoTpFault.INVALID_FS),
                                               (15, IsoTpFault.INVALID_FS)])
def test_a_refusal_of_the_peer_ends_the_message(status: int, fault: IsoTpFault) -> None:
    a = IsoTp()
    a.begin(b"x" * 20, 0)
    spoken(a, 0)
    a.hear(bytes((0x30 | status, 0, 0)), 0)
    assert a.idle
    assert a.counts.faults == {fault: 1}
    assert a.counts.failed == 1
    assert a.begin(b"next", 0)


def test_a_message_that_is_too_long_is_answered_with_overflow() -> None:
    a, b = IsoTp(), IsoTp(IsoTpConfig(longest=100))
    a.begin(b"x" * 101, 0)
    exchange(a, b, 0, 3)
    assert a.counts.faults == {IsoTpFault.BUFFER_OVFLW: 1}
    assert b.counts.faults == {IsoTpFault.BUFFER_OVFLW: 1}
    assert not b.receiving


def test_messages_that_nobody_takes_are_refused_and_counted() -> None:
    a, b = IsoTp(), IsoTp(IsoTpConfig(queue=2))
    for _ in range(4):
        a.begin(b"abc", 0)
        exchange(a, b, 0, 3)
    assert b.counts.overruns == 2
    a.begin(b"x" * 20, 0)
    exchange(a, b, 0, 3)
    assert a.counts.faults == {IsoTpFault.BUFFER_OVFLW: 1}


# -- time


def test_without_flow_control_the_message_is_given_up_after_n_bs() -> None:
    a = IsoTp()
    a.begin(b"x" * 20, 0)
    spoken(a, 0)
    assert a.due(S) is None
    assert not a.idle
    a.due(S + 1)
    assert a.idle
    assert a.counts.faults == {IsoTpFault.TIMEOUT_BS: 1}


def test_without_the_next_frame_the_message_is_given_up_after_n_cr() -> None:
    b = IsoTp()
    b.hear(bytes.fromhex("1014") + b"sixbyt", 0)
    assert spoken(b, 0) == [CONTINUE.ljust(8, b"\xcc")]
    b.due(S)
    assert b.receiving
    b.due(S + 1)
    assert not b.receiving
    assert b.counts.faults == {IsoTpFault.TIMEOUT_CR: 1}


def test_a_bus_that_takes_nothing_ends_the_message_after_n_as() -> None:
    a = IsoTp()
    a.begin(b"x" * 20, 0)
    assert a.due(S) is not None
    assert a.due(S + 1) is None
    assert a.idle
    assert a.counts.faults == {IsoTpFault.TIMEOUT_A: 1}


# -- frames that don't belong


def test_a_gap_in_the_numbers_ends_the_message() -> None:
    b = IsoTp()
    b.hear(bytes.fromhex("1014") + b"sixbyt", 0)
    b.hear(b"\x22sevenby", 0)
    assert not b.receiving
    assert b.counts.faults == {IsoTpFault.WRONG_SN: 1}
    b.hear(b"\x21sevenby", 0)
    assert b.counts.faults[IsoTpFault.UNEXP_PDU] == 1


@pytest.mark.parametrize("frame", [b"\x03new", bytes.fromhex("1009") + b"sixbyt"])
def test_a_new_message_breaks_off_the_last_one(frame: bytes) -> None:
    b = IsoTp()
    b.hear(bytes.fromhex("1014") + b"sixbyt", 0)
    b.hear(frame, 0)
    assert b.counts.faults == {IsoTpFault.UNEXP_PDU: 1}
    b.hear(b"\x21end", 0)
    assert b.take() in (b"new", b"sixbytend")


@pytest.mark.parametrize("frame", ["", "00", "05414243", "0841424344454647", "1007414243444546", "10144142",
                                   "1000000000104142", "40", "ff00112233445566"])
def test_a_frame_that_is_none_is_counted_and_nothing_more(frame: str) -> None:
    b = IsoTp()
    b.hear(bytes.fromhex(frame), 0)
    assert b.counts.faults == {IsoTpFault.ERROR: 1}
    assert b.due(0) is None
    assert b.take() is None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=8), st.integers(0, 300)), max_size=60))
def test_whatever_frames_come_nothing_is_raised_and_all_is_bounded(frames: list[tuple[bytes, int]]) -> None:
    b = IsoTp(IsoTpConfig(longest=200, queue=4))
    b.begin(b"x" * 100, 0)
    now = 0
    for frame, wait_ms in frames:
        now += wait_ms * MS
        b.hear(frame, now)
        assert len(spoken(b, now, 64)) < 64
    taken = []
    while (message := b.take()) is not None:
        taken.append(message)
    assert len(taken) <= 4
    assert all(len(message) <= 200 for message in taken)


@pytest.mark.parametrize("config", [{"block_size": 256}, {"st_min": -1}, {"longest": 0}])
def test_a_configuration_that_is_none_is_refused(config: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        IsoTpConfig(**config)


# -- the peer library


def _peer(transmit: Callable[[isotp_message], None], receive: Callable[[], isotp_message | None],
          **params: object) -> peer.TransportLayerLogic:
    address = peer.Address(peer.AddressingMode.Normal_11bits, txid=0x6D1, rxid=0x6D0)
    return peer.TransportLayerLogic(
        rxfn=lambda _timeout: receive(), txfn=transmit, address=address,
        params={"tx_padding": 0xCC, "max_frame_size": 5000, **params},
    )


isotp_message = peer.CanMessage


@pytest.mark.parametrize("length", [1, 7, 8, 128, 1200, 4095, 4096, 5000])
@pytest.mark.parametrize("block", [0, 4])
def test_can_isotp_and_ours_understand_each_other(length: int, block: int) -> None:
    ours = IsoTp(IsoTpConfig(block_size=block, longest=5000))
    to_peer: list[bytes] = []
    from_peer: list[bytes] = []

    def receive() -> isotp_message | None:
        return isotp_message(arbitration_id=0x6D0, data=to_peer.pop(0)) if to_peer else None

    other = _peer(lambda message: from_peer.append(bytes(message.data)), receive, blocksize=block, stmin=0)
    there, back = bytes(index & 0xFF for index in range(length)), bytes(255 - (i & 0xFF) for i in range(length))
    ours.begin(there, 0)
    other.send(back)
    got_there = got_back = None
    for turn in range(4000):
        to_peer += spoken(ours, turn * MS)
        other.process()
        for frame in from_peer:
            ours.hear(frame, turn * MS)
        from_peer.clear()
        got_back = got_back or ours.take()
        got_there = got_there or other.recv()
        if got_there and got_back and ours.idle:
            break
    assert got_there == there
    assert got_back == back
    assert not ours.counts.faults


def test_over_python_can_s_virtual_bus_too() -> None:
    bus = can.Bus("isotp-test", interface="virtual")
    own = can.Bus("isotp-test", interface="virtual")
    try:
        address = peer.Address(peer.AddressingMode.Normal_11bits, txid=0x6D1, rxid=0x6D0)
        other = peer.CanStack(bus, address=address, params={"tx_padding": 0xCC, "stmin": 0})
        ours = IsoTp()
        ours.begin(b"to the peer" * 20, 0)
        other.send(b"from the peer" * 20)
        heard = said = None
        for turn in range(400):
            for frame in spoken(ours, turn * MS):
                own.send(can.Message(arbitration_id=0x6D0, is_extended_id=False, data=frame))
            # The stack's own process starts threads; its logic alone needs none.
            peer.TransportLayerLogic.process(other)
            while (message := own.recv(0)) is not None:
                ours.hear(bytes(message.data), turn * MS)
            heard, said = heard or ours.take(), said or other.recv()
            if heard and said:
                break
        assert heard == b"from the peer" * 20
        assert said == b"to the peer" * 20
    finally:
        own.shutdown()
        bus.shutdown()

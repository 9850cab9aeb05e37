"""The pace of a line: never more than its rate, quiet while it turns round, never beyond its duty limit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.transports.pacer import HalfDuplex, Pacer

MS = 1_000_000
S = 1_000_000_000


def test_an_idle_line_takes_one_longest_frame_however_slow_it_is() -> None:
    pacer = Pacer(64.0, 128, queue_ns=0)
    assert pacer.room_bytes(0) == 128
    assert pacer.take(128, 0)
    assert not pacer.take(1, 0)
    assert pacer.room_bytes(8 * S) == pytest.approx(64, abs=1)
    assert pacer.room_bytes(17 * S) == 128


def test_an_nbl_slot_takes_sixteen_seconds() -> None:
    pacer = Pacer(64.0, 128)
    pacer.take(128, 0)
    assert pacer.airtime_ns == pytest.approx(16 * S, rel=1e-9)
    assert pacer.busy(16 * S - 1)
    assert not pacer.busy(16 * S + 1)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 100)), max_size=100))
def test_no_more_leaves_than_the_rate_lets_out(asks: list[tuple[int, int]]) -> None:
    pacer = Pacer(8000.0, 100)  # a byte a millisecond
    now = taken = 0
    for wait_ms, length in asks:
        now += wait_ms * MS
        room = pacer.room_bytes(now)
        went = pacer.take(length, now)
        assert went == (room >= length)
        taken += length if went else 0
        assert taken <= now / MS + 100


def test_a_clock_that_stands_still_lets_nothing_more_through() -> None:
    pacer = Pacer(8000.0, 100)
    assert sum(pacer.take(30, 5) for _ in range(10)) == 3
    assert pacer.room_bytes(5) < 30


def test_a_half_duplex_modem_keeps_quiet_after_it_heard_something() -> None:
    pacer = Pacer(9600.0, 100, half_duplex=HalfDuplex(turnaround_ns=60 * MS))
    pacer.heard(0)
    assert pacer.room_bytes(59 * MS) == 0
    assert not pacer.take(10, 59 * MS)
    assert pacer.take(10, 60 * MS)


def test_after_a_long_talk_comes_a_pause() -> None:
    pacer = Pacer(8000.0, 100, half_duplex=HalfDuplex(0, talk_ns=300 * MS, listen_ns=200 * MS))
    starts_ms = [now_ms for now_ms in range(0, 1000, 10) if pacer.take(100, now_ms * MS)]
    # Two frames of 100 ms fit into 300 ms, asked every 10 ms; then 200 ms of pause.
    assert starts_ms == [0, 110, 420, 530, 840, 950]


def test_what_the_other_side_says_ends_the_talk() -> None:
    pacer = Pacer(8000.0, 100, half_duplex=HalfDuplex(10 * MS, talk_ns=150 * MS, listen_ns=10 * S))
    assert pacer.take(100, 0)
    assert not pacer.take(100, 101 * MS)
    pacer.heard(120 * MS)
    assert pacer.take(100, 130 * MS)


def test_the_duty_limit_holds_in_every_hour() -> None:
    pacer = Pacer(8000.0, 100, duty=0.01)
    sent: list[int] = []
    for now in range(0, 3 * 3600 * S, S):
        if pacer.take(100, now):
            sent.append(now)
    allowed_ms = 36_000
    for start in sent[::20]:
        within = sum(1 for at in sent if start <= at < start + 3600 * S)
        assert within * 100 <= allowed_ms + 1
    assert len(sent) * 100 > 0.95 * 2 * allowed_ms  # and what is allowed can be used


def test_a_limit_that_no_frame_can_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="duty"):
        Pacer(64.0, 1000, duty=0.01)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="bit_rate"):
        Pacer(rate, 100)

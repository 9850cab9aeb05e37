"""The simulated line: every disturbance has the size it was asked for, and a seed repeats the whole run."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.link_line import GilbertElliott, LineRules, LinkLine

MS = 1_000_000
S = 1_000_000_000


def line(seed: int = 1, **rules: object) -> LinkLine:
    return LinkLine(LineRules(**rules), np.random.default_rng(seed))


def numbered(count: int, length: int = 32) -> list[bytes]:
    return [index.to_bytes(4, "big").ljust(length, b"\x5a") for index in range(count)]


def test_a_clean_line_hands_over_what_was_put_in_after_its_delay() -> None:
    between = line(delay_ns=250 * MS)
    for payload in numbered(3):
        assert between.put(0, payload, 0)
    assert between.next_ns(1) == 250 * MS
    assert between.get(1, 250 * MS - 1) == []
    assert between.get(1, 250 * MS, most=2) == numbered(3)[:2]
    assert between.get(1, 250 * MS) == numbered(3)[2:]
    assert between.next_ns(1) is None
    assert between.get(0, 10 * S) == []


def test_both_ways_are_apart() -> None:
    between = line()
    between.put(0, b"up", 0)
    between.put(1, b"down", 0)
    assert between.get(1, 0) == [b"up"]
    assert between.get(0, 0) == [b"down"]


def test_a_rate_makes_datagrams_wait_for_each_other_and_bounds_the_queue() -> None:
    between = line(bit_rate=8000.0, queue_bytes=300)
    assert [between.put(0, bytes(100), 0) for _ in range(5)] == [True, True, True, False, False]
    assert [len(between.get(1, t * 100 * MS)) for t in range(1, 5)] == [1, 1, 1, 0]
    assert between.counts(0).refused == 2


@pytest.mark.parametrize(("loss", "burst"), [(0.01, 1.5), (0.1, 4.0), (0.3, 3.0), (0.5, 10.0)])
def test_loss_has_the_mean_and_the_bursts_it_was_asked_for(loss: float, burst: float) -> None:
    rules = GilbertElliott.from_mean(loss, burst)
    assert rules.mean_loss == pytest.approx(loss)
    between = line(loss=rules)
    count = 40_000
    for payload in numbered(count, 4):
        between.put(0, payload, 0)
    arrived = {int.from_bytes(payload, "big") for payload in between.get(1, 0)}
    lost = [index not in arrived for index in range(count)]
    assert sum(lost) / count == pytest.approx(loss, rel=0.15)
    runs = [len(list(run)) for gone, run in groupby(lost) if gone]
    assert np.mean(runs) == pytest.approx(burst, rel=0.15)
    assert between.counts(0).lost == sum(lost)


@pytest.mark.parametrize(("loss", "burst"), [(1.0, 2.0), (-0.1, 2.0), (0.5, 0.5), (0.9, 2.0)])
def test_a_loss_that_cannot_be_is_refused(loss: float, burst: float) -> None:
    with pytest.raises(ValueError, match=r"burst|loss"):
        GilbertElliott.from_mean(loss, burst)


def test_bit_errors_turn_as_many_bits_as_they_should() -> None:
    between = line(bit_error=1e-3)
    sent = bytes(1000)
    for _ in range(300):
        between.put(0, sent, 0)
    turned = sum(bin(int.from_bytes(payload, "big")).count("1") for payload in between.get(1, 0))
    assert turned == pytest.approx(2400, rel=0.1)
    assert between.counts(0).broken > 290


def test_doubles_come_twice() -> None:
    between = line(duplicate=0.25)
    for payload in numbered(4000, 4):
        between.put(0, payload, 0)
    assert len(between.get(1, 0)) == pytest.approx(5000, rel=0.03)
    assert between.counts(0).doubled == pytest.approx(1000, rel=0.15)


def test_what_is_held_back_is_passed_by_later_ones_and_nothing_is_lost() -> None:
    between = line(reorder=0.2, reorder_ns=32 * MS)
    for index, payload in enumerate(numbered(2000, 4)):
        between.put(0, payload, index * MS)
    order = [int.from_bytes(payload, "big") for payload in between.get(1, 10 * S)]
    assert sorted(order) == list(range(2000))
    late = [place - index for place, index in enumerate(order)]
    assert 10 < max(late) <= 32
    assert between.counts(0).held_back == pytest.approx(400, rel=0.2)


def test_jitter_alone_keeps_the_order() -> None:
    between = line(jitter_ns=100 * MS)
    for index, payload in enumerate(numbered(500, 4)):
        between.put(0, payload, index * MS)
    assert between.get(1, S) == numbered(500, 4)


def test_nothing_gets_through_a_black_out() -> None:
    between = line(delay_ns=10 * MS, blackouts=((S, 2 * S),))
    for at in (S - 11 * MS, S - 10 * MS, S, 2 * S - 1, 2 * S):
        between.put(0, at.to_bytes(8, "big"), at)
    assert [int.from_bytes(p, "big") for p in between.get(1, 10 * S)] == [S - 11 * MS, 2 * S]
    assert between.counts(0).blacked_out == 3


def test_an_end_that_sends_hears_nothing_on_a_half_duplex_line() -> None:
    between = line(bit_rate=8000.0, half_duplex=True)
    between.put(0, bytes(100), 0)            # until 100 ms
    between.put(1, b"x" * 50, 50 * MS)       # 50 to 100 ms: side 0 is sending, and side 1 while it hears
    between.put(1, b"y" * 50, 100 * MS)      # 100 to 150 ms
    assert between.get(0, S) == [b"y" * 50]
    assert between.get(1, S) == []
    assert between.counts(0).collided == between.counts(1).collided == 1


def test_rules_change_on_the_way() -> None:
    between = line()
    between.put(0, b"a", 0)
    between.rules = LineRules(loss=GilbertElliott(1.0, 0.0))
    between.put(0, b"b", 0)
    assert between.get(1, 0) == [b"a"]


def test_an_attacker_changes_and_takes_away() -> None:
    between = LinkLine(LineRules(), np.random.default_rng(1),
                       tamper=lambda side, data: None if data == b"gone" else data.upper())
    between.put(0, b"seen", 0)
    between.put(0, b"gone", 0)
    assert between.get(1, 0) == [b"SEEN"]


def test_what_is_under_way_is_bounded() -> None:
    between = LinkLine(LineRules(delay_ns=S), np.random.default_rng(1), most=3)
    assert [between.put(0, b"x", 0) for _ in range(5)] == [True, True, True, False, False]
    assert between.under_way(0) == 3


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_seed_repeats_the_whole_run(seed: int) -> None:
    def run() -> list[bytes]:
        between = line(seed, delay_ns=5 * MS, jitter_ns=20 * MS, loss=GilbertElliott.from_mean(0.2, 3.0),
                       bit_error=1e-3, duplicate=0.1, reorder=0.1, reorder_ns=50 * MS)
        for index, payload in enumerate(numbered(50)):
            between.put(index % 2, payload, index * MS)
        return between.get(1, S) + between.get(0, S)

    assert run() == run()


@pytest.mark.parametrize("rules", [{"bit_error": 1.5}, {"duplicate": -0.1}, {"delay_ns": -1}, {"bit_rate": 0.0},
                                   {"queue_bytes": 0}])
def test_rules_that_cannot_be_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        LineRules(**rules)

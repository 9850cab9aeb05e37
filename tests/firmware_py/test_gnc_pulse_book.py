"""The pulse book: whatever is asked, cut, vetoed or late, the valves keep every rule and the ticks see what they do."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.pulse_book import PulseBook
from hal.profile.body import BodyConfig
from hal.profile.loader import load_body
from hal.propulsion import PulsePlan

BODY = load_body("qiki-t")
ALLOCATOR = Allocator(BODY)
PROP = BODY.propulsion
COUNT = len(PROP.nozzles)
TICK_MS = 5
MS = 1_000_000
JOIN_MS = 10


@dataclass
class Valves:
    """Valve nodes on a line of whole ms: what is driven, from the plans alone.

    A plan replaces all that was planned before. A valve that is open goes on if the plan opens it at 0, and else shuts
    when it has been open for its shortest time; a pulse that begins with the cut has begun. Up to ten ms after a
    window's end an open valve still waits for the next one.
    """

    body: BodyConfig
    length_ms: int
    on: np.ndarray = field(init=False)
    end: int = 0

    def __post_init__(self) -> None:
        self.on = np.zeros((self.length_ms, len(self.body.propulsion.nozzles)), dtype=bool)

    def take(self, now: int, plan: PulsePlan) -> None:
        for n, (opens, shuts) in enumerate(zip(plan.open_ms, plan.close_ms, strict=True)):
            last = min(now, self.end)
            cut = now < self.end and bool(self.on[now, n])
            waits = self.end <= now <= self.end + JOIN_MS and last > 0 and bool(self.on[last - 1, n])
            goes_on = opens == 0 and shuts > 0 and (cut or waits)
            self.on[now:, n] = False
            if goes_on:
                self.on[last:now, n] = True
            elif cut:
                opened = now - int(np.argmin(self.on[:now, n][::-1]))
                self.on[now : max(now, opened + self.body.propulsion.min_on_ms), n] = True
            self.on[now + opens : now + shuts, n] = True
        self.end = now + plan.window_ms


def audit(on: np.ndarray, body: BodyConfig) -> int:
    """Assert every rule on valve states (ms, n); returns the pulses seen. The last pulse may still be running."""
    prop, pulses = body.propulsion, 0
    for n in range(on.shape[1]):
        steps = np.diff(np.concatenate([[0], on[:, n].astype(int), [0]]))
        opens, shuts = np.flatnonzero(steps > 0), np.flatnonzero(steps < 0)
        pulses += len(opens)
        lengths = shuts - opens
        done = shuts < len(on)
        assert (lengths[done] >= prop.min_on_ms).all(), (n, lengths)
        assert (lengths <= prop.max_burn_ms).all(), (n, lengths)
        pauses = opens[1:] - shuts[:-1]
        assert (pauses >= prop.min_off_ms).all(), (n, pauses)
        longest = lengths[:-1] > prop.max_burn_ms - prop.window_ms
        assert (pauses[longest] >= prop.cooldown_ms).all(), (n, pauses[longest])
    return pulses


def legal(rng: np.random.Generator, eager: float, whole: float) -> np.ndarray:
    lengths = rng.integers(PROP.min_on_ms, PROP.window_ms - PROP.min_off_ms + 1, COUNT)
    lengths[rng.random(COUNT) < whole] = PROP.window_ms
    lengths[rng.random(COUNT) > eager] = 0
    return lengths.astype(np.int64)


def without(plan: PulsePlan, nozzles: np.ndarray) -> PulsePlan:
    opens, shuts = np.array(plan.open_ms), np.array(plan.close_ms)
    opens[nozzles] = shuts[nozzles] = 0
    return PulsePlan(plan.window_ms, tuple(opens.tolist()), tuple(shuts.tolist()))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    eager=st.sampled_from([0.2, 0.6, 1.0]),
    whole=st.sampled_from([0.0, 0.5, 1.0]),
    cuts=st.sampled_from([0.0, 0.3, 0.9]),
    lates=st.sampled_from([0.0, 0.2]),
    vetoes=st.sampled_from([0.0, 0.3]),
)
def test_no_order_of_windows_cuts_and_vetoes_breaks_a_rule(
    seed: int, eager: float, whole: float, cuts: float, lates: float, vetoes: float
) -> None:
    rng = np.random.default_rng(seed)
    book = PulseBook(BODY, ALLOCATOR, TICK_MS)
    valves = Valves(BODY, 60 * 2000)
    now = 500
    for _ in range(60):
        book.begin(now * MS)
        plan, _ = book.place(legal(rng, eager, whole))
        if rng.random() < vetoes:
            plan = without(plan, rng.random(COUNT) < 0.4)
            book.amend(plan)
        valves.take(now, plan)
        draw = rng.random()
        if draw < cuts:
            now += int(rng.integers(1, PROP.window_ms))
        elif draw > 1.0 - lates:
            now += PROP.window_ms + int(rng.choice([1, 5, 10, 11, 40, 700]))
        else:
            now += PROP.window_ms
    assert audit(valves.on[:now], BODY) > 0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    whole=st.sampled_from([0.0, 0.7]),
    cuts=st.sampled_from([0.0, 0.4]),
    vetoes=st.sampled_from([0.0, 0.3]),
)
def test_each_tick_expects_what_the_valves_do_latency_included(
    seed: int, whole: float, cuts: float, vetoes: float
) -> None:
    rng = np.random.default_rng(seed)
    book = PulseBook(BODY, ALLOCATOR, TICK_MS)
    windows, ticks = 30, PROP.window_ms // TICK_MS
    valves = Valves(BODY, (windows + 4) * PROP.window_ms)
    start = now = 500
    expected = []
    for _ in range(windows):
        book.begin(now * MS)
        plan, _ = book.place(legal(rng, 0.5, whole))
        if rng.random() < vetoes:
            plan = without(plan, rng.random(COUNT) < 0.4)
            book.amend(plan)
        valves.take(now, plan)
        flown = int(rng.integers(1, ticks)) if rng.random() < cuts else ticks
        expected += [book.expected(tick) for tick in range(flown)]
        now += flown * TICK_MS
    late = np.vstack([np.zeros((PROP.valve_latency_ms, COUNT)), valves.on])[start:now]
    per_tick = late.reshape(-1, TICK_MS, COUNT).sum(axis=1) * 1e-3
    for tick, seen in enumerate(expected):
        want = np.append(ALLOCATOR.wrenches @ per_tick[tick], ALLOCATOR.thrust @ per_tick[tick])
        assert np.array(seen if seen is not None else (0.0,) * 7) == pytest.approx(want, abs=1e-9), tick


def test_a_time_is_centred_and_what_it_makes_is_told() -> None:
    book = PulseBook(BODY, ALLOCATOR, TICK_MS)
    book.begin(0)
    on_ms = np.zeros(COUNT, dtype=np.int64)
    on_ms[3] = 100
    plan, made = book.place(on_ms)
    assert (plan.open_ms[3], plan.close_ms[3]) == (75, 175)
    assert made == pytest.approx(ALLOCATOR.wrenches[:, 3] * 0.1)


def test_whole_windows_after_the_longest_pulse_lose_one_pause_only() -> None:
    book = PulseBook(BODY, ALLOCATOR, TICK_MS)
    valves = Valves(BODY, 1000)
    for window, length in enumerate((book.max_pulse_ms, 250, book.max_pulse_ms, 250)):
        book.begin(window * 250 * MS)
        plan, _ = book.place(np.where(np.arange(COUNT) == 4, length, 0).astype(np.int64))
        valves.take(window * 250, plan)
    assert int((~valves.on[:, 4]).sum()) == 2 * PROP.min_off_ms


def test_the_longest_burn_ends_and_bars_its_nozzle_until_it_has_cooled() -> None:
    book = PulseBook(BODY, ALLOCATOR, TICK_MS)
    on_ms = np.where(np.arange(COUNT) == 4, 250, 0).astype(np.int64)
    driven, barred = [], []
    for window in range(40):
        book.begin(window * 250 * MS)
        barred.append(bool(book.blocked(window * 250 * MS) & 1 << 4))
        plan, _ = book.place(on_ms)
        driven.append(plan.on_ms[4])
    assert sum(driven[:12]) == PROP.max_burn_ms
    assert driven[12:36] == [0] * 24
    assert barred[12:36] == [True] * 24
    assert driven[36] == 250
    assert book.counters.dropped == 24


def test_a_burn_that_could_not_last_another_window_is_told_in_time() -> None:
    book = PulseBook(BODY, ALLOCATOR, TICK_MS)
    on_ms = np.where(np.arange(COUNT) == 4, 250, 0).astype(np.int64)
    told = []
    book.begin(0)
    book.place(np.where(np.arange(COUNT) == 4, 100, 0).astype(np.int64))
    for window in range(1, 14):
        book.begin(window * 250 * MS)
        told.append(book.overdue())
        book.place(on_ms if not told[-1] else 0 * on_ms)
    assert told[:12] == [0] * 12
    assert told[12] == 1 << 4


def test_a_vetoed_pulse_comes_off_the_counters() -> None:
    book = PulseBook(BODY, ALLOCATOR, TICK_MS)
    book.begin(0)
    book.place(np.full(COUNT, 100, dtype=np.int64))
    made = book.amend(PulsePlan.shut(COUNT, PROP.window_ms))
    counters = book.counters
    assert (counters.pulses, counters.on_ms, counters.firing_windows) == (0, 0, 0)
    assert counters.propellant_kg == pytest.approx(0.0)
    assert not made.any()
    assert all(book.expected(tick) is None for tick in range(50))


def test_a_tick_that_does_not_divide_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number"):
        PulseBook(BODY, ALLOCATOR, 3.0)

"""Pulse width with carry: no momentum builds up, a steady demand costs what the allocator says, lengths on the grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.modulator import Carry
from firmware_py.gnc.pulse_width import PulseWidthModulator
from hal.profile.loader import load_body

BODIES = ("qiki-t", "qiki-g", "bench-12kg", "gref")
WINDOW_NS = 250_000_000
_BODY = {name: load_body(name) for name in BODIES}
_ALLOCATORS = {name: Allocator(_BODY[name]) for name in BODIES}
NAN = float("nan")


def make(name: str, **options: object) -> PulseWidthModulator:
    return PulseWidthModulator(_BODY[name], _ALLOCATORS[name], **options)  # type: ignore[arg-type]


def attainable(name: str, rng: np.random.Generator, share: float) -> np.ndarray:
    """An impulse of one window in a random direction, ``share`` of what is attainable in it."""
    allocator = _ALLOCATORS[name]
    direction = rng.standard_normal(6) * np.abs(allocator.wrenches).max(axis=1)
    wrench: np.ndarray = direction * share * allocator.largest_scale(direction) * 0.25
    return wrench


def price(name: str, impulse: np.ndarray) -> float:
    """Least thrust impulse (N s) that makes ``impulse``, if open times had no bounds."""
    allocator = _ALLOCATORS[name]
    size = 1e-3 * allocator.largest_scale(impulse) if impulse.any() else 1.0
    return float(allocator.allocate(impulse * size)[0] @ allocator.thrust) / size


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(BODIES),
    seed=st.integers(0, 2**16),
    share=st.sampled_from([0.003, 0.02, 0.1, 0.3]),
    grid_ms=st.sampled_from([1, 30]),
    windows=st.integers(1, 60),
)
def test_no_momentum_builds_up_whatever_was_demanded(
    name: str, seed: int, share: float, grid_ms: int, windows: int
) -> None:
    rng = np.random.default_rng(seed)
    modulator = make(name, grid_ms=grid_ms)
    steady = attainable(name, rng, share)
    wanted, emitted = np.zeros(6), np.zeros(6)
    for window in range(windows):
        demand = attainable(name, rng, share * rng.random()) if window % 3 else steady
        wanted += demand
        emitted += modulator.plan(tuple(demand), window * WINDOW_NS)[1]
        left = wanted - emitted
        assert np.array(modulator.carried) == pytest.approx(left, abs=1e-6 * float(np.abs(left).max() + 1e-9))
        # The remainder is a non-negative sum of a basis: one shortest pulse each of its six nozzles makes up for it.
        assert price(name, left) <= 6 * 0.0301 * _ALLOCATORS[name].thrust.max()


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_a_steady_demand_costs_no_more_than_the_allocators_cheapest_basis(name: str, share: float) -> None:
    rng = np.random.default_rng(7)
    allocator = _ALLOCATORS[name]
    for _ in range(5):
        modulator = make(name)
        demand = attainable(name, rng, share)
        flown = sum(
            float(allocator.thrust @ np.array(modulator.plan(tuple(demand), w * WINDOW_NS)[0].on_ms)) * 1e-3
            for w in range(80)
        )
        assert flown <= 80 * price(name, demand) * 1.0001
        assert flown >= 80 * price(name, demand) - 6 * 0.0301 * allocator.thrust.max()


@pytest.mark.parametrize("grid_ms", [1, 10, 30])
def test_lengths_are_on_the_grid(grid_ms: int) -> None:
    rng = np.random.default_rng(3)
    modulator = make("qiki-t", grid_ms=grid_ms)
    seen = set()
    for window in range(120):
        plan, _ = modulator.plan(tuple(attainable("qiki-t", rng, 0.6 * rng.random())), window * WINDOW_NS)
        for on, close in zip(plan.on_ms, plan.close_ms, strict=True):
            if on and close < 250 and on < 220:
                seen.add(on)
    assert len(seen) > 3
    assert all(on >= 30 and (on - 30) % grid_ms == 0 for on in seen)


def test_pulses_are_centred() -> None:
    plan, _ = make("qiki-t").plan((0.0, 0.0, 70.0, 0.0, 0.0, 0.0), 0)
    edges = [(o, c) for o, c in zip(plan.open_ms, plan.close_ms, strict=True) if c > o]
    assert len(edges) == 4
    assert all(abs(o + c - 250) <= 1 for o, c in edges)


def test_a_demand_below_the_shortest_pulse_waits_until_it_is_worth_one() -> None:
    modulator = make("bench-12kg")
    impulse = (0.0, 0.0, 1.414 * 0.010, 0.0, 0.0, 0.0)
    fired = [any(modulator.plan(impulse, w * WINDOW_NS)[0].on_ms) for w in range(9)]
    assert fired == [False, False, False, True, False, False, True, False, False] or fired == [
        False, False, True, False, False, True, False, False, True
    ]


def test_a_demand_that_is_not_finite_shuts_the_window_and_keeps_the_remainder() -> None:
    modulator = make("qiki-t")
    modulator.plan((0.0, 0.0, 155.0, 0.0, 0.0, 0.0), 0)
    modulator.plan((0.0, 0.0, 5.0, 0.0, 0.0, 0.0), WINDOW_NS)
    modulator.plan((0.0, 0.0, 18.0, 0.0, 0.0, 0.0), 2 * WINDOW_NS)
    before = modulator.carried
    assert any(before)
    plan, emitted = modulator.plan((NAN, 0.0, 0.0, 0.0, 0.0, 0.0), 3 * WINDOW_NS)
    assert not any(plan.on_ms)
    assert not any(emitted)
    assert modulator.carried == before
    assert modulator.counters.refused_demands == 1


def test_a_shut_window_fires_no_remainder() -> None:
    modulator = make("qiki-t")
    modulator.plan((0.0, 0.0, 400.0, 0.0, 0.0, 0.0), 0)
    before = modulator.carried
    assert before[2] > 100.0
    assert not any(modulator.shut(WINDOW_NS).on_ms)
    assert modulator.carried == before


def test_a_push_that_is_open_loop_in_force_alone_carries_only_force() -> None:
    modulator = make("qiki-t", always_carry=False)
    modulator.plan((0.0, 0.0, 10.0, 0.0, 2.0, 0.0), 0, carry=Carry.FORCE)
    left = modulator.carried
    assert left[2] == pytest.approx(10.0)
    assert not any(left[3:])


def test_without_carry_each_window_stands_alone() -> None:
    modulator = make("bench-12kg", always_carry=False)
    for window in range(10):
        assert not any(modulator.plan((0.0, 0.0, 0.014, 0.0, 0.0, 0.0), window * WINDOW_NS)[0].on_ms)
    assert not any(modulator.carried)


@pytest.mark.parametrize("grid_ms", [0, -5])
def test_a_grid_that_is_not_positive_is_refused(grid_ms: int) -> None:
    with pytest.raises(ValueError, match="grid"):
        make("qiki-t", grid_ms=grid_ms)

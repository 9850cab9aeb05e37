"""Slots: exact in the mean, quiet beside pulse width, sets without waste, multiples of the shortest pulse."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.modulator import Modulator
from firmware_py.gnc.pulse_width import PulseWidthModulator
from firmware_py.gnc.slots import SlotModulator, slot_sets
from hal.profile.loader import load_body

BODIES = ("qiki-t", "qiki-g", "bench-12kg", "gref")
WINDOW_NS = 250_000_000
_BODY = {name: load_body(name) for name in BODIES}
_ALLOCATORS = {name: Allocator(_BODY[name]) for name in BODIES}
_FRESH = {name: SlotModulator(_BODY[name], _ALLOCATORS[name]) for name in BODIES}
def make(name: str) -> SlotModulator:
    return deepcopy(_FRESH[name])


def motion(name: str, impulse: np.ndarray) -> np.ndarray:
    """Velocity (m/s) and rate (rad/s) that an impulse gives."""
    mass = _BODY[name].mass
    return np.concatenate([
        impulse[:3] / (mass.dry_kg + mass.propellant_kg),
        np.linalg.solve(np.array(mass.inertia_kg_m2), impulse[3:]),
    ])


def pulses(name: str, motions: np.ndarray) -> np.ndarray:
    """Size of motions (..., 6) in root mean squares of what one nozzle makes in a shortest pulse."""
    one = np.array([motion(name, w * 0.030) for w in _ALLOCATORS[name].wrenches.T])
    v, r = (np.sqrt(np.mean(np.sum(part**2, axis=1))) for part in (one[:, :3], one[:, 3:]))
    size: np.ndarray = np.hypot(
        np.linalg.norm(motions[..., :3], axis=-1) / v, np.linalg.norm(motions[..., 3:], axis=-1) / r
    ) / np.sqrt(2.0)
    return size


def errors(name: str, modulator: Modulator, demand: np.ndarray, windows: int) -> np.ndarray:
    """Accumulated error (windows, 6) as motion."""
    left, rows = np.zeros(6), []
    for window in range(windows):
        left = left + demand - modulator.plan(tuple(demand), window * WINDOW_NS)[1]
        rows.append(motion(name, left))
    return np.array(rows)


@pytest.mark.parametrize("name", BODIES)
def test_sets_are_small_not_balanced_and_not_made_cheaper_by_another(name: str) -> None:
    allocator = _ALLOCATORS[name]
    sets = slot_sets(allocator.wrenches, allocator.thrust)
    assert sets.sum(axis=1).max() <= 4
    made = sets @ allocator.wrenches.T
    assert np.abs(made).max(axis=1).min() > 1e-3 * np.abs(allocator.wrenches).max()
    scaled = np.rint(made / np.abs(allocator.wrenches).max(axis=1) / 1e-6)
    assert len(np.unique(scaled, axis=0)) == len(sets)
    assert {int(row.nonzero()[0][0]) for row in sets if row.sum() == 1} == set(range(16))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(name=st.sampled_from(BODIES), seed=st.integers(0, 2**16), share=st.sampled_from([0.003, 0.02, 0.1, 0.3]))
def test_the_error_of_the_sum_stays_below_one_shortest_pulse(
    name: str, seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    allocator = _ALLOCATORS[name]
    direction = rng.standard_normal(6) * np.abs(allocator.wrenches).max(axis=1)
    demand = direction * share * allocator.largest_scale(direction) * 0.25
    left = pulses(name, errors(name, make(name), demand, 40))
    assert left.max() < 1.0


@pytest.mark.parametrize("name", BODIES)
def test_small_constant_demands_are_quieter_than_with_pulse_width(name: str) -> None:
    allocator = _ALLOCATORS[name]
    ours, theirs = [], []
    for axis in range(6):
        for sign in (1.0, -1.0):
            e = np.zeros(6)
            e[axis] = sign
            demand = e * 0.02 * allocator.largest_scale(e) * 0.25
            ours.append(errors(name, make(name), demand, 50))
            theirs.append(errors(name, PulseWidthModulator(_BODY[name], allocator), demand, 50))
    velocity, rate = (
        np.linalg.norm(np.array(ours)[..., part]) / np.linalg.norm(np.array(theirs)[..., part])
        for part in (slice(0, 3), slice(3, 6))
    )
    assert velocity < 0.4
    assert rate < 0.75


def test_open_times_are_whole_slots_and_contiguous() -> None:
    rng = np.random.default_rng(5)
    modulator = make("qiki-t")
    seen = set()
    for window in range(80):
        demand = rng.standard_normal(6) * np.array([30.0, 30.0, 30.0, 10.0, 10.0, 20.0]) * rng.random()
        plan, _ = modulator.plan(tuple(demand), window * WINDOW_NS)
        seen |= {on for on, close in zip(plan.on_ms, plan.close_ms, strict=True) if on and close < 250}
    assert len(seen) >= 3
    assert all(on % 30 == 0 for on in seen)


def test_a_demand_beyond_the_nozzles_is_shortened_without_turning() -> None:
    modulator = make("qiki-t")
    demand = np.array([0.0, 0.0, 622.0, 0.0, 0.0, 0.0]) * 0.25 * 3.0
    emitted = np.array(modulator.plan(tuple(demand), 0)[1])
    assert modulator.counters.saturated == 1
    assert emitted[2] == pytest.approx(622.25 * 0.25, rel=1e-3)
    assert np.abs(np.delete(emitted, 2)).max() < 1e-6


@pytest.mark.parametrize("name", BODIES)
def test_barred_nozzles_stay_shut_and_the_others_make_the_demand(name: str) -> None:
    allocator, modulator = _ALLOCATORS[name], make(name)
    mask = 1 << 0
    direction = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    demand = direction * 0.1 * allocator.largest_scale(direction) * 0.25
    made = np.zeros(6)
    for window in range(40):
        plan, emitted = modulator.plan(tuple(demand), window * WINDOW_NS, mask)
        assert plan.on_ms[0] == 0
        made += emitted
    assert pulses(name, motion(name, 40 * demand - made)) < 1.0

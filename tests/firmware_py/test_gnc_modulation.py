"""Pulse plans: every rule of the valves kept, impulse conserved, fine pulses where one nozzle is too coarse."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.modulation import PulseModulator, balanced_groups
from hal.profile.loader import load_body
from tests.firmware_py.gnc_flight import PulseAuditor

BODIES = ("qiki-t", "qiki-g", "bench-12kg")
WINDOW_NS = 250_000_000
_ALLOCATORS = {name: Allocator(load_body(name)) for name in BODIES}


_FRESH = {name: PulseModulator(load_body(name), _ALLOCATORS[name]) for name in BODIES}


def make(name: str) -> PulseModulator:
    """A fresh one; copied, because its tables take a tenth of a second to make."""
    return deepcopy(_FRESH[name])


def motion(name: str, impulse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Velocity (m/s) and rate (deg/s) that an impulse gives."""
    mass = load_body(name).mass
    return (
        impulse[:3] / (mass.dry_kg + mass.propellant_kg),
        np.degrees(np.linalg.solve(np.array(mass.inertia_kg_m2), impulse[3:])),
    )


@pytest.mark.parametrize("name", BODIES)
def test_groups_are_balanced_and_cheapest_first(name: str) -> None:
    allocator = _ALLOCATORS[name]
    groups = balanced_groups(allocator.wrenches, allocator.thrust)
    assert len(groups) > 20
    assert np.abs(groups @ allocator.wrenches.T).max() < 1e-6 * np.abs(allocator.wrenches).max()
    assert (groups.min(axis=1) >= 0.0).all()
    assert np.min(np.where(groups > 0.0, groups, 9.0), axis=1) == pytest.approx(1.0)
    fuel = groups @ allocator.thrust
    assert (np.diff(fuel) >= -1e-6 * fuel.max()).all()


def test_the_known_groups_of_four_are_found() -> None:
    members = {frozenset(np.flatnonzero(z).tolist()) for z in make("qiki-t").groups}
    for group in ({0, 1, 4, 5}, {2, 3, 6, 7}, {8, 10, 12, 14}, {9, 11, 13, 15}):
        assert frozenset(group) in members or any(g < frozenset(group) for g in members)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_rate_far_below_one_pulse_is_made_by_differences(name: str, axis: int) -> None:
    modulator = make(name)
    inertia = np.diag(np.array(load_body(name).mass.inertia_kg_m2))
    wanted = np.zeros(6)
    wanted[3 + axis] = np.radians(0.25) * inertia[axis]
    plan, emitted = modulator.plan(tuple(wanted), 0, rate_tolerance=np.radians(0.02), velocity_tolerance=3e-3)
    velocity, rate = motion(name, wanted - np.array(emitted))
    assert any(plan.on_ms)
    assert np.abs(rate).max() < 0.03
    assert np.abs(velocity).max() < 3e-3
    assert all(on == 0 or on >= 30 for on in plan.on_ms)


def test_an_error_below_its_tolerance_is_left_alone() -> None:
    modulator = make("qiki-t")
    plan, emitted = modulator.plan((0.0, 0.0, 0.0, 0.1, 0.0, 0.0), 0, rate_tolerance=np.radians(0.05))
    assert not any(plan.on_ms)
    assert emitted == (0.0,) * 6


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(BODIES),
    seed=st.integers(0, 2**16),
    size=st.sampled_from([0.02, 0.3, 2.0, 8.0]),
    failed=st.sampled_from([0, 1, 0x300, 0x1000]),
    carry=st.booleans(),
)
def test_no_sequence_of_demands_breaks_a_pulse_rule(
    name: str, seed: int, size: float, failed: int, carry: bool
) -> None:
    rng = np.random.default_rng(seed)
    modulator, auditor = make(name), PulseAuditor(load_body(name))
    unit = np.abs(_ALLOCATORS[name].wrenches).max(axis=1) * 0.25
    steady = rng.standard_normal(6)
    for window in range(30):
        shape = steady if window % 7 < 4 else rng.standard_normal(6)
        demand = shape * unit * size if window % 5 != 4 else np.zeros(6)
        plan, emitted = modulator.plan(tuple(demand), window * WINDOW_NS, failed, carry=carry)
        auditor.window(plan)
        assert not any(on and failed >> n & 1 for n, on in enumerate(plan.on_ms))
        made = _ALLOCATORS[name].wrenches @ (np.array(plan.on_ms) * 1e-3)
        assert np.array(emitted) == pytest.approx(made, abs=1e-9 * unit.max())


def test_a_burn_is_continuous_ends_at_three_seconds_and_cools_down() -> None:
    modulator, auditor = make("qiki-t"), PulseAuditor(load_body("qiki-t"))
    history = []
    for window in range(60):
        plan, _ = modulator.plan((735.0 * 0.25, 0.0, 0.0, 0.0, 0.0, 0.0), window * WINDOW_NS)
        auditor.window(plan)
        history.append(plan)
    first = history[1]
    assert all(first.open_ms[n] == 0 and first.close_ms[n] == 250 for n in (4, 5, 6, 7))
    run = [all(plan.close_ms[n] == 250 for n in (4, 5, 6, 7)) for plan in history]
    assert sum(run[:12]) >= 11
    assert not any(any(plan.on_ms[n] for n in (4, 5, 6, 7)) for plan in history[12:36])
    assert modulator.counters.cooldowns >= 4


@settings(max_examples=40, deadline=None, derandomize=True)
@given(name=st.sampled_from(BODIES), seed=st.integers(0, 2**16), size=st.sampled_from([0.01, 0.05, 0.2]))
def test_carried_remainders_conserve_the_impulse(name: str, seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    modulator = make(name)
    allocator = _ALLOCATORS[name]
    unit = np.abs(allocator.wrenches).max(axis=1) * 0.25
    steady = rng.standard_normal(6) * unit * size
    demanded = np.zeros(6)
    emitted = np.zeros(6)
    # One shortest pulse of each nozzle, none helping another.
    pulse = np.abs(allocator.wrenches).sum(axis=1) * 0.030
    for window in range(40):
        demand = steady if window < 30 else np.zeros(6)
        _, made = modulator.plan(tuple(demand), window * WINDOW_NS, carry=True)
        demanded += demand
        emitted += np.array(made)
        assert (np.abs(demanded - emitted) <= pulse).all()
    assert np.array(modulator.carried) == pytest.approx(demanded - emitted, abs=1e-6 * unit.max())
    modulator.drop_carry()
    assert not any(modulator.carried)


@pytest.mark.parametrize("tick_ms", [2.0, 5.0])
def test_the_ticks_add_up_to_what_was_emitted_latency_included(tick_ms: float) -> None:
    body = load_body("qiki-t")
    modulator = PulseModulator(body, _ALLOCATORS["qiki-t"], tick_ms)
    total, seen, gross = np.zeros(6), np.zeros(6), 0.0
    driven_ms = 0.0
    for window in range(20):
        demand = (735.0 * 0.25, 5.0, 0.0, 0.0, 4.0, 3.0) if window < 6 else (0.0,) * 6
        plan, emitted = modulator.plan(demand, window * WINDOW_NS)
        total += np.array(emitted)
        driven_ms += float(_ALLOCATORS["qiki-t"].thrust @ np.array(plan.on_ms)) * 1e-3
        for tick in range(round(250 / tick_ms)):
            expected = modulator.expected(tick)
            if expected is not None:
                seen += np.array(expected[:6])
                gross += expected.gross
    assert seen == pytest.approx(total, abs=1e-6)
    assert gross == pytest.approx(driven_ms)


def test_the_expectation_starts_when_the_latency_is_over() -> None:
    modulator = make("qiki-t")
    plan, _ = modulator.plan((0.0, 0.0, 0.0, 0.0, 0.0, 40.0), 0)
    first = min(o for o, c in zip(plan.open_ms, plan.close_ms, strict=True) if c > o)
    tick = int((first + 2) // 5)
    assert all(modulator.expected(t) is None for t in range(tick))
    assert modulator.expected(tick) is not None


def test_a_tick_that_does_not_divide_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number"):
        PulseModulator(load_body("qiki-t"), _ALLOCATORS["qiki-t"], 3.0)


def test_a_window_without_demand_keeps_the_books() -> None:
    modulator = make("qiki-t")
    assert not any(modulator.shut(0).on_ms)
    assert modulator.counters.windows == 1
    assert modulator.counters.firing_windows == 0

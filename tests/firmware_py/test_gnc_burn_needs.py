"""Needs of a burn are those of the allocator's duties, slice by slice, whatever is shared between slices."""

from __future__ import annotations

from math import hypot, inf

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import force_ceiling_n
from firmware_py.gnc.burn_needs import AllocatorCeiling, BurnClock, Slice, burn_needs
from hal.profile import load_body

BODY = load_body("qiki-t")
ALLOCATOR = Allocator(BODY)
Wrench = tuple[float, float, float, float, float, float]


def along(wrench: Wrench, share: float) -> Wrench:
    a, b, c, d, e, f = wrench
    return (share * a, share * b, share * c, share * d, share * e, share * f)


@given(
    wrench=st.tuples(*[st.floats(-400.0, 400.0)] * 3, *[st.floats(-60.0, 60.0)] * 3),
    shares=st.lists(st.sampled_from([0.0, 0.01, 0.3, 0.7, 1.0, 1.7, 4.0]), min_size=1, max_size=7),
    failed=st.sampled_from([0, 1 << 12, 0x000F]),
)
@example(wrench=(0.0, 0.0, 0.0, 1.0, 6.0, 0.0), shares=[0.01, 0.3], failed=0x000F)
@settings(max_examples=60, deadline=None)
def test_a_ramp_needs_what_its_slices_need_one_by_one(wrench: Wrench, shares: list[float], failed: int) -> None:
    """Slices of one direction are one firing at several strengths, until a nozzle is full."""
    together = burn_needs([Slice(along(wrench, share), 0.2) for share in shares], ALLOCATOR, BODY, failed)
    propellant = torque = force = peak = 0.0
    for share in shares:
        duty, _ = ALLOCATOR.allocate(along(wrench, share), failed)
        off = ALLOCATOR.wrenches @ duty - np.array(along(wrench, share))
        propellant += 0.2 * float(ALLOCATOR.thrust @ duty) / (BODY.propulsion.specific_impulse_s * 9.80665)
        torque, force = max(torque, float(hypot(*off[3:]))), max(force, float(hypot(*off[:3])))
        peak = max(peak, float(duty.max()))
    assert together.propellant_kg == pytest.approx(propellant, rel=1e-6, abs=1e-12)
    assert together.peak_duty == pytest.approx(peak, rel=1e-6, abs=1e-9)
    assert together.residual_torque_n_m == pytest.approx(torque, rel=1e-6, abs=1e-6)
    assert together.residual_force_n == pytest.approx(force, rel=1e-6, abs=1e-6)


def test_slices_of_other_directions_are_firings_of_their_own() -> None:
    x, y = (200.0, 0.0, 0.0, 0.0, 0.0, 0.0), (0.0, 200.0, 0.0, 0.0, 0.0, 0.0)
    back = along(x, -1.0)
    both = burn_needs([Slice(x, 0.5), Slice(y, 0.5), Slice(back, 0.5)], ALLOCATOR, BODY)
    alone = [burn_needs([Slice(w, 0.5)], ALLOCATOR, BODY) for w in (x, y, back)]
    assert both.propellant_kg == pytest.approx(sum(n.propellant_kg for n in alone))
    assert both.impulse_n_s == pytest.approx((0.0, 100.0, 0.0), abs=1e-6)
    assert both.energy_j == pytest.approx(sum(n.energy_j for n in alone))


@given(
    wrench=st.tuples(*[st.floats(-400.0, 400.0)] * 3, *[st.floats(-60.0, 60.0)] * 3),
    shares=st.lists(st.sampled_from([0.0, 0.01, 0.7, 1.0, 2.5]), min_size=1, max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_the_peak_power_is_that_of_every_nozzle_of_the_fullest_slice(wrench: Wrench, shares: list[float]) -> None:
    needed = burn_needs([Slice(along(wrench, share), 0.2) for share in shares], ALLOCATOR, BODY)
    valve_w, counts = BODY.propulsion.valve_power_w, [0]
    for share in shares:
        duty, _ = ALLOCATOR.allocate(along(wrench, share), 0)
        counts += [int(np.count_nonzero(duty > limit)) for limit in (0.021, 0.019)] if any(along(wrench, share)) else []
    # Nozzles that only trim, with up to 2 % of duty, don't count, but one always does that fires at all.
    fires = needed.energy_j > 1e-3
    assert valve_w * max(max(counts[1::2], default=0), fires) <= needed.peak_w <= valve_w * max(*counts, 1)
    assert needed.energy_j <= (needed.peak_w + 16 * 0.02 * valve_w) * 0.2 * len(shares) + 1e-9


def test_the_peak_power_of_a_push_is_eighty_watts() -> None:
    """CANON section 3: a set of four nozzles."""
    push = Slice((300.0, 0.0, 0.0, 0.0, 0.0, 0.0), 1.0)
    assert burn_needs([push], ALLOCATOR, BODY).peak_w >= 4 * BODY.propulsion.valve_power_w
    assert burn_needs([Slice(along(push.wrench, 0.0), 1.0)], ALLOCATOR, BODY).peak_w == 0.0
    pulled = burn_needs([push, Slice(along(push.wrench, 0.0), 1.0)], ALLOCATOR, BODY)
    assert pulled.peak_w == burn_needs([push], ALLOCATOR, BODY).peak_w


def test_no_wrench_needs_nothing() -> None:
    none = burn_needs([Slice((0.0,) * 6, 3.0)], ALLOCATOR, BODY)
    assert (none.propellant_kg, none.energy_j, none.peak_duty, none.longest_burn_s) == (0.0, 0.0, 0.0, 0.0)
    assert set(none.cluster_heat_j.values()) == {0.0}


def test_what_the_nozzles_cannot_make_is_left_over() -> None:
    """Cluster A dead: no push along -X."""
    needed = burn_needs([Slice((-300.0, 0.0, 0.0, 0.0, 0.0, 0.0), 1.0)], ALLOCATOR, BODY, 0x000F)
    assert needed.residual_force_n > 150.0
    assert needed.impulse_n_s[0] > -150.0


def test_a_ceiling_is_the_whole_body_s_in_common_and_the_direction_s_alone() -> None:
    ceiling = AllocatorCeiling(BODY, ALLOCATOR)
    assert ceiling.force_n((0.0, 1.0, 0.0), True) == force_ceiling_n(BODY)
    assert ceiling.force_n((0.0, 1.0, 0.0), False) == pytest.approx(1086.0, abs=1.0)
    assert AllocatorCeiling(BODY, ALLOCATOR, 100.0).force_n((0.0, 1.0, 0.0), True) == 100.0


def test_a_burn_goes_on_across_slices_and_its_cooldown_starts_where_it_ends() -> None:
    clock = BurnClock(BODY)
    duty = [0.0] * 16
    duty[3] = 1.0
    clock.add(duty, 1.5)
    clock.add(duty, 1.5)
    assert clock.longest_s == pytest.approx(3.0)
    clock.add([0.0] * 16, 2.0)
    clock.restart()
    clock.add(duty, 0.1)
    assert clock.early_s == pytest.approx(BODY.propulsion.cooldown_ms * 1e-3 - 2.0)
    assert clock.longest_s == pytest.approx(0.1)
    assert clock.early_s < inf

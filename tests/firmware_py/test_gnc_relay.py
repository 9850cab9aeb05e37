"""PWPF and relay on wrench axes: pure wrenches, CANON's times, dead zones, hysteresis, failures."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.relay import AxisModulator, PwpfLevels, PwpfModulator, RelayModulator, Schmitt
from hal.profile.loader import load_body

BODIES = ("qiki-t", "qiki-g", "bench-12kg", "gref")
WINDOW_NS = 250_000_000
_BODY = {name: load_body(name) for name in BODIES}
_ALLOCATORS = {name: Allocator(_BODY[name]) for name in BODIES}
_FRESH = {
    (kind, name): kind(_BODY[name], _ALLOCATORS[name]) for name in BODIES for kind in (PwpfModulator, RelayModulator)
}


def make(kind: type[AxisModulator], name: str) -> AxisModulator:
    return deepcopy(_FRESH[kind, name])


def authority(name: str, axis: int, failed: int = 0) -> float:
    """Impulse (N s, N m s) that the cheapest pure set of an axis makes in a window at most."""
    e = np.zeros(6)
    e[axis] = 1.0
    return 0.25 / _ALLOCATORS[name].peak(e, failed)


def impurity(name: str) -> np.ndarray:
    """What an axis may make of the others: half a millisecond of rounding of each of twelve nozzles, and a twentieth of
    the residual torque."""
    rounding: np.ndarray = 0.0005 * 12 * np.abs(_ALLOCATORS[name].wrenches).max(axis=1)
    rounding[3:] += 0.05 * _BODY[name].limits.residual_torque_n_m * 0.25
    return rounding


def fly(modulator: AxisModulator, demand: np.ndarray, windows: int, **options: object) -> np.ndarray:
    """Mean impulse a window."""
    made = [modulator.plan(tuple(demand), w * WINDOW_NS, **options)[1] for w in range(windows)]  # type: ignore[arg-type]
    mean: np.ndarray = np.mean(made, axis=0)
    return mean


def axis_demand(name: str, axis: int, share: float) -> np.ndarray:
    demand = np.zeros(6)
    demand[axis] = share * authority(name, axis)
    return demand


def runs(schmitt: Schmitt, demand: float, ticks: int) -> list[tuple[int, int]]:
    """(state, length in ticks) of each stretch but the first and the last."""
    states = []
    for _ in range(ticks):
        schmitt.run(demand, 1)
        states.append(schmitt.state)
    edges = [0, *(i for i in range(1, ticks) if states[i] != states[i - 1]), ticks]
    return [(states[a], b - a) for a, b in pairwise(edges[1:-1])]


def test_the_standard_levels_give_canons_shortest_times() -> None:
    pulses = [length for state, length in runs(Schmitt(PwpfLevels(), 0.001), 0.2501, 8000) if state]
    assert min(pulses) == pytest.approx(32, abs=2)
    gaps = [length for state, length in runs(Schmitt(PwpfLevels(), 0.001), 1.0, 8000) if not state]
    assert min(gaps) == pytest.approx(35, abs=2)


def test_at_the_tick_no_pulse_is_shorter_than_the_valves() -> None:
    for demand in np.linspace(0.25, 1.05, 30):
        lengths = [length * 5 for state, length in runs(Schmitt(PwpfLevels(), 0.005), demand, 2000) if state]
        assert not lengths or min(lengths) >= 30


def test_below_on_over_gain_pwpf_is_silent_and_symmetric_above() -> None:
    schmitt = Schmitt(PwpfLevels(), 0.005)
    assert schmitt.run(0.2499, 4000) == 0
    other = Schmitt(PwpfLevels(), 0.005)
    schmitt.reset()
    assert schmitt.run(0.6, 1000) == -other.run(-0.6, 1000) > 300


@pytest.mark.parametrize("levels", [(0.0, 0.15, 0.45, 0.1), (1.8, 0.0, 0.45, 0.1), (1.8, 0.15, 0.1, 0.45)])
def test_impossible_levels_are_refused(levels: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="levels"):
        PwpfLevels(*levels)


@pytest.mark.parametrize(("on", "off"), [(0.1, 0.2), (0.1, -0.01)])
def test_impossible_relay_levels_are_refused(on: float, off: float) -> None:
    with pytest.raises(ValueError, match="off"):
        RelayModulator(_BODY["qiki-t"], _ALLOCATORS["qiki-t"], on=on, off=off)


@pytest.mark.parametrize("kind", [PwpfModulator, RelayModulator])
@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("axis", range(6))
def test_no_axis_disturbs_another(kind: type[AxisModulator], name: str, axis: int) -> None:
    for share in (0.3, 0.55, 0.8):
        for sign in (1.0, -1.0):
            modulator = make(kind, name)
            for window in range(8):
                made = np.array(modulator.plan(tuple(sign * axis_demand(name, axis, share)), window * WINDOW_NS)[1])
                assert made[axis] * sign >= 0.0
                made[axis] = 0.0
                assert (np.abs(made) <= impurity(name)).all()


@pytest.mark.parametrize("name", BODIES)
def test_pwpf_loses_part_of_the_impulse_by_nature_and_all_in_its_dead_zone(name: str) -> None:
    shares = {
        share: fly(make(PwpfModulator, name), axis_demand(name, 4, share), 40)[4] / axis_demand(name, 4, share)[4]
        for share in (0.2, 0.5, 0.8)
    }
    assert shares[0.2] == 0.0
    assert 0.6 < shares[0.5] < 0.75
    assert shares[0.5] < shares[0.8] < 0.9


@pytest.mark.parametrize("kind", [PwpfModulator, RelayModulator])
@pytest.mark.parametrize("name", BODIES)
def test_both_signs_of_every_axis_push_their_way(kind: type[AxisModulator], name: str) -> None:
    for axis in range(6):
        for sign in (1.0, -1.0):
            wanted = sign * axis_demand(name, axis, 0.6)
            assert fly(make(kind, name), wanted, 12)[axis] / wanted[axis] > 0.6


@pytest.mark.parametrize("name", BODIES)
def test_relay_makes_what_is_above_its_level_and_nothing_below(name: str) -> None:
    assert not fly(make(RelayModulator, name), axis_demand(name, 4, 0.05), 10).any()
    wanted = axis_demand(name, 4, 0.63)
    assert fly(make(RelayModulator, name), wanted, 10)[4] == pytest.approx(wanted[4], rel=0.03)


@pytest.mark.parametrize("kind", [PwpfModulator, RelayModulator])
def test_with_carry_even_small_demands_come_out_whole(kind: type[AxisModulator]) -> None:
    wanted = axis_demand("qiki-t", 5, 0.08)
    made = fly(make(kind, "qiki-t"), wanted, 120, carry=True)
    assert made[5] == pytest.approx(wanted[5], rel=0.1)


def test_hysteresis_keeps_an_axis_on_below_the_level_at_which_it_came_on() -> None:
    fresh, running = make(RelayModulator, "qiki-t"), make(RelayModulator, "qiki-t")
    small = axis_demand("qiki-t", 3, 0.13)
    limit = RelayModulator(_BODY["qiki-t"], _ALLOCATORS["qiki-t"], on=0.3)
    assert not np.any(limit.plan(tuple(small), 0)[1])
    limit.plan(tuple(axis_demand("qiki-t", 3, 1.2)), WINDOW_NS)
    assert np.any(limit.plan(tuple(small), 2 * WINDOW_NS)[1])
    assert np.any(fresh.plan(tuple(small), 0)[1])
    running.plan(tuple(axis_demand("qiki-t", 3, 0.05)), 0)
    assert not np.any(running.plan(tuple(axis_demand("qiki-t", 3, 0.05)), WINDOW_NS)[1])


def test_a_window_without_demand_sets_pwpf_back_to_rest() -> None:
    a, b = make(PwpfModulator, "qiki-t"), make(PwpfModulator, "qiki-t")
    wanted = tuple(axis_demand("qiki-t", 5, 0.4))
    for window in range(3):
        a.plan(wanted, window * WINDOW_NS)
    a.shut(3 * WINDOW_NS)
    late = [a.plan(wanted, w * WINDOW_NS)[0] for w in range(4, 8)]
    fresh = [b.plan(wanted, w * WINDOW_NS)[0] for w in range(4, 8)]
    assert late == fresh


@pytest.mark.parametrize("kind", [PwpfModulator, RelayModulator])
def test_saturation_shortens_without_turning(kind: type[AxisModulator]) -> None:
    demand = axis_demand("qiki-t", 3, 2.0) + axis_demand("qiki-t", 5, 2.0)
    modulator = make(kind, "qiki-t")
    modulator.plan(tuple(demand), 0)
    made = np.array(modulator.plan(tuple(demand), WINDOW_NS)[1])
    assert modulator.counters.saturated >= 1
    assert made[5] / made[3] == pytest.approx(demand[5] / demand[3], rel=0.02)
    assert np.abs(np.delete(made, [3, 5])).max() < 0.02 * made[3]


@pytest.mark.parametrize("kind", [PwpfModulator, RelayModulator])
@pytest.mark.parametrize("name", BODIES)
def test_a_failed_nozzle_stays_shut_and_its_axes_stay_pure(kind: type[AxisModulator], name: str) -> None:
    for nozzle in range(16):
        modulator = make(kind, name)
        demand = np.zeros(6)
        demand[nozzle % 6] = 0.6 * authority(name, nozzle % 6, 1 << nozzle)
        for window in range(4):
            plan, emitted = modulator.plan(tuple(demand), window * WINDOW_NS, 1 << nozzle)
            assert plan.on_ms[nozzle] == 0
            rest = np.array(emitted)
            rest[nozzle % 6] = 0.0
            assert (np.abs(rest) <= impurity(name)).all()


def test_an_axis_that_is_lost_stays_off_and_the_others_go_on() -> None:
    # Without cluster A of variant T there is no push along -X (CANON section 3).
    demand = axis_demand("qiki-t", 4, 0.5) - axis_demand("qiki-t", 0, 0.5)
    made = fly(make(RelayModulator, "qiki-t"), demand, 6, failed=0xF)
    assert abs(made[0]) < 0.5
    assert made[4] > 0.4 * authority("qiki-t", 4) * 0.5

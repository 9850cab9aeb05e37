"""All modulators alike: no pulse rule broken at 1 ms whatever is asked, cut or failed; bad demands shut the valves."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.modulator import Modulator
from firmware_py.gnc.modulators import MODULATORS, make_modulator
from hal.profile.body import BodyConfig
from hal.profile.loader import load_body
from hal.propulsion import PulsePlan

BODIES = ("qiki-t", "qiki-g", "bench-12kg", "gref")
WINDOW_NS = 250_000_000
_BODY = {name: load_body(name) for name in BODIES}
_ALLOCATORS = {name: Allocator(_BODY[name]) for name in BODIES}
_FRESH = {
    (kind, name): make_modulator(kind, _BODY[name], _ALLOCATORS[name]) for name in BODIES for kind in MODULATORS
}
everywhere = pytest.mark.parametrize(("kind", "name"), list(_FRESH))


def make(kind: str, name: str) -> Modulator:
    return deepcopy(_FRESH[kind, name])


class EdgeAuditor:
    """Lays windows of any length end to end as a valve node does, and checks each pulse and pause to the millisecond.

    A window that is cut: a pulse that has not begun does not begin; one that runs goes on if the next window opens it
    at 0, else it runs out its shortest time and shuts.
    """

    def __init__(self, body: BodyConfig) -> None:
        self.prop = body.propulsion
        count = len(body.propulsion.nozzles)
        self.opened: list[int | None] = [None] * count
        self.shuts: list[int] = [0] * count
        self.closed: list[int] = [-10_000] * count
        self.cool: list[int] = [-10_000] * count
        self.pulses = 0

    def window(self, plan: PulsePlan, now: int) -> None:
        for n, (open_ms, close_ms) in enumerate(zip(plan.open_ms, plan.close_ms, strict=True)):
            assert 0 <= open_ms <= close_ms <= plan.window_ms
            self._until(n, now, joined=open_ms == 0 and close_ms > 0)
            if close_ms == open_ms:
                continue
            if self.opened[n] is not None and open_ms == 0:
                self.shuts[n] = now + close_ms
                continue
            start = now + open_ms
            if self.opened[n] is not None:
                self._until(n, self.shuts[n], joined=False)
            assert start - self.closed[n] >= self.prop.min_off_ms, (n, start, self.closed[n])
            assert start >= self.cool[n], f"nozzle {n} fires in cooldown"
            self.opened[n], self.shuts[n] = start, now + close_ms

    def _until(self, n: int, now: int, joined: bool) -> None:
        opened = self.opened[n]
        if opened is None:
            return
        if opened > now:
            self.opened[n] = None
            return
        if self.shuts[n] >= now and joined:
            return
        end = self.shuts[n] = min(self.shuts[n], max(now, opened + self.prop.min_on_ms))
        self.closed[n] = end
        if end > now:
            # It runs out; another window may still prolong it.
            return
        length = end - opened
        assert self.prop.min_on_ms <= length <= self.prop.max_burn_ms, (n, length)
        if length > self.prop.max_burn_ms - self.prop.window_ms:
            self.cool[n] = end + self.prop.cooldown_ms
        self.opened[n] = None
        self.pulses += 1


def test_every_name_makes_its_class_and_an_unknown_one_is_refused() -> None:
    for kind, made in MODULATORS.items():
        assert type(_FRESH[kind, "qiki-t"]) is made
    with pytest.raises(ValueError, match="fine, pulse_width, slots, pwpf, relay"):
        make_modulator("magic", _BODY["qiki-t"], _ALLOCATORS["qiki-t"])


@everywhere
@settings(max_examples=12, deadline=None, derandomize=True)
@given(data=st.data())
def test_no_pulse_rule_is_broken(kind: str, name: str, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    size = data.draw(st.sampled_from([0.01, 0.1, 0.5, 2.0]))
    cut_share = data.draw(st.sampled_from([0.0, 0.2]))
    carry = data.draw(st.booleans())
    failed = data.draw(st.sampled_from([0, 1, 0b11, 0xF, 1 << 9 | 1 << 4]))
    modulator, auditor = make(kind, name), EdgeAuditor(_BODY[name])
    wrenches = _ALLOCATORS[name].wrenches
    unit = np.abs(wrenches).max(axis=1) * 0.25
    steady, now = rng.standard_normal(6), 1000
    for window in range(40):
        shape = steady if window % 9 < 6 else rng.standard_normal(6)
        demand = shape * unit * size if window % 7 != 6 else np.zeros(6)
        if rng.random() < 0.03:
            demand[int(rng.integers(6))] = [np.nan, np.inf][int(rng.integers(2))]
        mask = failed if window % 11 else 0
        plan, emitted = modulator.plan(tuple(demand), now * 1_000_000, mask, carry=carry)
        auditor.window(plan, now)
        assert not any(on and mask >> n & 1 for n, on in enumerate(plan.on_ms))
        assert np.array(emitted) == pytest.approx(wrenches @ np.array(plan.on_ms) * 1e-3, abs=1e-9 * unit.max())
        now += 5 * int(rng.integers(1, 50)) if rng.random() < cut_share else 250
    auditor.window(PulsePlan.shut(16, 250), now + 250)
    assert size < 2.0 or auditor.pulses > 0


@everywhere
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_demand_that_is_not_finite_is_counted_and_nothing_fires(kind: str, name: str, bad: float) -> None:
    modulator = make(kind, name)
    push = (0.0, 0.0, 0.2 / _ALLOCATORS[name].peak((0.0, 0.0, 1.0, 0.0, 0.0, 0.0)), 0.0, 0.0, 0.0)
    modulator.plan(push, 0)
    plan, emitted = modulator.plan((0.0, bad, 0.0, 0.0, 0.0, 0.0), WINDOW_NS)
    assert not any(plan.on_ms)
    assert not any(emitted)
    assert modulator.counters.refused_demands == 1
    assert any(modulator.plan(push, 2 * WINDOW_NS)[0].on_ms)


@everywhere
def test_a_long_burn_ends_at_three_seconds_and_cools_down(kind: str, name: str) -> None:
    modulator, auditor = make(kind, name), EdgeAuditor(_BODY[name])
    push = np.zeros(6)
    push[2] = 1.0
    demand = push * _ALLOCATORS[name].largest_scale(push) * 0.25 * 1.3
    for window in range(60):
        auditor.window(modulator.plan(tuple(demand), window * WINDOW_NS)[0], window * 250)
    # Fine pulses may prefer the longest pulse in every window, which never is a burn.
    assert modulator.counters.cooldowns >= 1 or kind == "fine"
    assert auditor.pulses > 0


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
def test_fine_pulses_reach_a_tenth_of_a_shortest_pulse(share: float) -> None:
    """CANON section 3: opposed nozzles with edges 1..10 ms apart make 0.26..2.6 N s on qiki-t."""
    modulator = make("fine", "qiki-t")
    wanted = np.array([share * 2.6, 0.0, 0.0, 0.0, 0.0, 0.0])
    plan, emitted = modulator.plan(
        tuple(wanted), 0, rate_tolerance=np.radians(0.02), velocity_tolerance=2e-4, carry=True
    )
    on = np.array(plan.on_ms)
    force = np.array(emitted)[:3]
    assert (on[on > 0] >= 30).all()
    assert np.linalg.norm(force - wanted[:3]) < 0.2
    assert np.degrees(np.abs(np.array(emitted)[3:]) / np.array([350.0, 350.0, 305.0])).max() < 0.1

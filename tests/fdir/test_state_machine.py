"""Random facts, requests, faults and restarts for 100,000 steps: what may never happen whatever comes.

A small model beside the core notes what it sees from outside: each move of the motion mode, each refusal, what was
known at each exit check, and every acknowledgement. It knows the tables, and nothing of how the core uses them.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from fdir.codes import Code
from fdir.exit_conditions import EXIT_CONDITIONS
from fdir.facts import EnergyFacts, Facts, LinkFacts
from fdir.gating import CommandClass
from fdir.modes import TRANSITIONS, Emission, Motion
from fdir.monitors import Monitor
from fdir.safe import LATCHED, SafeState
from fdir.safe_record import KeptSafe, decode_safe, encode_safe, kept_safe
from fdir.supervisor import Supervisor
from tests.fdir.rows import Port, shipped

MS = 1_000_000
SECOND = 1_000_000_000
STEPS = 100_000
CHECK_NS = 500 * MS
CLUSTERS = tuple(f"c{n // 4}" for n in range(16))
PUSHING = (CommandClass.ZTT_BURN, CommandClass.FTG_BURN, CommandClass.OVERRIDE, CommandClass.HOLD)
STEPS_NS = (5 * MS, 50 * MS, 250 * MS, 500 * MS)
REASONS = (
    Code.SAFE_ORDERED, Code.SAFE_DAMAGE_CRITICAL, Code.SAFE_BLACKBOX_CRITICAL, Code.SAFE_BAYONET_UNSAFE,
    Code.SAFE_POWER_LOW, Code.BOOT_LOOP, Code.ACTUATOR_UNAVAILABLE,
)
CHANGES: tuple[dict[str, Any], ...] = (
    {"hash_matches": False}, {"self_test_passed": False}, {"self_test_passed": None},
    {"soc_battery": 0.05}, {"soc_battery": 0.15}, {"soc_battery": None},
    {"soc_supercap": 0.05}, {"soc_supercap": 0.3}, {"soc_supercap": 0.45}, {"soc_supercap": None},
    {"bus_voltage_v": 21.0}, {"bus_voltage_v": 19.0}, {"bus_voltage_v": None}, {"bus_current_a": 8.0},
    {"battery_temperature_c": -30.0}, {"hottest_share": 0.5}, {"hottest_share": 1.5}, {"hottest_share": None},
    {"imu_ok": False}, {"imu_repeats": 25}, {"rate_rad_s": 0.6}, {"rate_rad_s": 0.1}, {"rate_rad_s": None},
    {"rate_disagreement_rad_s": 0.05}, {"rate_disagreement_rad_s": None}, {"attitude_known": False},
    {"speed_m_s": 0.5}, {"speed_m_s": 0.5, "segment_done": False}, {"speed_m_s": None}, {"propellant_kg": 0.0},
    {"propulsion_ready": False}, {"settled": False}, {"target_range_m": 10.0}, {"target_range_m": 6000.0},
    {"detached": False, "bridge_allowed": True}, {"detached": False, "joint_locked_unrated": True}, {"late_ticks": 4},
    {"energy": EnergyFacts(overcurrent_unsolved=True)}, {"energy": EnergyFacts(computer_too_hot=True)},
    {"detached": False, "bridge_allowed": True},
)
DOCKING: tuple[dict[str, Any], ...] = (
    {}, {"target_range_m": 100.0},
    {"target_range_m": 0.5, "detached": False, "bridge_allowed": True, "energy": EnergyFacts(dock_current_a=0.0)},
    {"target_range_m": 0.5, "detached": False, "bridge_allowed": True, "energy": EnergyFacts(dock_current_a=3.0)},
)


@cache
def table() -> tuple[Monitor, ...]:
    return shipped()


class Craft:
    """A core, what is told to it, and what is seen of it."""

    def __init__(self, seed: int, nominal: Facts) -> None:
        self.rng = np.random.default_rng(seed)
        self.nominal = nominal
        self.facts = nominal
        self.t_ns = 0
        self.heard_ns = 0
        self.changed: dict[str, Any] = {}
        self.waits_for_uplink = False
        self.count: Counter[str] = Counter()
        self.core = self._start()

    def choose(self, items: tuple[Any, ...]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _start(self) -> Supervisor:
        # What the model has seen of this start.
        self.held: list[bool] = []
        """At each exit check since the last new reason or brake: whether nothing spoke against leaving."""
        self.next_check_ns = 0
        self.acknowledged = False
        self.reasons: tuple[Code, ...] = ()
        self.motion = Motion.BOOT
        return Supervisor(CLUSTERS, table(), Port("re-init", "reset"), frozenset(CLUSTERS[:12]))

    # -- one step

    def step(self) -> None:
        self.t_ns += self.choose(STEPS_NS)
        if self.chance(0.03):
            picked = [self.choose(CHANGES) for _ in range(self.choose((0, 0, 0, 1, 1, 2)))]
            self.changed = self.choose(DOCKING) | {name: value for change in picked for name, value in change.items()}
            self.waits_for_uplink = self.chance(0.7)
        if self.chance(0.01):
            self.heard_ns = self.t_ns
        age = LinkFacts((self.t_ns - self.heard_ns) / SECOND) if self.waits_for_uplink else LinkFacts()
        limits = dataclasses.replace(self.nominal.limits, command_loss_s=60.0)
        self.facts = dataclasses.replace(self.nominal, t_ns=self.t_ns, link=age, limits=limits, **self.changed)
        self._tick()
        self._look()
        for _ in range(self.choose((0, 1, 2))):
            self._ask()
            self._look()

    def _tick(self) -> None:
        # The model sees a check where the craft is in SAFE once the tick is over.
        directives = self.core.step(self.facts)
        in_safe = self.core.modes.motion is Motion.SAFE
        self._look()
        if in_safe and self.t_ns >= self.next_check_ns:
            self.next_check_ns = self.t_ns + CHECK_NS
            self.held.append(self._all_hold())
        if in_safe:
            assert directives.bar_burns
        self.count["ticks in SAFE"] += in_safe
        self.count["undecided"] += self.core.keeper.state is SafeState.UNKNOWN

    def _all_hold(self) -> bool:
        for row in EXIT_CONDITIONS.values():
            asked = bool(row.reasons & set(self.core.keeper.reasons))
            verdict = row.test(self.facts) if asked or row.always else True
            if verdict is None:
                verdict = self.acknowledged or not asked
            if not verdict:
                return False
        return True

    def _ask(self) -> None:
        core, facts = self.core, self.facts
        what = self.rng.random()
        if what < 0.75:
            # SAFE itself is ordered with its reason.
            known = tuple(target for source, target in TRANSITIONS if source is core.modes.motion)
            targets = known if self.chance(0.5) else tuple(Motion)
            target = self.choose(tuple(m for m in targets if m is not Motion.SAFE))
            if target is not Motion.BRAKE or self.chance(0.25):
                self._request(target)
        elif what < 0.80:
            core.enter_safe(self.choose(REASONS), facts)
        elif what < 0.95:
            core.keeper.acknowledge()
            self.acknowledged = True
        elif what < 0.96:
            core.modes.set_emission(self.choose(tuple(Emission)))
        elif what < 0.963:
            core.nozzle_failed(int(self.rng.integers(16)), self.choose(("failed off", "weak", "stuck on")), facts)
        elif what < 0.9632:
            core.lock_out_valves(facts)
        elif what < 0.966:
            self._restart()

    def _request(self, target: Motion) -> None:
        source = self.core.modes.motion
        reasons = self.core.keeper.reasons
        refusal = self.core.request_mode(target, self.facts)
        after = self.core.modes.motion
        if refusal is not None:
            self.count["refused"] += 1
            assert after is source
            assert refusal.codes
            assert (refusal.source, refusal.target) == (source, target)
            assert len(set(refusal.codes)) == len(refusal.codes)
            assert self.core.keeper.reasons == reasons
            return
        self.count["moved"] += after is not source
        brake_over = source is Motion.BRAKE and reasons and target is not Motion.BRAKE
        assert after is (Motion.SAFE if brake_over else target)
        if source is Motion.SAFE and after is Motion.IDLE:
            self._may_leave(reasons)

    def _may_leave(self, reasons: tuple[Code, ...]) -> None:
        self.count["left SAFE"] += 1
        assert len(self.held) >= 3, "left before three checks"
        assert self.held[-3:] == [True, True, True]
        if LATCHED & set(reasons):
            self.count["left SAFE, latched"] += 1
            assert self.acknowledged
        assert self.core.keeper.reasons == ()

    def _restart(self) -> None:
        before = kept_safe(self.core.keeper)
        self.core = self._start()
        kept = decode_safe(encode_safe(before))
        assert kept == before
        if kept != KeptSafe():
            self.count["restarted in SAFE"] += 1
            self.core.restore_safe(kept, self.facts)
            assert self.core.modes.motion is Motion.SAFE
            assert self.core.keeper.reasons == kept.reasons
            assert not self.core.keeper.acknowledged
            assert self.core.keeper.latched or not kept.latched

    # -- what is seen after whatever was done

    def _look(self) -> None:
        core = self.core
        motion, reasons = core.modes.motion, core.keeper.reasons
        if motion is not self.motion:
            assert (self.motion, motion) in TRANSITIONS
            self.count[f"{self.motion} -> {motion}"] += 1
            if Motion.BRAKE in (self.motion, motion):
                self.held = []
            self.motion = motion
        if reasons != self.reasons:
            if set(reasons) - set(self.reasons):
                self.held, self.acknowledged = [], False
            self.reasons = reasons
        elif core.keeper.reasons and not core.keeper.acknowledged:
            # The same reason again voids the acknowledgement, too.
            self.acknowledged = False
        assert (motion is Motion.SAFE) <= bool(reasons)
        assert bool(reasons) <= (motion in (Motion.SAFE, Motion.BRAKE))
        assert (core.keeper.state is SafeState.INACTIVE) == (not reasons)
        if reasons:
            for command_class in PUSHING:
                assert Code.SAFE_LOCKED in core.gate(command_class, self.facts)
        list(core.take_events())


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_comes_the_craft_stays_within_its_tables(seed: int, facts: Callable[..., Facts]) -> None:
    craft = Craft(seed, facts())
    for _ in range(STEPS // 2):
        craft.step()
    count = craft.count
    # It has been everywhere, so that what was asserted was also tried.
    assert {f"{a} -> {b}" for a, b in TRANSITIONS} - set(count) == set()
    for what in ("left SAFE", "left SAFE, latched", "restarted in SAFE", "refused", "moved", "undecided"):
        assert count[what] > 20, (what, count[what])


def test_the_same_seed_is_the_same_flight(facts: Callable[..., Facts]) -> None:
    counts = []
    for _ in range(2):
        craft = Craft(5, facts())
        for _ in range(1000):
            craft.step()
        counts.append(craft.count)
    assert counts[0] == counts[1]

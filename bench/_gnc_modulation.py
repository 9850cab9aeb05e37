"""Modulators side by side: impulse made of what was demanded, jitter, purity, propellant, pulse rules and time.

Every figure is of constant demands along the six body axes, both ways, at shares of what the cheapest pure set of the
axis makes; the reference of impulse and propellant is the allocator's least-propellant solution, which the linear
program bounds. A PWPF on every nozzle is flown here only, as the reference of the one on the wrench axes.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
import numpy.typing as npt

from bench.harness import Report
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.modulator import Modulator
from firmware_py.gnc.modulators import MODULATORS, make_modulator
from firmware_py.gnc.pulse_book import Times
from firmware_py.gnc.relay import PwpfLevels, Schmitt
from hal.profile.body import BodyConfig
from hal.profile.loader import load_body
from hal.propulsion import PulsePlan

Array = npt.NDArray[np.float64]

WINDOWS = 40
SHARES = (0.01, 0.03, 0.1, 0.3, 0.6, 1.0)
SMALL = (0.01, 0.03, 0.1)
BODIES = ("qiki-t", "gref")
CARRYING = ("fine", "pulse_width", "slots")
WINDOW_S = 0.25
MS = 1_000_000


class NozzlePwpf(Modulator):
    """PWPF on every nozzle's own duty, as it is often done: what it makes has neither the size nor the direction that
    was demanded."""

    def __init__(self, body: BodyConfig, allocator: Allocator, tick_ms: float = 5.0) -> None:
        super().__init__(body, allocator, tick_ms)
        self._tick_ms, self._ticks = tick_ms, round(self.window_ms / tick_ms)
        self._each = [Schmitt(PwpfLevels(), tick_ms * 1e-3) for _ in range(allocator.count)]
        self._held = np.zeros(allocator.count)

    def _choose(
        self, wanted: Array, barred: int, rate_tolerance: float, velocity_tolerance: float, carry: bool  # noqa: ARG002
    ) -> Times:
        duty, _ = self._allocator.allocate(wanted / WINDOW_S, barred)
        book = self._book
        on = np.array([s.run(d, self._ticks) * self._tick_ms for s, d in zip(self._each, duty.tolist(), strict=True)])
        # What is too short for a pulse at the window's edge is made with the next window's: nothing is lost by that.
        on = np.maximum(on, 0.0) + self._held
        out = np.where(on < book.min_on_ms, 0.0, np.minimum(on, book.max_pulse_ms))
        self._held = np.minimum(on - out, book.window_ms)
        times: Times = out.astype(np.int64)
        return times


class Audit:
    """Counts broken pulse rules on windows laid end to end, at 1 ms."""

    def __init__(self, body: BodyConfig) -> None:
        prop = body.propulsion
        self._on, self._off, self._burn, self._cool = (
            prop.min_on_ms, prop.min_off_ms, prop.max_burn_ms, prop.cooldown_ms
        )
        self._window = prop.window_ms
        self._lines: list[list[npt.NDArray[np.bool_]]] = [[] for _ in prop.nozzles]

    def window(self, plan: PulsePlan) -> None:
        """Take the next window."""
        ms = np.arange(plan.window_ms)
        for line, opens, shuts in zip(self._lines, plan.open_ms, plan.close_ms, strict=True):
            line.append((ms >= opens) & (ms < shuts))

    def violations(self) -> int:
        """Pulses too short or too long, pauses too short, pulses in cooldown."""
        broken = 0
        for line in self._lines:
            edges = np.diff(np.concatenate([[0], np.concatenate(line).astype(np.int8), [0]]))
            opens, shuts = (edges == 1).nonzero()[0], (edges == -1).nonzero()[0]
            length, pause = shuts - opens, opens[1:] - shuts[:-1]
            broken += int(((length < self._on) | (length > self._burn)).sum() + (pause < self._off).sum())
            broken += int((pause[length[:-1] > self._burn - self._window] < self._cool).sum())
        return broken


class Outcome:
    """Sums over the flown demands of one modulator and share."""

    def __init__(self) -> None:
        self.made = self.wanted = self.thrust = self.least = 0.0
        self.impure_force = self.impure_torque = 0.0
        self.velocity: list[float] = []
        self.rate: list[float] = []
        self.times: list[float] = []
        self.violations = 0


def axes(allocator: Allocator) -> list[Array]:
    """Twelve pure wrenches, each what the cheapest set of its axis makes at most."""
    found = []
    for axis in range(6):
        for sign in (1.0, -1.0):
            e = np.zeros(6)
            e[axis] = sign
            found.append(e / allocator.peak(e))
    return found


def fly(body: BodyConfig, allocator: Allocator, modulator: Modulator, share: float, carry: bool) -> Outcome:
    """Constant demands of ``share`` along each axis, a rest of 30 s in between."""
    outcome = Outcome()
    mass = body.mass.dry_kg + body.mass.propellant_kg
    turn = np.linalg.inv(np.array(body.mass.inertia_kg_m2))
    window = 0
    for wrench in axes(allocator):
        modulator.drop_carry()
        demand = wrench * share * WINDOW_S
        audit, left = Audit(body), np.zeros(6)
        total = np.zeros(6)
        for _ in range(WINDOWS):
            start = perf_counter()
            plan, emitted = modulator.plan(
                tuple(demand), window * body.propulsion.window_ms * MS, carry=carry,
                rate_tolerance=np.radians(0.1), velocity_tolerance=2e-3,
            )
            outcome.times.append(perf_counter() - start)
            audit.window(plan)
            total += emitted
            outcome.thrust += float(allocator.thrust @ np.array(plan.on_ms)) * 1e-3
            left += demand - np.array(emitted)
            outcome.velocity.append(float(np.linalg.norm(left[:3])) / mass)
            outcome.rate.append(float(np.linalg.norm(turn @ left[3:])))
            window += 1
        outcome.violations += audit.violations()
        along = float(total @ wrench / (wrench @ wrench))
        outcome.made += along
        outcome.wanted += share * WINDOW_S * WINDOWS
        aside = total - along * wrench
        outcome.impure_force += float(np.linalg.norm(aside[:3]))
        outcome.impure_torque += float(np.linalg.norm(aside[3:]))
        outcome.least += float(allocator.allocate(wrench * along / (WINDOW_S * WINDOWS))[0] @ allocator.thrust)
        modulator.shut(window * body.propulsion.window_ms * MS)
        window += 120
    outcome.least *= WINDOW_S * WINDOWS
    return outcome


def report_modulator(report: Report, name: str, kind: str, flown: dict[float, Outcome]) -> None:
    """All lines of one modulator on one body."""
    seconds = WINDOWS * WINDOW_S * 12
    for share, o in flown.items():
        # Below a tenth what is still carried after 10 s counts; at the limit so do the cooldowns.
        exact = kind in CARRYING and 0.1 <= share <= 0.6
        report.add(
            f"{name} {kind}: impulse made at {share:.0%}", o.made / o.wanted, "of demand",
            f"aside {o.impure_force / seconds:.2g} N, {o.impure_torque / seconds:.2g} N m",
            "within 2 %" if exact else None,
            not exact or abs(o.made / o.wanted - 1.0) <= 0.02,
        )
    small = [flown[share] for share in SMALL]
    jitter = 1e3 * float(np.sqrt(np.mean(np.square([v for o in small for v in o.velocity]))))
    spin = float(np.degrees(np.sqrt(np.mean(np.square([r for o in small for r in o.rate])))))
    report.add(f"{name} {kind}: velocity jitter, small demands", jitter, "mm/s rms", f"rate {spin:.3g} deg/s rms")
    spent = [f"{o.thrust / o.least:.2f}" if o.least else "-" for o in flown.values()]
    report.add(f"{name} {kind}: propellant over least, by share", " ".join(spent), "", "linear program")
    times = np.array([t for o in flown.values() for t in o.times]) * 1e6
    report.add(f"{name} {kind}: plan()", float(np.median(times)), "us median", f"p99 {np.percentile(times, 99):.0f} us")
    broken = sum(o.violations for o in flown.values())
    report.add(f"{name} {kind}: broken pulse rules", broken, "", None, "0", broken == 0)


def report_nozzle_pwpf(report: Report, name: str, body: BodyConfig, allocator: Allocator) -> None:
    """What PWPF loses: on the wrench axes, and on every nozzle. Random directions, where nozzle duties are unequal."""
    rng = np.random.default_rng(4)
    for share in (0.1, 0.3, 0.5, 0.8):
        made = {"axis": 0.0, "nozzle": 0.0}
        aside = {"axis": 0.0, "nozzle": 0.0}
        wanted = 0.0
        scale = np.abs(allocator.wrenches).max(axis=1)
        for _ in range(12):
            direction = rng.standard_normal(6) * scale
            demand = direction * share / allocator.peak(direction) * WINDOW_S
            size = float(np.linalg.norm(demand / scale))
            wanted += size
            for key, modulator in (
                ("axis", make_modulator("pwpf", body, allocator)), ("nozzle", NozzlePwpf(body, allocator))
            ):
                total = np.zeros(6)
                for window in range(WINDOWS):
                    total += modulator.plan(tuple(demand), window * body.propulsion.window_ms * MS)[1]
                mean, along = total / scale / WINDOWS, demand / scale / size
                made[key] += float(mean @ along)
                aside[key] += float(np.linalg.norm(mean - (mean @ along) * along))
        report.add(
            f"{name} PWPF a nozzle: impulse made, peak duty {share:.0%}", made["nozzle"] / wanted,
            f"of demand, {aside['nozzle'] / wanted:.2f} aside",
            f"a wrench axis: {made['axis'] / wanted:.2f}, {aside['axis'] / wanted:.2f} aside",
        )


def run(report: Report) -> None:
    """Add the figures of every modulator; about half a minute."""
    for name in BODIES:
        body = load_body(name)
        allocator = Allocator(body)
        jitters = {}
        for kind in MODULATORS:
            modulator = make_modulator(kind, body, allocator)
            carry = kind in CARRYING
            flown = {}
            for share in SHARES:
                flown[share] = fly(body, allocator, modulator, share, carry)
                modulator = make_modulator(kind, body, allocator) if share != SHARES[-1] else modulator
            report_modulator(report, name, kind, flown)
            jitters[kind] = [x for share in SMALL for x in flown[share].velocity]
        ratio = float(np.linalg.norm(jitters["slots"]) / np.linalg.norm(jitters["pulse_width"]))
        report.add(f"{name} slots: velocity jitter over pulse_width's", ratio, "", 1.0, "<= 0.6", ratio <= 0.6)
        report_nozzle_pwpf(report, name, body, allocator)

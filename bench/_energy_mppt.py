"""Power-point tracking over tumbling, shadowed orbits: energy harvested as a share of what a perfect tracker gets.

Each orbit turns the cells about an axis of its own, through day, penumbra and night, with cells that warm and cool. Two
shadows: the hull's, over the inner half of one wing and then all of it, and a boom's, over the same half of both wings.
The charger holds steps of 140.625 mV; what it reads is one sample old, rounded as the LTC4162 rounds, and noisy. All
trackers fly the same orbit with noise of the same kind; "perfect" is the best voltage within the charger's bounds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import cos, exp, radians, sin, tau
from time import perf_counter_ns
from typing import Protocol

import numpy as np

from bench.harness import Figure, Report
from firmware_py.energy.mppt import Tracker, TrackerConfig
from hal.frames import Vec3, dot, unit
from hal.profile import BodyConfig, load_body
from hil.plant.orbit import Orbit
from hil.plant.solar import FULL_SUN_W_M2, Curve, SolarArray

__all__ = ["Case", "fly", "measure", "run"]

TARGET = 0.98
TEXTBOOKS = ("textbook P&O", "textbook P&O that waits for its reading")
PERIOD_S = 0.1
PERIOD_NS = 100_000_000
ORDER_STEP_V = 0.140625
VOLTAGE_LSB_V, CURRENT_LSB_A = 1.649e-3, 1.466e-6 / 0.01
DELAY = 2
"""Steps from an order until its reading is in hand: the panel is read at the end of its step, and that is one old."""
BOUNDS_V = (24.0, 36.0)
"""Above a 22..28 V battery that is not nearly full, and the highest order that the LTC4162 takes."""
LOW_BOUNDS_V = (13.0, 36.0)
"""The same charger on a three-cell battery: both maxima of a half-shadowed string are within reach."""
COLD_C, WARMING_C, THERMAL_S = -60.0, 120.0, 300.0
"""Cells in the dark, their rise in full Sun, and their time constant: a thin panel."""


@dataclass(frozen=True, slots=True)
class Case:
    """One orbit: turning rate, seed of its axis, noise of a reading as a share, shadow, bounds of the order."""

    name: str
    rate_deg_s: float
    seed: int
    noise: float = 0.003
    shadow: str = ""
    bounds_v: tuple[float, float] = BOUNDS_V
    altitude_km: float = 500.0
    beta_deg: float = 0.0
    orbits: float = 1.0


CASES = (
    Case("0.5 deg/s", 0.5, 1),
    Case("1 deg/s, beta 40 deg", 1.0, 2, beta_deg=40.0),
    Case("2 deg/s, 1 % noise", 2.0, 3, noise=0.01),
    Case("5 deg/s", 5.0, 4),
    Case("5 deg/s, 0.1 % noise", 5.0, 14, noise=0.001, altitude_km=350.0),
    Case("0.5 deg/s, hull's shadow", 0.5, 6, shadow="hull"),
    Case("2 deg/s, hull's shadow", 2.0, 7, shadow="hull", beta_deg=30.0),
    Case("0.5 deg/s, boom's shadow, low bounds", 0.5, 8, shadow="boom", bounds_v=LOW_BOUNDS_V),
    Case("2 deg/s, boom's shadow, low bounds", 2.0, 9, shadow="boom", bounds_v=LOW_BOUNDS_V),
)


class _Law(Protocol):
    def update(self, t_ns: int, voltage_v: float | None, current_a: float | None, wanted: bool) -> float | None: ...


class _Fixed:
    """The data sheet's voltage at the maximum."""

    def __init__(self, volts: float) -> None:
        self._volts = volts

    def update(self, t_ns: int, voltage_v: float | None, current_a: float | None, wanted: bool) -> float | None:  # noqa: ARG002
        return self._volts


class _OpenCircuitShare:
    """A fixed share of the open circuit, looked at every 10 s for as long as a reading takes."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._step = 0
        self._order = config.highest_v

    def update(self, t_ns: int, voltage_v: float | None, current_a: float | None, wanted: bool) -> float | None:  # noqa: ARG002
        phase = self._step % 100
        self._step += 1
        if phase < DELAY:
            self._order = self._config.highest_v
        elif phase == DELAY and voltage_v is not None:
            share = self._config.open_circuit_share * voltage_v
            self._order = min(max(share, self._config.lowest_v), self._config.highest_v)
        return self._order


class _Textbook:
    """Perturb and observe as printed: turn round when the power fell. A step every ``wait`` periods."""

    def __init__(self, config: TrackerConfig, wait: int, start_v: float) -> None:
        self._config, self._wait, self._step = config, wait, 0
        self._order = start_v
        self._sign = 1.0
        self._power = 0.0

    def update(self, t_ns: int, voltage_v: float | None, current_a: float | None, wanted: bool) -> float | None:  # noqa: ARG002
        self._step += 1
        if self._step % self._wait:
            return self._order
        if voltage_v is not None and current_a is not None:
            power = voltage_v * current_a
            if power < self._power:
                self._sign = -self._sign
            self._power = power
        order = self._order + self._sign * self._config.step_v
        self._order = min(max(order, self._config.lowest_v), self._config.highest_v)
        return self._order


class _Panel:
    """One law with the charger and its readings."""

    def __init__(self, law: _Law, noise: float, rng: np.random.Generator, rest_v: float) -> None:
        self._law, self._noise, self._rest_v = law, noise, rest_v
        self._draws = iter(rng.standard_normal(400_000).tolist())
        self._readings: deque[tuple[float, float] | None] = deque([None] * DELAY)
        self.energy_j = 0.0
        self.cost_ns = 0

    def step(self, t_ns: int, curve: Curve) -> None:
        reading = self._readings.popleft()
        v, i = reading if reading is not None else (None, None)
        begin = perf_counter_ns()
        order = self._law.update(t_ns, v, i, True)
        self.cost_ns += perf_counter_ns() - begin
        held = round((self._rest_v if order is None else order) / ORDER_STEP_V) * ORDER_STEP_V
        current = 0.0
        if held < curve.open_circuit_v:
            current = curve.current_a(held)
        else:
            held = curve.open_circuit_v
        self.energy_j += held * current * PERIOD_S
        seen_v = held * (1.0 + self._noise * next(self._draws))
        seen_a = current * (1.0 + self._noise * next(self._draws))
        self._readings.append(
            (max(0.0, round(seen_v / VOLTAGE_LSB_V) * VOLTAGE_LSB_V), round(seen_a / CURRENT_LSB_A) * CURRENT_LSB_A)
        )


class _Tumble:
    """Sun's direction against the body while it turns at a steady rate: Rodrigues' rotation of the first direction."""

    def __init__(self, rate_deg_s: float, seed: int) -> None:
        draw = np.random.default_rng(seed).standard_normal(6).tolist()
        self._axis = unit((draw[0], draw[1], draw[2]))
        self._start = unit((draw[3], draw[4], draw[5]))
        self._rate = radians(rate_deg_s)

    def sun(self, t_s: float) -> Vec3:
        angle = self._rate * t_s % tau
        (kx, ky, kz), (x, y, z) = self._axis, self._start
        c, s, along = cos(angle), sin(angle), dot(self._axis, self._start) * (1.0 - cos(angle))
        return (
            x * c + (ky * z - kz * y) * s + kx * along,
            y * c + (kz * x - kx * z) * s + ky * along,
            z * c + (kx * y - ky * x) * s + kz * along,
        )


def _shade(shadow: str, sun: Vec3, cosine: float) -> tuple[float, float, float, float]:
    """Share of the light left on each half-string: the least lit cell decides, so a half goes dark cell by cell."""
    if not shadow or cosine <= 0.0:
        return (1.0, 1.0, 1.0, 1.0)
    if shadow == "hull":
        # A hull 0.4 of a wing high stands at the roots; its shadow grows outwards over the wing away from the Sun.
        length = 0.4 * abs(sun[1]) / cosine
        inner, outer = _left(length), _left(length - 0.5)
        return (inner, outer, 1.0, 1.0) if sun[1] < 0.0 else (1.0, 1.0, inner, outer)
    # A boom over the first halves of both wings while the Sun is on one side; it leaves them 30 %.
    left = 0.3 + 0.7 * min(1.0, max(0.0, 1.0 - 10.0 * (sun[2] - 0.1)))
    return (left, 1.0, left, 1.0)


def _left(length: float) -> float:
    return min(1.0, max(0.0, 1.0 - 12.0 * length))


def fly(case: Case, body: BodyConfig) -> tuple[dict[str, float], float]:
    """Fly one case with every law; shares of the available energy by name, and our cost of a step in us."""
    array = SolarArray(body.power.array)
    config = TrackerConfig.of(body.power.array, *case.bounds_v)
    orbit = Orbit(case.altitude_km, case.beta_deg, 0.1 * case.seed)
    tumble = _Tumble(case.rate_deg_s, case.seed)
    rng = np.random.default_rng(1000 + case.seed)
    best_v = body.power.array.max_power_v
    laws: dict[str, _Law] = {
        "ours": Tracker(config), "fixed": _Fixed(best_v), "open circuit": _OpenCircuitShare(config),
        TEXTBOOKS[0]: _Textbook(config, 1, best_v), TEXTBOOKS[1]: _Textbook(config, DELAY + 1, best_v),
    }
    panels = {name: _Panel(law, case.noise, rng, best_v) for name, law in laws.items()}
    normal = unit(body.power.array.normal)
    available = 0.0
    cell_c = 20.0
    kept = exp(-PERIOD_S / THERMAL_S)
    steps = round(case.orbits * orbit.period_s / PERIOD_S)
    for k in range(steps):
        sun = tumble.sun(k * PERIOD_S)
        cosine = max(0.0, dot(sun, normal))
        flux = FULL_SUN_W_M2 * orbit.sunlit(k * PERIOD_S) * cosine
        even_c = COLD_C + WARMING_C * flux / FULL_SUN_W_M2
        cell_c = even_c + (cell_c - even_c) * kept
        curve = array.curve([flux * left for left in _shade(case.shadow, sun, cosine)], cell_c)
        available += curve.max_power(*case.bounds_v)[1] * PERIOD_S
        for panel in panels.values():
            panel.step(k * PERIOD_NS, curve)
    shares = {name: panel.energy_j / available for name, panel in panels.items()}
    return shares, panels["ours"].cost_ns / steps / 1e3


def measure(orbits: float = 1.0, cases: tuple[Case, ...] = CASES) -> list[Figure]:
    """Figures of all cases, ``orbits`` long each: ours beside the references, and what a step costs."""
    body = load_body("qiki-t")
    rows: list[Figure] = []
    costs, ours, theirs = [], [], []
    for case in cases:
        shares, cost_us = fly(replace(case, orbits=orbits), body)
        costs.append(cost_us)
        ours.append(shares["ours"])
        textbook = max(shares[name] for name in TEXTBOOKS)
        theirs.append(textbook)
        others = ", ".join(f"{name} {100.0 * share:.1f}" for name, share in shares.items() if name != "ours")
        rows.append(Figure(
            f"MPPT, {case.name}: of available energy", 100.0 * shares["ours"], "%", others, f">= {100.0 * TARGET:g}",
            shares["ours"] >= TARGET and shares["ours"] > textbook,
        ))
    rows.append(Figure(
        "MPPT, worst orbit", 100.0 * min(ours), "%", f"textbook P&O {100.0 * min(theirs):.1f}",
        f">= {100.0 * TARGET:g}", min(ours) >= TARGET,
    ))
    cost = sum(costs) / len(costs)
    rows.append(Figure("MPPT, a step at 10 Hz", cost, "us", None, "< 100", cost < 100.0))
    return rows


def run(report: Report) -> None:
    """Add the figures."""
    for row in measure():
        report.add(row.figure, row.value, row.unit, row.reference, row.target, row.holds)

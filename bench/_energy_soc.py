"""State of charge of both stores, held against the world's truth over half a day, beside the plain ways to get it.

Battery: 24 seeds on qiki-t's world, 12 h each, nowhere at rest: loads switch at random, orbits have Sun and shade, and
a dock feeds from a random low charge up to a random high one. The current sensor is 1 % wrong in gain or in offset, the
capacity 5 % off, the voltage 30 mV off with 10 mV of noise, and some batteries have a resistance, which the world's own
has not. Each history is flown once and read by every estimator, with the gauge absent, good, wrong by as much as is not
noticed (5 %), wrong high, wrong low, frozen and gone silent; then gauge and BMS together, right and wrong alike. Stack:
peaks of random power and length on three bodies, then one that ages at once; and thruster pulses of 30..200 ms that are
sampled as on the bus, voltage and current in slots 5..20 ms apart at 10 Hz, where nothing may be called a fault.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from math import nan, sqrt
from pathlib import Path
from time import perf_counter_ns

import numpy as np
import numpy.typing as npt

from bench.harness import Figure, Report
from fdir.codes import Code
from firmware_py.energy.battery import BatteryEstimator
from firmware_py.energy.estimates import GaugeReading
from firmware_py.energy.supercap import SupercapEstimator
from hal.profile.body import BodyConfig
from hal.profile.loader import load_body
from hil.plant.power import PowerPlant

Array = npt.NDArray[np.float64]

SEEDS = 24
HOURS = 12.0
STEP_S = 2.0
LONGER_HOURS = 24.0
SUN_W_M2 = 1361.0
ORBIT_S, SUNLIT_S = 5700.0, 3600.0
GAIN = CURRENT_OFFSET_SHARE = 0.01
WRONG_CAPACITY = 0.05
VOLTAGE_OFFSET_V, VOLTAGE_NOISE_V = 0.03, 0.01
RESISTANCE_OHM = 0.05
"""Of a battery that has one: nearly what costs 1 % at full power."""
REST_A = 0.1
GAUGES = ("absent", "good", "+5 % wrong", "+25 % wrong", "-20 % wrong", "frozen", "silent after 1 h")
TARGET = 0.02
STACK_TICK_S, STACK_LOOK_S, STACK_SAMPLE_S = 0.005, 0.05, 0.1
STACK_SECONDS = 300.0
STACK_NOISE_V, STACK_NOISE_A = 0.003, 0.01
BODIES = ("qiki-t", "gref", "bench-12kg")
PAIR_WRONG = (0.0, 0.02, 0.05)
START_S = 100.0
WINDOW_MS, PULSE_MS, TICK_MS, LATE_MS = 250, (30, 200), 5, (5, 20)
PULSES_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class History:
    """One flown history: what the sensors saw of it (A, V), and the truth."""

    amperes: Array
    volts: Array
    soc: Array
    rest_share: float


def fly(body: BodyConfig, seed: int, hours: float = HOURS) -> History:
    """Fly one history. Signs of all errors follow from the seed, so that all combinations occur."""
    rng = np.random.default_rng(seed)
    power = PowerPlant(body, soc_battery=float(rng.uniform(0.5, 0.9)))
    power.set_battery_capacity_factor(1.0 + _sign(seed) * WRONG_CAPACITY)
    power.dock_connect(28.0, 250.0)
    loads = [load.name for load in body.power.loads if not load.base and load.starts_on]
    count = round(hours * 3600.0 / STEP_S)
    amperes, soc, volts = np.empty(count), np.empty(count), np.empty(count)
    low, high, docked = float(rng.uniform(0.15, 0.45)), float(rng.uniform(0.6, 0.92)), False
    for i in range(count):
        if i % round(600.0 / STEP_S) == 0:
            for name in loads:
                power.set_load(name, bool(rng.random() < 0.6))
        if (docked and power.soc_battery > high) or (not docked and power.soc_battery < low):
            docked = not docked
            low, high = float(rng.uniform(0.15, 0.45)), float(rng.uniform(0.6, 0.92))
            power.set_dock(docked, float(rng.uniform(0.7, 1.0)))
        power.step(STEP_S, SUN_W_M2 if i * STEP_S % ORBIT_S < SUNLIT_S else 0.0, 0.9, 0.0)
        amperes[i], volts[i], soc[i] = power.battery_current_a, power.battery_voltage_v, power.soc_battery
    resistance = RESISTANCE_OHM if _sign(seed >> 3) > 0.0 else 0.0
    seen_v = volts - resistance * amperes + _sign(seed >> 1) * VOLTAGE_OFFSET_V
    gain, offset_a = 1.0 + _sign(seed >> 2) * GAIN, 0.0
    if seed % 3 == 0:
        gain, offset_a = 1.0, _sign(seed >> 2) * CURRENT_OFFSET_SHARE * body.power.bus.current_limit_a
    rest = float(np.mean(np.abs(amperes) < REST_A))
    return History(
        gain * amperes + offset_a + 0.003 * rng.standard_normal(count),
        seen_v + VOLTAGE_NOISE_V * rng.standard_normal(count), soc, rest,
    )


def _sign(number: int) -> float:
    return 1.0 if number % 2 else -1.0


def gauge_of(kind: str, history: History, step: int) -> GaugeReading | None:
    """What a gauge of this kind says: steps of 1 %, a new number each look."""
    now = float(history.soc[step])
    if kind == "absent" or (kind == "silent after 1 h" and step * STEP_S > 3600.0):
        return None
    if kind == "frozen":
        now = float(history.soc[0])
    wrong = {"+5 % wrong": 0.05, "+25 % wrong": 0.25, "-20 % wrong": -0.20}.get(kind, 0.0)
    return GaugeReading(min(1.0, max(0.0, round(now + wrong, 2))))


def estimate(body: BodyConfig, history: History, kind: str) -> tuple[Array, Array]:
    """Error of the estimate at each step, and its own sigma."""
    estimator = BatteryEstimator(body.power.battery, body.power.bus)
    error, sigma = np.full(len(history.soc), nan), np.full(len(history.soc), nan)
    seen = zip(history.amperes.tolist(), history.volts.tolist(), history.soc.tolist(), strict=True)
    for i, (amperes, volts, soc) in enumerate(seen):
        now = estimator.update(STEP_S, amperes, volts, gauge_of(kind, history, i), None, 20.0)
        if now.soc is not None and now.sigma is not None:
            error[i], sigma[i] = now.soc - soc, now.sigma
    return error, sigma


def pair_figures(histories: list[History], body: BodyConfig) -> list[Figure]:
    """Gauge (steps of 1 %) and BMS (0.01 %) that agree, wrong by the same: error at the start and after 12 h."""
    found = []
    for wrong in PAIR_WRONG:
        first, last = [], []
        for history in histories:
            estimator = BatteryEstimator(body.power.battery, body.power.bus)
            seen = zip(history.amperes.tolist(), history.volts.tolist(), history.soc.tolist(), strict=True)
            error = nan
            for i, (amperes, volts, soc) in enumerate(seen):
                told = min(1.0, soc + wrong)
                gauge, bms = GaugeReading(round(told, 2)), GaugeReading(round(told, 4))
                now = estimator.update(STEP_S, amperes, volts, gauge, bms, 20.0)
                error = nan if now.soc is None else now.soc - soc
                if i == round(START_S / STEP_S):
                    first.append(error)
            last.append(error)
        start, end = _percent(first)[1], _percent(last)[1]
        name = f"gauge and BMS both {100.0 * wrong:+.0f} % wrong"
        if wrong == 0.0:
            found.append(Figure(f"SoC error after {START_S:g} s under load, {name}", start, "% worst", None, "<= 1",
                                start <= 1.0))
        found.append(Figure(f"SoC error at the end, {name}", end, "% worst", None, "<= 2", end <= 100.0 * TARGET))
    return found


def plain_counts(body: BodyConfig, history: History) -> tuple[Array, Array, Array]:
    """Errors of counting charge from the true start, of the voltage looked up, and of a gauge that is 25 % wrong."""
    battery, bus = body.power.battery, body.power.bus
    full_c = battery.capacity_wh * 3600.0 / (0.5 * (bus.empty_v + bus.full_v))
    counted = history.soc[0] - np.cumsum(history.amperes) * STEP_S / full_c
    looked_up = (history.volts - bus.empty_v) / (bus.full_v - bus.empty_v)
    gauge = np.clip(np.round(history.soc + 0.25, 2), 0.0, 1.0)
    clip = (np.clip(counted, 0.0, 1.0), np.clip(looked_up, 0.0, 1.0), gauge)
    return clip[0] - history.soc, clip[1] - history.soc, clip[2] - history.soc


def _percent(values: list[float]) -> tuple[float, float]:
    """Root mean square and worst, in percent."""
    errors = 100.0 * np.array(values)
    return sqrt(float(np.mean(errors**2))), float(np.max(np.abs(errors)))


def battery_figures(seeds: int = SEEDS, hours: float = HOURS) -> list[Figure]:
    """Errors after ``hours`` with each kind of gauge, beside the plain ways."""
    body = load_body("qiki-t")
    histories = [fly(body, seed, hours) for seed in range(seeds)]
    plain = [plain_counts(body, history) for history in histories]
    names = ("coulomb count alone", "voltage alone", "gauge alone, 25 % wrong")
    found = [
        Figure("share of time at rest, worst history", max(h.rest_share for h in histories), "", None, "< 0.01",
               max(h.rest_share for h in histories) < 0.01)
    ]
    for i, name in enumerate(names):
        rms, worst = _percent([float(errors[i][-1]) for errors in plain])
        found.append(Figure(f"reference: SoC error after {hours:g} h, {name}", worst, "% worst", f"{rms:.2f} rms",
                            None, True))
    for kind in GAUGES:
        runs = [estimate(body, history, kind) for history in histories]
        rms, worst = _percent([float(error[-1]) for error, _ in runs])
        found.append(Figure(f"SoC error after {hours:g} h, {seeds} histories, gauge {kind}", worst, "% worst",
                            f"{rms:.2f} rms", "<= 2", worst <= 100.0 * TARGET))
        if kind == "absent":
            later = [error[round(2.0 * 3600.0 / STEP_S):] for error, _ in runs]
            whole = max(float(np.max(np.abs(error))) for error in later) * 100.0
            found.append(Figure("SoC error, worst moment from 2 h on, gauge absent", whole, "%", None, "<= 2",
                                whole <= 100.0 * TARGET))
            within = float(np.mean([np.mean(np.abs(e) <= 2.0 * s) for e, s in runs]))
            found.append(Figure("share of time within two of its own sigmas", within, "", 0.95, ">= 0.90",
                                within >= 0.90))
    return [*found, *pair_figures(histories[:12], body)]


def day_figure(seeds: int = 4) -> Figure:
    """The same over a whole day without a gauge."""
    body = load_body("qiki-t")
    worst = max(
        abs(float(estimate(body, fly(body, 100 + seed, LONGER_HOURS), "absent")[0][-1])) for seed in range(seeds)
    )
    name = f"SoC error after {LONGER_HOURS:g} h, gauge absent, {seeds} histories"
    return Figure(name, 100.0 * worst, "% worst", None, "<= 2", worst <= TARGET)


@dataclass(frozen=True, slots=True)
class StackRun:
    """Errors of the stack's charge (ours, and by terminal voltage), and pulses until its ageing was told, or None."""

    ours: Array
    plain: Array
    esr_pulses: int | None
    capacitance_pulses: int | None
    capacitance_error: float


def fly_stack(name: str, seed: int, ages_at_s: float | None = None, seconds: float = STACK_SECONDS) -> StackRun:
    """Peaks of 30..100 % of full power, 0.3..4 s, on one body; at ``ages_at_s`` 30 % less capacitance and three times
    the resistance, while the chip keeps what it measured before."""
    body, rng = load_body(name), np.random.default_rng(seed)
    power, config = PowerPlant(body, soc_supercap=0.9), body.power.supercap
    estimator = SupercapEstimator(config)
    chip = (power.capacitance_f, power.esr_ohm)
    starts, ends, watts, pulses = 5.0, 0.0, 0.0, 0
    ours, plain = [], []
    told: list[int | None] = [None, None]
    volts = amperes = 0.0
    aged = False
    for i in range(round(seconds / STACK_TICK_S)):
        t = i * STACK_TICK_S
        if ages_at_s is not None and not aged and t >= ages_at_s:
            power.set_supercap_esr_factor(3.0)
            power.set_supercap_capacity_factor(0.7)
            aged, pulses = True, 0
        if t >= starts:
            ends = t + float(rng.uniform(0.3, 4.0))
            starts, watts = ends + float(rng.uniform(3.0, 12.0)), float(rng.uniform(0.3, 1.0)) * config.discharge_max_w
            pulses += 1
        if power.soc_supercap < 0.25:
            ends = t
        power.step(STACK_TICK_S, SUN_W_M2, 0.9, watts * STACK_TICK_S if t < ends else 0.0)
        if i % round(STACK_SAMPLE_S / STACK_TICK_S) == 0:
            volts = power.supercap_voltage_v + STACK_NOISE_V * float(rng.standard_normal())
            amperes = (1.0 + GAIN) * power.supercap_current_a + STACK_NOISE_A * float(rng.standard_normal())
        if i % round(STACK_LOOK_S / STACK_TICK_S) == 0:
            new = i % round(STACK_SAMPLE_S / STACK_TICK_S) == 0
            now = estimator.update(STACK_LOOK_S, volts, amperes, *chip, 20.0, new)
            ours.append(nan if now.soc is None else now.soc - power.soc_supercap)
            plain.append((volts / config.full_v) ** 2 - power.soc_supercap)
            if aged and told[0] is None and estimator.esr_ohm > 0.9 * power.esr_ohm:
                told[0] = pulses
            if aged and told[1] is None and estimator.capacitance_f < 1.1 * power.capacitance_f:
                told[1] = pulses
    error = estimator.capacitance_f / power.capacitance_f - 1.0
    return StackRun(np.array(ours), np.array(plain), told[0], told[1], error)


def stack_figures(seeds: int = 8) -> list[Figure]:
    """Error under peaks with and without the resistance reckoned with, and pulses until ageing is seen."""
    found = []
    for name in BODIES:
        runs = [fly_stack(name, seed) for seed in range(3)]
        ours = 100.0 * max(float(np.max(np.abs(run.ours))) for run in runs)
        plain = 100.0 * max(float(np.max(np.abs(run.plain))) for run in runs)
        rms = 100.0 * sqrt(float(np.mean([np.mean(run.ours**2) for run in runs])))
        found.append(Figure(f"{name}: stack SoC error under peaks, worst ({rms:.2f} rms); by terminal voltage", ours,
                            "%", plain, "<= 1", ours <= 1.0))
    aged = [fly_stack("qiki-t", 50 + seed, ages_at_s=60.0) for seed in range(seeds)]
    for what, pulses in (
        ("resistance x 3", [run.esr_pulses for run in aged]),
        ("capacitance - 30 %", [run.capacitance_pulses for run in aged]),
    ):
        seen = [count for count in pulses if count is not None]
        all_seen = len(seen) == seeds
        found.append(Figure(f"pulses until {what} is seen within 10 %, worst of {seeds}",
                            max(seen) if all_seen else "not seen", "", None, "<= 10", all_seen and max(seen) <= 10))
    worst = 100.0 * max(abs(run.capacitance_error) for run in aged)
    found.append(Figure("error of the aged capacitance at the end", worst, "% worst", None, "<= 5", worst <= 5.0))
    return found


@dataclass(frozen=True, slots=True)
class PulsesRun:
    """Worst error of the charge, codes raised, error of the resistance at the end, and when a fade was told, s."""

    worst: float
    codes: frozenset[str]
    esr_error: float
    faded_s: float | None


def fly_pulses(name: str, seed: int, esr_factor: float = 1.0, capacity_factor: float = 1.0) -> PulsesRun:
    """Thruster pulses in windows, a burn of 2..6 s, a rest of as long; samples as the bus gives them."""
    body, rng = load_body(name), np.random.default_rng(seed)
    power, config = PowerPlant(body, soc_supercap=0.9), body.power.supercap
    power.set_supercap_esr_factor(esr_factor)
    power.set_supercap_capacity_factor(capacity_factor)
    estimator = SupercapEstimator(config)
    volts = amperes = watts = 0.0
    opens, closes, look_ms, late_ms, until_ms, firing = 0, 0, 0, 10, 3000, False
    worst, codes, faded = 0.0, set[str](), None
    fresh = False
    for ms in range(0, round(1000.0 * PULSES_SECONDS), TICK_MS):
        if ms >= until_ms:
            firing, until_ms = not firing and power.soc_supercap > 0.4, ms + int(rng.integers(2000, 6000))
        if ms % WINDOW_MS == 0:
            length = int(rng.integers(PULSE_MS[0], PULSE_MS[1] + 1)) if firing else 0
            opens = int(rng.integers(0, WINDOW_MS - length))
            closes, watts = opens + length, float(rng.uniform(0.1, 0.5)) * config.discharge_max_w
        on = firing and opens <= ms % WINDOW_MS < closes
        power.step(1e-3 * TICK_MS, SUN_W_M2, 0.9, 1e-3 * TICK_MS * watts if on else 0.0)
        if ms == look_ms:
            volts = power.supercap_voltage_v + STACK_NOISE_V * float(rng.standard_normal())
            late_ms = TICK_MS * int(rng.integers(LATE_MS[0] // TICK_MS, LATE_MS[1] // TICK_MS + 1))
        if ms == look_ms + late_ms:
            amperes = (1.0 + GAIN) * power.supercap_current_a + STACK_NOISE_A * float(rng.standard_normal())
            look_ms, fresh = look_ms + TICK_MS * int(rng.integers(18, 23)), True
        if ms % round(1000.0 * STACK_LOOK_S) == 0 and ms > late_ms:
            mean_w = watts * (closes - opens) / WINDOW_MS if firing else 0.0
            now = estimator.update(STACK_LOOK_S, volts, amperes, None, None, 20.0, fresh, mean_w)
            fresh = False
            codes.update(code.value for code in now.codes)
            worst = max(worst, 1.0 if now.soc is None else abs(now.soc - power.soc_supercap))
            if faded is None and Code.CAP_FADED in now.codes:
                faded = 1e-3 * ms
    return PulsesRun(worst, frozenset(codes), estimator.esr_ohm / power.esr_ohm - 1.0, faded)


def pulses_figures(seeds: int = 6) -> list[Figure]:
    """False verdicts under pulses on a new stack; time until an aged one is told."""
    found = []
    for name in BODIES:
        runs = [fly_pulses(name, seed) for seed in range(seeds)]
        verdicts, worst = sum(bool(run.codes) for run in runs), 100.0 * max(run.worst for run in runs)
        ohms = 100.0 * max(abs(run.esr_error) for run in runs)
        found += [
            Figure(f"{name}: false verdicts in {seeds} flights in pulses", verdicts, "", None, "0", verdicts == 0),
            Figure(f"{name}: stack SoC error in pulses", worst, "% worst", None, "<= 2", worst <= 2.0),
            Figure(f"{name}: resistance learned in pulses", ohms, "% worst", None, "<= 25", ohms <= 25.0),
        ]
    aged = [fly_pulses("qiki-t", 30 + seed, 5.0, 0.5) for seed in range(seeds)]
    times = [run.faded_s for run in aged if run.faded_s is not None]
    all_told = len(times) == seeds
    found.append(Figure("resistance x 5, capacity x 0.5: told in pulses after", max(times) if all_told else "not told",
                        "s worst", None, "< 30", all_told and max(times) < 30.0))
    return found


def cost_figures() -> list[Figure]:
    """Time of one update at 20 Hz, us: mean and 99th percentile."""
    body = load_body("qiki-t")
    battery, stack = BatteryEstimator(body.power.battery, body.power.bus), SupercapEstimator(body.power.supercap)
    gauge = GaugeReading(0.6, 0.2, new=False)
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(8192).tolist()
    times: tuple[list[int], list[int]] = ([], [])
    gc.collect()
    gc.disable()
    for i in range(20_000):
        n = noise[i % 8192]
        t0 = perf_counter_ns()
        battery.update(0.05, 2.0 + 0.1 * n, 25.6 + 0.01 * n, gauge, gauge, 20.0)
        t1 = perf_counter_ns()
        stack.update(0.05, 9.0 + 0.003 * n, 0.1 * n, 360.0, 0.025, 20.0, i % 2 == 0)
        t2 = perf_counter_ns()
        times[0].append(t1 - t0)
        times[1].append(t2 - t1)
    gc.enable()
    found = []
    for name, taken in zip(("battery", "stack"), times, strict=True):
        mean, late = 1e-3 * float(np.mean(taken)), 1e-3 * float(np.percentile(taken, 99.0))
        found.append(Figure(f"{name}: one update, mean ({late:.0f} at the 99th percentile)", mean, "us", None, "< 20",
                            mean < 20.0))
    return found


def measure() -> list[Figure]:
    """Every figure of the estimation of stores."""
    return [*battery_figures(), day_figure(), *stack_figures(), *pulses_figures(), *cost_figures()]


def run(report: Report) -> None:
    """Add every figure to a report."""
    for f in measure():
        report.add(f.figure, f.value, f.unit, f.reference, f.target, f.holds)


if __name__ == "__main__":
    report = Report("energy-soc", Path("build") / "bench")
    run(report)
    raise SystemExit(report.finish())

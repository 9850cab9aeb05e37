"""Thruster fault detection: share of faults found in time with the right nozzle, false alarms, and what a tick costs.

The plant is a rigid body written here, at tick resolution with edges to the nanosecond: constant thrust error per
nozzle, scatter from pulse to pulse, valves that move early or late, another mass and inertia than the model's, and the
ADIS16470's noise, quantised. Plans are drawn at random within the pulse rules. A smaller cross-check flies the whole
closed loop on the world's own plant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import radians
from time import perf_counter_ns

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from bench.harness import Report
from firmware_py.gnc.guidance import Brake, GuidanceLaw, Hold, Slew, Translate
from firmware_py.gnc.pulse_book import TickImpulse
from firmware_py.gnc.thruster_fault import NozzleFault, ThrusterFaultDetector, ThrusterVerdict
from hal.frames import Vec3
from hal.profile.body import BodyConfig
from hal.profile.controllability import wrench_matrix
from hal.profile.loader import load_body
from hal.propulsion import PulsePlan
from tests.firmware_py.gnc_flight import Flight, turned

__all__ = ["FaultRig", "run"]

Array = npt.NDArray[np.float64]

BODIES = ("qiki-t", "qiki-g", "bench-12kg")
TICK_NS = 5_000_000
DT = 0.005
ARM: Vec3 = (0.20, 0.0, 0.05)
GYRO_STEP = radians(0.1)
ACCEL_STEP = 0.01225
GYRO_NOISE = radians(0.008) * 10.0
"""0.008 deg/s/rtHz over 100 Hz (ADIS16470 data sheet)."""
ACCEL_NOISE = 0.02
"""0.2 mg/rtHz over 100 Hz (CANON section 7), twice the data sheet's."""
HEALTHY_PULSES = 210_000
SEEDS = 3
PULSES, SECONDS = 5, 0.3


@dataclass
class FaultRig:
    """One body with a fault to come. ``spread`` is the sigma of the constant thrust errors, drawn anew per rig."""

    body: BodyConfig
    seed: int
    spread: float = 0.05
    force: bool = True
    gain: Array = field(init=False)
    verdicts: list[ThrusterVerdict] = field(default_factory=list)
    pulses: int = 0
    stuck: int = -1
    leak: float = 1.0

    def __post_init__(self) -> None:
        body, rng = self.body, np.random.default_rng(self.seed)
        self.rng = rng
        count = self.count = len(body.propulsion.nozzles)
        self.detector = ThrusterFaultDetector(body, ARM)
        self.wrench = wrench_matrix(body)
        self.window_s = body.propulsion.window_ms * 1e-3
        self.planar = body.environment == "air_bearing"
        self.gain = 1.0 + self.spread * np.clip(rng.standard_normal(count), -2.5, 2.5)
        self.lag_ms = 2.0 + 1.5 * np.clip(rng.standard_normal((2, count)), -2.0, 2.0)
        true = rng.uniform(0.975, 1.0)
        self.mass = (body.mass.dry_kg + body.mass.propellant_kg) * true
        # Propellant sits near the centre of mass; the inertia is off by the model's error.
        self.inertia = np.array(body.mass.inertia_kg_m2).diagonal() * rng.uniform(0.99, 1.01, 3)
        self.offset = 1.4e-3 * 9.8 * rng.standard_normal(3) * (1.0 if self.planar else 0.1)
        self.bias = radians(0.01) * rng.standard_normal(3)
        self.rate = np.zeros(3)
        self.now = 0
        self.tick_ns: list[int] = []
        self.open_until = np.zeros(count)
        self.opened_s = np.full(count, -1.0)
        self.missed_s = -1.0
        self.missed_pulses = 0
        self.against_s: list[tuple[float, float, float]] = []
        self.watch = -1
        self.before: PulsePlan = PulsePlan.shut(count, body.propulsion.window_ms)

    def draw(self, dense: bool = False) -> PulsePlan:
        """A plan of one of the kinds that flight makes, rather one that lowers the body rate; dense plans fire most."""
        rng, count, prop = self.rng, self.count, self.body.propulsion
        window, least = prop.window_ms, prop.min_on_ms
        longest = window - least
        tries = 20
        kind = int(np.searchsorted((0.02, 0.05, 0.50, 0.85) if dense else (0.1, 0.25, 0.55, 0.85), rng.random()))
        size = min(kind, 1) if kind < 2 else int(rng.integers(5 if dense else 2, 9))
        on = np.zeros((tries, count), dtype=np.int64)
        if size:
            chosen = np.argsort(rng.random((tries, count)), axis=1)[:, :size]
            if kind == 1:
                times = np.where(rng.random((tries, size)) < 0.6, least, rng.integers(least, 80, (tries, size)))
            elif kind == 2:
                # Fine pulses: opposed nozzles that differ by a few milliseconds.
                times = least + rng.integers(0, 11, (tries, size))
            elif kind == 3:
                times = rng.integers(least, longest + 1, (tries, size))
            else:
                part = rng.integers(least, longest + 1, (tries, size))
                times = np.where(rng.random((tries, size)) < 0.6, window, part)
            np.put_along_axis(on, chosen, times, axis=1)
        # A burn ends after its longest time.
        run = self.open_until
        on[:, (run >= prop.max_burn_ms - window)] = 0
        turn = self.inertia * self.rate + on @ self.wrench[3:].T * 1e-3
        if self.planar:
            turn[:, :2] = 0.0
        after = np.linalg.norm(turn / self.inertia, axis=1)
        allowed = (after < radians(18.0)).nonzero()[0]
        fast = np.linalg.norm(self.rate) > radians(10.0)
        index = int(after.argmin()) if fast or not len(allowed) else int(rng.choice(allowed))
        on_ms = on[index]
        if after[index] > radians(20.0):
            on_ms = np.zeros(count, dtype=np.int64)
        opens = (window - on_ms) // 2
        joined = (run > 0) & (on_ms > 0)
        opens[joined] = 0
        fresh = (on_ms == window) & ~joined
        # The last pulse may have ended half a shortest pause before the window's end.
        opens[fresh] = least // 2 + 1
        closes = np.where(fresh, window, opens + on_ms)
        opens[on_ms == 0] = closes[on_ms == 0] = 0
        self.open_until = np.where(closes == window, run + closes - opens, 0)
        return PulsePlan(window, tuple(opens.tolist()), tuple(closes.tolist()))

    def fail_off(self, nozzle: int, left: float = 0.0) -> None:
        """From now on a nozzle pushes with that share of its thrust."""
        self.gain[nozzle] *= left
        self.watch = nozzle

    def fail_on(self, nozzle: int) -> None:
        """From its next opening, or from now on if it rests, a nozzle stays open."""
        self.stuck = self.watch = nozzle

    def window(self, plan: PulsePlan, length_ms: int | None = None) -> None:
        """Fly one window, or its first part if the next plan cuts it short."""
        verdicts = self.detector.start_window(self.now, plan)
        self.verdicts += verdicts
        ticks = (length_ms or plan.window_ms) // 5
        opens, closes = np.array(plan.open_ms, dtype=float), np.array(plan.close_ms, dtype=float)
        fired = closes > opens
        self.pulses += int(((opens > 0) & fired).sum()) + int((fired & (opens == 0) & (self.opened_s < 0)).sum())
        true_on, told = self._on_times(opens, closes, fired, ticks)
        self._book(fired, opens, closes)
        noise = self.rng.standard_normal((ticks, 6)) * ([GYRO_NOISE] * 3 + [ACCEL_NOISE] * 3)
        impulses = (true_on * self.gain) @ self.wrench.T
        expected = np.hstack([told @ self.wrench.T, (told @ np.linalg.norm(self.wrench[:3], axis=0))[:, None]])
        rates, forces = self._move(impulses)
        rates = np.rint((rates + self.bias + noise[:, :3]) / GYRO_STEP) * GYRO_STEP - self.bias
        forces = np.rint((forces + self.offset + noise[:, 3:]) / ACCEL_STEP) * ACCEL_STEP
        pushes = [TickImpulse(*row) if row[6] else None for row in expected.tolist()]
        on_tick, spent = self.detector.on_tick, self.tick_ns
        for rate, force, push in zip(rates.tolist(), forces.tolist(), pushes, strict=True):
            self.now += TICK_NS
            begin = perf_counter_ns()
            verdict = on_tick(self.now, DT, tuple(rate), tuple(force) if self.force else None, push)
            spent.append(perf_counter_ns() - begin)
            if verdict is not None:
                self.verdicts.append(verdict)

    def _on_times(
        self, opens: Array, closes: Array, fired: npt.NDArray[np.bool_], ticks: int
    ) -> tuple[Array, Array]:
        """Seconds per tick and nozzle: what the gas does, and what the modulator expects (latency 2 ms)."""
        edges = np.arange(ticks + 1)[:, None] * 5.0
        latency = self.body.propulsion.valve_latency_ms

        def overlap(begin: Array, end: Array) -> Array:
            seconds: Array = np.maximum(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0.0) * 1e-3
            return seconds

        old_open = np.array(self.before.open_ms) - float(self.before.window_ms)
        old_close = np.array(self.before.close_ms) - float(self.before.window_ms)
        told = overlap(opens + latency, closes + latency) + overlap(old_open + latency, old_close + latency)
        jitter = 0.3 * self.rng.standard_normal((2, self.count))
        # A valve that the last window left open and this one goes on with does not move between.
        goes_on = fired & (opens == 0) & (old_close >= 0) & (old_close > old_open)
        begin = np.where(goes_on, -1e3, opens + self.lag_ms[0] + jitter[0])
        end = np.where(fired, closes + self.lag_ms[1] + jitter[1], begin)
        true_on = overlap(begin, end) * np.where(fired, 1.0 + 0.01 * self.rng.standard_normal(self.count), 1.0)
        tail = np.where((old_close > old_open) & ~goes_on, old_close + self.lag_ms[1], -1e3)
        true_on += overlap(np.full(self.count, -1e3), tail)
        if self.stuck >= 0:
            true_on[:, self.stuck] = DT * self.leak + (1.0 - self.leak) * true_on[:, self.stuck]
        whole = opens.astype(int).tolist(), closes.astype(int).tolist()
        self.before = PulsePlan(self.before.window_ms, tuple(whole[0]), tuple(whole[1]))
        return np.minimum(true_on, 1.2 * DT), told

    def _book(self, fired: npt.NDArray[np.bool_], opens: Array, closes: Array) -> None:
        """When the watched nozzle first misbehaved, and how many pulses of it have been commanded since."""
        n = self.watch
        if n < 0:
            return
        if self.stuck >= 0:
            self.against_s.append((self.now * 1e-9, opens[n] * 1e-3 if fired[n] else self.window_s, closes[n] * 1e-3))
        elif fired[n]:
            if self.missed_s < 0.0:
                self.missed_s = self.now * 1e-9 + opens[n] * 1e-3
            self.missed_pulses += 1

    def open_against_command_s(self, t_s: float) -> float:
        """How long the stuck nozzle had been open though commanded shut, up to a time."""
        total = 0.0
        for start, opens, closes in self.against_s:
            elapsed = min(max(t_s - start, 0.0), self.window_s)
            total += elapsed - max(0.0, min(elapsed, closes) - min(elapsed, opens))
        return total

    def _move(self, impulses: Array) -> tuple[Array, Array]:
        """Mean rates and specific forces of each tick at the unit's place."""
        j, m = self.inertia.tolist(), self.mass
        com = self.body.mass.centre_of_mass_m
        ax, ay, az = (a - c for a, c in zip(ARM, com, strict=True))
        wx, wy, wz = self.rate.tolist()
        rates, forces = [], []
        for fx, fy, fz, tx, ty, tz in impulses.tolist():
            if self.planar:
                fz = tx = ty = 0.0
            dx = (tx - (j[2] - j[1]) * wy * wz * DT) / j[0]
            dy = (ty - (j[0] - j[2]) * wz * wx * DT) / j[1]
            dz = (tz - (j[1] - j[0]) * wx * wy * DT) / j[2]
            ux, uy, uz = wx + 0.5 * dx, wy + 0.5 * dy, wz + 0.5 * dz
            wx, wy, wz = wx + dx, wy + dy, wz + dz
            wr, w2 = ux * ax + uy * ay + uz * az, ux * ux + uy * uy + uz * uz
            rates.append((ux, uy, uz))
            forces.append((
                fx / (m * DT) + ux * wr - w2 * ax + (dy * az - dz * ay) / DT,
                fy / (m * DT) + uy * wr - w2 * ay + (dz * ax - dx * az) / DT,
                fz / (m * DT) + uz * wr - w2 * az + (dx * ay - dy * ax) / DT,
            ))
        self.rate = np.array((wx, wy, wz))
        return np.array(rates), np.array(forces)


@dataclass(frozen=True)
class Trial:
    """One injected fault: ``late`` and ``wrong`` say how it was missed; ``after_s`` counts as the figure says."""

    late: bool
    wrong: bool
    after_s: float
    pulses: int


def trial(body: BodyConfig, seed: int, nozzle: int, on: bool, left: float = 0.0, force: bool = True) -> Trial:
    """Fly well for 3 s or more, break one nozzle, fly on until somebody is accused."""
    rig = FaultRig(body, seed, force=force)
    for _ in range(12 + 6 * (seed % 3)):
        rig.window(rig.draw())
    early = len(rig.verdicts)
    if on:
        rig.fail_on(nozzle)
        rig.leak = 1.0 - left
    else:
        rig.fail_off(nozzle, left)
    for _ in range(240):
        rig.window(rig.draw())
        if rig.verdicts or rig.missed_pulses > 4 * PULSES:
            break
    if not rig.verdicts:
        return Trial(True, False, float("inf"), rig.missed_pulses)
    verdict = rig.verdicts[0]
    right = verdict.nozzle == nozzle or bool(verdict.twins >> nozzle & 1)
    wrong = early > 0 or not right or (verdict.fault is NozzleFault.STUCK_ON) != on
    t_s = verdict.t_ns * 1e-9
    after = rig.open_against_command_s(t_s) if on else t_s - rig.missed_s
    late = after > SECONDS + 1e-6 if on else rig.missed_pulses > PULSES and after > SECONDS
    return Trial(late, wrong, after, rig.missed_pulses)


def healthy(body: BodyConfig, pulses: int, seed: int) -> tuple[int, int, list[int]]:
    """Pulses, accusations and tick times of craft without fault; a new craft every 3000 pulses.

    Windows of half the length: twice the pulses in the same flight time.
    """
    body = replace(body, propulsion=replace(body.propulsion, window_ms=body.propulsion.window_ms // 2))
    done = accused = 0
    spent: list[int] = []
    while done < pulses:
        rig = FaultRig(body, seed, spread=(0.02, 0.035, 0.05)[seed % 3])
        while rig.pulses < 3000 and done + rig.pulses < pulses:
            rig.window(rig.draw(dense=True))
        done += rig.pulses
        accused += len(rig.verdicts)
        spent += rig.tick_ns
        seed += 1
    return done, accused, spent


def closed_loop(body: BodyConfig, phase: str, nozzle: int, on: bool) -> tuple[bool | None, bool, float]:
    """The whole loop: found within 5 pulses (None: it had fewer), wrongly accused, body rate built up (deg/s)."""
    flight = Flight(body, seed=nozzle + 1)
    flight.fly(Hold(flight.limits), 2.0)
    law: GuidanceLaw = Hold(flight.limits)
    if phase == "slew":
        law = Slew(flight.limits, turned((1.0, -1.0, 0.5), 1.0))
    elif phase == "translate":
        law = Translate(flight.limits, (12.0, 6.0, -4.0))
    elif phase == "brake":
        flight.fly(Translate(flight.limits, (30.0, 10.0, 5.0)), 6.0)
        law = Brake(flight.limits)
    if on:
        # Not at the very edge at which another is told to open.
        flight.fly(law, 0.11)
        flight.world.stick_nozzle_on(nozzle)
    else:
        flight.world.set_nozzle_thrust(nozzle, 0.0)
    mark, missed = len(flight.samples), 0
    for _ in range(80):
        flight.fly(law, 0.25)
        if flight.verdicts:
            break
        missed += flight.plan.on_ms[nozzle] > 0
    flight.fly(law, 1.0)
    rate = max((sample.rate_deg_s for sample in flight.samples[mark:]), default=0.0)
    wanted = NozzleFault.STUCK_ON if on else NozzleFault.FAILED_OFF
    right = bool(flight.verdicts) and (flight.verdicts[0].nozzle, flight.verdicts[0].fault) == (nozzle, wanted)
    wrong = any(verdict.nozzle != nozzle for verdict in flight.verdicts)
    if not flight.verdicts and missed < PULSES:
        return None, False, rate
    return right and missed <= PULSES, wrong, rate


def run(report: Report) -> None:
    """All figures; about a minute and a half."""
    bodies = {name: load_body(name) for name in BODIES}
    for name, body in bodies.items():
        count = len(body.propulsion.nozzles)
        for on in (False, True):
            trials = [trial(body, 100 * k + n, n, on) for k in range(SEEDS) for n in range(count)]
            share = 100.0 * sum(not (t.late or t.wrong) for t in trials) / len(trials)
            clock = "0.3 s open against command" if on else "5 of its pulses or 0.3 s"
            kind = "stuck on" if on else "failed off"
            report.add(
                f"{name}: {kind}, right nozzle within {clock}", share, "%", f"{len(trials)} faults",
                ">= 99", share >= 99.0,
            )
            median = float(np.median([t.after_s for t in trials]))
            pulses = float(np.median([t.pulses for t in trials]))
            if on:
                report.add(f"{name}: {kind}, median delay", 1e3 * median, "ms")
            else:
                report.add(f"{name}: {kind}, median pulses, and delay in ms", pulses, "", 1e3 * median)
            wrong = sum(t.wrong for t in trials)
            report.add(f"{name}: {kind}, wrong accusations", wrong, "", None, 0, wrong == 0)
    weak = [trial(bodies["qiki-t"], 500 + n, n, False, 0.5) for n in range(16)]
    report.add(
        "qiki-t: half thrust, right nozzle within 5 of its pulses or 0.3 s",
        100.0 * sum(not (t.late or t.wrong) for t in weak) / len(weak), "%", f"{len(weak)} faults",
    )
    total = accused = 0
    spent: list[int] = []
    for index, body in enumerate(bodies.values()):
        done, blamed, times = healthy(body, HEALTHY_PULSES // len(bodies), 9000 + 100 * index)
        total, accused = total + done, accused + blamed
        spent += times
    report.add(
        f"false alarms per pulse, {total} healthy pulses", accused / total, "", accused, "< 1e-5",
        accused / total < 1e-5,
    )
    micros = np.array(spent) * 1e-3
    report.add("on_tick, median", float(np.median(micros)), "us", None, "<= 8", bool(np.median(micros) <= 8.0))
    high = float(np.percentile(micros, 99))
    report.add("on_tick, mean; reference: 99th percentile", float(micros.mean()), "us", high)
    _fly(report, bodies["qiki-t"])


def _fly(report: Report, body: BodyConfig) -> None:
    for on in (False, True):
        kind = "stuck on" if on else "failed off"
        for phase in ("hold", "slew", "translate", "brake"):
            flown = [closed_loop(body, phase, nozzle, on) for nozzle in (0, 3, 9, 14)]
            judged = [right for right, _, _ in flown if right is not None]
            wrong = sum(blamed for _, blamed, _ in flown)
            share = 100.0 * sum(judged) / len(judged) if judged else 100.0
            report.add(
                f"closed loop, {phase}, {kind}: right nozzle", share, "%", f"{len(judged)} of {len(flown)} flights",
                ">= 99", share >= 99.0 and not wrong,
            )
            report.add(f"closed loop, {phase}, {kind}: largest body rate", max(r for _, _, r in flown), "deg/s")

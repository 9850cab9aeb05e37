"""Thruster faults: each nozzle recognised by its own signature, none accused by noise."""

from __future__ import annotations

from math import radians

import numpy as np
import pytest

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.modulation import PulseModulator
from firmware_py.gnc.thruster_fault import NozzleFault, ThrusterFaultDetector, ThrusterVerdict
from hal.frames import Vec3, add, cross, scale
from hal.profile.controllability import wrench_matrix
from hal.profile.loader import load_body
from hal.propulsion import PulsePlan

DT, TICK_NS = 0.005, 5_000_000
BODY = load_body("qiki-t")
ALLOCATOR = Allocator(BODY)
INERTIA = tuple(BODY.mass.inertia_kg_m2[axis][axis] for axis in range(3))
ARM: Vec3 = (0.0, 0.0, -0.1)
MODULATOR = PulseModulator(BODY, ALLOCATOR)


class Rig:
    """Momentum of a free body under true nozzle thrusts, read by noisy sensors."""

    def __init__(self, seed: int, spread: float = 0.03) -> None:
        self.rng = np.random.default_rng(seed)
        self.detector = ThrusterFaultDetector(BODY)
        self.wrench = wrench_matrix(BODY)
        self.rate: Vec3 = (0.0, 0.0, 0.0)
        self.gain = 1.0 + spread * np.clip(self.rng.standard_normal(16), -2.5, 2.5)
        self.stuck = -1
        self.now = 0
        self.verdicts: list[ThrusterVerdict] = []
        self.pulses = 0

    def window(self, demand: np.ndarray) -> None:
        plan, _ = MODULATOR.plan(tuple(demand), self.now, rate_tolerance=1e-3, velocity_tolerance=5e-3)
        self.pulses += sum(1 for on in plan.on_ms if on)
        self.verdicts += self.detector.start_window(self.now, plan)
        # What is true and what is expected differ by each nozzle's gain alone.
        times = np.arange(51) * 5.0
        open_ms, close_ms = np.array(plan.open_ms) + 2, np.array(plan.close_ms) + 2
        on_s = np.clip(np.minimum(times[1:, None], close_ms) - np.maximum(times[:-1, None], open_ms), 0.0, None) * 1e-3
        true_s = on_s * self.gain
        if self.stuck >= 0:
            true_s[:, self.stuck] = DT
        impulses = true_s @ self.wrench.T
        noise = (self.rng.standard_normal((50, 6)) * np.array([radians(0.1)] * 3 + [0.028] * 3)).tolist()
        for tick, (fx, fy, fz, *torque) in enumerate(impulses.tolist()):
            before = self.rate
            gyroscopic = cross(before, tuple(j * w for j, w in zip(INERTIA, before, strict=True)))
            change = tuple((t - g * DT) / j for t, g, j in zip(torque, gyroscopic, INERTIA, strict=True))
            self.rate = add(before, change)
            gyro = add(add(before, scale(change, 0.5)), tuple(noise[tick][:3]))
            # Lever arm of a unit at the geometric centre, 0.1 m below the centre of mass.
            lever = add(cross(scale(change, 1.0 / DT), ARM), cross(before, cross(before, ARM)))
            force = add(add(scale((fx, fy, fz), 1.0 / (432.0 * DT)), lever), tuple(noise[tick][3:]))
            self.now += TICK_NS
            verdict = self.detector.on_tick(self.now, DT, gyro, force, MODULATOR.expected(tick))
            if verdict is not None:
                self.verdicts.append(verdict)

    def random_demand(self) -> np.ndarray:
        demand = self.rng.standard_normal(6) * np.array([40.0, 40.0, 40.0, 8.0, 8.0, 8.0])
        # Half of the spin goes each window, or random torques would wind the craft up.
        demand[3:] -= 0.5 * np.array(INERTIA) * np.array(self.rate)
        return demand


def test_ten_thousand_noisy_good_pulses_accuse_nobody() -> None:
    rig = Rig(1)
    while rig.pulses < 10_000:
        rig.window(rig.random_demand())
    assert rig.verdicts == []


@pytest.mark.parametrize("nozzle", range(16))
def test_a_nozzle_that_never_pushes_is_named_after_its_fifth_pulse(nozzle: int) -> None:
    rig = Rig(nozzle + 20)
    rig.gain[nozzle] = 0.0
    for _ in range(200):
        rig.window(rig.random_demand())
        if rig.verdicts:
            break
    assert [(v.nozzle, v.fault) for v in rig.verdicts] == [(nozzle, NozzleFault.FAILED_OFF)]
    assert rig.verdicts[0].pulses == 5


@pytest.mark.parametrize("nozzle", range(16))
def test_a_nozzle_that_stays_open_is_named_within_a_tenth_of_a_second(nozzle: int) -> None:
    rig = Rig(nozzle + 50)
    for _ in range(3):
        rig.window(np.zeros(6))
    start = rig.now
    rig.stuck = nozzle
    rig.window(np.zeros(6))
    assert [(v.nozzle, v.fault) for v in rig.verdicts] == [(nozzle, NozzleFault.STUCK_ON)]
    assert rig.verdicts[0].t_ns - start <= 100_000_000


def test_a_nozzle_that_missed_four_pulses_and_then_pushes_is_not_accused() -> None:
    rig = Rig(90)
    demand = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 30.0])
    for _ in range(6):
        for _ in range(4):
            rig.gain[:] = 1.0
            rig.gain[0] = 0.0
            rig.window(demand)
        rig.gain[:] = 1.0
        rig.window(demand)
    assert rig.verdicts == []


def test_a_reported_nozzle_is_reported_once_and_again_after_clearing() -> None:
    rig = Rig(91)
    rig.gain[5] = 0.0
    for _ in range(60):
        rig.window(rig.random_demand())
    assert len(rig.verdicts) == 1
    assert rig.detector.reported == 1 << 5
    rig.detector.clear(5)
    for _ in range(60):
        rig.window(rig.random_demand())
    assert [v.nozzle for v in rig.verdicts] == [5, 5]


def test_without_force_nobody_is_accused_by_the_gyro_alone_at_rest() -> None:
    rng = np.random.default_rng(7)
    detector = ThrusterFaultDetector(BODY)
    for window in range(100):
        assert detector.start_window(window * 250_000_000, PulsePlan.shut(16, 250)) == []
        for tick in range(50):
            gyro = tuple((np.radians(0.1) * rng.standard_normal(3)).tolist())
            assert detector.on_tick(window * 250_000_000 + tick * TICK_NS, DT, gyro, None, None) is None

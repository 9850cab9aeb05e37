"""The comparison's flights on the project's own rigid body, without Basilisk: `python -m bench._gref_plant --help`.

Ideal valves and a mass that does not change, as in the comparison: propellant is counted by the valves' states.
"""

from __future__ import annotations

import argparse
import sys
from math import degrees, nan, radians
from time import perf_counter

import msgspec
import numpy as np
import numpy.typing as npt

from bench._basilisk_experiment import (
    AXES,
    HOLD_S,
    SAMPLE_MS,
    SLEW_S,
    Chain,
    Ours,
    Record,
    Setup,
    Truth,
    audit_edges,
    disturbance,
    floor_n_s,
    fly,
    judge,
    turned_by,
)
from firmware_py.gnc.allocation import Allocator
from hal.frames import IDENTITY, Vec3
from hal.profile import load_body
from hal.profile.body import BodyConfig
from hal.propulsion import PulsePlan
from hil.plant.rigid_body import rigid_body

__all__ = ["PlainPlant", "fly_plain"]

MS = 1_000_000
REST: Vec3 = (0.0, 0.0, 0.0)
NO_FLOW_S = 1e12
"""Specific impulse of a craft that loses no mass."""


class PlainPlant:
    """A body on the integrator of the rig (hil.plant.rigid_body); see bench._basilisk_experiment.Plant.

    Args:
        body: craft; its valve latency and mass flow are set to none.
        torque_n_m: constant disturbance, body axes.
        rate: rad/s at the start, body axes.
    """

    def __init__(self, body: BodyConfig, torque_n_m: Vec3 = REST, rate: Vec3 = REST) -> None:
        ideal = msgspec.structs.replace(body.propulsion, specific_impulse_s=NO_FLOW_S, valve_latency_ms=0)
        self.rigid = rigid_body(msgspec.structs.replace(body, propulsion=ideal))
        self.rigid.rate = rate
        self.rigid.set_disturbance(REST, torque_n_m)
        self._count = len(body.propulsion.nozzles)
        self._on: list[npt.NDArray[np.bool_]] = []
        self._samples: list[Truth] = [self.truth()]

    def truth(self) -> Truth:
        """See Plant."""
        r = self.rigid
        return Truth(r.t_ns, r.quaternion, r.rate, r.position, r.velocity)

    def advance(self, plan: PulsePlan) -> None:
        """See Plant."""
        rigid, jets = self.rigid, self.rigid.propulsion
        start = rigid.t_ns
        on = np.zeros((plan.window_ms, self._count), dtype=bool)
        edges: list[tuple[int, int, bool]] = []
        for n, (open_ms, close_ms) in enumerate(zip(plan.open_ms, plan.close_ms, strict=True)):
            on[open_ms:close_ms, n] = True
            if open_ms > 0 or close_ms == open_ms:
                edges.append((0, n, False))
            if close_ms > open_ms:
                edges.append((open_ms, n, True))
                if close_ms < plan.window_ms:
                    edges.append((close_ms, n, False))
        self._on.append(on)
        edges.sort(key=lambda edge: edge[0])
        for at_ms, nozzle, is_on in edges:
            jets.drive(start + at_ms * MS, nozzle, is_on)
        if jets.next_change_ns <= start:
            jets.apply(start)
        for k in range(SAMPLE_MS, plan.window_ms + 1, SAMPLE_MS):
            rigid.advance(start + k * MS)
            self._samples.append(self.truth())

    def record(self) -> Record:
        """See Plant."""
        s = self._samples
        on = np.concatenate([np.zeros((0, self._count), dtype=bool), *self._on])
        return Record(
            np.array([x.t_ns for x in s]) * 1e-9, np.array([x.quaternion for x in s]), np.array([x.rate for x in s]),
            np.array([x.velocity for x in s]), on, self.rigid.propulsion.total_impulse_n_s,
        )


def fly_plain(body: BodyConfig, chain: Chain, seconds: float, torque_n_m: Vec3 = REST) -> Record:
    """Fly any chain on the project's own rigid body, from rest in the identity attitude."""
    return fly(PlainPlant(body, torque_n_m), chain, seconds)


def main(arguments: list[str]) -> None:
    """Print slews and holds about the named axes (x, y, z, diagonal, mixed; slew, hold), all by default."""
    parser = argparse.ArgumentParser(prog="python -m bench._gref_plant", description=main.__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--deadband-deg", type=float, default=degrees(Setup().deadband_rad))
    parser.add_argument("--free-position", action="store_true", help="let the craft drift")
    chosen = parser.parse_args(arguments)
    setup = Setup(radians(chosen.deadband_deg), not chosen.free_position)
    body = load_body("gref")
    allocator = Allocator(body)
    header = (
        "settled s", "rms deg", "2nd half", "impulse Ns", "floor Ns", "ratio", "drift mm/s", "pulses", "broken",
        "took s",
    )
    print(f"{'flight':14}" + "".join(f"{word:>12}" for word in header))
    kinds, axes = {"slew", "hold"}.intersection(chosen.names), set(AXES).intersection(chosen.names)
    for kind in sorted(kinds or {"slew", "hold"}, reverse=True):
        for name in [name for name in AXES if not axes or name in axes]:
            began = perf_counter()
            if kind == "slew":
                target, torque, seconds = turned_by(AXES[name]), REST, SLEW_S
                chain = Ours.slew(body, allocator, target, setup)
            else:
                target, torque, seconds = IDENTITY, disturbance(AXES[name]), HOLD_S
                chain = Ours.hold(body, allocator, target, setup)
            record = fly_plain(body, chain, seconds, torque)
            f = judge(record, target)
            floor = floor_n_s(body, torque)
            row = (
                f.settled_s, f.rms_deg, f.late_rms_deg, f.impulse_n_s, floor, f.impulse_n_s / floor if floor else nan,
                f.drift_mm_s, f.pulses, audit_edges(record.on, body).violations, perf_counter() - began,
            )
            print(f"{kind + ' ' + name:14}" + "".join(f"{value:12.4g}" for value in row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

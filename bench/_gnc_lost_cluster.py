"""A craft at 1 m/s that has lost a cluster of nozzles comes to rest: time, rates, propellant, in fourteen directions.

Every axis and diagonal is flown once with each of two clusters of variant T dead, and every other one with a cluster of
variant G or of the weak body gref or two nozzles of one cluster dead. The reference is the whole craft under the law
``brake``, from the same states, in the same run.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import radians

import numpy as np

from bench.harness import Report
from firmware_py.gnc.guidance import Brake, GuidanceLaw
from firmware_py.gnc.lost_cluster import LostCluster
from hal.frames import Vec3, norm, scale, unit
from hal.profile import BodyConfig, load_body
from tests.firmware_py.gnc_flight import Flight

SECONDS = 120.0
REST_M_S = 0.05
RATE_DEG_S = 2.0
MOST_RATE_DEG_S = 20.0
WAYS: tuple[Vec3, ...] = tuple(unit(v) for v in product((-1.0, 0.0, 1.0), repeat=3) if sum(map(abs, v)) in (1.0, 3.0))
CLUSTERS = (0x000F, 0x00F0, 0x0F00, 0xF000)
PAIRS = (0x0003, 0x0090, 0x0500, 0xC000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One flight: until done, and the truth then."""

    done: bool
    seconds: float
    speed_m_s: float
    rate_deg_s: float
    used_kg: float
    rounds: int


def run(report: Report) -> None:
    """Measure everything."""
    variant_t, variant_g = load_body("qiki-t"), load_body("qiki-g")
    rates = _rates(len(WAYS))
    whole = [_fly(variant_t, 0, way, rate) for way, rate in zip(WAYS, rates, strict=True)]
    for half, name in ((0, "A or C"), (1, "B or D")):
        flown = [
            _fly(variant_t, CLUSTERS[(2 * k + half) % 4], way, rate)
            for k, (way, rate) in enumerate(zip(WAYS, rates, strict=True))
        ]
        _report(report, f"qiki-t without {name}, 14 directions", flown, whole)
    some = list(zip(WAYS, rates, strict=True))[::2]
    _report(
        report, "qiki-g without a cluster, 7 directions",
        [_fly(variant_g, CLUSTERS[k % 4], way, rate) for k, (way, rate) in enumerate(some)], whole,
    )
    weak = load_body("gref")
    _report(
        report, "gref without a cluster, 7 directions, 0.3 m/s",
        [_fly(weak, CLUSTERS[k % 4], scale(way, 0.3), rate) for k, (way, rate) in enumerate(some)], whole,
    )
    _report(
        report, "qiki-t without two nozzles of a cluster, 7 directions",
        [_fly(variant_t, PAIRS[k % 4], way, rate) for k, (way, rate) in enumerate(some)], whole,
    )


def _rates(count: int) -> list[Vec3]:
    """Body rates of 2 deg/s about axes all over the sphere."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((count, 3))
    return [scale(unit((x, y, z)), radians(RATE_DEG_S)) for x, y, z in rows.tolist()]


def _fly(body: BodyConfig, failed: int, velocity: Vec3, rate: Vec3) -> Outcome:
    """From 1 m/s and 2 deg/s to rest with the nozzles of ``failed`` dead, known to the program."""
    flight = Flight(body, seed=3, rate=rate, velocity=velocity, react=False)
    for nozzle in range(len(body.propulsion.nozzles)):
        if failed >> nozzle & 1:
            flight.world.set_nozzle_thrust(nozzle, 0.0)
    flight.failed = failed
    # What the craft has known of its speed from before the failure.
    flight.estimator.navigation.velocity = velocity
    recovery = LostCluster(flight.limits, body, flight.allocator, failed)
    law: GuidanceLaw = recovery if failed else Brake(flight.limits)
    seconds = flight.fly(law, SECONDS, until_done=True)
    return Outcome(
        flight.target is not None and flight.target.done, seconds, norm(flight.world.rigid.velocity),
        max(sample.rate_deg_s for sample in flight.samples), flight.used_kg, recovery.rounds,
    )


def _report(report: Report, name: str, flown: list[Outcome], whole: list[Outcome]) -> None:
    rest = sum(o.done and o.speed_m_s <= REST_M_S for o in flown)
    report.add(f"{name}: at rest", rest, f"of {len(flown)}", None, len(flown), rest == len(flown))
    reference = f"whole craft {max(o.speed_m_s for o in whole):.3f}"
    fastest = max(o.speed_m_s for o in flown)
    report.add(f"{name}: greatest speed left", fastest, "m/s", reference, f"<= {REST_M_S}", fastest <= REST_M_S)
    turning = max(o.rate_deg_s for o in flown)
    reference = f"whole craft {max(o.rate_deg_s for o in whole):.1f}"
    report.add(
        f"{name}: greatest rate", turning, "deg/s", reference, f"< {MOST_RATE_DEG_S:.0f}", turning < MOST_RATE_DEG_S
    )
    seconds = [o.seconds for o in flown]
    reference = f"whole craft {np.mean([o.seconds for o in whole]):.1f}"
    report.add(f"{name}: mean time", float(np.mean(seconds)), "s", reference)
    report.add(f"{name}: longest time", max(seconds), "s", None, f"< {SECONDS:.0f}", max(seconds) < SECONDS)
    used = [o.used_kg for o in flown]
    reference = f"whole craft {np.mean([o.used_kg for o in whole]):.2f}"
    report.add(f"{name}: mean propellant", float(np.mean(used)), "kg", reference)
    report.add(f"{name}: most propellant", max(used), "kg", "tank 12", "< 4", max(used) < 4.0)

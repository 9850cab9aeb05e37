"""Flies one case on the embedded rig and judges it. The same case gives the same outcome and the same black box."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from firmware_py.cli.campaign.cases import Case, mission_of
from firmware_py.cli.campaign.entries import Entry, Invariant, hopeless
from firmware_py.cli.campaign.judge import Findings, judge
from firmware_py.cli.campaign.rows import RowTime
from firmware_py.cli.campaign.watch import Breach, Limits, Watch
from firmware_py.cli.session import RigFlight
from firmware_py.clock import NullMeter, RealMeter
from firmware_py.mission import MissionConfig
from hal.profile import Profile

__all__ = ["Outcome", "fly_case", "in_words"]

NS = 1_000_000_000
LINGER_S = 13.0
"""A flight goes on for so long after its last fault began or ended."""
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run went; ``row`` is its line of results.jsonl."""

    case: str
    faults: tuple[str, ...]
    classes: tuple[str, ...]
    phases: tuple[str, ...]
    moments_s: tuple[float, ...]
    breaches: tuple[Breach, ...]
    waived: tuple[str, ...]
    """Reasons for which invariants were not asked for."""
    forgiven: tuple[Breach, ...]
    """Breaches of invariants that were waived."""
    detected_s: tuple[float | None, ...]
    rows: tuple[RowTime, ...]
    """Rows of the fault table that a fault alone tripped."""
    flight_s: float
    cpu_s: float
    """Processor time, so that what else the machine does counts for nothing."""
    peak_rate_deg_s: float
    propellant_used_kg: float
    events: int

    @property
    def survived(self) -> bool:
        """Whether every invariant held."""
        return not self.breaches

    def row(self) -> dict[str, Any]:
        """Plain values, in a fixed order; ``cpu_s`` is the only one that depends on the machine."""
        return {**asdict(self), "survived": self.survived}


def fly_case(
    case: Case, entries: Mapping[str, Entry], base: MissionConfig, profile: Profile, limits: Limits | None = None,
    keep: Path | None = None,
) -> Outcome:
    """Fly and judge one case. Whatever the flight raises is a breach, not an error.

    Args:
        keep: where the flight's folder stays; a scratch folder that is removed if not given.
    """
    used = case.entries(entries)
    limits = limits or Limits()
    watch = Watch(case, used, limits)
    meter = RealMeter()
    start_ns = meter.cpu_ns()
    findings = Findings((None,) * len(used))
    flight: RigFlight | None = None
    events = 0
    scratch_in = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with contextlib.ExitStack() as stack:
        if keep is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-", dir=scratch_in))) / "f"
        else:
            folder = keep
        try:
            flight = RigFlight(mission_of(case, entries, base), profile, folder, case.seed, meter=NullMeter())
            flight.observer = watch
            last_s = max((i.at_s + (e.for_s or 0.0) for i, e in zip(case.injections, used, strict=True)), default=0.0)
            flight.not_before_ns = round((last_s + LINGER_S) * NS) if used else 0
            flight.run()
            watch.finish(flight)
            findings = judge(case, used, watch, flight, folder, limits)
            events = flight.parts.events
        except Exception as error:  # That anything has escaped is the finding.
            watch.breach(Invariant.EXCEPTION, 0 if flight is None else flight.clock.now_ns(), in_words(error))
    waived, reasons = hopeless(used)
    breaches = [breach for breach in watch.breaches.values() if breach.invariant not in waived]
    forgiven = [breach for breach in watch.breaches.values() if breach.invariant in waived]
    used_kg = 0.0 if watch.propellant_start_kg is None else watch.propellant_start_kg - watch.propellant_kg
    return Outcome(
        case=str(case), faults=tuple(e.id for e in used), classes=tuple(e.fault_class.value for e in used),
        phases=tuple(watch.phases), moments_s=tuple(i.at_s for i in case.injections), breaches=tuple(breaches),
        waived=reasons, forgiven=tuple(forgiven), detected_s=findings.detected_s, rows=findings.rows,
        flight_s=0.0 if flight is None else flight.clock.now_ns() / NS, cpu_s=(meter.cpu_ns() - start_ns) / NS,
        peak_rate_deg_s=round(watch.peak_rate_deg_s, 3), propellant_used_kg=round(used_kg, 4), events=events,
    )


def in_words(error: Exception) -> str:
    """Exception with the place that raised it."""
    trace = error.__traceback__
    place = ""
    while trace is not None:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} ({place})"

"""What is checked at every fast tick of a run, from the rig's truth and the program's state alone.

Nothing here asks fdir what it thinks has happened: lines are followed at the pins, valves at the coils, rates, charge
and propellant in the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import degrees, sqrt

from fdir.modes import TRANSITIONS, Motion
from firmware_py.cli.campaign.cases import Case
from firmware_py.cli.campaign.entries import Entry, Invariant
from firmware_py.cli.session import RigFlight
from hil.bus.gpio import SimGpioBus
from hil.can import SimCanBus

__all__ = ["Breach", "Limits", "Watch"]

NS = 1_000_000_000
MS = 1_000_000
RADIANS = 0.017453292519943295


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the invariants. Rates in deg/s, times in s, charge as a fraction, mass in kg, speed in m/s."""

    rate_deg_s: float = 60.0
    recovered_deg_s: float = 5.0
    recovered_after_s: float = 12.0
    """Time after the last fault's end (its start, if it never ends) in which the rate comes down."""
    watchdog_s: float = 0.105
    """Time from the last kick in which the enable line has fallen by hardware."""
    reserve_slack: float = 0.05
    reserve_settles_s: float = 1.5
    """After a jump of the true charge the software may act on the old for so long."""
    safe_push_m_s: float = 0.6
    propellant_kg: float = 8.0
    """Used in a flight of ordinary length."""
    ordinary_s: float = 60.0
    propellant_kg_s: float = 0.06
    """For every second more: a craft that lost a cluster holds on with unequal nozzles until a step's time is up."""
    record_gap_s: float = 0.2
    queue: int = 256


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken invariant: which, when in flight time, and what was found."""

    invariant: Invariant
    t_s: float
    text: str


class Watch:
    """Observer of one run; ``breaches`` holds the first breach of each invariant."""

    def __init__(self, case: Case, entries: tuple[Entry, ...], limits: Limits) -> None:
        self.breaches: dict[Invariant, Breach] = {}
        self.phases: list[str] = [""] * len(case.injections)
        """Where each fault began: motion mode and step."""
        self.motions: list[tuple[int, Motion]] = []
        """Motion mode from each time on, as sampled."""
        self.pulses: list[list[int]] = [[] for _ in case.injections]
        """Ends of pulses, ns, of the nozzles of each fault since it began."""
        self.peak_rate_deg_s = 0.0
        self.last_rate_deg_s = 0.0
        self.rate_low_since_ns: int | None = None
        self.bus_was_off = False
        self.propellant_start_kg: float | None = None
        self.propellant_kg = 0.0
        self._limits = limits
        self._starts_ns = [round(injection.at_s * NS) for injection in case.injections]
        self._entries = entries
        self._pushed = any(e.kind in ("disturbance", "nozzle_stuck_on", "valve_driver") for e in entries)
        self._gauged = any(e.kind in ("gauge", "current_bias", "bus_fault") for e in entries)
        # A coil that a short holds on breaks the rules of pulses by itself.
        self._shorted = frozenset(n for e in entries if e.parameters.get("fault") == "short" for n in e.nozzles)
        # What a medium refuses is counted and dropped: that is the fault, not a queue that ran over.
        self._unwritten = any(e.kind in ("disk_full", "card_dead") for e in entries)
        self._last_mask = 0
        self._motion: Motion | None = None
        self._safe_velocity: tuple[float, float, float] | None = None
        self._lines: dict[str, bool] = {}
        self._kick_ns: int | None = None
        self._attached = False
        self._soc = 1.0
        self._soc_jump_ns = -(10**18)

    def __call__(self, flight: RigFlight, t_ns: int) -> None:
        """Look once. The world has just moved to ``t_ns``; the flight software has not yet run there."""
        if not self._attached:
            self._attach(flight)
        self._look_at_valves(flight, t_ns)
        self._look_at_motion(flight, t_ns)
        self._look_at_body(flight, t_ns)

    def breach(self, invariant: Invariant, t_ns: int, text: str) -> None:
        """Note a broken invariant, the first of its kind."""
        if invariant not in self.breaches:
            self.breaches[invariant] = Breach(invariant, t_ns / NS, text)

    def finish(self, flight: RigFlight) -> None:
        """What can be said only at the end of the flight."""
        t_ns = flight.clock.now_ns()
        checker = flight.rig.checker
        first = next((v for v in checker.violations if v.nozzle not in self._shorted), None)
        if first is not None:
            self.breach(Invariant.PULSE_RULE, first.t_ns,
                        f"nozzle {first.nozzle}: {first.rule} at {first.measured_ms} ms; {checker.total} in all")
        if flight.recorder.dropped and not self._unwritten:
            self.breach(Invariant.QUEUE, t_ns, f"the recorder dropped {flight.recorder.dropped} messages")
        for name, bus in flight.rig.buses.items():
            if isinstance(bus, SimCanBus) and bus.queue_high > self._limits.queue:
                self.breach(Invariant.QUEUE, t_ns, f"{name}: {bus.queue_high} frames waited")
        if self.propellant_start_kg is not None:
            used = self.propellant_start_kg - self.propellant_kg
            longer_s = max(0.0, t_ns / NS - self._limits.ordinary_s)
            if used > self._limits.propellant_kg + self._limits.propellant_kg_s * longer_s:
                self.breach(Invariant.PROPELLANT, t_ns, f"{used:.1f} kg used")
        calm_since_s = max((start / NS + (entry.for_s or 0.0)
                            for start, entry in zip(self._starts_ns, self._entries, strict=True)), default=0.0)
        if (t_ns / NS - calm_since_s >= self._limits.recovered_after_s
                and self.last_rate_deg_s > self._limits.recovered_deg_s):
            self.breach(Invariant.RATE_RECOVERED, t_ns, f"{self.last_rate_deg_s:.1f} deg/s at the end")

    # -- parts

    def _attach(self, flight: RigFlight) -> None:
        self._attached = True
        names = flight.profile.board.lines
        lines = {names.valve_arm: "arm", names.valve_enable: "enable", names.watchdog_kick: "kick"}
        self._lines = {"arm": False, "enable": False}
        gpio = next((bus for bus in flight.rig.buses.values() if isinstance(bus, SimGpioBus)), None)

        def changed(line: str, level: bool, t_ns: int) -> None:
            name = lines.get(line)
            if name == "kick":
                self._kick_ns = t_ns
            elif name is not None:
                self._lines[name] = level

        if gpio is not None:
            gpio.on_change(changed)

    def _look_at_valves(self, flight: RigFlight, t_ns: int) -> None:
        mask = flight.rig.world.rigid.propulsion.driven_mask
        if mask == 0 and self._last_mask == 0:
            return
        if mask:
            if not (self._lines["arm"] and self._lines["enable"]):
                low = " and ".join(name for name, level in self._lines.items() if not level)
                self.breach(Invariant.VALVE_UNARMED, t_ns, f"nozzles {_names(mask)} open with {low} low")
            if self._kick_ns is None or t_ns - self._kick_ns > self._limits.watchdog_s * NS:
                self.breach(Invariant.VALVE_UNARMED, t_ns, f"nozzles {_names(mask)} open with a starved watchdog")
        ended = self._last_mask & ~mask
        if ended:
            for start_ns, entry, pulses in zip(self._starts_ns, self._entries, self.pulses, strict=True):
                # A pulse counts once all of it came after the fault; the shortest are 30 ms.
                if t_ns > start_ns + 300 * MS and any(ended >> nozzle & 1 for nozzle in entry.nozzles):
                    pulses.append(t_ns)
        self._last_mask = mask

    def _look_at_motion(self, flight: RigFlight, t_ns: int) -> None:
        motion = flight.program.software.supervisor.modes.motion
        for index, start_ns in enumerate(self._starts_ns):
            if not self.phases[index] and t_ns >= start_ns:
                step = flight.program.software.commander.step_name
                self.phases[index] = f"{step or 'after'}"
        if motion is not self._motion:
            if self._motion is None:
                if motion is not Motion.BOOT:
                    self.breach(Invariant.TRANSITION, t_ns, f"the flight began in {motion}")
            elif motion is Motion.BURN:
                self._look_at_reserve(flight, t_ns)
            self.motions.append((t_ns, motion))
            self._motion = motion
            self._safe_velocity = flight.rig.world.rigid.velocity if motion is Motion.SAFE else None
        if self._safe_velocity is not None and not self._pushed:
            change = _distance(flight.rig.world.rigid.velocity, self._safe_velocity)
            if change > self._limits.safe_push_m_s:
                self.breach(Invariant.PUSHED_IN_SAFE, t_ns, f"{change:.2f} m/s gained in SAFE")

    def _look_at_reserve(self, flight: RigFlight, t_ns: int) -> None:
        hold = flight.profile.body.power.supercap.hold_soc
        soc = flight.rig.world.power.soc_supercap
        settled = t_ns - self._soc_jump_ns > self._limits.reserve_settles_s * NS
        if soc < hold - self._limits.reserve_slack and settled and not self._gauged:
            self.breach(Invariant.RESERVE, t_ns, f"burn begun at SoC_cap {soc:.2f}; reserve {hold:.2f}")

    def _look_at_body(self, flight: RigFlight, t_ns: int) -> None:
        rigid, power = flight.rig.world.rigid, flight.rig.world.power
        x, y, z = rigid.rate
        rate = degrees(sqrt(x * x + y * y + z * z))
        self.last_rate_deg_s = rate
        if rate > self.peak_rate_deg_s:
            self.peak_rate_deg_s = rate
            if rate > self._limits.rate_deg_s:
                self.breach(Invariant.RATE_LIMIT, t_ns, f"{rate:.1f} deg/s")
        self.propellant_kg = rigid.propulsion.propellant_kg
        if self.propellant_start_kg is None:
            self.propellant_start_kg = self.propellant_kg
        soc = power.soc_supercap
        if abs(soc - self._soc) > 0.02:
            self._soc_jump_ns = t_ns
        self._soc = soc
        if not power.bus_on:
            self.bus_was_off = True
        waiting = len(flight.program.hardware.health_events)
        if waiting > self._limits.queue:
            self.breach(Invariant.QUEUE, t_ns, f"{waiting} health events wait")


def legal(path: list[str]) -> str | None:
    """The first move of a path of motion modes that the table does not list, in words."""
    for source, target in pairwise(path):
        try:
            known = (Motion(source), Motion(target)) in TRANSITIONS
        except ValueError:
            known = False
        if not known:
            return f"{source} -> {target}"
    return None


def _names(mask: int) -> str:
    return ", ".join(str(n) for n in range(mask.bit_length()) if mask >> n & 1)


def _distance(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    return sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))

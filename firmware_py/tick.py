"""One tick, to be read from top to bottom: how a register value becomes a valve pulse.

    sense -> estimate -> monitor -> steer (guide, control, allocate, modulate, gate, command) -> record

``FlightSoftware`` owns the state that passes between these members; each member is a ``step(now_ns)`` of the
scheduler's table in ``members()``. Nothing here knows a chip, a bus or the rig.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime
from math import radians
from typing import Any

from fdir.brake import END_SPEED_M_S
from fdir.codes import Code, Severity
from fdir.facts import ComputerFacts, CraftLimits, Facts, LinkFacts, UnitFacts
from fdir.fault_table import FaultTable, Isolation
from fdir.gate_facts import GateFacts
from fdir.guard_alerts import GuardAlert
from fdir.modes import Motion
from fdir.monitors import monitors_of
from fdir.pulse_gate import PulseGate
from fdir.safe_record import kept_safe
from fdir.supervisor import Directives, Supervisor
from firmware_py.commander import Commander
from firmware_py.energy.computer import ComputerPort
from firmware_py.energy.duty_table import Consumer
from firmware_py.energy.manager import EnergyManager
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import force_ceiling_n
from firmware_py.gnc.cluster_heat import ClusterHeat
from firmware_py.gnc.control import Controller
from firmware_py.gnc.ephemeris import sun_direction
from firmware_py.gnc.estimator import Estimator
from firmware_py.gnc.modulator import Carry
from firmware_py.gnc.modulators import make_modulator
from firmware_py.gnc.pulse_book import NOTHING, Impulse, TickImpulse
from firmware_py.gnc.spare_gyro import SpareGyro
from firmware_py.gnc.thrust_modes import ThrustMode, ThrustPolicy
from firmware_py.gnc.thruster_fault import ThrusterFaultDetector, ThrusterVerdict
from firmware_py.guard_watch import ChosenRules, GuardWatch
from firmware_py.journal import Journal
from firmware_py.mission import Sequencer
from firmware_py.retained import Retained
from firmware_py.scheduler import Member, RateGroup
from firmware_py.telemetry_snapshot import snapshot_of
from firmware_py.units import UnitRecovery, devices_by_role, unit_facts
from hal.frames import Quaternion, Vec3, conjugate, multiply, norm, rotation_vector, subtract
from hal.hardware import Hardware
from hal.isolation import ValveState
from hal.manager import DeviceState
from hal.power import PowerState
from hal.profile import Profile
from hal.propulsion import PulsePlan
from hal.reading import Reading

__all__ = ["FAST_ROW", "FlightSoftware"]

MS = 1_000_000
SECOND = 1_000_000_000
STANDARD_GRAVITY = 9.80665
SELF_TEST_LIMIT_NS = 8 * SECOND
"""Time from start in which every device should have answered. What flies without: inertial unit and a valve node."""
DISAGREEMENT_KEPT_NS = 2 * SECOND
"""Age beyond which gyro and star tracker are no longer said to differ; longest time between two compared fixes."""
DISAGREEMENT_RAD_S = radians(0.5)
"""Gyro against star tracker, from which on the gyro's rate says nothing of the unit that takes over."""
WRONG_FOR_S = 1.0
"""How long a gyro may have been wrong before another one takes over."""
LEAST_DOUBT_RAD = radians(0.3)
NEW_PRICE = 0.1
"""Change of a nozzle's price, as a share of it, from which on the allocator's tables are made anew (1 to 2 ms)."""
RATED = (
    ("spectrometer", Consumer.SPECTROMETER), ("magnetometer", Consumer.MAGNETOMETER), ("range", Consumer.PROXIMITY),
)
"""Roles of devices whose rate follows the energy there is."""
HEALTH_SEVERITY = {
    DeviceState.OK: Severity.INFO, DeviceState.INIT: Severity.WARNING,
    DeviceState.DEGRADED: Severity.INFO, DeviceState.LOST: Severity.WARNING,
}
VALVE_SEVERITY = {
    ValveState.OPEN: Severity.INFO, ValveState.SHUTTING: Severity.WARNING, ValveState.SHUT: Severity.INFO,
    ValveState.FAILED: Severity.CRITICAL,
}
FAST_ROW = struct.Struct("<Q4f3f3f3fHB")
"""Row of the crash-proof ring: time (ns), quaternion, rate, position, velocity, nozzles with a pulse, motion mode."""
MOTION_NUMBER = {motion: number for number, motion in enumerate(Motion)}


class FlightSoftware:
    """The flight software of one craft, without clock and scheduler.

    Args:
        profile: body and board. Its window must be a whole number of fast ticks (``firmware_py.program.fit_window``).
        hardware: planes over the board's buses.
        sequencer: the mission's steps.
        epoch_ns: UTC of flight time zero, ns since 1970.
        expected_digest: hardware profile hash that the mission was made for; ``None`` takes any.
        journal: where events, commands and rows go.
        faults: by what the monitors judge, and what is tried.
        rules: by what contacts are judged.
        computer: the flight computer's own temperature and speed, where they can be reached.

    ``late_ticks``, the late ticks in a row, is told by whoever runs the scheduler.
    """

    def __init__(
        self, profile: Profile, hardware: Hardware, sequencer: Sequencer, epoch_ns: int, expected_digest: str | None,
        journal: Journal, faults: FaultTable, rules: ChosenRules, computer: ComputerPort | None = None,
    ) -> None:
        body = profile.body
        self.profile = profile
        self.hardware = hardware
        self.journal = journal
        self.estimator = Estimator(body, hardware.imu_position_m)
        self.allocator = Allocator(body)
        self.modulator = make_modulator(
            body.propulsion.modulator, body, self.allocator, 1000.0 / profile.board.rates.fast_hz
        )
        self.heat = ClusterHeat(body)
        self.policy = ThrustPolicy(body, self.allocator, force_ceiling_n(body))
        self.controller = Controller(body, self.allocator)
        self.detector = ThrusterFaultDetector(body, hardware.imu_position_m)
        self._imu_switches = hardware.imu_switches
        self._imu_since_ns = 0
        self._fix_ns: int | None = None
        """Of the last attitude that the star tracker has given."""
        self.spare_gyro = SpareGyro()
        self.gate = PulseGate(body.propulsion)
        self.limits = CraftLimits.of(body)
        self._recovery = UnitRecovery(hardware)
        self.supervisor = Supervisor(
            tuple(nozzle.cluster for nozzle in body.propulsion.nozzles),
            monitors_of(faults, self.limits, devices_by_role(profile.board), tuple(profile.board.buses)),
            self._recovery, hardware.isolation_valves,
        )
        self.guard = GuardWatch(rules.table)
        """Whoever sees contacts hands them over here."""
        if rules.refusal:
            journal.event(0, Code.GUARD_RULES_REFUSED, Severity.WARNING, rules.refusal)
        self._sun_inertial = sun_direction(datetime.fromtimestamp(epoch_ns * 1e-9, UTC))
        self.commander = Commander(body, self.allocator, self.supervisor, sequencer, journal, self._sun_inertial)
        flown = self.commander.flown
        flown.unavailable = lambda now_ns: self.modulator.blocked(now_ns) | hardware.propulsion.unavailable()
        flown.lost = lambda: self._silent
        self.commander.known = self._known
        self.commander.valves_armed = self._valves_armed
        self.commander.burns.budget.temperatures = lambda: self.temperatures
        self.energy = EnergyManager(body, hardware.power, journal.event, computer)
        self.commander.energy = self.energy
        self.commander.burns.budget.can_give = self.energy.can_give
        self.propellant_kg = body.mass.propellant_kg
        self.plan = PulsePlan.shut(len(body.propulsion.nozzles), body.propulsion.window_ms)
        self.power: PowerState = hardware.power.state(0)
        self.temperatures: dict[str, Reading[float]] = {}
        self.facts: Facts | None = None
        self.late_ticks = 0
        self.now_ns = 0
        """Deadline of the present tick."""
        self._fast_hz = profile.board.rates.fast_hz
        self._hash_matches = expected_digest is None or expected_digest == profile.digest
        self._window_ns = body.propulsion.window_ms * MS
        self._window_ticks = body.propulsion.window_ms * profile.board.rates.fast_hz // 1000
        self._window_start_ns = 0
        self._exhaust_speed = body.propulsion.specific_impulse_s * STANDARD_GRAVITY
        self._valve_w = body.propulsion.valve_power_w
        self._thrusts = tuple(nozzle.thrust_n for nozzle in body.propulsion.nozzles)
        self._directives = Directives(True, False, frozenset(), False)
        self._self_test: bool | None = None
        self._units = UnitFacts()
        self.telemetry_every = 1
        """One snapshot of telemetry in so many medium ticks is recorded."""
        self.self_test_limit_ns = SELF_TEST_LIMIT_NS
        self.retained: Retained | None = None
        """Parameters and boot record, told by whoever joins the program; ``None``: nothing outlives a restart."""
        self._boot_loop_told = False
        self._stay_disarmed = False
        self._telemetry_turn = 0
        self.computer = ComputerFacts()
        """The flight computer's health, told by whoever watches it."""
        self.heard_ns: int | None = None
        """When the last valid uplink came in, or the wait for it began, told by whoever serves the link; ``None``: this
        craft waits for none."""
        self.radio_ready: bool | None = None
        """Whether some transmitter is there, told by the link; ``None``: nobody knows."""
        self.link_values: dict[str, Any] = {}
        """Values of the link's telemetry channels."""
        self.perception_values: dict[str, Any] = {}
        """Values of the perception's telemetry channels."""
        self._last_imu_ns = 0
        self._bias: Vec3 = self.estimator.filter.bias
        """Gyro bias that the detector knows of."""
        self._last_rates: Vec3 | None = None
        self._repeats = 0
        self._turned: Vec3 | None = (0.0, 0.0, 0.0)
        self._last_fix: tuple[int, Quaternion] | None = None
        self._rate_disagreement: float | None = None
        self._enabled = False
        self._lowering = True
        """Arm and enable must be low and have not both read back so yet; at start too: a program that was killed has
        left them high, and the first kick of the watchdog would let the enable line rise again."""
        self._recut = False
        self._lines_follow = True
        self._valves: dict[str, ValveState] = {}
        """Isolation valves that were ordered shut, as last told."""
        self._nodes_ready = False
        self._pulse_mask = 0
        self._open_ms = [0] * len(self._thrusts)
        """Open time of each nozzle since its cluster's heat was last reckoned."""
        self._heat_ns = 0
        self._barred = 0
        """Nozzles of clusters that are too hot or too cold to be fired."""
        self._push_without = 0
        """Nozzles that the push below is reckoned without."""
        self._push_n = self.allocator.ceiling_n()
        self._silent = self._silent_before = 0
        """Nozzles of nodes that have been out of reach for a while; a node that is reset comes back sooner."""
        self._price = self.heat.costs()
        self._row = b""
        self._sun_t = self._field_t = -1

    @property
    def brake_m_s2(self) -> float | None:
        """What the craft can push itself with in every direction, with the nozzles that are left; ``None`` when it
        lacks a direction: then it has to turn first, and how soon it stops nobody knows."""
        without = self._failed_mask() | self._silent | self._barred
        if without != self._push_without:
            self._push_without, self._push_n = without, self.allocator.ceiling_n(without)
        return self._push_n / self.mass_kg if self._push_n > 0.0 else None

    @property
    def mass_kg(self) -> float:
        """Of the craft now, propellant included."""
        return self.profile.body.mass.dry_kg + max(0.0, self.propellant_kg)

    def members(self) -> tuple[Member, ...]:
        """The static member table: who runs when, with what budget, and who must never be dropped."""
        fast, medium, slow = RateGroup.FAST, RateGroup.MEDIUM, RateGroup.SLOW
        return (
            Member("sense", self.sense, fast, 0, 500, True),
            Member("estimate", self.estimate, fast, 0, 300, True),
            Member("monitor", self.monitor, fast, 0, 200, True),
            Member("steer", self.steer, fast, 0, 1500, True),
            Member("record", self.record, fast, 0, 200, False),
            Member("survey", self.survey, medium, 0, 500, True),
            Member("modes", self.keep_modes, medium, 1, 300, True),
            Member("mission", self.fly_mission, medium, 1, 300, False),
            Member("telemetry", self.telemetry, medium, 2, 500, False),
            Member("energy", self.feed, medium, 4, 500, True),
            Member("guard", self.watch_contacts, medium, 5, 1200, False),
            # 0.3 ms; 2 ms when heat or charge have changed what nozzles cost.
            Member("housekeeping", self.housekeeping, slow, 3, 2000, True),
        )

    # -- fast: sense, estimate, monitor, steer, record

    def sense(self, now_ns: int) -> None:
        """Registers to readings: valve nodes, inertial unit, star tracker, and one slot of the slow buses."""
        self.now_ns = now_ns
        self.hardware.sense(now_ns)

    def estimate(self, now_ns: int) -> None:
        """Readings to attitude, rate, position and velocity."""
        expected = self._expected_push(now_ns)
        dt_s = (now_ns - self._last_imu_ns) * 1e-9
        imu = self.hardware.sensors.imu()
        if self.hardware.imu_switches != self._imu_switches:
            self._imu_since_ns = now_ns
            self._follow_imu(imu.value.rate_rad_s if imu.ok and imu.t_ns == now_ns and imu.value is not None else None)
        if imu.ok and imu.t_ns == now_ns and imu.value is not None:
            rate, force = imu.value.rate_rad_s, imu.value.specific_force_m_s2
            if self.estimator.on_imu(now_ns, dt_s, rate, force, expected):
                self._repeats = self._repeats + 1 if rate == self._last_rates else 0
                self._last_rates = rate
                wx, wy, wz = self.estimator.filter.rate
                self.spare_gyro.on_flown(now_ns, (wx, wy, wz))
                if self._turned is not None:
                    x, y, z = self._turned
                    self._turned = (x + wx * dt_s, y + wy * dt_s, z + wz * dt_s)
                self._watch_nozzles(now_ns, dt_s, (wx, wy, wz), force, expected)
            else:
                # A sample that is no number: the estimator has coasted, and nobody is judged by it.
                self._turned = None
        else:
            self.estimator.coast(now_ns, dt_s, expected)
            self._turned = None
        self._last_imu_ns = now_ns
        fix = self.hardware.sensors.fresh_attitude
        if fix is not None:
            self._fix_ns = now_ns - fix.age_ns
            self._cross_check(self._fix_ns, fix.quaternion)
            # What was seen before another unit took over says nothing of that one's errors.
            if now_ns - fix.age_ns >= self._imu_since_ns:
                self.estimator.on_attitude(now_ns, fix.quaternion, fix.sigma_rad, fix.age_ns)

    def monitor(self, now_ns: int) -> None:
        """State to directives: what the trusted core orders in this tick."""
        facts = self.facts = self._gather(now_ns)
        before, safe = self._directives, self.supervisor.modes.motion is Motion.SAFE
        self._directives = self.supervisor.step(facts)
        barred = self._directives.bar_burns and not before.bar_burns
        if barred or (self.supervisor.modes.motion is Motion.SAFE and not safe):
            # What is being pushed ends now, not with its window.
            self._recut = True
        while self._recovery.errors:
            self.journal.event(now_ns, Code.RECOVERY_HELD, Severity.WARNING, self._recovery.errors.pop(0))
        if self._directives.isolated_clusters:
            self._isolate(now_ns, facts)
        for event in self.supervisor.take_events():
            self.journal.event(event.t_ns, event.code, event.severity, event.text)

    def steer(self, now_ns: int) -> None:
        """Directives and target to valve pulses, once a window, and at once when something is cut short."""
        # Before anything else, and whatever is ordered: lines that should be low are asked down until they are.
        if self._lowering:
            self._lower_lines(now_ns)
        facts = self.facts
        if facts is None:
            return
        if self._directives.shut_valves or not self.commander.arming:
            self.shut_valves(now_ns)
            return
        if not self._enabled:
            return
        cut = self.commander.take_cut() or self._recut
        self._recut = False
        if now_ns - self._window_start_ns < self._window_ns and not cut:
            return
        nav = self.estimator.nav
        target = self.commander.guide(now_ns, nav, facts, self._directives)
        if not facts.imu_ok and (self._fix_ns is None or now_ns - self._fix_ns > DISAGREEMENT_KEPT_NS):
            # Nobody measures how the craft turns: pushed blindly it would only turn faster.
            target = None
        failed = self._failed_mask() | self.hardware.propulsion.unavailable() | self._barred
        if target is None:
            plan, emitted = self.modulator.shut(now_ns), NOTHING
        else:
            demand = self.controller.update(now_ns, nav, target, failed)
            impulse = self._allowed(target.mode, demand.impulse, failed | self.modulator.blocked(now_ns))
            plan, emitted = self.modulator.plan(
                impulse, now_ns, failed,
                rate_tolerance=demand.rate_tolerance, velocity_tolerance=demand.velocity_tolerance,
                carry=Carry.FORCE if target.carries_push else Carry.NONE, mean=demand.mean,
            )
        self.gate.masked = self._directives.masked_nozzles
        plan, vetoes = self.gate.judge(plan, now_ns // MS, self.hardware.propulsion.armed, self._enabled)
        for veto in vetoes:
            self.journal.event(now_ns, veto.code, Severity.WARNING, f"nozzle {veto.nozzle}: pulse taken out")
        if vetoes:
            emitted = self.modulator.flown(plan)
        if not self.hardware.propulsion.command(plan):
            # Not sent, so not flown: the nodes end by themselves what runs, but a cut must not wait for that.
            self.hardware.propulsion.shut(now_ns)
            self._recut = cut
            self.gate.shut(now_ns // MS)
            plan = PulsePlan.shut(len(self._thrusts), plan.window_ms)
            emitted = self.modulator.flown(plan)
        self.controller.flown(emitted)
        self._adopt(now_ns, plan)

    def record(self, now_ns: int) -> None:
        """The tick to the black box."""
        observer, filter_, navigation = self.estimator.observer, self.estimator.filter, self.estimator.navigation
        row = FAST_ROW.pack(
            now_ns, *filter_.quaternion, *observer.rate, *navigation.position, *navigation.velocity,
            self._pulse_mask,
            MOTION_NUMBER[self.supervisor.modes.motion],
        )
        self._row = row
        self.journal.fast_row(now_ns, row)

    # -- medium: survey, mission, telemetry

    def survey(self, now_ns: int) -> None:
        """Slow readings into the estimate and into the facts."""
        sensors, estimator = self.hardware.sensors, self.estimator
        sun = sensors.sun(now_ns)
        if sun.value is not None and sun.ok and sun.t_ns != self._sun_t:
            self._sun_t = sun.t_ns
            estimator.on_sun(now_ns, sun.value, inertial=self._sun_inertial, age_ns=now_ns - sun.t_ns)
        field = sensors.magnetic(now_ns)
        if field.value is not None and field.ok and field.t_ns != self._field_t:
            self._field_t = field.t_ns
            estimator.on_magnetic(now_ns, field.value, age_ns=now_ns - field.t_ns)
        estimator.medium(now_ns)
        self._compare_gyros(now_ns)
        self.hardware.survey(now_ns)
        self._nodes_ready = self.hardware.propulsion.state().some_ready
        self._units = unit_facts(self.hardware)
        while self.hardware.health_events:
            event = self.hardware.health_events.popleft()
            cause = f" ({event.cause.value})" if event.cause is not None else ""
            ordered = ", its rail was switched by order" if event.ordered else ""
            severity = Severity.INFO if event.ordered else HEALTH_SEVERITY[event.state]
            self.journal.event(
                event.t_ns, Code.DEVICE_STATE, severity, f"{event.device}: {event.state.name}{cause}{ordered}"
            )

    def keep_modes(self, now_ns: int) -> None:
        """What outlives a restart, the way out of Boot, and the lines: what no lack of time may leave undone."""
        facts = self.facts
        if facts is None:
            return
        self._follow_retained(now_ns, facts)
        if self.supervisor.modes.motion is Motion.BOOT:
            self._boot(facts)
        self._keep_armed(now_ns)

    def fly_mission(self, now_ns: int) -> None:
        """The mission's steps."""
        if self.facts is not None:
            self.commander.step(now_ns, self.estimator.nav, self.facts)

    def telemetry(self, now_ns: int) -> None:
        """The dictionary's channels to the recorder."""
        self._telemetry_turn = (self._telemetry_turn + 1) % self.telemetry_every
        if self._telemetry_turn == 0:
            self.journal.snapshot(now_ns, self.snapshot(now_ns))
        self.journal.medium_row(now_ns, self._row)

    def watch_contacts(self, now_ns: int) -> None:
        """Contacts to alerts, and what they lead to."""
        facts = self.facts
        if facts is None:
            return
        self.guard.set_brake(self.brake_m_s2)
        asking = self.supervisor.on_guard_alerts(self.guard.step(now_ns), facts)
        if asking:
            self._get_clear(asking[0], now_ns, facts)

    def _get_clear(self, alert: GuardAlert, now_ns: int, facts: Facts) -> None:
        """Evade as advised, where something is advised and nothing speaks against it; else brake. What is under way and
        does so already is not begun anew."""
        source, nav, commander = f"guard {alert.rule_id}", self.estimator.nav, self.commander
        if alert.evade_m_s is not None:
            advised = {"delta_v_m_s": list(alert.evade_m_s)}
            if commander.flown.evades(alert.evade_m_s, nav) or not commander.order(
                "evade", advised, source, now_ns, nav, facts
            ).codes:
                return
        still = facts.speed_m_s is not None and facts.speed_m_s <= END_SPEED_M_S
        brakes = commander.flown.brakes
        if brakes and not still:
            return
        at_rest = still and (brakes or self.supervisor.modes.motion is Motion.SAFE)
        if at_rest or commander.order("brake", {}, source, now_ns, nav, facts).codes or still:
            # Refused, or over at once: an alert that asks for a brake is never without an answer.
            self.supervisor.enter_safe(alert.code or Code.GUARD_ALERT, facts)

    def feed(self, now_ns: int) -> None:
        """Who gets how much power: stores, shedding, loads, chargers, dock and budget."""
        self.power = self.hardware.power.state(now_ns)
        # Against too much current the distribution unit sheds by itself, and opens the line that is to blame.
        shedding = self.supervisor.bank.codes(Isolation.SHED)
        self.energy.ordered_to_shed = Code.BUS_UNSTABLE in shedding or Code.SAFE_POWER_LOW in shedding
        self.energy.medium(now_ns, self.power, self.supervisor.modes.motion, self._firing_w(now_ns))

    # -- slow: housekeeping

    def housekeeping(self, now_ns: int) -> None:
        """Temperatures, self-test, and what changes slowly."""
        self.temperatures = self.hardware.sensors.temperatures(now_ns)
        self.estimator.navigation.set_mass(self.mass_kg)
        self.controller.set_mass(self.mass_kg)
        self._follow_heat(now_ns)
        modelled = {name: celsius for name, celsius in self.heat.temperatures_c.items() if name in self.heat.clusters}
        self.energy.held_back = self.computer.throttled is True
        self.energy.slow(now_ns, self.temperatures, modelled, self.supervisor.modes.motion)
        for role, consumer in RATED:
            self.hardware.set_rate(role, self.energy.duties.rates_hz[consumer], now_ns)
        unavailable = self.hardware.propulsion.unavailable()
        self._silent = unavailable & self._silent_before if unavailable else 0
        self._silent_before = unavailable
        if not self._self_test:
            self._test_itself(now_ns)

    def _follow_heat(self, now_ns: int) -> None:
        """Heat of the clusters to who may fire, and at what price: a hot one is used less, a tripped one not at all."""
        heat = self.heat
        measured = {name: _usable(reading) for name, reading in self.temperatures.items()}
        heat.step((now_ns - self._heat_ns) * 1e-9, [ms * 1e-3 for ms in self._open_ms], measured)
        self._heat_ns = now_ns
        self._open_ms = [0] * len(self._open_ms)
        self._barred = heat.barred(self.modulator.blocked(now_ns))
        for nozzle, cluster in enumerate(self.supervisor.clusters):
            if cluster in self.energy.barred_clusters:
                self._barred |= 1 << nozzle
        factors = heat.costs(soc_supercap=self.energy.soc_supercap)
        if abs(factors / self._price - 1.0).max() > NEW_PRICE:
            self._price = factors
            self.allocator.set_costs(factors)

    # -- hooks of the scheduler

    def shut_valves(self, now_ns: int) -> None:
        """Shut every valve now and take arm and enable away; they come back only through ``_keep_armed``."""
        if self._enabled:
            self._enabled = False
            self._lower_lines(now_ns)
            self.hardware.propulsion.disarm(now_ns)
            self.gate.shut(now_ns // MS)
            self._adopt(now_ns, self.modulator.shut(now_ns))

    def _lower_lines(self, now_ns: int) -> None:
        """Take enable and arm away; what does not follow is tried again every fast tick."""
        safety = self.hardware.safety
        fell = safety.set_enable(False)
        self.hardware.propulsion.shut(now_ns)
        fell = safety.set_arm(False) and fell
        self._lowering = not fell
        self._tell_lines(now_ns, fell, Severity.CRITICAL)

    @property
    def enabled(self) -> bool:
        """Whether arm and enable are up, so that valves take pulses."""
        return self._enabled

    def window_age_s(self, now_ns: int) -> float:
        """How long ago the present pulse window began, s."""
        return (now_ns - self._window_start_ns) * 1e-9

    @property
    def firing(self) -> bool:
        """Whether a valve is open in the present window, or will be."""
        return self._pulse_mask != 0 and self.now_ns - self._window_start_ns < self._window_ns

    @property
    def restart_ordered(self) -> bool:
        """Whether the core wants the program ended, so that its supervisor starts it anew."""
        return self._directives.restart

    def on_overrun_stop(self, now_ns: int) -> None:
        """The scheduler missed 20 ticks in a row: shut and lock out."""
        self.shut_valves(now_ns)
        self.supervisor.lock_out_valves(self.facts or self._gather(now_ns))

    # -- parts of the members

    def _allowed(self, mode: ThrustMode, impulse: Impulse, failed: int) -> Impulse:
        """What of a window's demand the thrust mode lets through."""
        window_s = self._window_ns * 1e-9
        a, b, c, d, e, f = impulse
        wanted = (a / window_s, b / window_s, c / window_s, d / window_s, e / window_s, f / window_s)
        shaped = self.policy.shape(mode, wanted, failed)
        share = self.energy.rcs_share
        if shaped.wrench == wanted and share == 1.0:
            return impulse
        a, b, c, d, e, f = shaped.wrench
        # What the distribution unit throttles in power is missing in force (CANON section 5).
        a, b, c, d, e, f = share * a, share * b, share * c, share * d, share * e, share * f
        return (a * window_s, b * window_s, c * window_s, d * window_s, e * window_s, f * window_s)

    def _follow_imu(self, sample: Vec3 | None) -> None:
        """Another inertial unit is flown: what was learnt of the last one's errors is void. ``sample``: its rate."""
        self._imu_switches = self.hardware.imu_switches
        place = self.hardware.imu_position_m
        off = max(self._rate_disagreement or 0.0, self.spare_gyro.difference or 0.0)
        trusted = sample if off < DISAGREEMENT_RAD_S else None
        self.estimator.change_imu(place, trusted, self.spare_gyro.bias, LEAST_DOUBT_RAD + off * WRONG_FOR_S)
        self.spare_gyro.forget()
        self.detector.change_imu(place)
        self._bias = self.estimator.filter.bias
        self._last_rates, self._repeats = None, 0
        self._turned, self._last_fix, self._rate_disagreement = None, None, None

    def _expected_push(self, now_ns: int) -> TickImpulse | None:
        """What the commanded pulses should have done since the last tick."""
        # Deadlines are whole ns of an exact grid: the number of ticks between two is the nearest one.
        index = ((now_ns - self._window_start_ns) * self._fast_hz + SECOND // 2) // SECOND - 1
        return self.modulator.expected(index) if 0 <= index < self._window_ticks else None

    def _watch_nozzles(
        self, now_ns: int, dt_s: float, rate: Vec3, force: Vec3, expected: TickImpulse | None
    ) -> None:
        """Measured against expected momentum, for nozzles that stay open or shut against their command."""
        bias = self.estimator.filter.bias
        if bias != self._bias:
            x, y, z = self._bias
            self._bias = bias
            self.detector.rebias((x - bias[0], y - bias[1], z - bias[2]))
        x, y, z = self.estimator.navigation.bias
        # On a table gravity is in it, and the level that the detector learns instead of the bias.
        unbiased = force if self.estimator.gravity else (force[0] - x, force[1] - y, force[2] - z)
        verdict = self.detector.on_tick(now_ns, dt_s, rate, unbiased, expected)
        if verdict is not None and self.facts is not None:
            self._accuse([verdict], self.facts)

    def _cross_check(self, exposed_ns: int, quaternion: Quaternion) -> None:
        """Mean rate between two star-tracker fixes against the gyro's over the same time, if it missed no tick."""
        turned, self._turned = self._turned, (0.0, 0.0, 0.0)
        if self._last_fix is not None and turned is not None:
            before_ns, before = self._last_fix
            dt_s = (exposed_ns - before_ns) * 1e-9
            if 0.1 < dt_s < DISAGREEMENT_KEPT_NS * 1e-9:
                stars = rotation_vector(multiply(conjugate(before), quaternion))
                self._rate_disagreement = norm(subtract(stars, turned)) / dt_s
        self._last_fix = (exposed_ns, quaternion)

    def _compare_gyros(self, now_ns: int) -> None:
        """The unit that stands by against the flown one, where both have a sample of this tick or the one before."""
        spare = self.hardware.spare_rate(now_ns)
        if spare is None or not self.hardware.sensors.imu().ok:
            self.spare_gyro.silent()
        else:
            self.spare_gyro.on_sample(*spare)

    def _units_differ(self) -> float | None:
        tracker = self._rate_disagreement
        return 0.0 if tracker is not None and tracker < DISAGREEMENT_RAD_S else self.spare_gyro.difference

    def _gather(self, now_ns: int) -> Facts:
        power, energy = self.power, self.energy
        observer, navigation = self.estimator.observer, self.estimator.navigation
        imu = self.hardware.sensors.imu()
        battery = self.temperatures.get("battery")
        store = self.profile.body.power.supercap
        commander = self.commander
        if self._last_fix is not None and now_ns - self._last_fix[0] > DISAGREEMENT_KEPT_NS:
            self._rate_disagreement = None
        heard = self.heard_ns
        return Facts(
            t_ns=now_ns, hash_matches=self._hash_matches, self_test_passed=self._self_test,
            soc_battery=energy.soc_battery, soc_supercap=energy.soc_supercap,
            boost_soc=store.boost_soc, hold_soc=store.hold_soc,
            bus_voltage_v=power.bus_voltage_v.value if power.bus_voltage_v.ok else None,
            bus_current_a=power.bus_current_a.bound,
            battery_temperature_c=battery.value if battery is not None and battery.ok else None,
            hottest_share=energy.heat.hottest_share, imu_ok=imu.ok, imu_repeats=self._repeats,
            rate_rad_s=norm(observer.rate),
            rate_disagreement_rad_s=self._rate_disagreement, attitude_known=self.estimator.filter.known,
            speed_m_s=norm(navigation.velocity), propellant_kg=max(0.0, self.propellant_kg),
            propulsion_ready=self._may_push() and self._nodes_ready, settled=commander.settled,
            segment_done=commander.segment_done, target_range_m=self.estimator.relative.range_m,
            bridge_allowed=False, detached=True, joint_locked_unrated=False, late_ticks=self.late_ticks,
            limits=self.limits, gyro_units_rad_s=self._units_differ(), energy=energy.facts, computer=self.computer,
            units=self._units, link=LinkFacts(None if heard is None else (now_ns - heard) * 1e-9),
        )

    def _accuse(self, verdicts: list[ThrusterVerdict], facts: Facts) -> None:
        """Tell fdir of nozzles that did not push, or did not stop. An empty tank pushes with none of them."""
        for verdict in verdicts if self.propellant_kg > 0.0 else ():
            self.supervisor.nozzle_failed(verdict.nozzle, verdict.fault.value.replace("_", " "), facts)
            # What was planned with that nozzle goes wrong: plan anew at once, not at the window's end.
            self._recut = True

    def _isolate(self, now_ns: int, facts: Facts) -> None:
        """Shut off the clusters that the core wants shut off, and tell core and detector how their valves follow."""
        ordered = self._directives.isolated_clusters
        for cluster in sorted(ordered - self._valves.keys()):
            self.hardware.isolate(cluster, now_ns)
        states = self.hardware.isolation_states(now_ns)
        valves = {cluster: states[cluster] for cluster in sorted(ordered)}
        if valves == self._valves:
            return
        for cluster, state in valves.items():
            if self._valves.get(cluster) is not state:
                text = f"isolation valve of {cluster}: {state.value}"
                self.journal.event(now_ns, Code.RCS_UNAVAILABLE, VALVE_SEVERITY[state], text)
                self.supervisor.isolation_followed(cluster, state is not ValveState.FAILED, facts)
        self._valves = valves
        shut = 0
        for nozzle, cluster in enumerate(self.supervisor.clusters):
            if valves.get(cluster) is ValveState.SHUT:
                shut |= 1 << nozzle
        self.detector.shut_off(shut)

    def _firing_w(self, now_ns: int) -> float:
        """Mean power of the valves over the present window."""
        if now_ns - self._window_start_ns >= self._window_ns:
            return 0.0
        return self._valve_w * sum(self.plan.on_ms) / self.plan.window_ms

    def _failed_mask(self) -> int:
        mask = 0
        for nozzle in self._directives.masked_nozzles:
            mask |= 1 << nozzle
        return mask

    def _adopt(self, now_ns: int, plan: PulsePlan) -> None:
        """Make ``plan`` the present window's: the detector's, telemetry's pulses, and the propellant they take."""
        verdicts = self.detector.start_window(now_ns, plan)
        if self.facts is not None:
            self._accuse(verdicts, self.facts)
        # What a window cut short did not burn comes back; pulses that still run out their shortest time are small.
        flown_ms = (now_ns - self._window_start_ns) // MS
        impulse = 0.0
        if flown_ms < self.plan.window_ms:
            for nozzle, (opens, closes) in enumerate(zip(self.plan.open_ms, self.plan.close_ms, strict=True)):
                left_ms = max(0, closes - max(opens, flown_ms))
                impulse -= self._thrusts[nozzle] * left_ms * 1e-3
                self._open_ms[nozzle] -= left_ms
        self._window_start_ns = now_ns
        self.plan = plan
        self._pulse_mask = 0
        for nozzle, on_ms in enumerate(plan.on_ms):
            if on_ms:
                impulse += self._thrusts[nozzle] * on_ms * 1e-3
                self._open_ms[nozzle] += on_ms
                self._pulse_mask |= 1 << nozzle
        self._pulse_mask &= 0xFFFF
        self.propellant_kg -= impulse / self._exhaust_speed

    def _boot(self, facts: Facts) -> None:
        """From Boot to Idle once the self-test has passed; the monitors lead to SAFE otherwise."""
        # Never before the start is written down: a craft that dies of arming must know it the next time.
        settled = self.retained is None or self.retained.settled
        if settled and facts.self_test_passed:
            self.supervisor.request_mode(Motion.IDLE, facts)

    def _follow_retained(self, now_ns: int, facts: Facts) -> None:
        """What outlives a restart: parameters and starts; a craft that keeps restarting goes to SAFE."""
        retained, keeper = self.retained, self.supervisor.keeper
        if retained is None:
            return
        acknowledged = keeper.acknowledged and Code.BOOT_LOOP in keeper.reasons
        retained.step(now_ns, self.supervisor.modes.motion, acknowledged)
        record = retained.boot.record
        self.commander.desk.start = None if record is None else record.starts
        disarmed = self._stay_disarmed or not self.commander.arming
        modes, link = self.supervisor.modes, self.supervisor.link
        present = kept_safe(keeper, modes.emission, disarmed, link.closed)
        found = retained.safe.step(now_ns, present)
        if found is not None:
            self.supervisor.restore_safe(found, facts)
            self._stay_disarmed = found.disarmed
        if self._stay_disarmed and retained.settled:
            # Parameters have been put to work: what an operator ordered last stands above what is done at boot.
            self._stay_disarmed = self.commander.arming = False
            self.journal.event(now_ns, Code.GATE_NOT_ARMED, Severity.WARNING, "disarmed since before the restart")
        if retained.boot_loop != self._boot_loop_told:
            self._boot_loop_told = retained.boot_loop
            self.supervisor.report("boot-loop", retained.boot_loop, facts)

    def _known(self, craft: GateFacts) -> GateFacts:
        """What gating asks beside the facts: what the body says of itself, and what is measured."""
        heat = self.heat
        celsius = heat.temperatures_c
        cool = sum(
            celsius[node.name] < node.trip_c for node in self.profile.body.thermal.nodes if node.name in heat.clusters
        )
        return replace(
            craft, cool_clusters=cool if heat.clusters else None, emission=self.supervisor.modes.emission,
            radio_ready=self.radio_ready, line_granted=self._transmitter_granted(),
            packet_released=self.commander.link is not None and self.commander.link.released(self.now_ns),
        )

    def _transmitter_granted(self) -> bool | None:
        """Whether the distribution unit lets the emergency transmitter through: the only line that a command of the
        classes which ask for one switches yet."""
        answer = self.energy.loads.answers.get("nbl")
        return None if answer is None else answer.on

    def _valves_armed(self) -> bool | None:
        """Whether the lines are up and every node that answers is armed; ``None``: neither so nor all down."""
        nodes = [node for node in self.hardware.propulsion.state().nodes if node.operational]
        if self._enabled:
            return True if all(node.armed for node in nodes) else None
        return None if self._lowering or any(node.armed for node in nodes) else False

    def _may_push(self) -> bool:
        """Whether valves may be armed at all: tested, the right craft, not disarmed and not locked out."""
        return (
            self._self_test is True and self._hash_matches and self.commander.arming
            and (self.retained is None or self.retained.settled)
            and not self.supervisor.valves_locked_out
        )

    def _keep_armed(self, now_ns: int) -> None:
        """Raise the lines again after a temporary shut, and re-arm a node that was reset."""
        wanted = self._may_push() and not self._directives.shut_valves
        if wanted and not self._enabled and self.supervisor.modes.motion is not Motion.BOOT:
            self._raise_lines(now_ns)
        elif not wanted and self._enabled:
            self.shut_valves(now_ns)
        if self._enabled and self.hardware.propulsion.state().some_unarmed:
            self.hardware.propulsion.arm(now_ns)

    def _raise_lines(self, now_ns: int) -> None:
        armed = self.hardware.safety.set_arm(True)
        enabled = self.hardware.safety.set_enable(True)
        if armed and enabled:
            self.hardware.propulsion.arm(now_ns)
            self._enabled = True
            self._lowering = False
            self._tell_lines(now_ns, True, Severity.WARNING)
            return
        self._tell_lines(now_ns, False, Severity.WARNING)
        safety = self.hardware.safety
        fell = safety.set_enable(False)
        self._lowering = not (safety.set_arm(False) and fell)

    def _tell_lines(self, now_ns: int, follow: bool, severity: Severity) -> None:
        """Say once that arm or enable line does not do what it is told."""
        if self._lines_follow and not follow:
            self.journal.event(now_ns, Code.GATE_NOT_ENABLED, severity, "arm or enable line does not follow")
        self._lines_follow = follow

    def _test_itself(self, now_ns: int) -> None:
        """The boot's self-test, repeated until it passes. At the time limit what cannot be done without decides."""
        passed, report = self.hardware.self_test()
        silent = ", ".join(name for name, state in report.items() if state not in ("ok", "resting"))
        late = now_ns >= self.self_test_limit_ns
        if passed:
            self._self_test = True
            self.journal.event(now_ns, Code.SELF_TEST_PASSED, Severity.INFO, f"all {len(report)} devices answer")
        elif late and self.hardware.imu_ready and self._nodes_ready:
            self._self_test = True
            self.journal.event(now_ns, Code.SELF_TEST_PASSED, Severity.WARNING, f"flying without: {silent}")
        elif late and self._self_test is None:
            self._self_test = False
            self.journal.event(now_ns, Code.SELF_TEST_FAILED, Severity.CRITICAL, f"no answer: {silent}")

    def snapshot(self, now_ns: int) -> dict[str, Any]:
        """Telemetry by channel name (comms/dictionary); ``None`` is missing."""
        return snapshot_of(self, now_ns)


def _usable(reading: Reading[float]) -> float | None:
    return reading.value if reading.ok else None

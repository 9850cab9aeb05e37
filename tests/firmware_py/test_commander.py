"""Commands become laws only if nothing speaks against them, and everything that does is said at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from math import degrees, radians
from typing import Any

import pytest

from fdir.codes import Code
from fdir.facts import Facts
from fdir.modes import Motion
from fdir.supervisor import Directives, Supervisor
from firmware_py.commander import Commander
from firmware_py.commands import CommandRecord, CommandState
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import Phase
from firmware_py.journal import NoJournal
from firmware_py.mission import Sequencer, StepConfig
from hal.frames import IDENTITY, Vec3, quaternion_from_rotation_vector, rotate, rotation_angle
from hal.profile import load_body

SECOND = 1_000_000_000
BODY = load_body("qiki-t")
ALLOCATOR = Allocator(BODY)
SUN: Vec3 = (0.0, 1.0, 0.0)
FREE = Directives(shut_valves=False, bar_burns=False, masked_nozzles=frozenset(), detumble=False)
BARRED = dataclasses.replace(FREE, bar_burns=True)
RESTING = NavState(
    t_ns=0, quaternion=IDENTITY, rate=(0.0, 0.0, 0.0), gyro_bias=(0.0, 0.0, 0.0), accel_bias=(0.0, 0.0, 0.0),
    position=(0.0, 0.0, 0.0), velocity=(0.0, 0.0, 0.0), sigma_attitude_rad=1e-3, sigma_rate_rad_s=1e-3,
    sigma_position_m=0.01, sigma_velocity_m_s=0.001, attitude_known=True, sun_body=None, fix_age_ns=0, imu_age_ns=0,
    disagreement=False,
)


class Bridge:
    """A commander with its supervisor, in Idle, and what it is told of the world."""

    def __init__(self, facts: Callable[..., Facts], steps: tuple[StepConfig, ...] = ()) -> None:
        self._facts = facts
        self.supervisor = Supervisor(tuple(nozzle.cluster for nozzle in BODY.propulsion.nozzles))
        self.journal = NoJournal()
        self.sequencer = Sequencer(steps)
        self.commander = Commander(BODY, ALLOCATOR, self.supervisor, self.sequencer, self.journal, SUN)
        self.nav = RESTING
        self.t_ns = 0
        self.world: dict[str, Any] = {}
        assert self.supervisor.request_mode(Motion.IDLE, self.facts) is None

    @property
    def facts(self) -> Facts:
        return self._facts(t_ns=self.t_ns, **self.world)

    @property
    def motion(self) -> Motion:
        return self.supervisor.modes.motion

    def order(self, name: str, **arguments: Any) -> CommandRecord:
        return self.commander.order(name, arguments, "test", self.t_ns, self.nav, self.facts)

    def guide(self, directives: Directives = FREE) -> Any:
        return self.commander.guide(self.t_ns, self.nav, self.facts, directives)

    def wait(self, seconds: float) -> None:
        """Windows and ticks of the core pass."""
        end = self.t_ns + round(seconds * SECOND)
        while self.t_ns < end:
            self.t_ns += SECOND // 4
            self.supervisor.step(self.facts)
            self.guide()


@pytest.fixture
def bridge(facts: Callable[..., Facts]) -> Bridge:
    return Bridge(facts)


# -- orders and what they start


@pytest.mark.parametrize(("name", "arguments", "motion", "phase"), [
    ("detumble", {}, Motion.MANOEUVRE, Phase.DETUMBLE),
    ("hold", {}, Motion.MANOEUVRE, Phase.HOLD),
    ("slew", {"axis": [0, 0, 1], "angle_deg": 30}, Motion.MANOEUVRE, Phase.SLEW),
    ("sun_track", {}, Motion.MANOEUVRE, Phase.POINT),
    ("translate", {"vector_m": [10, 0, 0]}, Motion.BURN, Phase.BURN),
    ("brake", {}, Motion.BRAKE, Phase.BRAKE),
])
def test_an_order_changes_mode_and_law(
    bridge: Bridge, name: str, arguments: dict[str, Any], motion: Motion, phase: Phase
) -> None:
    record = bridge.order(name, **arguments)
    assert (record.state, record.codes) == (CommandState.ALLOWED, ())
    assert bridge.motion is motion
    assert bridge.guide().phase is phase
    assert bridge.journal.commands == [record]


def test_every_reason_against_a_burn_is_given_at_once(bridge: Bridge) -> None:
    bridge.world = {
        "soc_battery": 0.05, "soc_supercap": 0.1, "hottest_share": 1.2, "propulsion_ready": False, "propellant_kg": 0.0,
        "imu_ok": False, "attitude_known": False, "joint_locked_unrated": True,
    }
    record = bridge.order("translate", vector_m=[1, 0, 0])
    assert record.state is CommandState.REJECTED
    assert set(record.codes) == {
        Code.BAT_LOW, Code.CAP_LOW, Code.THERMAL_BLOCK, Code.RCS_UNAVAILABLE, Code.WORKING_MASS_LOW,
        Code.SENSOR_MISSING, Code.ATTITUDE_UNKNOWN, Code.BAYONET_UNSAFE,
    }


def test_missing_power_telemetry_refuses_a_burn_and_not_a_hold(bridge: Bridge) -> None:
    bridge.world = {"soc_battery": None, "soc_supercap": None}
    assert set(bridge.order("translate", vector_m=[1, 0, 0]).codes) == {Code.POWER_TELEM_MISSING}
    assert bridge.order("hold").state is CommandState.ALLOWED


def test_a_refused_order_changes_nothing(bridge: Bridge) -> None:
    bridge.order("hold")
    held = bridge.guide()
    bridge.world = {"soc_supercap": 0.1}
    assert bridge.order("translate", vector_m=[5, 0, 0]).state is CommandState.REJECTED
    assert bridge.motion is Motion.MANOEUVRE
    assert bridge.guide() == held


@pytest.mark.parametrize(("name", "arguments", "said"), [
    ("fly", {}, "no command 'fly'"),
    ("hold", {"speed": 1}, "no argument 'speed'"),
    ("translate", {}, "vector_m"),
    ("translate", {"vector_m": [1e9, 0, 0]}, "-5000..5000"),
    ("translate", {"vector_m": [float("nan"), 0, 0]}, "finite"),
    ("slew", {"attitude": [1, 1, 0, 0]}, "unit quaternion"),
    ("emission", {"level": "loud"}, "open"),
])
def test_what_the_dictionary_does_not_know_is_refused_with_what_is_allowed(
    bridge: Bridge, name: str, arguments: dict[str, Any], said: str
) -> None:
    record = bridge.order(name, **arguments)
    assert record.codes == (Code.CMD_VALIDATION_FAILED,)
    assert said in record.detail


@pytest.mark.parametrize("arguments", [
    {}, {"axis": [0, 0, 1]}, {"angle_deg": 20}, {"axis": [0, 0, 0], "angle_deg": 20},
    {"attitude": [1, 0, 0, 0], "axis": [0, 0, 1], "angle_deg": 20},
])
def test_a_slew_needs_exactly_one_target(bridge: Bridge, arguments: dict[str, Any]) -> None:
    assert bridge.order("slew", **arguments).codes == (Code.CMD_VALIDATION_FAILED,)
    assert bridge.motion is Motion.IDLE


def test_a_slew_turns_about_an_axis_of_the_body(bridge: Bridge) -> None:
    start = quaternion_from_rotation_vector((0.3, -0.2, 0.5))
    bridge.nav = dataclasses.replace(RESTING, quaternion=start)
    bridge.order("slew", axis=[0, 0.5, 0], angle_deg=40)
    assert degrees(rotation_angle(start, bridge.guide().attitude)) == pytest.approx(40.0)


@pytest.mark.parametrize("frame", ["body", "inertial"])
def test_a_move_goes_along_its_vector_in_the_frame_that_was_named(bridge: Bridge, frame: str) -> None:
    attitude = quaternion_from_rotation_vector((0.0, 0.0, radians(90)))
    bridge.nav = dataclasses.replace(RESTING, quaternion=attitude)
    bridge.order("translate", vector_m=[20, 0, 0], frame=frame, speed_m_s=0.5)
    wanted = (1.0, 0.0, 0.0) if frame == "inertial" else rotate(attitude, (1.0, 0.0, 0.0))
    velocity = bridge.guide().velocity
    assert velocity == pytest.approx(tuple(0.5 * x for x in wanted), abs=1e-9)


# -- brake


def test_a_brake_cuts_the_window_once(bridge: Bridge) -> None:
    bridge.order("translate", vector_m=[20, 0, 0])
    assert not bridge.commander.take_cut()
    bridge.order("brake")
    assert bridge.commander.take_cut()
    assert not bridge.commander.take_cut()
    assert [code for _, code, _, _ in bridge.journal.events] == [Code.BRAKE_OVERRIDE]


def test_a_brake_ends_in_idle_at_rest(bridge: Bridge) -> None:
    bridge.world = {"speed_m_s": 0.6}
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.6, 0.0, 0.0))
    bridge.order("brake")
    bridge.wait(3.0)
    assert bridge.motion is Motion.BRAKE
    bridge.world = {"speed_m_s": 0.01}
    bridge.nav = RESTING
    bridge.wait(3.0)
    assert bridge.motion is Motion.IDLE


def test_a_brake_needs_neither_charge_nor_sensors_but_propellant_and_valves(bridge: Bridge) -> None:
    bridge.world = {"soc_battery": None, "soc_supercap": 0.0, "imu_ok": False, "attitude_known": False}
    assert bridge.order("brake").state is CommandState.ALLOWED
    other = Bridge(bridge._facts)
    other.world = {"propulsion_ready": False, "propellant_kg": 0.0}
    assert set(other.order("brake").codes) == {Code.RCS_UNAVAILABLE, Code.WORKING_MASS_LOW}


def test_a_brake_out_of_safe_ends_in_safe_again_with_its_reasons(bridge: Bridge) -> None:
    bridge.supervisor.enter_safe(Code.CPU_OVERRUN, bridge.facts)
    bridge.world = {"speed_m_s": 0.5}
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.5, 0.0, 0.0))
    assert bridge.order("brake").state is CommandState.ALLOWED
    assert bridge.motion is Motion.BRAKE
    assert Code.SAFE_LOCKED in bridge.order("hold").codes
    bridge.world = {"speed_m_s": 0.0}
    bridge.nav = RESTING
    bridge.wait(3.0)
    assert bridge.motion is Motion.SAFE
    assert bridge.supervisor.keeper.reasons == (Code.CPU_OVERRUN,)
    assert Code.OPERATOR_ACKNOWLEDGE in bridge.order("safe_exit").codes


# -- SAFE


def test_safe_lets_only_its_own_commands_through(bridge: Bridge) -> None:
    assert bridge.order("safe").state is CommandState.ALLOWED
    assert bridge.motion is Motion.SAFE
    for name, arguments in (("hold", {}), ("detumble", {}), ("sun_track", {}), ("translate", {"vector_m": [1, 0, 0]})):
        assert Code.SAFE_LOCKED in bridge.order(name, **arguments).codes
    assert bridge.order("idle").codes == (Code.SAFE_LOCKED,)
    assert bridge.order("emission", level="silent").state is CommandState.ALLOWED


def test_safe_is_left_after_three_good_checks(bridge: Bridge) -> None:
    bridge.order("safe")
    assert bridge.order("safe_exit").codes == (Code.SAFE_EXIT_CONDITIONS,)
    bridge.wait(2.0)
    assert bridge.order("safe_exit").state is CommandState.ALLOWED
    assert bridge.motion is Motion.IDLE


def test_a_latched_reason_needs_an_acknowledgement(bridge: Bridge) -> None:
    bridge.supervisor.enter_safe(Code.SAFE_ORIENTATION_LOST, bridge.facts)
    bridge.wait(2.0)
    assert bridge.order("safe_exit").codes == (Code.OPERATOR_ACKNOWLEDGE,)
    bridge.order("safe_acknowledge")
    assert bridge.order("safe_exit").state is CommandState.ALLOWED


def test_safe_nulls_fast_rates_first_and_then_points_the_cells(bridge: Bridge) -> None:
    bridge.order("safe")
    bridge.nav = dataclasses.replace(RESTING, rate=(radians(6.0), 0.0, 0.0))
    assert bridge.guide().phase is Phase.DETUMBLE
    bridge.nav = dataclasses.replace(RESTING, rate=(radians(3.0), 0.0, 0.0))
    assert bridge.guide().phase is Phase.DETUMBLE
    bridge.nav = dataclasses.replace(RESTING, rate=(radians(0.5), 0.0, 0.0))
    assert bridge.guide().phase is Phase.POINT
    bridge.nav = dataclasses.replace(RESTING, rate=(radians(3.0), 0.0, 0.0))
    assert bridge.guide().phase is Phase.POINT


def test_safe_spares_pulses_while_the_supercapacitor_is_low(bridge: Bridge) -> None:
    bridge.order("safe")
    bridge.guide()
    bridge.world = {"soc_supercap": 0.2}
    assert bridge.guide().pulse_interval_s == 5.0
    bridge.world = {"soc_supercap": 0.5}
    assert bridge.guide().pulse_interval_s == 0.0


def test_after_safe_the_law_from_before_does_not_come_back(bridge: Bridge) -> None:
    bridge.order("slew", axis=[0, 0, 1], angle_deg=90)
    bridge.guide()
    bridge.order("safe")
    bridge.wait(2.0)
    bridge.order("safe_exit")
    target = bridge.guide()
    assert target.phase is Phase.HOLD
    assert rotation_angle(RESTING.quaternion, target.attitude) < 1e-6


# -- what stands above a law


def test_a_bar_on_burns_takes_the_push_out_of_a_target_and_leaves_the_turn(bridge: Bridge) -> None:
    bridge.order("hold")
    free = bridge.guide()
    barred = bridge.guide(BARRED)
    assert free.position is not None
    assert (barred.position, barred.velocity) == (None, None)
    assert barred.attitude == free.attitude


def test_a_craft_that_turns_too_fast_is_not_pushed(bridge: Bridge) -> None:
    bridge.order("translate", vector_m=[20, 0, 0])
    assert bridge.guide().velocity is not None
    bridge.nav = dataclasses.replace(RESTING, rate=(0.0, radians(6.0), 0.0))
    assert bridge.guide().velocity is None


def test_a_burn_that_is_no_longer_allowed_ends_the_move(bridge: Bridge) -> None:
    bridge.order("translate", vector_m=[40, 0, 0])
    bridge.guide()
    bridge.nav = dataclasses.replace(RESTING, velocity=(1.0, 0.0, 0.0))
    bridge.world = {"speed_m_s": 1.0}
    bridge.wait(0.5)
    assert bridge.motion is Motion.COAST
    # Something slowed the craft down; the second burn finds the supercapacitor empty.
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.3, 0.0, 0.0))
    bridge.world = {"speed_m_s": 0.3, "soc_supercap": 0.2}
    bridge.wait(0.5)
    assert bridge.motion is not Motion.BURN
    assert (Code.CMD_REJECTED, "Coast -> Burn: CAP_LOW") in [(c, t) for _, c, _, t in bridge.journal.events]
    assert bridge.commander.phase == "hold"


def test_nothing_is_asked_of_the_valves_during_boot(facts: Callable[..., Facts]) -> None:
    bridge = Bridge(facts)
    bridge.supervisor.modes.motion = Motion.BOOT
    assert bridge.guide() is None
    assert Code.SELF_TEST_PENDING in bridge.order("hold").codes


# -- the mission's steps


def steps(*configs: StepConfig) -> tuple[StepConfig, ...]:
    return configs


def test_a_refused_step_is_told_and_the_mission_goes_on(facts: Callable[..., Facts]) -> None:
    bridge = Bridge(facts, steps(
        StepConfig("burn", command="translate", arguments={"vector_m": [1, 0, 0]}), StepConfig("hold", command="hold"),
    ))
    bridge.world = {"soc_supercap": 0.1}
    bridge.commander.step(0, bridge.nav, bridge.facts)
    bridge.commander.step(0, bridge.nav, bridge.facts)
    told = [(code, text) for _, code, _, text in bridge.journal.events]
    assert told == [(Code.STEP_REFUSED, "burn: CAP_LOW")]
    assert bridge.commander.step_name == "hold"
    assert bridge.motion is Motion.MANOEUVRE


def test_steps_end_by_settling_by_mode_by_time_and_by_giving_up(facts: Callable[..., Facts]) -> None:
    bridge = Bridge(facts, steps(
        StepConfig("hold", command="hold", stay_s=1.0), StepConfig("brake", command="brake", wait_for="Idle"),
        StepConfig("wait", wait_for="nothing", stay_s=2.0), StepConfig("never", wait_for="Dock", timeout_s=3.0),
    ))
    for _ in range(80):
        bridge.wait(0.25)
        bridge.commander.step(bridge.t_ns, bridge.nav, bridge.facts)
    ended = {record.name: (record.outcome.value, (record.end_ns - record.start_ns) / SECOND)
             for record in bridge.commander.records}
    assert ended["hold"] == ("done", pytest.approx(3.25, abs=0.3))
    assert ended["brake"][0] == "done"
    assert ended["wait"] == ("done", 2.0)
    assert ended["never"] == ("timeout", 3.0)
    assert bridge.commander.finished
    assert bridge.commander.step_name == ""
    assert bridge.commander.position == (4, 4)

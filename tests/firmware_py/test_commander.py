"""Commands become laws only if nothing speaks against them, and everything that does is said at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from math import degrees, inf, nan, radians
from typing import Any

import msgspec
import pytest

from comms.dictionary import Authority
from fdir.codes import Code
from fdir.facts import Facts
from fdir.modes import Motion
from fdir.supervisor import Directives, Supervisor
from firmware_py.burn_budget import BurnBudget
from firmware_py.commander import Commander
from firmware_py.commands import CommandRecord, CommandRequest, CommandState, Source
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import force_ceiling_n
from firmware_py.gnc.burn_needs import AllocatorCeiling
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import Phase, Target
from firmware_py.gnc.relative_navigation import RelativeState
from firmware_py.gnc.thrust_modes import ThrustMode
from firmware_py.gnc.thrust_profile import Level, Segment, ThrustProfile
from firmware_py.journal import NoJournal
from firmware_py.mission import Sequencer, StepConfig, StepOutcome
from hal.frames import (
    IDENTITY,
    Vec3,
    add,
    norm,
    quaternion_from_rotation_vector,
    rotate,
    rotate_inverse,
    rotation_angle,
    scale,
)
from hal.profile import load_body
from hal.reading import Quality, Reading
from tests.fdir.rows import shipped

SECOND = 1_000_000_000
BODY = load_body("qiki-t")
MONITORS = shipped()
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
        self.supervisor = Supervisor(tuple(nozzle.cluster for nozzle in BODY.propulsion.nozzles), MONITORS)
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

    def facts_of(self, **world: Any) -> Facts:
        """Nominal facts with some of them changed."""
        return self._facts(t_ns=self.t_ns, **world)

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
    assert [r.state for r in bridge.journal.commands if r.number == record.number] == [
        CommandState.REQUESTED, CommandState.VALIDATION_PENDING, CommandState.ALLOWED, CommandState.PUBLISH_PENDING,
        CommandState.PUBLISHED, CommandState.ACK_ACCEPTED, CommandState.EFFECT_PENDING,
    ]
    assert record in bridge.journal.commands


def test_a_request_from_outside_goes_over_the_same_desk(bridge: Bridge) -> None:
    request = CommandRequest("a", "safe_exit", {}, Source.OPERATOR, Authority.CONTROLLER, True, sequence=1)
    record = bridge.commander.take(request, bridge.t_ns, bridge.nav, bridge.facts)
    assert record.codes == (Code.CMD_UNAUTHORIZED, Code.CMD_CONFIRMATION_REQUIRED)
    hold = dataclasses.replace(request, command_id="b", name="hold", sequence=2)
    assert bridge.commander.take(hold, bridge.t_ns, bridge.nav, bridge.facts).codes == ()
    assert bridge.commander.take(hold, bridge.t_ns, bridge.nav, bridge.facts).number == 2
    assert bridge.commander.flown.number == 2


def test_monitors_are_switched_and_faults_cleared_by_command(bridge: Bridge) -> None:
    name = bridge.supervisor.bank.states[0].monitor.name
    give = bridge.commander.order
    assert give("monitor_enable", {"name": name, "enabled": False}, "t", 0, bridge.nav, bridge.facts).codes == ()
    assert not bridge.supervisor.bank.states[0].enabled
    assert give("fault_clear", {"name": "none"}, "t", 0, bridge.nav, bridge.facts).codes == (
        Code.CMD_VALIDATION_FAILED,
    )
    assert give("param_activate", {}, "t", 0, bridge.nav, bridge.facts).codes == (Code.NOT_IMPLEMENTED,)


def test_an_effect_is_confirmed_by_what_is_seen_in_a_step(bridge: Bridge) -> None:
    number = bridge.order("hold").number
    bridge.commander.step(bridge.t_ns, bridge.nav, bridge.facts)
    assert bridge.journal.commands[-1].state is CommandState.EFFECT_PENDING
    bridge.wait(5.0)
    bridge.commander.step(bridge.t_ns, bridge.nav, bridge.facts)
    assert [r.state for r in bridge.journal.commands if r.number == number][-2:] == [
        CommandState.EFFECT_CONFIRMED, CommandState.AUDITED,
    ]


def test_every_step_of_a_mission_has_an_id_of_its_own(facts: Callable[..., Facts]) -> None:
    twice = [StepConfig(name=f"s{n}", command="hold", wait_for="nothing") for n in range(3)]
    bridge = Bridge(facts, steps(*twice))
    for _ in range(6):
        bridge.commander.step(bridge.t_ns, bridge.nav, bridge.facts)
    assert [record.outcome for record in bridge.commander.records] == [StepOutcome.DONE] * 3
    allowed = [r.number for r in bridge.journal.commands if r.state is CommandState.ALLOWED]
    assert allowed == [1, 2, 3]
    assert bridge.commander.desk.repeated == 0


def test_a_step_that_gave_no_burn_is_not_blamed_for_one(facts: Callable[..., Facts]) -> None:
    burn = {"duration_s": 5, "level_pct": 20, "direction": "+x"}
    bridge = Bridge(facts, steps(
        StepConfig(name="burn", command="burn", arguments=burn, wait_for="nothing"),
        StepConfig(name="quiet", command="emission", arguments={"level": "silent"}, wait_for="SAFE", timeout_s=60.0),
    ))
    for _ in range(3):
        bridge.commander.step(bridge.t_ns, bridge.nav, bridge.facts)
    bridge.guide()
    assert bridge.commander.step_name == "quiet"
    bridge.guide(BARRED)
    assert bridge.commander.step_name == "quiet"


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
    record = bridge.order("slew", **arguments)
    assert record.codes == (Code.CMD_VALIDATION_FAILED,)
    assert "slew: give attitude" in record.detail
    assert bridge.motion is Motion.IDLE


def test_a_slew_turns_about_an_axis_of_the_body(bridge: Bridge) -> None:
    start = quaternion_from_rotation_vector((0.3, -0.2, 0.5))
    bridge.nav = dataclasses.replace(RESTING, quaternion=start)
    bridge.order("slew", axis=[0, 0.5, 0], angle_deg=40)
    for _ in range(120):
        bridge.nav = dataclasses.replace(RESTING, quaternion=bridge.guide().attitude)
        bridge.t_ns += SECOND // 4
    assert degrees(rotation_angle(start, bridge.guide().attitude)) == pytest.approx(40.0)
    assert rotate_inverse(start, rotate(bridge.nav.quaternion, (0.0, 1.0, 0.0))) == pytest.approx((0.0, 1.0, 0.0))


@pytest.mark.parametrize("frame", ["body", "inertial"])
def test_a_move_goes_along_its_vector_in_the_frame_that_was_named(bridge: Bridge, frame: str) -> None:
    attitude = quaternion_from_rotation_vector((0.0, 0.0, radians(90)))
    bridge.nav = dataclasses.replace(RESTING, quaternion=attitude)
    bridge.order("translate", vector_m=[20, 0, 0], frame=frame, speed_m_s=0.5)
    wanted = (1.0, 0.0, 0.0) if frame == "inertial" else rotate(attitude, (1.0, 0.0, 0.0))
    for _ in range(20):
        target = bridge.guide()
        velocity = add(target.velocity, scale(target.acceleration or (0.0, 0.0, 0.0), 0.25))
        place = add(bridge.nav.position, scale(velocity, 0.25))
        bridge.nav = dataclasses.replace(bridge.nav, velocity=velocity, position=place)
        bridge.world["speed_m_s"] = norm(velocity)
        bridge.t_ns += SECOND // 4
    assert velocity == pytest.approx(tuple(0.5 * x for x in wanted), abs=1e-3)


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


# -- evasion

ASIDE = (0.0, 1.2, 0.0)


def test_an_evasion_pushes_to_the_changed_velocity_and_then_coasts(bridge: Bridge) -> None:
    bridge.world = {"speed_m_s": 0.6}
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.6, 0.0, 0.0))
    bridge.order("translate", vector_m=[20, 0, 0])
    assert not bridge.commander.take_cut()
    record = bridge.order("evade", delta_v_m_s=list(ASIDE))
    assert (record.state, bridge.motion) == (CommandState.ALLOWED, Motion.BRAKE)
    assert bridge.commander.take_cut()
    target = bridge.guide()
    assert (target.phase, target.velocity, target.full_push) == (Phase.BRAKE, (0.6, 1.2, 0.0), True)
    bridge.wait(1.0)
    assert bridge.motion is Motion.BRAKE
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.6, 1.19, 0.0))
    bridge.world = {"speed_m_s": 1.3}
    bridge.wait(3.0)
    assert (bridge.motion, bridge.commander.settled) == (Motion.COAST, True)
    assert bridge.guide().velocity is None
    codes = [code for _, code, _, _ in bridge.journal.events]
    assert Code.EVADE_OVERRIDE in codes
    assert Code.CMD_REJECTED not in codes


def test_an_evasion_that_brings_the_craft_to_rest_ends_in_manoeuvre(bridge: Bridge) -> None:
    bridge.world = {"speed_m_s": 0.6}
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.6, 0.0, 0.0))
    assert bridge.order("evade", delta_v_m_s=[-0.6, 0, 0]).codes == ()
    bridge.wait(1.0)
    bridge.world = {"speed_m_s": 0.01}
    bridge.nav = RESTING
    bridge.wait(3.0)
    assert bridge.motion is Motion.MANOEUVRE
    assert Code.CMD_REJECTED not in [code for _, code, _, _ in bridge.journal.events]


@pytest.mark.parametrize(("change", "codes"), [
    ([0, 0, 0], (Code.CMD_VALIDATION_FAILED,)), ([4, 4, 0], (Code.CMD_VALIDATION_FAILED,)),
    ([5.1, 0, 0], (Code.CMD_VALIDATION_FAILED,)), ([nan, 0, 0], (Code.CMD_VALIDATION_FAILED,)),
    ([1, 0], (Code.CMD_VALIDATION_FAILED,)), ([5, 0, 0], ()),
])
def test_an_evasion_is_a_change_of_at_most_five_metres_a_second(bridge: Bridge, change: list[float], codes) -> None:
    assert bridge.order("evade", delta_v_m_s=change).codes == codes
    assert bridge.motion is (Motion.IDLE if codes else Motion.BRAKE)


@pytest.mark.parametrize(("world", "codes"), [
    ({"propellant_kg": 0.0}, {Code.WORKING_MASS_LOW}), ({"propellant_kg": 0.1}, {Code.WORKING_MASS_LOW}),
    ({"propulsion_ready": False}, {Code.RCS_UNAVAILABLE}), ({"attitude_known": False}, {Code.ATTITUDE_UNKNOWN}),
    ({"imu_ok": False}, {Code.SENSOR_MISSING}),
    ({"joint_locked_unrated": True}, {Code.BRIDGE_ACTIVE_RESTRICTED_MOTION}),
    ({"soc_battery": None, "soc_supercap": 0.0}, set()),
])
def test_an_evasion_passes_the_gates_of_a_brake_and_needs_its_propellant_and_the_attitude(
    bridge: Bridge, world: dict[str, Any], codes: set[Code]
) -> None:
    bridge.world = world
    assert set(bridge.order("evade", delta_v_m_s=list(ASIDE)).codes) == codes
    assert bridge.motion is (Motion.IDLE if codes else Motion.BRAKE)


def test_an_evasion_is_refused_when_some_direction_cannot_be_pushed(bridge: Bridge) -> None:
    bridge.commander.flown.lost = lambda: (1 << 4) - 1
    assert bridge.order("evade", delta_v_m_s=list(ASIDE)).codes == (Code.RCS_UNAVAILABLE,)
    assert bridge.order("brake").codes == ()


def test_an_evasion_out_of_safe_ends_in_safe_again(bridge: Bridge) -> None:
    bridge.supervisor.enter_safe(Code.CPU_OVERRUN, bridge.facts)
    bridge.world = {"speed_m_s": 0.5}
    assert bridge.order("evade", delta_v_m_s=list(ASIDE)).state is CommandState.ALLOWED
    assert bridge.motion is Motion.BRAKE
    bridge.guide()
    bridge.nav = dataclasses.replace(RESTING, velocity=ASIDE)
    bridge.wait(2.0)
    assert bridge.motion is Motion.SAFE
    assert bridge.supervisor.keeper.reasons == (Code.CPU_OVERRUN,)


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
    assert (barred.position, barred.velocity, barred.acceleration) == (None, None, None)
    assert barred.attitude == free.attitude


def test_a_craft_that_turns_too_fast_is_not_pushed(bridge: Bridge) -> None:
    bridge.order("translate", vector_m=[20, 0, 0])
    free = bridge.guide()
    assert None not in (free.velocity, free.acceleration)
    bridge.nav = dataclasses.replace(RESTING, rate=(0.0, radians(6.0), 0.0))
    barred = bridge.guide()
    assert (barred.position, barred.velocity, barred.acceleration) == (None, None, None)


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


# -- thrust profiles


SEGMENTS = [
    {"duration_s": 0.5, "level_pct": 20.0, "direction": "+x"},
    {"duration_s": 0.5, "level_pct": 30.0, "direction": "+z", "ramp_in_s": 0.25},
]


def told(bridge: Bridge) -> list[tuple[str, str]]:
    return [(code, text) for _, code, _, text in bridge.journal.events]


def test_a_burn_is_flown_in_burn_mode_and_ends_in_a_coast(bridge: Bridge) -> None:
    bridge.world = {"speed_m_s": 1.0}
    assert bridge.order("burn", segments=SEGMENTS).state is CommandState.ALLOWED
    assert bridge.motion is Motion.BURN
    pushes = []
    for _ in range(5):
        pushes.append(bridge.guide().push_n)
        bridge.t_ns += SECOND // 4
    x, z = 0.2 * ALLOCATOR.largest_scale((1, 0, 0, 0, 0, 0)), 0.3 * ALLOCATOR.largest_scale((0, 0, 1, 0, 0, 0))
    assert pushes[:2] == [pytest.approx((x, 0.0, 0.0)), pytest.approx((x, 0.0, 0.0))]
    assert pushes[2:] == [pytest.approx((0.0, 0.0, z / 2)), pytest.approx((0.0, 0.0, z)), None]
    assert bridge.motion is Motion.COAST
    assert bridge.commander.settled
    assert bridge.commander.progress == (2, 2, 1.0)
    assert [code for code, _ in told(bridge)] == [Code.PROFILE_SEGMENT, Code.PROFILE_SEGMENT, Code.PROFILE_DONE]
    assert bridge.order("hold").state is CommandState.ALLOWED


def test_one_segment_may_be_given_by_its_keys(bridge: Bridge) -> None:
    bridge.order("burn", duration_s=1, level_pct=10, direction=[0, 3, 0])
    x, y, z = bridge.guide().push_n
    assert (x, z) == (0.0, 0.0)
    assert y > 50.0


def test_a_profile_with_a_bad_segment_is_refused_with_its_number(bridge: Bridge) -> None:
    record = bridge.order("burn", segments=[SEGMENTS[0], {**SEGMENTS[0], "ramp_in_s": 0.6}])
    assert record.codes == (Code.CMD_VALIDATION_FAILED,)
    assert "segments[1]: ramps of 0.6 and 0 s do not fit" in record.detail


@pytest.mark.parametrize(("segment", "world", "codes", "words"), [
    ({"duration_s": 3.2, "level_pct": 100}, {}, {Code.BURN_LIMIT}, "a nozzle would burn 3.20 s without a pause"),
    ({"duration_s": 3.0, "level_pct": 100}, {"propellant_kg": 4.0}, {Code.WORKING_MASS_LOW}, "kg are needed, 4.00 kg"),
    ({"duration_s": 3.0, "level_pct": 100}, {"hottest_share": -1.0}, {Code.THERMAL_BLOCK}, "rcs_c02 would reach 124"),
    ({"duration_s": 1.0, "level_pct": 50}, {"soc_supercap": 0.5}, {Code.DUTY_LIMIT}, "duty is 0.63; 0.50 is allowed"),
    ({"duration_s": 1.0, "level_pct": 50}, {"hottest_share": None}, {Code.THERMAL_TELEM_MISSING}, "no temperature"),
    ({"duration_s": 20.0, "level_pct": 39}, {"soc_supercap": 0.31, "propellant_kg": 90.0}, {Code.THERMAL_BLOCK},
     "it trips at 120"),
])
def test_a_burn_that_the_craft_could_not_deliver_is_refused_with_the_reason(
    bridge: Bridge, segment: dict[str, Any], world: dict[str, Any], codes: set[Code], words: str
) -> None:
    bridge.world = world
    record = bridge.order("burn", segments=[SEGMENTS[0], {**segment, "direction": "+x"}])
    assert record.state is CommandState.REJECTED
    assert set(record.codes) == codes
    assert words in record.detail
    assert "segments[1]: " in record.detail
    assert bridge.motion is Motion.IDLE


def test_in_the_hold_band_a_gentle_burn_is_allowed(bridge: Bridge) -> None:
    bridge.world = {"soc_supercap": 0.30}
    assert bridge.order("burn", duration_s=2, level_pct=35, direction="+x").state is CommandState.ALLOWED


def test_a_burn_across_two_segments_is_one_burn(bridge: Bridge) -> None:
    full = {"duration_s": 1.6, "level_pct": 100, "direction": "+z"}
    bridge.world = {"hottest_share": -20.0, "propellant_kg": 12.0}
    record = bridge.order("burn", segments=[full, full])
    assert record.codes == (Code.BURN_LIMIT,)
    assert "segments[1]: a nozzle would burn 3.20 s" in record.detail


def test_a_nozzle_is_not_asked_for_again_before_it_has_cooled(bridge: Bridge) -> None:
    bridge.world = {"hottest_share": -20.0, "propellant_kg": 12.0}
    full = {"duration_s": 3.0, "level_pct": 100, "direction": "+z"}
    pause = {"duration_s": 4.0, "level_pct": 0, "direction": "+z"}
    again = {"duration_s": 0.5, "level_pct": 20, "direction": "+z"}
    record = bridge.order("burn", segments=[full, pause, again])
    assert record.codes == (Code.COOLDOWN_ACTIVE,)
    assert "segments[2]: a nozzle that burned its longest is wanted 2.00 s before it has cooled" in record.detail
    assert bridge.order("burn", segments=[full, {**pause, "duration_s": 6.1}, again]).state is CommandState.ALLOWED


def test_all_segments_together_must_find_their_propellant_and_cool_clusters(bridge: Bridge) -> None:
    bridge.world = {"propellant_kg": 2.5}
    part = {"duration_s": 1.0, "level_pct": 60, "direction": "+z"}
    assert bridge.order("burn", segments=[part, part]).state is CommandState.ALLOWED
    assert bridge.order("burn", segments=[part, part, part]).codes == (Code.WORKING_MASS_LOW,)


def test_a_burn_that_the_tank_could_not_stop_again_is_refused(bridge: Bridge) -> None:
    bridge.nav = dataclasses.replace(RESTING, velocity=(16.0, 0.0, 0.0))
    bridge.world = {"speed_m_s": 16.0}
    burn = {"duration_s": 2.0, "level_pct": 50.0}
    record = bridge.order("burn", **burn, direction="+x")
    assert record.codes == (Code.SPEED_LIMIT,)
    assert "a full tank stops 16.6 m/s" in record.detail
    assert bridge.order("burn", **burn, direction="-x").state is CommandState.ALLOWED


def test_a_masked_nozzle_takes_away_what_only_it_could_make(bridge: Bridge) -> None:
    bridge.supervisor.masked = frozenset({12})
    assert bridge.order("burn", duration_s=1, level_pct=100, direction="+z").codes == (Code.RCS_UNAVAILABLE,)
    assert bridge.order("burn", duration_s=1, level_pct=20, direction="+z").state is CommandState.ALLOWED


def test_a_nozzle_in_its_cooldown_counts_as_failed(bridge: Bridge) -> None:
    bridge.commander.flown.unavailable = lambda now_ns: 1 << 12 if now_ns < 5 * SECOND else 0
    burn = {"duration_s": 1, "level_pct": 100, "direction": "+z"}
    assert bridge.order("burn", **burn).codes == (Code.RCS_UNAVAILABLE,)
    bridge.t_ns = 6 * SECOND
    assert bridge.order("burn", **burn).state is CommandState.ALLOWED


def test_a_measured_cluster_is_judged_by_its_own_temperature(bridge: Bridge) -> None:
    readings = {name: Reading(-20.0, 0, Quality.OK) for name in ("rcs_c01", "rcs_c02", "rcs_c03", "rcs_c04")}
    bridge.world = {"hottest_share": -1.0}
    bridge.commander.burns.budget.temperatures = lambda: readings
    burn = {"duration_s": 3, "level_pct": 100, "direction": "+x"}
    assert bridge.order("burn", **burn).state is CommandState.ALLOWED
    readings["rcs_c02"] = Reading(100.0, 0, Quality.OK)
    assert bridge.order("burn", **burn).codes == (Code.THERMAL_BLOCK,)


def test_a_segment_is_checked_again_when_it_starts_and_a_refusal_ends_the_burn(bridge: Bridge) -> None:
    bridge.world = {"speed_m_s": 1.0}
    bridge.order("burn", segments=SEGMENTS)
    bridge.guide()
    bridge.world = {"speed_m_s": 1.0, "soc_supercap": 0.2, "propellant_kg": 0.1}
    bridge.wait(0.5)
    assert bridge.guide().push_n is None
    assert told(bridge)[-1] == (Code.PROFILE_ABORTED, "segment 1: CAP_LOW, WORKING_MASS_LOW")
    assert bridge.motion is Motion.COAST
    assert not bridge.commander.settled


def test_an_aborted_burn_is_a_refused_step(facts: Callable[..., Facts]) -> None:
    bridge = Bridge(facts, steps(StepConfig("burn", command="burn", arguments={"segments": SEGMENTS}),
                                 StepConfig("hold", command="hold")))
    bridge.commander.step(0, bridge.nav, bridge.facts)
    bridge.guide()
    bridge.world = {"soc_supercap": 0.2, "speed_m_s": 1.0}
    bridge.wait(0.5)
    assert [(r.name, r.outcome.value, r.detail) for r in bridge.commander.records] == [
        ("burn", "refused", "segment 1: CAP_LOW"),
    ]
    assert bridge.commander.step_name == "hold"


@pytest.mark.parametrize("spoiled", ["bus", "rate", "mode"])
def test_a_push_that_may_not_go_on_ends_the_burn_in_the_same_window(bridge: Bridge, spoiled: str) -> None:
    bridge.world = {"speed_m_s": 1.0}
    bridge.order("burn", segments=[
        {"duration_s": 0.25, "level_pct": 0, "direction": "+x"}, {"duration_s": 9, "level_pct": 5, "direction": "+x"},
    ])
    bridge.guide()
    if spoiled != "mode":
        bridge.wait(0.5)
        assert bridge.guide().push_n is not None
    bridge.t_ns += SECOND // 4
    if spoiled == "rate":
        bridge.nav = dataclasses.replace(RESTING, rate=(0.0, radians(6.0), 0.0))
    elif spoiled == "mode":
        bridge.world = {"speed_m_s": 1.0, "joint_locked_unrated": True}
    else:
        bridge.supervisor.report("bus-under-voltage", True, bridge.facts)
    target = bridge.guide(BARRED if spoiled == "bus" else FREE)
    assert target.push_n is None
    code = {"bus": Code.BUS_UNSTABLE, "rate": Code.RATE_LIMIT, "mode": Code.BAYONET_UNSAFE}[spoiled]
    assert next(text for found, text in told(bridge) if found == Code.PROFILE_ABORTED).endswith(code)
    assert bridge.motion is not Motion.BURN


def test_a_brake_cuts_a_burn_and_says_so(bridge: Bridge) -> None:
    bridge.world = {"speed_m_s": 1.0}
    bridge.order("burn", duration_s=5, level_pct=20, direction="+x")
    bridge.guide()
    bridge.order("brake")
    assert bridge.commander.take_cut()
    assert bridge.guide().push_n is None
    assert bridge.guide().phase is Phase.BRAKE
    assert (Code.PROFILE_CUT, "brake is flown instead") in told(bridge)


def test_burn_stop_cuts_the_window_and_coasts(bridge: Bridge) -> None:
    bridge.world = {"speed_m_s": 1.0}
    assert bridge.order("burn_stop").state is CommandState.ALLOWED
    assert not bridge.commander.take_cut()
    bridge.order("burn", duration_s=5, level_pct=20, direction="+x")
    bridge.guide()
    bridge.order("burn_stop")
    assert bridge.commander.take_cut()
    target = bridge.guide()
    assert (target.phase, target.push_n, target.attitude is None) == (Phase.COAST, None, False)
    assert bridge.motion is Motion.COAST


def test_safe_ends_a_burn_and_cuts_its_window_whoever_asked_for_safe(bridge: Bridge) -> None:
    bridge.world = {"speed_m_s": 1.0}
    bridge.order("burn", duration_s=5, level_pct=20, direction="+x")
    bridge.guide()
    bridge.supervisor.enter_safe(Code.SAFE_POWER_LOW, bridge.facts)
    assert bridge.commander.take_cut()
    assert bridge.guide().push_n is None
    assert not bridge.commander.take_cut()
    assert (Code.PROFILE_ABORTED, "SAFE: SAFE_LOCKED") in told(bridge)


def test_a_boost_burn_needs_charge_and_confirmation(bridge: Bridge) -> None:
    burn = {"duration_s": 1, "level_pct": 40, "direction": "+y", "level": "FTG"}
    assert bridge.order("boost_burn", **burn).codes == (Code.CMD_CONFIRMATION_REQUIRED,)
    assert bridge.order("boost_burn", **burn, confirmed=False).codes == (Code.CMD_CONFIRMATION_REQUIRED,)
    bridge.world = {"soc_supercap": 0.59}
    assert bridge.order("boost_burn", **burn).codes == (Code.CAP_LOW, Code.CMD_CONFIRMATION_REQUIRED)
    bridge.world = {"soc_supercap": 0.60}
    assert bridge.order("boost_burn", **burn, confirmed=True).state is CommandState.ALLOWED
    assert bridge.guide().push_n == pytest.approx((0.0, 0.4 * force_ceiling_n(BODY), 0.0))


def test_a_supercapacitor_gives_nothing_below_the_charge_of_safe(bridge: Bridge) -> None:
    """5 Wh are 18 kJ; 60 s of four valves at 40 % are 1920 J and would end below 10 %."""
    body = msgspec.structs.replace(BODY.power.supercap, capacity_wh=0.5)
    small = msgspec.structs.replace(BODY, power=msgspec.structs.replace(BODY.power, supercap=body))
    budget = BurnBudget(small, ALLOCATOR)
    budget.facts = bridge.facts_of(soc_supercap=0.4, propellant_kg=1000.0, hottest_share=-100.0)
    segment = Segment(60.0, 40.0, (0.0, 0.0, 1.0))
    needed = budget.needs(segment, segment.force(bridge.commander.burns.ceiling, IDENTITY))
    assert budget.refusals(segment, needed) == (Code.CAP_LOW,)
    assert [text for _, text in budget.answer(Level.ZTT, needed)] == ["1920 J are needed, 540 J can be given"]
    budget.facts = None
    assert budget.refusals(segment, needed) == (Code.POWER_TELEM_MISSING,)


def test_torque_that_a_segment_would_leave_over_is_refused(bridge: Bridge) -> None:
    budget = bridge.commander.burns.budget
    budget.facts = bridge.facts
    segment = Segment(0.5, 20.0, (0.0, 0.0, 1.0))
    needed = budget.needs(segment, segment.force(bridge.commander.burns.ceiling, IDENTITY))
    for torque, level, codes in ((24.9, Level.ZTT, ()), (25.1, Level.ZTT, (Code.TORQUE_LIMIT,)),
                                 (234.0, Level.ADAPTIVE, ()), (236.0, Level.ADAPTIVE, (Code.TORQUE_LIMIT,))):
        left = dataclasses.replace(needed, residual_torque_n_m=torque)
        assert tuple(code for code, _ in budget.answer(level, left)) == codes


def test_on_a_table_a_burn_stays_in_its_plane() -> None:
    body = load_body("bench-12kg")
    allocator = Allocator(body)
    budget, ceiling = BurnBudget(body, allocator), AllocatorCeiling(body, allocator)
    flat, up = Segment(0.5, 20.0, (1.0, 0.0, 0.0)), Segment(0.5, 20.0, (0.6, 0.0, 0.8))
    answer = budget.accept(ThrustProfile((flat, up)), ceiling, IDENTITY, (0.0, 0.0, 0.0))
    assert (Code.CMD_VALIDATION_FAILED, "segments[1]: a table leaves x and y to push along") in answer
    assert not [text for _, text in answer if text.startswith("segments[0]: a table")]


# -- the override


FIRE = {"wrench": [0, 100, 0, 0, 20, 0], "duration_s": 0.5}


def test_an_override_is_armed_for_a_minute_and_no_longer(bridge: Bridge) -> None:
    assert bridge.order("override_fire", **FIRE).codes == (Code.OVERRIDE_NOT_ARMED,)
    assert bridge.order("override_arm").state is CommandState.ALLOWED
    bridge.t_ns = 60 * SECOND - 1
    assert bridge.order("override_fire", **FIRE).state is CommandState.ALLOWED
    bridge.t_ns = 60 * SECOND
    assert bridge.order("override_fire", **FIRE).codes == (Code.OVERRIDE_NOT_ARMED,)


def test_an_override_fires_its_wrench_and_reports_what_is_left_over(bridge: Bridge) -> None:
    bridge.order("override_arm")
    record = bridge.order("override_fire", **FIRE)
    assert record.detail.startswith("residual ")
    target = bridge.guide()
    assert (target.push_n, target.mode) == ((0.0, 100.0, 0.0), ThrustMode.MANUAL_OVERRIDE)
    assert target.rate == pytest.approx((0.0, 20.0 / 350.0 * 0.25, 0.0))
    unreachable = bridge.order("override_fire", wrench=[0, 2000, 0, 0, 0, 0], duration_s=0.2)
    missing = float(unreachable.detail.split()[1])
    assert missing == pytest.approx(2000.0 - ALLOCATOR.largest_scale((0, 1, 0, 0, 0, 0)), rel=0.02)
    assert [code for code, _ in told(bridge)].count(Code.OVERRIDE_FIRED) == 2


@pytest.mark.parametrize(("fire", "world", "code"), [
    ({"wrench": [0, 0, 0, 0, 0, 236], "duration_s": 0.05}, {}, Code.TORQUE_LIMIT),
    ({"wrench": [0, 0, 0, 0, -236, 0], "duration_s": 0.05}, {}, Code.TORQUE_LIMIT),
    ({"wrench": [0, 0, 0, 0, 0, 230], "duration_s": 1.0}, {}, Code.RATE_LIMIT),
    ({"wrench": [300, 0, 0, 0, 0, 0], "duration_s": 3.0}, {"propellant_kg": 0.5}, Code.WORKING_MASS_LOW),
    ({"wrench": [300, 0, 0, 0, 0, 0], "duration_s": 3.0}, {"hottest_share": 0.1}, Code.THERMAL_BLOCK),
])
def test_an_override_keeps_every_limit(
    bridge: Bridge, fire: dict[str, Any], world: dict[str, Any], code: Code
) -> None:
    bridge.world = world
    bridge.order("override_arm")
    record = bridge.order("override_fire", **fire)
    assert record.codes == (code,)
    assert "residual" in record.detail
    assert bridge.motion is Motion.IDLE


@pytest.mark.parametrize("ended_by", ["safe", "brake", "disarm"])
def test_safe_a_brake_and_disarm_take_the_arming_back(bridge: Bridge, ended_by: str) -> None:
    bridge.order("override_arm")
    bridge.order(ended_by)
    bridge.guide()
    if ended_by == "safe":
        bridge.wait(2.0)
        bridge.order("safe_exit")
    bridge.order("arm")
    assert bridge.order("override_fire", **FIRE).codes == (Code.OVERRIDE_NOT_ARMED,)


# -- what is left of the nozzles, and targets to go to


SEEN = RelativeState(0, (40.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.1, 0.01, 0)


def test_without_a_tracked_target_a_rendezvous_is_refused_by_name(bridge: Bridge) -> None:
    record = bridge.order("rendezvous", offset_m=[-5, 0, 0])
    assert (record.state, record.codes) == (CommandState.REJECTED, (Code.SENSOR_MISSING,))
    assert bridge.motion is Motion.IDLE


def test_a_rendezvous_is_flown_in_dock_and_broken_off_to_manoeuvre_when_the_target_is_lost(bridge: Bridge) -> None:
    bridge.world["target_range_m"] = 40.0
    bridge.nav = dataclasses.replace(RESTING, relative=SEEN)
    assert bridge.order("rendezvous", offset_m=[-5, 0, 0], keep_out_m=2.0, axis="+x").codes == ()
    assert bridge.guide().phase is Phase.RENDEZVOUS
    assert bridge.motion is Motion.DOCK
    bridge.nav = RESTING
    bridge.wait(1.0)
    assert bridge.commander.target is not None
    assert bridge.commander.target.phase is Phase.COAST
    assert bridge.motion is Motion.DOCK
    bridge.wait(30.0)
    assert bridge.motion is Motion.MANOEUVRE
    assert bridge.commander.target.phase is Phase.BRAKE


def test_a_place_inside_the_sphere_to_keep_out_of_is_refused(bridge: Bridge) -> None:
    bridge.world["target_range_m"] = 40.0
    bridge.nav = dataclasses.replace(RESTING, relative=SEEN)
    record = bridge.order("rendezvous", offset_m=[-1, 0, 0], keep_out_m=5.0)
    assert record.codes == (Code.CMD_VALIDATION_FAILED,)
    assert "offset of 1.00 m is within two dead-bands of 5.00 m" in record.detail


def test_a_brake_without_a_cluster_nulls_rates_and_turns_before_it_pushes(bridge: Bridge) -> None:
    bridge.supervisor.masked = frozenset({0, 1, 2, 3})
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.0, 0.8, 0.0))
    bridge.world["speed_m_s"] = 0.8
    assert bridge.order("brake").codes == ()
    phases = []
    for _ in range(40):
        phases.append(bridge.guide().phase)
        bridge.t_ns += SECOND // 4
    assert phases[0] is Phase.DETUMBLE
    # No push along Y is left without cluster A, so it has to turn; all that is part of braking.
    assert Phase.TURN in phases
    assert bridge.motion is Motion.BRAKE


def test_a_brake_under_way_turns_when_a_direction_is_lost(bridge: Bridge) -> None:
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.0, 0.8, 0.0))
    bridge.world["speed_m_s"] = 0.8
    assert bridge.order("brake").codes == ()
    assert bridge.guide().phase is Phase.BRAKE
    bridge.supervisor.masked = frozenset({0, 1, 2, 3})
    assert bridge.guide().phase is Phase.DETUMBLE
    assert bridge.motion is Motion.BRAKE


def test_a_brake_out_of_safe_knows_at_once_which_nozzles_are_gone(bridge: Bridge) -> None:
    """Nothing is guided by law in SAFE, so the order itself has to look."""
    bridge.supervisor.enter_safe(Code.SAFE_ORIENTATION_LOST, bridge.facts)
    bridge.guide()
    bridge.supervisor.masked = frozenset({0, 1, 2, 3})
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.0, 0.8, 0.0))
    bridge.world["speed_m_s"] = 0.8
    assert bridge.order("brake").codes == ()
    assert bridge.guide().phase is Phase.DETUMBLE


def test_a_recovery_that_nothing_is_left_for_is_told_once(bridge: Bridge) -> None:
    bridge.supervisor.masked = frozenset(range(8))
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.5, 0.0, 0.0))
    assert bridge.order("recover").codes == ()
    for _ in range(200):
        bridge.guide()
        bridge.t_ns += SECOND // 4
    assert [event for event in bridge.journal.events if "cannot reach it" in str(event)] != []
    assert len([event for event in bridge.journal.events if "cannot reach it" in str(event)]) == 1


# -- moves of two steps, and laws that end


def rejections(bridge: Bridge) -> list[str]:
    return [text for code, text in told(bridge) if code == Code.CMD_REJECTED]


def test_a_brake_that_can_do_no_more_coasts_and_keeps_its_law(bridge: Bridge) -> None:
    """Clusters A and B are gone, and with them every push along X."""
    bridge.supervisor.masked = frozenset(range(8))
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.5, 0.0, 0.0))
    bridge.world["speed_m_s"] = 0.5
    assert bridge.order("brake").codes == ()
    bridge.wait(60.0)
    assert bridge.motion in (Motion.COAST, Motion.MANOEUVRE)
    assert rejections(bridge) == []
    assert bridge.commander.phase == "hold"
    assert bridge.guide().rate is not None


def test_a_brake_that_still_trims_waits_for_rest_in_its_mode(bridge: Bridge) -> None:
    """A lost cluster's brake holds from 0.1 m/s on and trims the rest; that is no end of it."""
    bridge.supervisor.masked = frozenset(range(4))
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.0, 0.8, 0.0))
    bridge.world["speed_m_s"] = 0.8
    bridge.order("brake")
    while bridge.guide().phase is not Phase.BRAKE:
        bridge.t_ns += SECOND // 4
        assert bridge.t_ns < 60 * SECOND
        target = bridge.commander.target
        if target is not None and target.attitude is not None:
            bridge.nav = dataclasses.replace(bridge.nav, quaternion=target.attitude)
    bridge.nav = dataclasses.replace(bridge.nav, velocity=(0.0, 0.04, 0.05))
    bridge.world["speed_m_s"] = 0.064
    bridge.wait(2.0)
    assert bridge.motion is Motion.BRAKE
    assert rejections(bridge) == []
    bridge.nav = dataclasses.replace(bridge.nav, velocity=(0.0, 0.0, 0.0))
    bridge.world["speed_m_s"] = 0.0
    bridge.wait(5.0)
    assert bridge.motion is Motion.IDLE


def test_a_law_whose_mode_is_refused_ends_in_idle_and_is_told_once(bridge: Bridge) -> None:
    bridge.world = {"speed_m_s": 1.0}
    bridge.nav = dataclasses.replace(RESTING, velocity=(1.0, 0.0, 0.0))
    bridge.order("translate", vector_m=[40, 0, 0])
    bridge.wait(0.5)
    assert bridge.motion is Motion.COAST
    bridge.nav = dataclasses.replace(RESTING, velocity=(0.3, 0.0, 0.0))
    bridge.world = {"speed_m_s": 0.3, "propulsion_ready": False}
    bridge.wait(3.0)
    assert len(rejections(bridge)) == 1
    assert bridge.motion is Motion.IDLE


def test_a_rendezvous_starts_out_of_a_coast(bridge: Bridge) -> None:
    bridge.world = {"speed_m_s": 1.0, "target_range_m": 40.0}
    bridge.nav = dataclasses.replace(RESTING, velocity=(1.0, 0.0, 0.0), relative=SEEN)
    bridge.order("translate", vector_m=[40, 0, 0])
    bridge.wait(0.5)
    assert bridge.motion is Motion.COAST
    assert bridge.order("rendezvous", offset_m=[-5, 0, 0]).codes == ()
    assert bridge.motion is Motion.DOCK


@pytest.mark.parametrize(("name", "arguments"), [
    ("translate", {"vector_m": [5, 0, 0]}), ("recover", {}),
    ("burn", {"duration_s": 1, "level_pct": 10, "direction": "+x"}),
])
def test_a_burn_starts_out_of_a_rendezvous(bridge: Bridge, name: str, arguments: dict[str, Any]) -> None:
    bridge.world["target_range_m"] = 40.0
    bridge.nav = dataclasses.replace(RESTING, relative=SEEN)
    bridge.order("rendezvous", offset_m=[-5, 0, 0])
    bridge.guide()
    assert bridge.motion is Motion.DOCK
    assert bridge.order(name, **arguments).codes == ()
    assert bridge.motion is Motion.BURN


def test_a_move_refused_at_its_second_step_has_not_made_the_first(bridge: Bridge) -> None:
    bridge.nav = dataclasses.replace(RESTING, relative=SEEN)
    bridge.order("translate", vector_m=[40, 0, 0])
    assert bridge.motion is Motion.BURN
    bridge.world = {"target_range_m": 6000.0}
    assert bridge.order("rendezvous", offset_m=[-5, 0, 0]).codes == (Code.TARGET_OUT_OF_RANGE,)
    assert bridge.motion is Motion.BURN


def test_a_recovery_with_every_nozzle_alive_reaches_its_velocity_all_the_same(bridge: Bridge) -> None:
    assert bridge.order("recover", velocity_m_s=[0.4, 0, 0]).codes == ()
    phases = set()
    for _ in range(60):
        target = bridge.guide()
        phases.add(target.phase)
        if target.attitude is not None:
            bridge.nav = dataclasses.replace(bridge.nav, quaternion=target.attitude)
        if target.push_n is not None:
            gained = scale(rotate(bridge.nav.quaternion, target.push_n), 0.25 / 432.0)
            bridge.nav = dataclasses.replace(bridge.nav, velocity=add(bridge.nav.velocity, gained))
        elif target.velocity is not None:
            bridge.nav = dataclasses.replace(bridge.nav, velocity=target.velocity)
        bridge.world["speed_m_s"] = norm(bridge.nav.velocity)
        bridge.t_ns += SECOND // 4
    assert Phase.BURN in phases
    assert bridge.nav.velocity == pytest.approx((0.4, 0.0, 0.0), abs=0.05)
    assert bridge.commander.settled
    assert bridge.motion is Motion.MANOEUVRE
    assert rejections(bridge) == []


class Pusher:
    """A law that pushes openly without being a burn; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def update(self, now_ns: int, nav: NavState) -> Target:
        self.asked += 1
        return Target(Phase.BURN, False, attitude=IDENTITY, push_n=(50.0, 0.0, 0.0))


@pytest.mark.parametrize("against", ["nothing", "bus", "rate"])
def test_any_law_s_push_is_taken_out_by_what_stands_against_it(
    facts: Callable[..., Facts], monkeypatch: pytest.MonkeyPatch, against: str
) -> None:
    law = Pusher()
    monkeypatch.setattr("firmware_py.command_laws.Detumble", lambda *_: law)
    bridge = Bridge(facts)
    bridge.order("detumble")
    if against == "rate":
        bridge.nav = dataclasses.replace(RESTING, rate=(0.0, radians(6.0), 0.0))
    target = bridge.guide(BARRED if against == "bus" else FREE)
    assert target.push_n == ((50.0, 0.0, 0.0) if against == "nothing" else None)
    assert law.asked == 1


@pytest.mark.parametrize("spoiled", [
    {"quaternion": (nan, 0.0, 0.0, 0.0)}, {"rate": (0.0, inf, 0.0)}, {"position": (0.0, 0.0, -inf)},
    {"velocity": (nan, nan, nan)}, {"velocity": (1e300, 0.0, 0.0)},
])
@pytest.mark.parametrize(("name", "arguments"), [
    ("detumble", {}), ("hold", {}), ("slew", {"axis": [0, 0, 1], "angle_deg": 30}), ("sun_track", {}),
    ("translate", {"vector_m": [10, 0, 0], "frame": "body"}), ("brake", {}), ("recover", {}), ("safe", {}),
    ("evade", {"delta_v_m_s": [0, 1, 0]}), ("rendezvous", {"offset_m": [-5, 0, 0]}),
    ("burn", {"duration_s": 3, "level_pct": 10, "direction": "+x"}),
])
def test_a_state_that_is_no_number_reaches_no_law(
    bridge: Bridge, name: str, arguments: dict[str, Any], spoiled: dict[str, Any]
) -> None:
    bridge.world["target_range_m"] = 40.0
    good = dataclasses.replace(RESTING, relative=SEEN)
    bad = dataclasses.replace(good, **spoiled)
    bridge.nav = bad
    needs_it = name not in ("brake", "safe")
    assert bridge.order(name, **arguments).codes == ((Code.SENSOR_MISSING,) if needs_it else ())
    bridge.nav = good
    assert bridge.order(name, **arguments).codes == ()
    for nav in (bad, good, bad, good):
        bridge.nav = nav
        target = bridge.guide()
        wanted = (target.attitude, target.rate, target.position, target.velocity, target.push_n)
        assert nav is good or wanted == (None,) * 5
        bridge.t_ns += SECOND // 4
    assert target.phase is not Phase.DRIFT


def test_a_burn_that_missed_windows_for_want_of_a_state_is_aborted(bridge: Bridge) -> None:
    bridge.order("burn", duration_s=5, level_pct=20, direction="+x")
    bridge.guide()
    bridge.nav = dataclasses.replace(RESTING, rate=(nan, 0.0, 0.0))
    bridge.wait(0.5)
    bridge.nav = RESTING
    bridge.wait(0.25)
    assert bridge.guide().push_n is None
    assert [text for code, text in told(bridge) if code == Code.PROFILE_ABORTED] == [
        "segment 1: windows were missed: RCS_UNAVAILABLE"
    ]

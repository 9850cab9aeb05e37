"""Effects are seen on the craft: every command has a rule, and each rule says whole, part, nothing or gone."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from comms.dictionary import COMMANDS
from fdir.codes import Code
from fdir.facts import Facts
from fdir.modes import Emission, Motion
from fdir.safe import SafeKeeper
from firmware_py.command_effects import EFFECTS, BurnSeen, Seen, Sight
from firmware_py.commands import Order
from firmware_py.energy.duty_table import Profile
from firmware_py.energy.pdu_line import Obedience
from firmware_py.link_orders import LINK_COMMANDS, PERCEPTION_COMMANDS
from tests.fdir.rows import monitors, row

MakeFacts = Callable[..., Facts]
NOTHING, PART, WHOLE, CUT, GONE = Sight.NOTHING, Sight.PART, Sight.WHOLE, Sight.CUT, Sight.GONE
MINE = 7


class Craft:
    """What there is to see of a craft, as a test sets it."""

    def __init__(self, facts: MakeFacts) -> None:
        from fdir.monitors import MonitorBank

        self.modes = SimpleNamespace(motion=Motion.IDLE, emission=Emission.OPEN)
        self.keeper = SafeKeeper()
        self.bank = MonitorBank(monitors(row(), row(id="other", number=901)))
        self.make = facts
        self.world: dict[str, Any] = {}
        self.seen: dict[str, Any] = {
            "flown": 0, "settled": False, "burn": BurnSeen(), "override_armed": False, "valves_armed": None,
            "energy": None,
        }

    def sight(self, command: str, /, **arguments: Any) -> Sight:
        seen = Seen(facts=self.make(**self.world), supervisor=self, **self.seen)  # type: ignore[arg-type]
        return EFFECTS[command].look(seen, Order(MINE, command, arguments, "test"))


@pytest.fixture
def craft(facts: MakeFacts) -> Craft:
    return Craft(facts)


def test_every_command_has_an_effect_with_a_time_and_words() -> None:
    assert EFFECTS.keys() == COMMANDS.keys()
    assert all(rule.within_s > 0.0 and rule.text for rule in EFFECTS.values())


def test_times_are_those_of_valves_locks_burns_and_flights() -> None:
    times: dict[float, set[str]] = {}
    for name, rule in EFFECTS.items():
        times.setdefault(rule.within_s, set()).add(name)
    assert times == {
        2.0: {
            "idle", "safe", "safe_acknowledge", "safe_exit", "emission", "disarm", "arm", "burn_stop", "override_arm",
            "load_clear", "sensor_profile", "monitor_enable", "monitor_reset_counters", "param_set", "param_activate",
            "param_rollback", "command_arm",
        },
        5.0: {"burn", "boost_burn", "override_fire"},
        10.0: {"load", "dock_power", "fault_clear"} | PERCEPTION_COMMANDS | LINK_COMMANDS - {"nbl_send", "file_send"},
        1200.0: {"nbl_send"},
        60.0: {"evade"},
        300.0: {"brake"},
        600.0: {"detumble", "hold", "slew"},
        1800.0: {"sun_track", "recover"},
        7200.0: {"translate", "rendezvous", "file_send"},
    }


@pytest.mark.parametrize(("outcome", "sight"), [(None, NOTHING), (True, WHOLE), (False, GONE)])
def test_what_the_link_carries_out_is_done_when_it_says_so(craft: Craft, outcome: bool | None, sight: Sight) -> None:
    assert craft.sight("emcon", level=1) is NOTHING
    craft.seen["link"] = SimpleNamespace(outcome=lambda number: outcome if number == MINE else None)
    for name in sorted(LINK_COMMANDS):
        assert craft.sight(name) is sight


@pytest.mark.parametrize("name", ["detumble", "hold", "slew", "sun_track"])
@pytest.mark.parametrize(("flown", "motion", "settled", "sight"), [
    (MINE, Motion.MANOEUVRE, True, WHOLE), (MINE, Motion.MANOEUVRE, False, PART), (MINE, Motion.IDLE, True, NOTHING),
    (MINE + 1, Motion.MANOEUVRE, True, GONE), (0, Motion.SAFE, False, GONE),
])
def test_an_attitude_is_reached_when_its_own_law_has_settled(
    craft: Craft, name: str, flown: int, motion: Motion, settled: bool, sight: Sight
) -> None:
    craft.modes.motion = motion
    craft.seen.update(flown=flown, settled=settled)
    assert craft.sight(name) is sight


@pytest.mark.parametrize("name", ["translate", "rendezvous", "recover"])
@pytest.mark.parametrize(("flown", "settled", "sight"), [
    (MINE, True, WHOLE), (MINE, False, PART), (MINE - 1, True, GONE),
])
def test_a_move_is_made_when_its_own_law_has_settled(
    craft: Craft, name: str, flown: int, settled: bool, sight: Sight
) -> None:
    craft.seen.update(flown=flown, settled=settled)
    assert craft.sight(name) is sight


@pytest.mark.parametrize(("speed", "flown", "motion", "sight"), [
    (0.05, MINE, Motion.BRAKE, WHOLE), (0.05, 0, Motion.SAFE, WHOLE), (0.0501, MINE, Motion.BRAKE, PART),
    (None, MINE, Motion.BRAKE, PART), (0.0501, MINE, Motion.COAST, CUT), (0.0501, 0, Motion.BRAKE, GONE),
])
def test_a_brake_is_over_at_rest(
    craft: Craft, speed: float | None, flown: int, motion: Motion, sight: Sight
) -> None:
    craft.world = {"speed_m_s": speed}
    craft.modes.motion = motion
    craft.seen["flown"] = flown
    assert craft.sight("brake") is sight


@pytest.mark.parametrize(("flown", "motion", "settled", "sight"), [
    (MINE, Motion.BRAKE, False, PART), (MINE, Motion.BRAKE, True, WHOLE), (MINE, Motion.COAST, True, WHOLE),
    (MINE, Motion.COAST, False, CUT), (MINE + 1, Motion.BRAKE, True, GONE), (0, Motion.SAFE, False, GONE),
])
def test_an_evasion_is_made_when_its_law_says_so(
    craft: Craft, flown: int, motion: Motion, settled: bool, sight: Sight
) -> None:
    craft.modes.motion = motion
    craft.seen.update(flown=flown, settled=settled)
    assert craft.sight("evade") is sight


def test_idle_is_a_mode_and_not_an_answer(craft: Craft) -> None:
    assert craft.sight("idle") is GONE
    craft.seen["flown"] = MINE
    assert craft.sight("idle") is WHOLE
    craft.modes.motion = Motion.COAST
    assert craft.sight("idle") is NOTHING


@pytest.mark.parametrize("name", ["burn", "boost_burn", "override_fire"])
@pytest.mark.parametrize(("burn", "sight"), [
    (BurnSeen(MINE), NOTHING), (BurnSeen(MINE, begun=True), PART), (BurnSeen(MINE, True, Code.PROFILE_DONE), WHOLE),
    (BurnSeen(MINE, True, Code.PROFILE_CUT), CUT), (BurnSeen(MINE, True, Code.PROFILE_ABORTED), CUT),
    (BurnSeen(MINE, False, Code.PROFILE_ABORTED), GONE), (BurnSeen(MINE + 1, True, Code.PROFILE_DONE), GONE),
])
def test_a_burn_is_flown_to_its_end_or_cut(craft: Craft, name: str, burn: BurnSeen, sight: Sight) -> None:
    craft.seen["burn"] = burn
    assert craft.sight(name) is sight


@pytest.mark.parametrize(("burn", "sight"), [
    (BurnSeen(), WHOLE), (BurnSeen(3, True), NOTHING), (BurnSeen(3, True, Code.PROFILE_CUT), WHOLE),
])
def test_a_stop_is_seen_when_no_burn_is_flown(craft: Craft, burn: BurnSeen, sight: Sight) -> None:
    craft.seen["burn"] = burn
    assert craft.sight("burn_stop") is sight


def test_safe_its_acknowledgement_and_its_exit(craft: Craft) -> None:
    assert craft.sight("safe") is NOTHING
    assert craft.sight("safe_acknowledge") is WHOLE
    assert craft.sight("safe_exit") is WHOLE
    craft.modes.motion = Motion.SAFE
    craft.keeper.enter(Code.SAFE_ORDERED)
    assert craft.sight("safe") is WHOLE
    assert craft.sight("safe_acknowledge") is NOTHING
    assert craft.sight("safe_exit") is NOTHING
    craft.keeper.acknowledge()
    assert craft.sight("safe_acknowledge") is WHOLE
    craft.modes.motion = Motion.BRAKE
    assert craft.sight("safe_exit") is NOTHING
    craft.keeper.leave()
    assert craft.sight("safe_exit") is WHOLE
    craft.modes.motion = Motion.SAFE
    assert craft.sight("safe_exit") is NOTHING


@pytest.mark.parametrize("level", list(Emission))
def test_emission_is_at_its_level(craft: Craft, level: Emission) -> None:
    craft.modes.emission = Emission.RESTRICTED
    assert craft.sight("emission", level=level.value) is (WHOLE if level is Emission.RESTRICTED else NOTHING)


@pytest.mark.parametrize(("armed", "arm", "disarm"), [
    (None, NOTHING, NOTHING), (True, WHOLE, NOTHING), (False, NOTHING, WHOLE),
])
def test_valves_are_armed_or_not_or_somewhere_between(
    craft: Craft, armed: bool | None, arm: Sight, disarm: Sight
) -> None:
    craft.seen["valves_armed"] = armed
    assert (craft.sight("arm"), craft.sight("disarm")) == (arm, disarm)


def test_the_override_is_armed(craft: Craft) -> None:
    assert craft.sight("override_arm") is NOTHING
    craft.seen["override_armed"] = True
    assert craft.sight("override_arm") is WHOLE


def energy(**changes: Any) -> SimpleNamespace:
    given: dict[str, Any] = {"dock": None, "duties": SimpleNamespace(profile=None)}
    answers = changes.pop("answers", {})
    return SimpleNamespace(**{**given, "loads": SimpleNamespace(answers=answers), **changes})


@pytest.mark.parametrize(("name", "arguments"), [
    ("load", {"name": "radar", "enabled": True}), ("load_clear", {"name": "radar"}), ("load_clear", {"name": "dock"}),
    ("dock_power", {"enabled": True}), ("dock_power", {"enabled": False}), ("sensor_profile", {"profile": "eco"}),
])
def test_without_an_energy_side_or_with_one_that_has_no_such_thing_nothing_is_seen(
    craft: Craft, name: str, arguments: dict[str, Any]
) -> None:
    assert craft.sight(name, **arguments) is NOTHING
    craft.seen["energy"] = energy()
    assert craft.sight(name, **arguments) is NOTHING


@pytest.mark.parametrize(("on", "obedience", "sight"), [
    (True, Obedience.OBEYS, WHOLE), (True, Obedience.UNKNOWN, PART), (False, Obedience.OBEYS, NOTHING),
    *((True, word, NOTHING) for word in Obedience if word not in (Obedience.OBEYS, Obedience.UNKNOWN)),
])
def test_a_load_s_current_says_that_it_obeys(craft: Craft, on: bool, obedience: Obedience, sight: Sight) -> None:
    craft.seen["energy"] = energy(answers={"radar": SimpleNamespace(on=on, obedience=obedience, codes=())})
    assert craft.sight("load", name="radar", enabled=True) is sight


def test_a_line_or_the_dock_is_not_held_open(craft: Craft) -> None:
    held = SimpleNamespace(codes=(Code.PDU_OVERCURRENT,))
    free = SimpleNamespace(codes=(Code.LOAD_SHED_ACTIVE,))
    craft.seen["energy"] = energy(answers={"radar": held, "lidar": free}, dock=SimpleNamespace(word="latched"))
    assert craft.sight("load_clear", name="radar") is NOTHING
    assert craft.sight("load_clear", name="lidar") is WHOLE
    assert craft.sight("load_clear", name="dock") is NOTHING
    craft.seen["energy"] = energy(dock=SimpleNamespace(word="off"))
    assert craft.sight("load_clear", name="dock") is WHOLE


@pytest.mark.parametrize(("word", "take", "stop"), [
    ("on", WHOLE, NOTHING), ("soft_start", PART, NOTHING), ("off", NOTHING, WHOLE), ("latched", NOTHING, NOTHING),
])
def test_a_dock_feeds_or_does_not(craft: Craft, word: str, take: Sight, stop: Sight) -> None:
    craft.seen["energy"] = energy(dock=SimpleNamespace(word=word))
    assert craft.sight("dock_power", enabled=True) is take
    assert craft.sight("dock_power", enabled=False) is stop


def test_a_sensor_profile_is_the_one_in_use(craft: Craft) -> None:
    craft.seen["energy"] = energy(duties=SimpleNamespace(profile=Profile.ECO))
    assert craft.sight("sensor_profile", profile="eco") is WHOLE
    assert craft.sight("sensor_profile", profile="fast") is NOTHING


def test_a_monitor_judges_or_does_not_and_a_fault_stands_or_does_not(craft: Craft) -> None:
    assert craft.sight("monitor_enable", name="low", enabled=True) is WHOLE
    assert craft.sight("monitor_enable", name="low", enabled=False) is NOTHING
    craft.bank.set_enabled("low", False)
    assert craft.sight("monitor_enable", name="low", enabled=False) is WHOLE
    assert craft.sight("monitor_enable", name="other", enabled=False) is NOTHING
    assert craft.sight("monitor_enable", name="nobody", enabled=True) is NOTHING
    assert craft.sight("fault_clear", name="other") is WHOLE
    craft.bank.report("other", True)
    assert craft.sight("fault_clear", name="other") is NOTHING


@pytest.mark.parametrize("name", ["monitor_reset_counters", "param_set", "param_activate", "param_rollback"])
def test_what_changes_tables_alone_is_done_when_its_call_returns(craft: Craft, name: str) -> None:
    assert craft.sight(name) is WHOLE

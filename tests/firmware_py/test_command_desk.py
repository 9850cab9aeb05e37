"""The desk: who may command, until when, in which order, once; every stage on record, and nothing kept for ever."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comms.dictionary import Authority
from fdir.codes import Code, Severity
from fdir.facts import ComputerFacts, Facts
from fdir.gate_facts import GateFacts
from fdir.gating import CommandClass
from fdir.lifecycle import Stage
from fdir.modes import Motion
from fdir.supervisor import Supervisor
from firmware_py import command_desk
from firmware_py.command_desk import CommandDesk, Done
from firmware_py.command_effects import BurnSeen, Seen
from firmware_py.commands import (
    CommandRecord,
    CommandRequest,
    Confirmation,
    Order,
    Priority,
    Source,
    onboard,
)
from firmware_py.gnc.estimator import NavState
from firmware_py.journal import NoJournal
from hal.frames import IDENTITY
from hal.profile import load_body
from tests.fdir.rows import shipped

SECOND = 1_000_000_000
BODY = load_body("qiki-t")
KNOWN = GateFacts.of(BODY)
MONITORS = shipped()
MakeFacts = Callable[..., Facts]
RESTING = NavState(
    t_ns=0, quaternion=IDENTITY, rate=(0.0, 0.0, 0.0), gyro_bias=(0.0, 0.0, 0.0), accel_bias=(0.0, 0.0, 0.0),
    position=(0.0, 0.0, 0.0), velocity=(0.0, 0.0, 0.0), sigma_attitude_rad=1e-3, sigma_rate_rad_s=1e-3,
    sigma_position_m=0.01, sigma_velocity_m_s=0.001, attitude_known=True, sun_body=None, fix_age_ns=0, imu_age_ns=0,
    disagreement=False,
)
ALLOWED = (
    Stage.REQUESTED, Stage.VALIDATION_PENDING, Stage.ALLOWED, Stage.PUBLISH_PENDING, Stage.PUBLISHED,
    Stage.ACK_ACCEPTED, Stage.EFFECT_PENDING,
)
REJECTED = (Stage.REQUESTED, Stage.VALIDATION_PENDING, Stage.REJECTED, Stage.AUDITED)


class Counter:
    """A desk, and who carries its orders out: notes them, and answers as it is told."""

    def __init__(self, facts: MakeFacts) -> None:
        self.supervisor = Supervisor(tuple(n.cluster for n in BODY.propulsion.nozzles), MONITORS)
        assert self.supervisor.request_mode(Motion.IDLE, facts()) is None
        self.journal = NoJournal()
        self.make = facts
        self.world: dict[str, Any] = {}
        self.t_ns = 0
        self.sequence = 0
        self.carried: list[tuple[CommandRequest, Order, int]] = []
        self.done = Done()
        self.against: tuple[Code, ...] = ()
        self.desk = CommandDesk(
            self.supervisor, self.journal, lambda: KNOWN, lambda _class, _nav: self.against, self.act,
        )

    def act(self, order: Order, request: CommandRequest, now_ns: int, nav: NavState, facts: Facts) -> Done:
        assert nav is RESTING
        assert facts == self.facts
        self.carried.append((request, order, now_ns))
        return self.done

    @property
    def facts(self) -> Facts:
        return self.make(t_ns=self.t_ns, **self.world)

    def request(self, name: str = "hold", arguments: Mapping[str, Any] | None = None, **changes: Any) -> CommandRequest:
        """A request of the ground that nothing speaks against."""
        self.sequence += 1
        given: dict[str, Any] = {
            "command_id": f"id-{self.sequence}", "source": Source.OPERATOR, "authority": Authority.SAFETY,
            "authenticated": True, "sender": "ground", "sequence": self.sequence, "not_after_ns": 10 * SECOND,
            "confirmation": Confirmation.CONFIRMED,
        }
        return CommandRequest(name=name, arguments={} if arguments is None else arguments, **{**given, **changes})

    def take(self, request: CommandRequest) -> CommandRecord:
        return self.desk.take(request, self.t_ns, RESTING, self.facts)

    def give(self, name: str = "hold", arguments: Mapping[str, Any] | None = None, **changes: Any) -> CommandRecord:
        return self.take(self.request(name, arguments, **changes))

    def stages(self, number: int) -> tuple[Stage, ...]:
        return tuple(record.state for record in self.journal.commands if record.number == number)

    def seen(self, **changes: Any) -> Seen:
        given: dict[str, Any] = {
            "facts": self.facts, "supervisor": self.supervisor, "flown": 0, "settled": False, "burn": BurnSeen(),
            "override_armed": False, "valves_armed": None, "energy": None,
        }
        return Seen(**{**given, **changes})

    def watch(self, **changes: Any) -> None:
        self.desk.watch(self.t_ns, lambda: self.seen(**changes))

    def events(self) -> list[tuple[str, str, str]]:
        return [(code, severity, text) for _, code, severity, text in self.journal.events]


@pytest.fixture
def counter(facts: MakeFacts) -> Counter:
    return Counter(facts)


# -- what is allowed


def test_what_nothing_speaks_against_is_carried_out_and_every_stage_is_on_record(counter: Counter) -> None:
    request = counter.request("translate", {"vector_m": [1, 0, 0]})
    record = counter.take(request)
    assert record == CommandRecord(0, 1, "translate", "ground", Stage.ALLOWED, (), "", {"vector_m": (1.0, 0.0, 0.0)})
    assert counter.carried == [(request, Order(1, "translate", {"vector_m": (1.0, 0.0, 0.0)}, "ground"), 0)]
    assert counter.stages(1) == ALLOWED
    assert counter.journal.commands[2] is record
    assert counter.journal.commands[1].arguments == {"vector_m": (1.0, 0.0, 0.0)}
    assert counter.desk.counts == {"given": 1, "waiting": 1, "dropped": 0, "displaced": 0, "repeated": 0}


def test_words_of_who_carries_it_out_are_in_the_verdict(counter: Counter) -> None:
    counter.done = Done((), "residual 3 N")
    assert counter.give().detail == "residual 3 N"


def test_a_sender_without_a_name_is_its_source(counter: Counter) -> None:
    assert counter.give(sender="").source == "operator"


def test_the_program_itself_needs_neither_sequence_nor_more_authority(counter: Counter) -> None:
    first = counter.take(onboard(counter.desk.next_number(), "arm", {}, "script"))
    second = counter.take(onboard(counter.desk.next_number(), "arm", {}, "script"))
    assert (first.state, second.state) == (Stage.ALLOWED, Stage.ALLOWED)
    assert (first.number, second.number, counter.desk.next_number()) == (1, 2, 3)


def test_who_carries_it_out_may_still_refuse(counter: Counter) -> None:
    counter.done = Done((Code.CAP_LOW, Code.BURN_LIMIT), "too much")
    record = counter.give()
    assert (record.state, record.codes, record.detail) == (
        Stage.REJECTED, (Code.CAP_LOW, Code.BURN_LIMIT), "too much",
    )
    assert counter.stages(1) == REJECTED
    assert counter.desk.counts["waiting"] == 0


# -- who


def test_an_unauthenticated_request_is_refused_unread(counter: Counter) -> None:
    record = counter.give("translate", {"vector_m": "secret"}, authenticated=False)
    assert (record.codes, record.detail) == ((Code.CMD_UNAUTHORIZED,), "the sender is not authenticated")
    assert record.arguments == {}
    assert counter.stages(1) == REJECTED
    assert counter.carried == []


def test_an_unauthenticated_request_uses_up_neither_id_nor_sequence(counter: Counter) -> None:
    forged = counter.request("brake", command_id="a", sequence=10**9, authenticated=False)
    assert counter.take(forged).state is Stage.REJECTED
    honest = counter.request("hold", command_id="a", sequence=1)
    assert counter.take(honest).state is Stage.ALLOWED
    assert counter.take(dataclasses.replace(forged, name="hold")).codes == (Code.CMD_UNAUTHORIZED,)
    assert counter.desk.repeated == 0


ROLES = {
    "hold": Authority.CONTROLLER, "brake": Authority.CONTROLLER, "override_arm": Authority.ENGINEER,
    "param_activate": Authority.CONTROLLER, "safe_exit": Authority.SAFETY, "monitor_enable": Authority.SAFETY,
    "fault_clear": Authority.SAFETY,
}


@pytest.mark.parametrize(("name", "least"), ROLES.items())
@pytest.mark.parametrize("role", Authority)
def test_a_role_may_give_what_needs_it_or_a_lesser_one(
    counter: Counter, name: str, least: Authority, role: Authority
) -> None:
    arguments = {"name": "low", "enabled": True} if name == "monitor_enable" else {}
    arguments = {"name": "low"} if name == "fault_clear" else arguments
    record = counter.give(name, arguments, authority=role)
    enough = list(Authority).index(role) >= list(Authority).index(least)
    assert record.codes == (() if enough else (Code.CMD_UNAUTHORIZED,))
    assert enough or record.detail == f"ground is {role}; {least} is needed"
    assert len(counter.carried) == enough


# -- until when


@pytest.mark.parametrize(("now_ns", "codes"), [
    (10 * SECOND - 1, ()), (10 * SECOND, ()), (10 * SECOND + 1, (Code.CMD_EXPIRED,)),
    (12_500_000_000, (Code.CMD_EXPIRED,)),
])
def test_a_command_may_be_carried_out_up_to_its_last_moment(
    counter: Counter, now_ns: int, codes: tuple[Code, ...]
) -> None:
    request = counter.request()
    counter.t_ns = now_ns
    assert counter.take(request).codes == codes
    assert len(counter.carried) == (not codes)


def test_how_late_it_is_is_told_and_no_last_moment_is_none(counter: Counter) -> None:
    late, endless = counter.request(), counter.request(not_after_ns=None)
    counter.t_ns = 12_500_000_000
    assert counter.take(late).detail == "2.500 s too late"
    assert counter.take(endless).codes == ()


# -- in which order


@pytest.mark.parametrize(("sequence", "why"), [
    (7, ""), (6, ""), (10**12, ""), (5, "sequence 5 after 5"), (4, "sequence 4 after 5"), (-1, "sequence -1 after 5"),
    (None, "a sequence number is needed"),
])
def test_a_request_follows_its_sender_s_last(counter: Counter, sequence: int | None, why: str) -> None:
    assert counter.give(sequence=5).codes == ()
    record = counter.give(sequence=sequence)
    assert record.codes == ((Code.CMD_VALIDATION_FAILED,) if why else ())
    assert record.detail == why


def test_a_sequence_number_is_used_up_even_by_a_refusal(counter: Counter) -> None:
    assert counter.give("fly", sequence=5).state is Stage.REJECTED
    assert counter.give(sequence=5).detail == "sequence 5 after 5"


def test_every_sender_counts_for_itself(counter: Counter) -> None:
    assert counter.give(sequence=9).codes == ()
    assert counter.give(sequence=1, sender="tablet").codes == ()
    assert counter.give(sequence=1, source=Source.EXTERNAL).codes == ()


def test_there_are_at_most_64_senders(counter: Counter) -> None:
    for number in range(64):
        assert counter.give(sender=f"s{number}").codes == ()
    record = counter.give(sender="s64")
    assert (record.codes, record.detail) == ((Code.CMD_VALIDATION_FAILED,), "more than 64 senders")
    assert counter.give(sender="s63").codes == ()


# -- once


def test_a_repeated_id_is_answered_with_the_first_verdict_and_not_carried_out(counter: Counter) -> None:
    request = counter.request("slew", {"axis": [0, 0, 1], "angle_deg": 10})
    first = counter.take(request)
    again = counter.take(dataclasses.replace(request, arguments={"angle_deg": 10.0, "axis": (0, 0, 1.0)}, sequence=9))
    assert again is first
    assert len(counter.carried) == 1
    assert counter.desk.repeated == 1
    told = [record for record in counter.journal.commands if record.number == 2]
    assert [record.state for record in told] == list(REJECTED)
    assert (told[2].codes, told[2].detail) == (
        (Code.DECISION_ALREADY_EXECUTED,), "the id is that of number 1, which was allowed",
    )


def test_a_repeat_uses_up_no_sequence_number(counter: Counter) -> None:
    request = counter.request(sequence=1)
    counter.take(request)
    counter.take(dataclasses.replace(request, sequence=50))
    assert counter.give(sequence=2).codes == ()


@pytest.mark.parametrize("changes", [
    {"name": "detumble", "arguments": {}}, {"arguments": {"axis": [0, 0, 1], "angle_deg": 11}},
    {"arguments": {"angle_deg": "far"}}, {"name": "fly"},
])
def test_another_command_under_a_used_id_is_a_forgery(counter: Counter, changes: dict[str, Any]) -> None:
    request = counter.request("slew", {"axis": [0, 0, 1], "angle_deg": 10})
    first = counter.take(request)
    forged = counter.take(dataclasses.replace(request, **changes))
    assert (forged.state, forged.codes) == (Stage.REJECTED, (Code.CMD_SPOOF_MISMATCH,))
    assert forged.detail == "another command under the id of number 1"
    assert counter.take(request) is first
    assert len(counter.carried) == 1


def test_a_refusal_is_repeated_too_even_when_its_reason_is_gone(counter: Counter) -> None:
    request = counter.request()
    counter.world = {"propellant_kg": 0.0}
    first = counter.take(request)
    assert first.codes == (Code.WORKING_MASS_LOW,)
    counter.world = {}
    assert counter.take(request) is first
    assert counter.carried == []


def test_what_was_not_understood_is_answered_as_before(counter: Counter) -> None:
    request = counter.request("slew", {"angle_deg": "far"})
    first = counter.take(request)
    assert counter.take(request) is first
    assert counter.take(dataclasses.replace(request, name="hold", arguments={})).codes == (Code.CMD_SPOOF_MISMATCH,)


def test_one_id_of_two_senders_is_two_commands(counter: Counter) -> None:
    request = counter.request()
    assert counter.take(request).codes == ()
    assert counter.take(dataclasses.replace(request, sender="tablet")).codes == ()
    assert counter.take(dataclasses.replace(request, source=Source.QIKI)).codes == ()
    assert len(counter.carried) == 3


def test_what_raises_while_it_is_carried_out_is_not_begun_again(counter: Counter) -> None:
    request = counter.request()

    def broken(*_given: Any) -> Done:
        counter.carried.append((request, Order(0, "", {}, ""), 0))
        raise RuntimeError("half way")

    desk = CommandDesk(counter.supervisor, counter.journal, lambda: KNOWN, lambda *_: (), broken)
    with pytest.raises(RuntimeError, match="half way"):
        desk.take(request, 0, RESTING, counter.facts)
    assert desk.take(request, 0, RESTING, counter.facts).state is Stage.VALIDATION_PENDING
    assert len(counter.carried) == 1


@pytest.mark.parametrize(("length", "good"), [(0, False), (1, True), (64, True), (65, False)])
def test_an_id_has_1_to_64_characters(counter: Counter, length: int, good: bool) -> None:
    record = counter.give(command_id="x" * length)
    assert record.codes == (() if good else (Code.CMD_VALIDATION_FAILED,))
    assert good or record.detail == "command_id must have 1 to 64 characters"


# -- the gate


def test_all_that_speaks_against_a_command_is_in_one_refusal(counter: Counter) -> None:
    request = counter.request(
        "boost_burn", {"duration_s": 1, "level_pct": 40, "direction": "+x"}, authority=Authority.VIEWER, sequence=None,
        command_id="",
    )
    counter.t_ns = 11 * SECOND
    counter.world = {"soc_supercap": 0.1, "propellant_kg": 0.0, "computer": ComputerFacts(recorder_failed=True)}
    counter.against = (Code.SENSOR_MISSING, Code.CAP_LOW)
    record = counter.take(request)
    assert record.codes == (
        Code.CMD_VALIDATION_FAILED, Code.CMD_UNAUTHORIZED, Code.CMD_EXPIRED, Code.CAP_LOW, Code.WORKING_MASS_LOW,
        Code.CMD_CONFIRMATION_REQUIRED, Code.AUDIT_UNAVAILABLE, Code.SENSOR_MISSING,
    )
    assert record.detail == (
        "command_id must have 1 to 64 characters; ground is viewer; controller is needed; 1.000 s too late; "
        "a sequence number is needed"
    )
    assert record.arguments == {"duration_s": 1.0, "level_pct": 40.0, "direction": (1.0, 0.0, 0.0)}


def test_what_is_not_understood_is_said_beside_the_rest(counter: Counter) -> None:
    record = counter.give("slew", {"angle_deg": "far"}, authority=Authority.VIEWER)
    assert record.codes == (Code.CMD_UNAUTHORIZED, Code.CMD_VALIDATION_FAILED)
    assert record.detail.startswith("ground is viewer; controller is needed; slew: give attitude")
    assert record.arguments == {"angle_deg": "far"}


@pytest.mark.parametrize(("confirmation", "codes"), [
    (Confirmation.NONE, (Code.CMD_CONFIRMATION_REQUIRED,)), (Confirmation.REQUIRED, (Code.CMD_CONFIRMATION_REQUIRED,)),
    (Confirmation.CONFIRMED, ()),
])
def test_a_high_risk_needs_the_operator_s_confirmation(
    counter: Counter, confirmation: Confirmation, codes: tuple[Code, ...]
) -> None:
    assert counter.give("arm", confirmation=confirmation).codes == codes
    assert counter.give("hold", confirmation=confirmation).codes == ()


@pytest.mark.parametrize(("arguments", "codes"), [
    ({}, (Code.CMD_CONFIRMATION_REQUIRED,)), ({"confirmed": False}, (Code.CMD_CONFIRMATION_REQUIRED,)),
    ({"confirmed": True}, ()),
])
def test_where_a_command_has_an_argument_for_it_that_alone_confirms(
    counter: Counter, arguments: dict[str, Any], codes: tuple[Code, ...]
) -> None:
    record = counter.give("dock_power", {"enabled": True, **arguments}, confirmation=Confirmation.CONFIRMED)
    assert record.codes == codes


def test_a_class_that_is_armed_first_and_one_that_pauses(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = command_desk.COMMANDS["hold"]
    monkeypatch.setitem(command_desk.COMMANDS, "hold", dataclasses.replace(hold, command_class=CommandClass.UPDATE))
    assert counter.give().codes == (Code.CMD_NOT_ARMED,)
    assert counter.desk.arm("slew", counter.t_ns) == (Code.CMD_VALIDATION_FAILED,)
    assert counter.desk.arm("no-such", counter.t_ns) == (Code.CMD_VALIDATION_FAILED,)
    assert counter.desk.arm("hold", counter.t_ns) == ()
    assert counter.give().codes == ()
    assert counter.give().codes == (Code.CMD_NOT_ARMED,), "armed once is let through once"
    counter.desk.arm("hold", counter.t_ns)
    counter.desk.disarm()
    assert counter.give().codes == (Code.CMD_NOT_ARMED,)
    counter.desk.arm("hold", counter.t_ns)
    counter.t_ns += 60 * SECOND
    assert counter.give(not_after_ns=None).codes == ()
    counter.desk.arm("hold", counter.t_ns)
    counter.t_ns += 60 * SECOND + 1
    assert counter.give(not_after_ns=None).codes == (Code.CMD_NOT_ARMED,)
    nbl = dataclasses.replace(hold, command_class=CommandClass.NBL_PACKET)
    monkeypatch.setitem(command_desk.COMMANDS, "hold", nbl)
    counter.against = ()
    assert Code.COOLDOWN_ACTIVE not in counter.give().codes
    counter.desk._last[CommandClass.NBL_PACKET] = counter.t_ns
    counter.t_ns += 120 * SECOND - 1
    assert Code.COOLDOWN_ACTIVE in counter.give(not_after_ns=None).codes
    assert Code.COOLDOWN_ACTIVE not in counter.give(not_after_ns=None, priority=Priority.EMERGENCY).codes
    assert Code.COOLDOWN_ACTIVE in counter.give(not_after_ns=None, priority=Priority.URGENT).codes
    counter.t_ns += 1
    assert Code.COOLDOWN_ACTIVE not in counter.give(not_after_ns=None).codes


def test_safe_and_its_lockdown_are_asked(counter: Counter) -> None:
    counter.supervisor.enter_safe(Code.SAFE_ORDERED, counter.facts)
    assert counter.give("hold").codes == (Code.SAFE_LOCKED,)
    assert counter.give("dock_power", {"enabled": True, "confirmed": True}).codes == ()
    counter.supervisor.enter_safe(Code.SAFE_THERMAL_CRITICAL, counter.facts)
    assert counter.give("dock_power", {"enabled": True, "confirmed": True}).codes == (Code.SAFE_LOCKED,)
    assert counter.give("safe_acknowledge").codes == ()


def test_what_cannot_be_sealed_is_refused(counter: Counter) -> None:
    record = counter.give("load", {"name": "\ud800", "enabled": True})
    assert record.codes == (Code.CMD_VALIDATION_FAILED,)
    assert counter.carried == []


# -- effects


def test_an_effect_that_is_seen_is_confirmed_once_and_audited(counter: Counter) -> None:
    counter.give("safe_acknowledge")
    assert counter.stages(1) == ALLOWED
    counter.t_ns = SECOND
    counter.watch()
    assert counter.stages(1) == (*ALLOWED, Stage.EFFECT_CONFIRMED, Stage.AUDITED)
    assert counter.journal.commands[-2].codes == (Code.EFFECT_CONFIRMED,)
    assert counter.events() == [(Code.EFFECT_CONFIRMED, Severity.INFO, "safe_acknowledge, number 1")]
    assert counter.desk.counts["waiting"] == 0
    counter.watch()
    assert len(counter.events()) == 1


@pytest.mark.parametrize(("flown", "code", "stage"), [
    (1, Code.EFFECT_PARTIAL, Stage.EFFECT_PARTIAL), (0, None, Stage.ABORTED),
])
def test_an_effect_that_does_not_come_whole_ends_too(
    counter: Counter, flown: int, code: Code | None, stage: Stage
) -> None:
    counter.give("translate", {"vector_m": [1, 0, 0]})
    counter.watch(flown=flown)
    counter.t_ns = 7200 * SECOND - 1
    counter.watch(flown=flown)
    assert (counter.stages(1)[-1] is Stage.EFFECT_PENDING) is (flown == 1)
    counter.t_ns += 1
    counter.watch(flown=flown)
    assert counter.stages(1) == (*ALLOWED, stage, Stage.AUDITED)
    assert counter.events() == ([] if code is None else [(code, Severity.WARNING, "translate, number 1")])


def test_an_effect_that_is_never_seen_times_out(counter: Counter) -> None:
    counter.give("arm")
    counter.t_ns = 2 * SECOND - 1
    counter.watch()
    assert counter.stages(1) == ALLOWED
    counter.t_ns = 2 * SECOND
    counter.watch()
    assert counter.stages(1) == (*ALLOWED, Stage.EFFECT_TIMEOUT, Stage.AUDITED)
    assert counter.events() == [(Code.EFFECT_TIMEOUT, Severity.WARNING, "arm, number 1")]


def test_what_lasts_by_itself_has_that_much_longer(counter: Counter) -> None:
    counter.done = Done(lasts_s=20.0)
    counter.give("arm")
    counter.t_ns = 22 * SECOND - 1
    counter.watch()
    assert counter.stages(1) == ALLOWED
    counter.t_ns += 1
    counter.watch()
    assert counter.stages(1)[-1] is Stage.AUDITED


def test_a_watch_without_anything_to_wait_for_looks_at_nothing(counter: Counter) -> None:
    def look() -> Seen:
        raise AssertionError("looked")

    counter.desk.watch(0, look)
    assert counter.journal.commands == []


# -- memory


def test_too_many_that_wait_displace_the_oldest_on_record(counter: Counter) -> None:
    for _ in range(33):
        counter.give("arm")
    assert counter.stages(1) == (*ALLOWED, Stage.ABORTED, Stage.AUDITED)
    assert counter.stages(2) == ALLOWED
    assert counter.desk.counts == {"given": 33, "waiting": 32, "dropped": 0, "displaced": 1, "repeated": 0}


def test_memory_is_bounded_and_what_was_forgotten_is_still_not_repeated(counter: Counter) -> None:
    first = counter.request("arm")
    counter.take(first)
    for _ in range(1024):
        counter.give("arm")
        counter.watch()
    assert len(counter.desk._verdicts) == 1024
    assert len(counter.desk._orders) <= 32
    assert len(counter.desk.book.lives) <= 32
    record = counter.take(first)
    assert record.codes == (Code.CMD_VALIDATION_FAILED,)
    assert record.detail == "sequence 1 after 1025"
    assert len(counter.carried) == 1025


# -- whatever is sent


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", ""]),
        st.sampled_from([
            ("hold", {}), ("detumble", {}), ("arm", {}), ("slew", {"axis": [0, 0, 1], "angle_deg": 5}),
            ("slew", {"axis": [0, 0, 1], "angle_deg": 6}), ("slew", {"angle_deg": "x"}), ("fly", {}),
        ]),
        st.sampled_from([Source.OPERATOR, Source.EXTERNAL]),
        st.sampled_from(list(Authority)),
        st.booleans(),
        st.sampled_from(["", "ground", "tablet", "third"]),
        st.one_of(st.none(), st.integers(-1, 6)),
        st.one_of(st.none(), st.integers(0, 30)),
        st.sampled_from(list(Confirmation)),
        st.integers(0, 3),
    ),
    max_size=40,
)


@pytest.mark.parametrize("memory", [2, 1024])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=REQUESTS)
def test_nothing_is_carried_out_unauthenticated_expired_without_authority_or_twice(
    facts: MakeFacts, monkeypatch: pytest.MonkeyPatch, memory: int, requests: list[Any]
) -> None:
    monkeypatch.setattr(command_desk, "MOST_VERDICTS", memory)
    monkeypatch.setattr(command_desk, "MOST_SENDERS", 4)
    counter = Counter(facts)
    for command_id, (name, arguments), source, role, known, sender, sequence, last, confirmation, wait in requests:
        counter.t_ns += wait
        counter.watch()
        counter.take(CommandRequest(
            command_id, name, arguments, source, role, known, sender, sequence, Priority.NORMAL, last, confirmation,
        ))
    seen: set[tuple[str, str, str]] = set()
    sequences: dict[tuple[str, str], int] = {}
    for request, order, now_ns in counter.carried:
        assert request.authenticated
        assert request.authority.covers(command_desk.COMMANDS[order.name].authority)
        assert request.not_after_ns is None or now_ns <= request.not_after_ns
        key = (request.source, request.who, request.command_id)
        assert key not in seen
        assert request.command_id
        seen.add(key)
        assert request.sequence is not None
        assert request.sequence > sequences.get(key[:2], -2)
        sequences[key[:2]] = request.sequence
    assert len(counter.desk._verdicts) <= memory
    assert len(counter.desk._sequences) <= 4
    assert len(counter.desk._orders) <= 32


# -- starts of the program


@pytest.mark.parametrize(("named", "allowed"), [(3, True), (2, False), (None, False)])
def test_a_request_from_outside_must_name_the_start_that_flies(
    counter: Counter, named: int | None, allowed: bool
) -> None:
    counter.desk.start = 3
    record = counter.give(start=named)
    assert (record.codes == ()) is allowed
    assert len(counter.carried) == allowed
    if not allowed:
        assert record.codes == (Code.CMD_EXPIRED,)
        assert f"meant for start {named}; this is start 3" in record.detail


def test_the_program_itself_and_a_craft_that_keeps_no_count_ask_for_no_start(counter: Counter) -> None:
    assert counter.give(start=None).codes == ()
    counter.desk.start = 3
    assert counter.give(source=Source.SCRIPT, start=None).codes == ()

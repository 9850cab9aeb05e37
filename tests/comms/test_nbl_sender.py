"""Sending emergency packets: attempts and gaps, energy, thrusters first, silence, restarts, no false delivery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from itertools import pairwise

import numpy as np
import pytest

from comms.emcon import EmconGate, EmconLevel, Transmitter
from comms.nbl.gates import NblFacts, NblLimits
from comms.nbl.packet import Confidence, Criticality, NblPacket, NblProfile, NblState, PayloadClass
from comms.nbl.ports import EnergyAnswer, EnergyOutcome
from comms.nbl.rate import RateBook
from comms.nbl.sender import NblSender
from fdir.codes import Code
from fdir.modes import Emission
from firmware_py.energy.token_types import Outcome, Priority, Store, Supply
from firmware_py.energy.tokens import EnergyBudget
from hal.profile import load_profile
from hil.disk import SimDisk

S = 1_000_000_000
PAYLOAD = bytes(range(117))
CRITICAL, EMERGENCY = Criticality.CRITICAL, Criticality.EMERGENCY
GOOD = NblFacts(
    soc_supercap=0.7, soc_battery=0.8, core_c=25.0, core_tripped=False, pdu_tripped=False, load_allowed=True,
    firing=False,
)


class SealFault(StrEnum):
    NO_KEY = "no key"


class Budget:
    """Grants at once; a test may change its mind."""

    def __init__(self) -> None:
        self.answer = EnergyAnswer(EnergyOutcome.GRANTED)
        self.asked: list[tuple[float, float, float]] = []
        self.told: list[float] = []
        self.returned: list[float] = []

    def ask(self, watts: float, joules: float, seconds: float, now_ns: int) -> EnergyAnswer:
        self.asked.append((watts, joules, seconds))
        return self.answer

    def standing(self, now_ns: int) -> EnergyAnswer:
        return self.answer

    def used(self, used_j: float, now_ns: int) -> None:
        self.told.append(used_j)

    def give_back(self, used_j: float, now_ns: int) -> None:
        self.returned.append(used_j)


class Carrier:
    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.stops: list[int] = []
        self.takes = True

    def start(self, frame: bytes, now_ns: int) -> bool:
        if self.takes:
            self.frames.append((now_ns // S, frame))
        return self.takes

    def stop(self, now_ns: int) -> None:
        self.stops.append(now_ns // S)


class Craft:
    """A sender with its surroundings, stepped once a second."""

    def __init__(self, disk: SimDisk | None = None, seal: Callable[[bytes], bytes | StrEnum] | None = None) -> None:
        self.budget, self.carrier, self.emcon = Budget(), Carrier(), EmconGate()
        self.emcon.follow(Emission.OPEN, 0)
        self.sender = NblSender(
            self.carrier, self.budget, seal or (lambda payload: b"h" * 3 + payload + b"t" * 8), self.emcon, disk)
        self.facts = GOOD
        self.t_s = 0

    def submit(self, criticality: Criticality | None = CRITICAL, payload: bytes = PAYLOAD) -> NblPacket:
        return self.sender.submit(payload, criticality, PayloadClass.DISTRESS, self.t_s * S)

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.sender.step(self.facts, self.t_s * S)
            self.t_s += 1

    def packet(self, packet_id: int) -> NblPacket:
        return next(p for p in self.sender.packets() if p.packet_id == packet_id)

    def starts(self) -> list[int]:
        return [at for at, _ in self.carrier.frames]


def test_a_packet_goes_out_sealed_and_its_delivery_stays_unknown() -> None:
    craft = Craft()
    taken = craft.submit()
    assert taken.state is NblState.PACKET_ALLOWED
    assert (taken.payload_size_bits, taken.cap_cost_j, taken.power_cost_w) == (936, 2400.0, 150.0)
    craft.run(20)
    packet = craft.packet(taken.packet_id)
    assert packet.state is NblState.PACKET_SENT
    assert packet.delivery_confidence is Confidence.LOW
    assert craft.carrier.frames == [(0, b"hhh" + PAYLOAD + b"tttttttt")]
    craft.run(2000)
    packet = craft.packet(taken.packet_id)
    assert packet.state is NblState.DELIVERY_UNKNOWN
    assert packet.delivery_confidence is Confidence.LOW
    assert packet.transmit_attempts == 3
    assert packet.energy_used_j == 7200.0 == craft.sender.used_j


def test_three_attempts_with_growing_gaps_and_a_last_wait_for_an_answer() -> None:
    craft = Craft()
    number = craft.submit().packet_id
    craft.run(839)
    assert craft.starts() == [0, 120, 360]
    assert craft.packet(number).state is NblState.PACKET_SENT
    craft.run(2)
    assert craft.packet(number).state is NblState.DELIVERY_UNKNOWN
    craft.run(4000)
    assert craft.starts() == [0, 120, 360]


def test_energy_is_asked_for_told_and_given_back() -> None:
    craft = Craft()
    craft.submit()
    craft.run(20)
    assert craft.budget.asked == [(150.0, 2400.0, 16.0)]
    assert craft.budget.told == [150.0 * s for s in range(1, 16)]
    assert craft.budget.returned == [2400.0]


def test_an_answer_ends_the_attempts_and_is_the_most_that_is_ever_claimed() -> None:
    craft = Craft()
    number = craft.submit().packet_id
    assert not craft.sender.confirm(number, 0)
    craft.run(20)
    assert craft.sender.confirm(number, craft.t_s * S)
    craft.run(2000)
    assert craft.starts() == [0]
    assert craft.packet(number).state is NblState.PACKET_SENT
    assert craft.packet(number).delivery_confidence is Confidence.MEDIUM
    assert not craft.sender.confirm(number, craft.t_s * S)
    assert not craft.sender.confirm(4711, craft.t_s * S)


def test_a_late_answer_still_counts() -> None:
    craft = Craft()
    number = craft.submit().packet_id
    craft.run(900)
    assert craft.sender.confirm(number, craft.t_s * S)
    assert craft.packet(number).delivery_confidence is Confidence.MEDIUM


def test_an_answer_in_the_middle_of_a_repetition_cuts_it_short() -> None:
    craft = Craft()
    number = craft.submit().packet_id
    craft.run(126)
    assert craft.sender.on_air == number
    assert craft.sender.confirm(number, craft.t_s * S)
    assert craft.sender.on_air is None
    assert craft.carrier.stops == [126]
    assert craft.budget.returned[-1] == pytest.approx(150.0 * 6)


@pytest.mark.parametrize(
    ("criticality", "payload", "profile", "codes"),
    [
        (Criticality.NON_CRITICAL, PAYLOAD, NblProfile.PACKET, (Code.NBL_NOT_CRITICAL,)),
        (None, PAYLOAD, NblProfile.PACKET, (Code.NBL_NOT_CRITICAL,)),
        (CRITICAL, bytes(118), NblProfile.PACKET, (Code.NBL_PAYLOAD_TOO_LARGE,)),
        (CRITICAL, b"", NblProfile.PACKET, (Code.NBL_RULES_ONLY,)),
        (CRITICAL, PAYLOAD, NblProfile.STREAM, (Code.NBL_NOT_IMPLEMENTED,)),
    ],
)
def test_what_no_waiting_mends_is_refused_at_once(
    criticality: Criticality | None, payload: bytes, profile: NblProfile, codes: tuple[Code, ...]
) -> None:
    craft = Craft()
    packet = craft.sender.submit(payload, criticality, PayloadClass.DISTRESS, 0, profile=profile)
    assert packet.state is NblState.PACKET_REJECTED
    assert packet.reason_codes == codes
    assert craft.sender.refused == 1
    assert craft.sender.take_notes()[0].code is codes[0]
    craft.run(10)
    assert craft.starts() == []


def test_a_gate_holds_a_packet_back_with_its_codes_until_it_opens() -> None:
    craft = Craft()
    craft.facts = replace(GOOD, soc_supercap=0.44, firing=True)
    number = craft.submit().packet_id
    craft.run(100)
    assert craft.packet(number).reason_codes == (Code.NBL_CAP_LOW, Code.NBL_RCS_FIRING)
    assert craft.budget.asked == []
    craft.facts = replace(GOOD, soc_supercap=0.45)
    craft.run(1)
    assert craft.starts() == [100]


def test_a_packet_that_never_gets_out_fails() -> None:
    craft = Craft()
    craft.facts = replace(GOOD, load_allowed=None)
    number = craft.submit().packet_id
    craft.run(3700)
    packet = craft.packet(number)
    assert packet.state is NblState.PACKET_FAILED
    assert packet.delivery_confidence is Confidence.NONE
    assert packet.reason_codes == (Code.NBL_PDU_DENIED,)
    assert craft.sender.take_notes()[-1].code is Code.NBL_PACKET_FAILED


def test_thrusters_go_first_and_the_carrier_is_off_in_the_same_step() -> None:
    craft = Craft()
    number = craft.submit().packet_id
    craft.run(8)
    craft.facts = replace(GOOD, firing=True)
    craft.run(1)
    assert craft.carrier.stops == [8]
    assert craft.sender.on_air is None
    packet = craft.packet(number)
    assert packet.state is NblState.PACKET_ALLOWED
    assert packet.reason_codes == (Code.NBL_RCS_FIRING,)
    assert packet.energy_used_j == pytest.approx(1200.0)
    craft.facts = GOOD
    craft.run(130)
    assert craft.starts() == [0, 120]
    assert craft.packet(number).transmit_attempts == 2


def test_only_cut_attempts_are_a_failure() -> None:
    craft = Craft()
    number = craft.submit().packet_id
    for _ in range(1000):
        craft.facts = replace(GOOD, firing=craft.sender.on_air is not None)
        craft.run(1)
    packet = craft.packet(number)
    assert packet.state is NblState.PACKET_FAILED
    assert packet.transmit_attempts == 3
    assert packet.delivery_confidence is Confidence.NONE


@pytest.mark.parametrize(
    "facts",
    [replace(GOOD, core_tripped=True), replace(GOOD, soc_supercap=0.29), replace(GOOD, core_c=None),
     replace(GOOD, load_allowed=False), replace(GOOD, core_c=90.1)],
)
def test_what_may_not_go_on_is_cut(facts: NblFacts) -> None:
    craft = Craft()
    craft.submit()
    craft.run(5)
    craft.facts = facts
    craft.run(1)
    assert craft.carrier.stops == [5]


def test_the_charges_to_start_are_not_asked_for_on_the_air() -> None:
    craft = Craft()
    number = craft.submit().packet_id
    craft.run(5)
    craft.facts = replace(GOOD, soc_supercap=0.35, soc_battery=0.2)
    craft.run(15)
    assert craft.packet(number).state is NblState.PACKET_SENT


def test_energy_that_is_taken_back_ends_the_packet_at_once() -> None:
    craft = Craft()
    craft.submit()
    craft.run(4)
    craft.budget.answer = EnergyAnswer(EnergyOutcome.GONE)
    craft.run(1)
    assert craft.carrier.stops == [4]
    assert craft.budget.returned == [pytest.approx(600.0)]


def test_a_budget_that_waits_is_waited_for_and_a_refusal_is_asked_again_later() -> None:
    craft = Craft()
    craft.budget.answer = EnergyAnswer(EnergyOutcome.WAITING, (Code.CAP_LOW,))
    number = craft.submit().packet_id
    craft.run(10)
    assert len(craft.budget.asked) == 1
    assert craft.packet(number).reason_codes == (Code.CAP_LOW,)
    craft.budget.answer = EnergyAnswer(EnergyOutcome.REFUSED, (Code.COOLDOWN_ACTIVE,), when_ns=60 * S)
    craft.run(50)
    assert len(craft.budget.asked) == 1
    craft.budget.answer = EnergyAnswer(EnergyOutcome.GRANTED)
    craft.run(1)
    assert craft.starts() == [60]


def test_a_budget_that_never_answers_is_asked_anew() -> None:
    craft = Craft()
    craft.budget.answer = EnergyAnswer(EnergyOutcome.WAITING)
    number = craft.submit().packet_id
    craft.run(100)
    assert 2 <= len(craft.budget.asked) <= 4
    assert craft.packet(number).reason_codes == (Code.NBL_PDU_DENIED,)


def test_a_gate_that_closes_while_energy_is_asked_for_gives_it_back() -> None:
    craft = Craft()
    craft.budget.answer = EnergyAnswer(EnergyOutcome.WAITING)
    craft.submit()
    craft.run(1)
    craft.facts = replace(GOOD, firing=True)
    craft.run(1)
    assert craft.budget.returned == [0.0]


def test_the_most_critical_goes_first_and_pushes_the_least_out() -> None:
    craft = Craft()
    craft.facts = replace(GOOD, firing=True)
    lesser = [craft.submit(EMERGENCY).packet_id for _ in range(8)]
    assert craft.submit(EMERGENCY).reason_codes == (Code.NBL_RATE_LIMIT,)
    urgent = craft.submit(CRITICAL)
    assert urgent.state is NblState.PACKET_ALLOWED
    assert craft.packet(lesser[-1]).state is NblState.PACKET_REJECTED
    assert [p.packet_id for p in craft.sender.packets()][:2] == [urgent.packet_id, lesser[0]]
    craft.facts = GOOD
    craft.run(2)
    assert craft.sender.on_air == urgent.packet_id


def test_pause_and_hourly_limit_hold_for_all_packets_together() -> None:
    craft = Craft()
    for _ in range(4):
        craft.submit()
    craft.run(3700)
    starts = craft.starts()
    assert all(b - a >= 120 for a, b in pairwise(starts))
    assert len([at for at in starts if at < 3600]) == 6
    assert craft.sender.in_last_hour(craft.t_s * S) <= 6


def test_the_budget_of_the_hour_is_told_when_it_is_nearly_used_up() -> None:
    craft = Craft()
    for _ in range(3):
        craft.submit()
    craft.run(3000)
    low = [note for note in craft.sender.take_notes() if note.code is Code.NBL_BUDGET_LOW]
    assert len(low) == 1


def test_the_hour_ends_where_the_rate_book_says() -> None:
    book = RateBook()
    for at in range(6):
        book.started(at * 120 * S)
    now = 700 * S
    assert book.in_last_hour(now) == 6
    assert book.earliest_ns(now, 120 * S, 6) == 3600 * S
    assert book.earliest_ns(now, 120 * S, 5) == 3720 * S
    assert book.in_last_hour(3600 * S) == 5
    assert book.earliest_ns(now, 120 * S, 0) == now + 3600 * S
    assert RateBook().earliest_ns(5, 120 * S, 6) == 5


def test_limits_hold_over_a_restart() -> None:
    disk = SimDisk(np.random.default_rng(1))
    craft = Craft(disk)
    for _ in range(2):
        craft.submit()
    craft.run(300)
    count = len(craft.starts())
    assert count == 3
    after = Craft(disk)
    for _ in range(3):
        after.submit()
    after.run(3601)
    assert after.starts()[0] >= 120
    assert len([at for at in after.starts() if at < 3600]) == 6 - count


def test_a_record_that_cannot_be_read_counts_as_a_full_hour() -> None:
    disk = SimDisk(np.random.default_rng(1))
    handle = disk.create("nbl-rate.bin")
    disk.write(handle, b"\xff" * 9)
    disk.close(handle)
    craft = Craft(disk)
    craft.submit()
    craft.run(3590)
    assert craft.starts() == []
    assert craft.sender.earliest_ns(0) == 3600 * S


def test_a_medium_that_refuses_does_not_silence_the_craft() -> None:
    disk = SimDisk(np.random.default_rng(1))
    craft = Craft(disk)
    disk.full = True
    craft.submit()
    craft.run(2)
    assert craft.starts() == [0]


def test_what_cannot_be_sealed_is_not_sent_and_costs_nothing() -> None:
    craft = Craft(seal=lambda payload: SealFault.NO_KEY)
    number = craft.submit().packet_id
    craft.run(10)
    assert craft.starts() == []
    assert craft.packet(number).reason_codes == (Code.COMMS_UNAVAILABLE,)
    assert craft.packet(number).transmit_attempts == 0
    assert set(craft.budget.returned) == {0.0}
    notes = craft.sender.take_notes()
    assert [note.text for note in notes] == ["not sealed: no key"]


def test_a_record_that_grew_too_long_is_not_sent() -> None:
    craft = Craft(seal=lambda payload: payload + bytes(12))
    number = craft.submit().packet_id
    craft.run(3)
    assert craft.starts() == []
    assert craft.packet(number).reason_codes == (Code.NBL_PAYLOAD_TOO_LARGE,)


def test_a_transmitter_that_takes_nothing_costs_no_attempt() -> None:
    craft = Craft()
    craft.carrier.takes = False
    number = craft.submit().packet_id
    craft.run(3)
    assert craft.packet(number).reason_codes == (Code.COMMS_UNAVAILABLE,)
    craft.carrier.takes = True
    craft.run(3)
    assert len(craft.starts()) == 1


@pytest.mark.parametrize("level", [EmconLevel.RECEIVE, EmconLevel.SILENT])
def test_in_silence_each_attempt_needs_a_release_of_its_own(level: EmconLevel) -> None:
    craft = Craft()
    craft.emcon.set_level(level, 0)
    number = craft.submit().packet_id
    emergency = craft.submit(EMERGENCY).packet_id
    craft.run(5)
    assert craft.packet(number).reason_codes == (Code.EMCON_BLOCK,)
    craft.emcon.release(craft.t_s * S)
    craft.run(600)
    assert craft.starts() == [5]
    assert craft.emcon.passed_bytes[Transmitter.NBL] == 128
    assert craft.packet(emergency).transmit_attempts == 0
    craft.emcon.release(craft.t_s * S)
    craft.run(2)
    assert craft.starts() == [5, 605]


def test_silence_that_begins_cuts_what_is_on_the_air() -> None:
    craft = Craft()
    number = craft.submit().packet_id
    craft.run(5)
    craft.emcon.set_level(EmconLevel.SILENT, craft.t_s * S)
    craft.run(1)
    assert craft.carrier.stops == [5]
    assert craft.packet(number).reason_codes == (Code.EMCON_BLOCK,)


def test_being_switched_off_holds_everything_back() -> None:
    craft = Craft()
    craft.sender.limits = NblLimits(enabled=False)
    number = craft.submit().packet_id
    craft.run(5)
    assert craft.packet(number).reason_codes == (Code.COMMS_UNAVAILABLE,)
    craft.sender.limits = NblLimits()
    craft.run(1)
    assert craft.starts() == [5]


def test_a_packet_can_be_given_up() -> None:
    craft = Craft()
    number = craft.submit().packet_id
    craft.run(5)
    assert craft.sender.cancel(number, craft.t_s * S)
    assert craft.packet(number).state is NblState.PACKET_FAILED
    assert craft.carrier.stops == [5]
    assert not craft.sender.cancel(number, craft.t_s * S)


def test_every_attempt_is_noted_and_notes_are_bounded() -> None:
    craft = Craft()
    number = craft.submit().packet_id
    craft.run(900)
    texts = [note.text for note in craft.sender.take_notes() if note.packet and note.packet.packet_id == number]
    assert texts == ["attempt 1 begun", "attempt 1 whole", "attempt 2 begun", "attempt 2 whole", "attempt 3 begun",
                     "attempt 3 whole", "given up: no attempt or no time left"]
    for _ in range(50):
        craft.submit(Criticality.NON_CRITICAL)
    assert len(craft.sender.take_notes()) == 32
    assert craft.sender.dropped_notes == 18


def test_the_standing_of_the_channel_follows_emission_control() -> None:
    craft = Craft()
    assert craft.sender.standing(GOOD) is NblState.EMERGENCY_ONLY
    craft.emcon.set_level(EmconLevel.SILENT, 0)
    assert craft.sender.standing(GOOD) is NblState.CRITICAL_ONLY


class RealBudget:
    """The port over the energy budget that flies."""

    def __init__(self, budget: EnergyBudget) -> None:
        self.budget = budget
        self.token: int | None = None

    def ask(self, watts: float, joules: float, seconds: float, now_ns: int) -> EnergyAnswer:
        answer = self.budget.ask("nbl", watts, joules, seconds, now_ns, Store.SUPERCAP, Priority.EMERGENCY)
        if answer.outcome is not Outcome.GRANTED:
            return EnergyAnswer(EnergyOutcome.REFUSED, answer.codes, answer.when_ns)
        self.token = answer.token
        return EnergyAnswer(EnergyOutcome.GRANTED)

    def standing(self, now_ns: int) -> EnergyAnswer:
        live = self.token is not None and self.budget.live(self.token)
        return EnergyAnswer(EnergyOutcome.GRANTED if live else EnergyOutcome.GONE)

    def used(self, used_j: float, now_ns: int) -> None:
        if self.token is not None:
            self.budget.use(self.token, used_j)

    def give_back(self, used_j: float, now_ns: int) -> None:
        if self.token is not None:
            self.budget.give_back(self.token, used_j)
        self.token = None


def test_with_the_budget_that_flies_the_books_balance_and_a_burn_takes_the_packets_energy() -> None:
    budget = EnergyBudget(load_profile("qiki-g", "qiki-rpi").body.power)
    supply = Supply(stack_power_w=200.0, stack_energy_j=9000.0, reserve_j=3600.0, bus_headroom_w=50.0,
                    battery_headroom_w=50.0, battery_energy_j=1e5)
    craft = Craft()
    craft.sender = NblSender(craft.carrier, RealBudget(budget), lambda p: bytes(11) + p, craft.emcon)
    craft.submit()
    for second in range(130):
        budget.step(second * S, supply)
        if second == 126:
            burn = budget.ask("rcs", 80.0, 240.0, 3.0, second * S, Store.SUPERCAP, Priority.RCS)
            assert burn.outcome is Outcome.GRANTED
        craft.run(1)
    assert craft.starts() == [0, 120]
    assert craft.carrier.stops == [126]
    assert craft.sender.used_j == pytest.approx(2400.0 + 6 * 150.0)
    books = budget.books
    assert books.granted_j == pytest.approx(books.used_j + books.returned_j + books.held_j)
    assert books.used_j - craft.sender.used_j == pytest.approx(0.0, abs=240.0)

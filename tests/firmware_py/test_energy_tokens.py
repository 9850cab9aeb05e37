"""EnergyBudget: who is granted what, who waits, who yields, and whether every joule is accounted for."""

from __future__ import annotations

from dataclasses import astuple, replace
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdir.codes import Code
from firmware_py.energy.tokens import Answer, EnergyBudget, Outcome, Priority, Store, Supply
from hal.profile.loader import load_body

SECOND = 1_000_000_000
TICK = SECOND // 20
POWER = load_body("qiki-t").power
FULL = Supply(
    stack_power_w=200.0, stack_energy_j=7200.0, reserve_j=3600.0, bus_headroom_w=60.0, battery_headroom_w=100.0,
    battery_energy_j=1e6,
)
CAP, BUS = Store.SUPERCAP, Store.BUS
P = Priority


class Desk:
    """A budget with its clock; collects what ``step`` reports."""

    def __init__(self, supply: Supply = FULL) -> None:
        self.budget = EnergyBudget(POWER)
        self.supply = supply
        self.now_ns = 0
        self.changes: list[Answer] = []
        self.tick()

    def tick(self, seconds: float = 0.05) -> None:
        for _ in range(max(1, round(seconds * 20))):
            self.now_ns += TICK
            self.changes += self.budget.step(self.now_ns, self.supply)

    def ask(self, consumer: str, watts: float, seconds: float, priority: Priority, *, joules: float | None = None,
            store: Store = CAP, wait_s: float = 0.0) -> Answer:
        wanted = watts * seconds if joules is None else joules
        return self.budget.ask(consumer, watts, wanted, seconds, self.now_ns, store, priority, wait_s)

    def nbl(self, wait_s: float = 0.0) -> Answer:
        return self.ask("nbl", 150.0, 16.0, P.EMERGENCY, wait_s=wait_s)

    def outcomes(self, token: int | None) -> list[Outcome]:
        return [change.outcome for change in self.changes if change.token == token]

    def balance(self) -> float:
        books = self.budget.books
        return books.granted_j - books.used_j - books.returned_j - books.held_j


def token_of(answer: Answer) -> int:
    assert answer.token is not None
    return answer.token


def test_what_fits_is_granted_for_its_time() -> None:
    desk = Desk()
    answer = desk.nbl()
    assert answer.outcome is Outcome.GRANTED
    assert answer.codes == (Code.BUDGET_GRANTED,)
    assert answer.when_ns == desk.now_ns + 16 * SECOND
    assert desk.budget.live(token_of(answer))
    assert desk.budget.granted_w(CAP) == 150.0
    desk.tick(16.0)
    assert not desk.budget.live(token_of(answer))
    assert desk.outcomes(answer.token) == [Outcome.EXPIRED]


def test_what_was_not_used_comes_back() -> None:
    desk = Desk()
    answer = desk.nbl()
    desk.tick(4.0)
    assert desk.budget.give_back(token_of(answer), 600.0)
    books = desk.budget.books
    assert (books.granted_j, books.used_j, books.returned_j, books.held_j) == (2400.0, 600.0, 1800.0, 0.0)
    assert desk.budget.granted_w(CAP) == 0.0


def test_use_beyond_the_grant_is_noted_by_consumer() -> None:
    desk = Desk()
    answer = desk.ask("lidar", 20.0, 10.0, P.SENSING)
    assert desk.budget.use(token_of(answer), 150.0)
    assert desk.budget.books.held_j == pytest.approx(50.0)
    assert desk.budget.give_back(token_of(answer), 230.0)
    books = desk.budget.books
    assert books.overrun_j == pytest.approx(30.0)
    assert books.overruns == {"lidar": pytest.approx(30.0)}
    assert (books.used_j, books.returned_j, books.held_j) == (200.0, 0.0, 0.0)


def test_a_token_that_nobody_gives_back_counts_as_used_up_but_may_be_corrected_for_a_while() -> None:
    desk = Desk()
    late, lost = desk.ask("lidar", 20.0, 1.0, P.SENSING), desk.ask("compute", 10.0, 1.0, P.COMPUTE)
    desk.tick(3.0)
    assert desk.budget.give_back(token_of(late), 5.0)
    desk.tick(10.0)
    assert not desk.budget.give_back(token_of(lost), 0.0)
    books = desk.budget.books
    assert (books.used_j, books.returned_j, books.held_j) == (15.0, 15.0, 0.0)
    assert books.late_returns == 1


@pytest.mark.parametrize(
    ("watts", "joules", "seconds", "wait_s", "field"),
    [
        (nan, 1.0, 1.0, 0.0, "watts"), (inf, 1.0, 1.0, 0.0, "watts"), (-5.0, 1.0, 1.0, 0.0, "watts"),
        (0.0, 1.0, 1.0, 0.0, "watts"), (5.0, nan, 1.0, 0.0, "joules"), (5.0, -1.0, 1.0, 0.0, "joules"),
        (5.0, 0.0, 1.0, 0.0, "joules"), (5.0, 5.1, 1.0, 0.0, "joules"), (5.0, 1.0, 0.0, 0.0, "duration_s"),
        (5.0, 1.0, nan, 0.0, "duration_s"), (5.0, 1.0, -1.0, 0.0, "duration_s"), (5.0, 1.0, inf, 0.0, "duration_s"),
        (5.0, 1.0, 1.0, nan, "wait_s"), (5.0, 1.0, 1.0, -1.0, "wait_s"), (5.0, 1.0, 1.0, inf, "wait_s"),
    ],
)
@pytest.mark.parametrize("priority", [P.SENSING, P.BRAKE])
def test_bad_input_is_refused_by_name(
    watts: float, joules: float, seconds: float, wait_s: float, field: str, priority: Priority
) -> None:
    desk = Desk()
    consumer = "lidar" if priority is P.SENSING else "brake"
    answer = desk.budget.ask(consumer, watts, joules, seconds, desk.now_ns, CAP, priority, wait_s)
    assert (answer.outcome, answer.codes, answer.field) == (
        Outcome.REFUSED, (Code.CMD_VALIDATION_FAILED,), field
    )
    assert desk.budget.books.granted == 0


@pytest.mark.parametrize("bad", [nan, inf, -1.0])
def test_a_return_that_is_no_number_is_not_taken(bad: float) -> None:
    desk = Desk()
    token = token_of(desk.nbl())
    assert not desk.budget.give_back(token, bad)
    assert not desk.budget.use(token, bad)
    assert desk.budget.live(token)
    assert not desk.budget.give_back(token + 99, 1.0)


def test_nobody_claims_a_priority_above_its_own() -> None:
    desk = Desk()
    for consumer in ("lidar", "compute", "stranger"):
        answer = desk.ask(consumer, 5.0, 1.0, P.BRAKE)
        assert (answer.outcome, answer.field) == (Outcome.REFUSED, "priority")
    assert desk.ask("heater_battery", 50.0, 60.0, P.SURVIVAL, store=BUS).outcome is Outcome.GRANTED


def test_what_the_body_can_never_give_is_refused_and_not_queued() -> None:
    desk = Desk()
    answer = desk.ask("lidar", 201.0, 1.0, P.SENSING, wait_s=100.0)
    assert (answer.outcome, answer.codes, answer.field) == (Outcome.REFUSED, (Code.PDU_PEAK_DENIED,), "watts")
    answer = desk.ask("lidar", 190.0, 100.0, P.SENSING, wait_s=100.0)
    assert (answer.outcome, answer.codes, answer.field) == (Outcome.REFUSED, (Code.CAP_LOW,), "joules")


@pytest.mark.parametrize(
    ("supply", "store", "code"),
    [
        (replace(FULL, stack_power_w=30.0), CAP, Code.PDU_PEAK_DENIED),
        (replace(FULL, stack_energy_j=399.0), CAP, Code.CAP_LOW),
        (replace(FULL, bus_headroom_w=30.0), BUS, Code.PDU_DENIED),
        (replace(FULL, bus_headroom_w=-30.0), BUS, Code.PDU_DENIED),
        (replace(FULL, battery_headroom_w=30.0), BUS, Code.BAT_LOW),
        (replace(FULL, battery_energy_j=100.0), BUS, Code.BAT_LOW),
        (replace(FULL, stack_power_w=None), CAP, Code.POWER_TELEM_MISSING),
        (replace(FULL, stack_energy_j=nan), CAP, Code.POWER_TELEM_MISSING),
        (replace(FULL, stack_power_w=inf), CAP, Code.POWER_TELEM_MISSING),
        (replace(FULL, bus_headroom_w=None), BUS, Code.POWER_TELEM_MISSING),
        (replace(FULL, battery_headroom_w=None), BUS, Code.POWER_TELEM_MISSING),
        (replace(FULL, battery_energy_j=None), BUS, Code.POWER_TELEM_MISSING),
    ],
)
def test_a_refusal_names_what_is_short_and_ends_with_it(supply: Supply, store: Store, code: Code) -> None:
    desk = Desk(supply)
    answer = desk.ask("lidar", 40.0, 10.0, P.SENSING, store=store)
    assert (answer.outcome, answer.codes) == (Outcome.REFUSED, (code,))
    desk.supply = FULL
    desk.tick()
    assert desk.ask("lidar", 40.0, 10.0, P.SENSING, store=store).outcome is Outcome.GRANTED


def test_a_timed_peak_needs_its_watts_times_its_time() -> None:
    desk = Desk(replace(FULL, stack_energy_j=500.0, reserve_j=200.0))
    assert desk.ask("rcs", 80.0, 10.0, P.RCS, joules=400.0).codes == (Code.CAP_LOW,)
    assert desk.ask("rcs", 80.0, 8.0, P.RCS, joules=400.0).outcome is Outcome.GRANTED


def test_a_supply_that_is_not_renewed_grants_nothing_and_takes_nothing_away() -> None:
    desk = Desk()
    running = desk.ask("compute", 10.0, 100.0, P.COMPUTE)
    late_ns = desk.now_ns + 2 * SECOND
    answer = desk.budget.ask("lidar", 40.0, 400.0, 10.0, late_ns, CAP, P.SENSING)
    assert answer.codes == (Code.POWER_TELEM_MISSING,)
    desk.supply = Supply()
    desk.tick(5.0)
    assert desk.budget.live(token_of(running))


# -- peak shaving


def test_peaks_of_several_consumers_are_shaved_together() -> None:
    desk = Desk(replace(FULL, stack_power_w=180.0))
    assert desk.nbl().outcome is Outcome.GRANTED
    refused = desk.ask("lidar", 40.0, 10.0, P.SENSING)
    assert (refused.outcome, refused.codes) == (Outcome.REFUSED, (Code.PDU_PEAK_DENIED,))
    assert desk.ask("lidar", 30.0, 10.0, P.SENSING).outcome is Outcome.GRANTED
    assert desk.ask("heater_core", 60.0, 10.0, P.SURVIVAL, store=BUS).outcome is Outcome.GRANTED


def test_energy_that_is_promised_is_not_promised_again_until_it_is_drawn() -> None:
    desk = Desk(replace(FULL, stack_energy_j=3000.0))
    token = token_of(desk.nbl())
    assert desk.ask("lidar", 40.0, 20.0, P.SENSING).codes == (Code.CAP_LOW,)
    desk.tick(8.0)
    desk.supply = replace(FULL, stack_energy_j=1900.0)
    desk.tick()
    assert desk.budget.live(token), "what it has drawn is not asked for twice"
    assert desk.ask("lidar", 30.0, 20.0, P.SENSING, joules=600.0).outcome is Outcome.GRANTED


def test_a_supply_that_shrinks_takes_from_the_least_urgent_first_and_never_from_braking() -> None:
    desk = Desk()
    brake = desk.ask("brake", 80.0, 10.0, P.BRAKE)
    lidar = desk.ask("lidar", 40.0, 10.0, P.SENSING)
    compute = desk.ask("compute", 40.0, 10.0, P.COMPUTE)
    desk.supply = replace(FULL, stack_power_w=130.0)
    desk.tick()
    assert [desk.budget.live(token_of(a)) for a in (brake, lidar, compute)] == [True, True, False]
    assert desk.outcomes(compute.token) == [Outcome.REVOKED]
    desk.supply = replace(FULL, stack_power_w=20.0)
    desk.tick()
    assert [desk.budget.live(token_of(a)) for a in (brake, lidar, compute)] == [True, False, False]


# -- thrusters, brake, NBL


def test_thrusters_end_a_packet_and_no_packet_starts_while_they_fire_or_just_after() -> None:
    desk = Desk()
    packet = desk.nbl()
    thrust = desk.ask("rcs", 40.0, 1.0, P.RCS)
    assert thrust.outcome is Outcome.GRANTED
    assert not desk.budget.live(token_of(packet)), "150 and 40 W would fit; RCS comes first all the same"
    desk.tick(0.5)
    assert desk.outcomes(packet.token) == [Outcome.REVOKED]
    desk.budget.give_back(token_of(packet), 0.0)
    refused = desk.nbl()
    assert (refused.outcome, refused.codes) == (Outcome.REFUSED, (Code.PDU_PEAK_DENIED,))
    waiting = desk.nbl(wait_s=30.0)
    assert waiting.outcome is Outcome.QUEUED
    assert waiting.codes == (Code.BUDGET_QUEUED, Code.PDU_PEAK_DENIED)
    desk.tick(2.0)
    assert not desk.budget.live(token_of(waiting))
    desk.tick(1.0)
    assert desk.budget.live(token_of(waiting))


def test_thrusters_take_only_what_they_need_and_the_least_urgent_yields() -> None:
    desk = Desk(replace(FULL, stack_power_w=150.0))
    lidar = desk.ask("lidar", 40.0, 10.0, P.SENSING)
    compute = desk.ask("compute", 40.0, 10.0, P.COMPUTE)
    assert desk.ask("rcs", 80.0, 1.0, P.RCS).outcome is Outcome.GRANTED
    assert desk.budget.live(token_of(lidar))
    assert not desk.budget.live(token_of(compute))


def test_thrusters_that_cannot_be_fed_take_nothing_from_others() -> None:
    desk = Desk(replace(FULL, stack_power_w=70.0))
    lidar = desk.ask("lidar", 40.0, 10.0, P.SENSING)
    refused = desk.ask("rcs", 80.0, 1.0, P.RCS)
    assert (refused.outcome, refused.codes) == (Outcome.REFUSED, (Code.PDU_PEAK_DENIED,))
    assert desk.budget.live(token_of(lidar))


def test_others_wait_and_never_take_from_what_runs() -> None:
    desk = Desk()
    compute = desk.ask("compute", 100.0, 10.0, P.COMPUTE)
    waiting = desk.nbl(wait_s=20.0)
    assert waiting.outcome is Outcome.QUEUED
    assert desk.budget.live(token_of(compute))
    desk.tick(10.1)
    assert desk.budget.live(token_of(waiting))


def test_the_reserve_is_for_braking_alone() -> None:
    desk = Desk(replace(FULL, stack_energy_j=0.0, reserve_j=1000.0))
    assert desk.ask("rcs", 80.0, 1.0, P.RCS).codes == (Code.CAP_LOW,)
    answer = desk.ask("brake", 80.0, 10.0, P.BRAKE)
    assert (answer.outcome, answer.codes) == (Outcome.GRANTED, (Code.BUDGET_GRANTED,))


@pytest.mark.parametrize(
    ("supply", "codes"),
    [
        (Supply(), (Code.POWER_TELEM_MISSING,)),
        (replace(FULL, stack_energy_j=0.0, reserve_j=10.0), (Code.CAP_LOW,)),
        (replace(FULL, stack_power_w=50.0), (Code.PDU_PEAK_DENIED,)),
    ],
)
def test_braking_is_never_refused_for_want_of_charge_and_its_answer_says_what_is_short(
    supply: Supply, codes: tuple[Code, ...]
) -> None:
    desk = Desk(supply)
    answer = desk.ask("brake", 80.0, 5.0, P.BRAKE)
    assert answer.outcome is Outcome.GRANTED
    assert answer.codes == (Code.BUDGET_GRANTED, *codes)


def test_energy_of_braking_may_not_be_promised_to_others() -> None:
    desk = Desk(replace(FULL, stack_energy_j=1000.0, reserve_j=500.0))
    assert desk.ask("brake", 80.0, 15.0, P.BRAKE).outcome is Outcome.GRANTED
    assert desk.ask("lidar", 40.0, 10.0, P.SENSING).codes == (Code.CAP_LOW,)
    assert desk.ask("lidar", 20.0, 10.0, P.SENSING).outcome is Outcome.GRANTED


def test_one_packet_in_two_minutes_and_six_an_hour() -> None:
    desk = Desk()
    sent: list[float] = []
    for _ in range(3700):
        answer = desk.nbl()
        if answer.outcome is Outcome.GRANTED:
            sent.append(desk.now_ns * 1e-9)
            desk.budget.give_back(token_of(answer), 2400.0)
        else:
            assert answer.codes == (Code.COOLDOWN_ACTIVE,)
            assert answer.when_ns is not None
            assert answer.when_ns > desk.now_ns
        desk.tick(1.0)
    assert [round(t - sent[0]) for t in sent] == [0, 120, 240, 360, 480, 600, 3600]


def test_a_packet_that_drew_nothing_does_not_count_against_the_rate() -> None:
    desk = Desk()
    desk.budget.give_back(token_of(desk.nbl()), 0.0)
    assert desk.nbl().outcome is Outcome.GRANTED


def test_a_packet_waits_out_its_own_rate_only_if_it_has_the_time() -> None:
    desk = Desk()
    desk.budget.give_back(token_of(desk.nbl()), 2400.0)
    assert desk.nbl(wait_s=60.0).outcome is Outcome.REFUSED
    waiting = desk.nbl(wait_s=130.0)
    assert waiting.outcome is Outcome.QUEUED
    assert desk.ask("compute", 190.0, 1.0, P.COMPUTE).outcome is Outcome.GRANTED, "its rate keeps no room from others"
    desk.tick(121.0)
    assert desk.budget.live(token_of(waiting))


# -- queue


def test_the_more_urgent_is_served_first_and_what_waits_is_not_overtaken() -> None:
    desk = Desk()
    running = desk.ask("dock", 150.0, 10.0, P.DOCK)
    low = desk.ask("compute", 100.0, 10.0, P.COMPUTE, wait_s=60.0)
    high = desk.ask("nbl", 150.0, 16.0, P.EMERGENCY, wait_s=60.0)
    assert [low.outcome, high.outcome] == [Outcome.QUEUED] * 2
    assert desk.budget.waiting == ("nbl", "compute")
    small = desk.ask("lidar", 40.0, 5.0, P.SENSING)
    assert small.outcome is Outcome.REFUSED, "it fits beside what runs, but not beside what waits ahead of it"
    assert desk.ask("lidar", 40.0, 5.0, P.SENSING, store=BUS).outcome is Outcome.GRANTED, "another store"
    desk.budget.give_back(token_of(running), 0.0)
    desk.tick()
    assert desk.budget.live(token_of(high))
    assert not desk.budget.live(token_of(low))
    assert desk.ask("lidar", 40.0, 5.0, P.SENSING).outcome is Outcome.GRANTED, "it fits beside what is more urgent"
    desk.tick(5.0)
    desk.tick(16.0)
    assert desk.budget.live(token_of(low))


def test_who_waits_too_long_is_refused_with_the_reason() -> None:
    desk = Desk()
    desk.ask("dock", 150.0, 30.0, P.DOCK)
    waiting = desk.ask("compute", 100.0, 10.0, P.COMPUTE, wait_s=5.0)
    desk.tick(6.0)
    assert desk.budget.waiting == ()
    last = [change for change in desk.changes if change.token == waiting.token]
    assert [(c.outcome, c.codes) for c in last] == [(Outcome.REFUSED, (Code.PDU_PEAK_DENIED,))]


def test_a_full_queue_counts_what_it_drops_and_drops_the_least_urgent() -> None:
    desk = Desk()
    desk.ask("dock", 200.0, 30.0, P.DOCK)
    low = [desk.ask("compute", 10.0, 1.0, P.COMPUTE, wait_s=60.0) for _ in range(16)]
    assert all(answer.outcome is Outcome.QUEUED for answer in low)
    more = desk.ask("compute", 10.0, 1.0, P.COMPUTE, wait_s=60.0)
    assert (more.outcome, Code.PDU_DENIED in more.codes) == (Outcome.REFUSED, True)
    high = desk.ask("lidar", 10.0, 1.0, P.SENSING, wait_s=60.0)
    assert high.outcome is Outcome.QUEUED
    desk.tick()
    assert desk.outcomes(low[-1].token) == [Outcome.REFUSED]
    assert desk.budget.books.dropped == 2
    assert len(desk.budget.waiting) == 16


def test_who_waits_may_give_up() -> None:
    desk = Desk()
    desk.ask("dock", 200.0, 30.0, P.DOCK)
    waiting = desk.ask("lidar", 10.0, 1.0, P.SENSING, wait_s=60.0)
    assert desk.budget.give_back(token_of(waiting), 0.0)
    assert desk.budget.waiting == ()


def test_everything_is_bounded_and_braking_still_gets_through() -> None:
    desk = Desk(replace(FULL, bus_headroom_w=100.0))
    crowd = [desk.ask("lidar", 1.0, 60.0, P.SENSING, store=BUS) for _ in range(40)]
    assert [a.outcome for a in crowd] == [Outcome.GRANTED] * 32 + [Outcome.REFUSED] * 8
    assert crowd[-1].codes == (Code.PDU_DENIED,)
    assert desk.ask("brake", 60.0, 1.0, P.BRAKE, store=BUS).outcome is Outcome.GRANTED
    assert not desk.budget.live(token_of(crowd[31])), "the newest of the least urgent has made room"
    assert desk.budget.live(token_of(crowd[30]))
    brakes = [desk.ask("brake", 1.0, 1.0, P.BRAKE).outcome for _ in range(40)]
    assert brakes == [Outcome.GRANTED] * 31 + [Outcome.REFUSED] * 9
    for _ in range(10):
        desk.budget.step(desk.now_ns, FULL)
        for _ in range(20):
            desk.ask("compute", 1.0, 0.001, P.COMPUTE)
        desk.now_ns += TICK
    assert abs(desk.balance()) < 1e-6


def test_changes_that_nobody_fetches_are_counted() -> None:
    desk = Desk()
    for _ in range(100):
        desk.ask("compute", 1.0, 0.01, P.COMPUTE)
        desk.now_ns += TICK // 4
    assert desk.budget.books.dropped > 0
    desk.now_ns += TICK
    assert len(desk.budget.step(desk.now_ns, FULL)) == 64
    assert abs(desk.balance()) < 1e-6


def test_a_clock_that_goes_back_stands_still() -> None:
    desk = Desk()
    desk.tick(10.0)
    answer = desk.budget.ask("lidar", 10.0, 10.0, 1.0, 0, CAP, P.SENSING)
    assert answer.when_ns == desk.now_ns + SECOND


# -- properties

CONSUMERS = {
    "brake": P.BRAKE, "rcs": P.RCS, "heater_battery": P.SURVIVAL, "nbl": P.EMERGENCY, "dock": P.DOCK,
    "lidar": P.SENSING, "compute": P.COMPUTE,
}
supplies = st.builds(
    Supply,
    stack_power_w=st.none() | st.floats(0.0, 250.0), stack_energy_j=st.none() | st.floats(0.0, 15000.0),
    reserve_j=st.none() | st.floats(0.0, 4000.0), bus_headroom_w=st.none() | st.floats(-50.0, 140.0),
    battery_headroom_w=st.none() | st.floats(0.0, 140.0), battery_energy_j=st.none() | st.floats(0.0, 1e6),
)
asks = st.tuples(
    st.sampled_from(sorted(CONSUMERS)), st.floats(1.0, 180.0), st.floats(0.1, 1.0), st.floats(0.05, 30.0),
    st.sampled_from([CAP, BUS]), st.sampled_from([0.0, 0.0, 5.0, 60.0]),
)
moves = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), asks), st.tuples(st.just("back"), st.tuples(st.integers(0, 40), st.floats(0.0, 3.0))),
        st.tuples(st.just("use"), st.tuples(st.integers(0, 40), st.floats(0.0, 1.5))),
        st.tuples(st.just("step"), st.tuples(supplies, st.integers(1, 200))),
        st.tuples(st.just("step"), st.tuples(st.just(FULL), st.integers(1, 200))),
    ),
    max_size=80,
)


class Diary:
    """Runs a history and checks the rules after every move."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.answers: list[Answer] = []
        self.asked: dict[int, tuple[float, float, Store, Priority]] = {}

    def run(self, history: list[tuple[str, tuple[object, ...]]]) -> tuple[object, ...]:
        for kind, arguments in history:
            getattr(self, kind)(*arguments)
            self.check()
        return tuple(self.answers), tuple(self.desk.changes), astuple(self.desk.budget.books)

    def ask(self, consumer: str, watts: float, share: float, seconds: float, store: Store, wait_s: float) -> None:
        priority = CONSUMERS[consumer]
        answer = self.desk.ask(
            consumer, watts, seconds, priority, joules=watts * seconds * share, store=store, wait_s=wait_s
        )
        self.answers.append(answer)
        if answer.token is not None:
            self.asked[answer.token] = (watts, watts * seconds * share, store, priority)

    def back(self, index: int, share: float) -> None:
        if index in self.asked:
            self.desk.budget.give_back(index, share * self.asked[index][1])

    def use(self, index: int, share: float) -> None:
        if index in self.asked:
            self.desk.budget.use(index, share * self.asked[index][1])

    def step(self, supply: Supply, ticks: int) -> None:
        self.desk.supply = supply
        self.desk.tick(ticks / 20)

    def live(self) -> list[tuple[float, float, Store, Priority]]:
        return [asked for token, asked in self.asked.items() if self.desk.budget.live(token)]

    def check(self) -> None:
        budget, supply = self.desk.budget, self.desk.supply
        books = budget.books
        assert abs(self.desk.balance()) <= 1e-6 * max(1.0, books.granted_j)
        assert books.held_j >= -1e-6
        assert len(budget.waiting) <= 16
        for store in Store:
            live = [asked for asked in self.live() if asked[2] is store]
            assert budget.granted_w(store) == pytest.approx(sum(watts for watts, *_ in live))
            if any(priority is P.BRAKE for *_, priority in live):
                continue
            power, energy = (
                (supply.stack_power_w, supply.stack_energy_j) if store is CAP
                else (_least(supply.bus_headroom_w, supply.battery_headroom_w), supply.battery_energy_j)
            )
            most = 200.0 if store is CAP else 140.0
            carried = most if power is None else max(0.0, min(power, most))
            assert budget.granted_w(store) <= carried * (1.0 + 1e-6)
            if energy is not None:
                assert budget.granted_j(store) <= energy * (1.0 + 1e-6) + 1e-6
        names = {priority for *_, priority in self.live()}
        if P.EMERGENCY in names:
            assert P.RCS not in names
            assert P.BRAKE not in names


def _least(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else min(a, b)


@settings(max_examples=150, deadline=None)
@given(moves)
def test_random_histories_never_promise_more_than_there_is_and_lose_no_joule(
    history: list[tuple[str, tuple[object, ...]]]
) -> None:
    assert Diary().run(history) == Diary().run(history)


@settings(max_examples=80, deadline=None)
@given(st.lists(asks, min_size=1, max_size=30), st.floats(1.0, 200.0), st.floats(1.0, 20.0))
def test_the_most_urgent_that_waits_is_served_as_soon_as_what_runs_has_ended(
    crowd: list[tuple[str, float, float, float, Store, float]], watts: float, seconds: float
) -> None:
    diary = Diary()
    for consumer, *rest in crowd:
        if CONSUMERS[consumer] > P.SURVIVAL:
            diary.ask(consumer, *rest)
    first = diary.desk.ask("heater_core", watts, seconds, P.SURVIVAL, wait_s=3600.0)
    assert first.outcome in (Outcome.GRANTED, Outcome.QUEUED)
    for _ in range(31):
        for consumer, *rest in crowd:
            if CONSUMERS[consumer] > P.SURVIVAL:
                diary.ask(consumer, *rest)
        diary.desk.tick(1.0)
    assert first.outcome is Outcome.GRANTED or Outcome.GRANTED in diary.desk.outcomes(first.token)

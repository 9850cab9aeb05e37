"""The final gate: whatever plans come, the pulses that leave keep every rule, judged at 1 ms by a plain time line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdir.codes import Code
from fdir.pulse_gate import PulseGate, Veto
from hal.profile import load_body
from hal.propulsion import PulsePlan

RULES = load_body("qiki-t").propulsion
N = len(RULES.nozzles)
W = RULES.window_ms


def one(nozzle: int, open_ms: int, close_ms: int) -> PulsePlan:
    opens, closes = [0] * N, [0] * N
    opens[nozzle], closes[nozzle] = open_ms, close_ms
    return PulsePlan(W, tuple(opens), tuple(closes))


def judge(gate: PulseGate, plan: PulsePlan, start: int, armed: bool = True, enabled: bool = True):
    return gate.judge(plan, start, armed, enabled)


def test_a_good_pulse_passes_unchanged() -> None:
    plan = one(3, 100, 130)
    assert judge(PulseGate(RULES), plan, 0) == (plan, ())


@pytest.mark.parametrize(
    ("armed", "enabled", "code"), [(False, True, Code.GATE_NOT_ARMED), (True, False, Code.GATE_NOT_ENABLED)]
)
def test_nothing_leaves_without_arm_and_enable(armed, enabled, code) -> None:
    gate = PulseGate(RULES)
    plan, vetoes = judge(gate, one(3, 100, 130), 0, armed, enabled)
    assert plan == PulsePlan.shut(N, W)
    assert vetoes == (Veto(3, code),)
    assert gate.vetoes == 1


def test_a_masked_nozzle_stays_shut_and_the_others_fly() -> None:
    gate = PulseGate(RULES)
    gate.masked = frozenset({3})
    opens, closes = (100,) * N, (130,) * N
    plan, vetoes = judge(gate, PulsePlan(W, opens, closes), 0)
    assert vetoes == (Veto(3, Code.GATE_MASKED),)
    assert plan.on_ms == tuple(0 if n == 3 else 30 for n in range(N))


@pytest.mark.parametrize(
    "plan",
    [
        PulsePlan(W + 1, (0,) * N, (0,) * N),
        PulsePlan(W, (0,) * (N - 1), (0,) * N),
        PulsePlan(W, (0,) * N, (0,) * (N + 1)),
        one(0, 60, 20),
        one(0, -5, 60),
        one(0, 10, W + 1),
    ],
)
def test_a_malformed_plan_is_refused_whole(plan) -> None:
    shut, vetoes = judge(PulseGate(RULES), plan, 0)
    assert shut == PulsePlan.shut(N, W)
    assert {v.code for v in vetoes} == {Code.GATE_MALFORMED}
    assert len(vetoes) == N


def test_a_short_pulse_is_taken_out() -> None:
    assert judge(PulseGate(RULES), one(0, 100, 129), 0)[1] == (Veto(0, Code.GATE_MIN_ON),)
    assert judge(PulseGate(RULES), one(0, W - 29, W), 0)[1] == (Veto(0, Code.GATE_MIN_ON),)


def test_a_short_pause_across_windows_is_taken_out() -> None:
    gate = PulseGate(RULES)
    judge(gate, one(0, 190, 240), 0)
    assert judge(gate, one(0, 19, 100), W)[1] == (Veto(0, Code.GATE_MIN_OFF),)
    gate = PulseGate(RULES)
    judge(gate, one(0, 190, 240), 0)
    assert judge(gate, one(0, 20, 100), W)[1] == ()


def test_a_burn_goes_on_across_windows_and_is_cut_at_the_longest_burn() -> None:
    gate = PulseGate(RULES)
    for k in range(11):
        assert judge(gate, one(0, 0, W), k * W)[1] == ()
    assert gate.burning_ms(0, 11 * W) == 11 * W
    plan, vetoes = judge(gate, one(0, 0, W), 11 * W)
    assert (plan.close_ms[0], vetoes) == (W, ())  # 12 windows are exactly 3 s
    assert gate.cooling(12 * W) == frozenset({0})
    assert judge(gate, one(0, 0, W), 12 * W)[1] == (Veto(0, Code.GATE_COOLDOWN),)
    assert gate.cooling(3000 + 6000) == frozenset()
    assert judge(gate, one(0, 0, W), 9000)[1] == ()


def test_a_burn_that_began_inside_a_window_is_cut_where_three_seconds_end() -> None:
    gate = PulseGate(RULES)
    judge(gate, one(0, 100, W), 0)
    for k in range(1, 12):
        judge(gate, one(0, 0, W), k * W)
    plan, vetoes = judge(gate, one(0, 0, W), 12 * W)
    assert plan.close_ms[0] == 100
    assert vetoes == (Veto(0, Code.GATE_MAX_BURN),)


def test_a_late_window_after_a_longest_burn_is_taken_out_and_never_negative() -> None:
    gate = PulseGate(RULES)
    judge(gate, one(0, 5, W), 0)
    for k in range(1, 12):
        judge(gate, one(0, 0, W), k * W)
    plan, vetoes = judge(gate, one(0, 0, W), 12 * W + 10)  # the burn began at 5, so it ended at 3005
    assert (plan.open_ms[0], plan.close_ms[0]) == (0, 0)
    assert vetoes == (Veto(0, Code.GATE_MAX_BURN),)
    assert gate.cooling(9004) == frozenset({0})
    assert gate.cooling(9005) == frozenset()


def test_a_new_window_in_the_middle_ends_a_running_pulse_no_earlier_than_the_shortest() -> None:
    gate = PulseGate(RULES)
    judge(gate, one(0, 0, 200), 0)
    judge(gate, PulsePlan.shut(N, W), 10)  # the node shuts it at 30
    assert judge(gate, one(0, 49, 100), 10)[1] == (Veto(0, Code.GATE_MIN_OFF),)  # 59 - 30 < 30
    gate = PulseGate(RULES)
    judge(gate, one(0, 0, 200), 0)
    judge(gate, PulsePlan.shut(N, W), 10)
    assert judge(gate, one(0, 50, 100), 10)[1] == ()


def test_a_safety_shut_ends_pulses_at_once_but_the_pause_still_counts() -> None:
    gate = PulseGate(RULES)
    judge(gate, one(0, 0, 200), 0)
    gate.shut(10)
    assert gate.burning_ms(0, 11) == 0
    assert judge(gate, one(0, 29, 100), 10)[1] == (Veto(0, Code.GATE_MIN_OFF),)
    assert judge(gate, one(0, 30, 100), 10)[1] == ()


def test_a_vetoed_continuation_still_ends_no_earlier_than_the_shortest_pulse() -> None:
    gate = PulseGate(RULES)
    judge(gate, one(0, 0, 200), 0)
    gate.masked = frozenset({0})
    assert judge(gate, one(0, 0, 100), 10)[1] == (Veto(0, Code.GATE_MASKED),)
    gate.masked = frozenset()
    assert judge(gate, one(0, 30, 100), 20)[1] == (Veto(0, Code.GATE_MIN_OFF),)


class TimeLine:
    """What the valve node does with accepted plans, ms by ms, and what it finds wrong. Own arithmetic."""

    def __init__(self) -> None:
        self.level = False
        self.since = -10**6
        self.cooling_until = -10**6
        self.broken: list[str] = []

    def run(self, start: int, end: int, open_ms: int, close_ms: int) -> None:
        for t in range(start, end):
            asked = open_ms <= t - start < close_ms
            if self.level and not asked and t - self.since < RULES.min_on_ms:
                asked = True  # the node finishes a shortest pulse
            if asked == self.level:
                continue
            if asked:
                if t - self.since < RULES.min_off_ms:
                    self.broken.append(f"pause {t - self.since} ms at {t}")
                if t < self.cooling_until:
                    self.broken.append(f"cooldown broken at {t}")
            else:
                on = t - self.since
                if on < RULES.min_on_ms or on > RULES.max_burn_ms:
                    self.broken.append(f"pulse {on} ms at {t}")
                if on >= RULES.max_burn_ms:
                    self.cooling_until = t + RULES.cooldown_ms
            self.level, self.since = asked, t


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([W, W, W, 5, 20, 60, 245]),
            st.one_of(st.tuples(st.just(0), st.just(W)), st.tuples(st.integers(0, W), st.integers(0, W))),
        ),
        min_size=1, max_size=40,
    )
)
def test_no_sequence_of_plans_breaks_a_rule_on_the_time_line(steps) -> None:
    gate = PulseGate(RULES)
    line = TimeLine()
    now = 0
    for length, (a, b) in steps:
        plan, _ = judge(gate, one(0, min(a, b), max(a, b)), now)
        line.run(now, now + length, plan.open_ms[0], plan.close_ms[0])
        now += length
    line.run(now, now + 4000, 0, 0)
    assert line.broken == []


def test_a_burn_is_counted_from_where_it_opened() -> None:
    gate = PulseGate(RULES)
    judge(gate, one(0, 10, W), 1000)
    assert gate.burning_ms(0, 1009) == 0
    assert gate.burning_ms(0, 1010) == 0
    assert gate.burning_ms(0, 1011) == 1
    assert gate.burning_ms(0, 1000 + W) == W - 10
    assert gate.burning_ms(0, 1000 + W + 1) == 0


def test_vetoes_are_counted_over_all_plans() -> None:
    gate = PulseGate(RULES)
    for _ in range(2):
        judge(gate, one(3, 100, 129), 0)
    assert gate.vetoes == 2
    for k in (1, 2):
        judge(gate, PulsePlan(W + 1, (0,) * N, (0,) * N), 0)
        assert gate.vetoes == 2 + k * N


def test_a_pulse_that_opens_as_the_new_window_starts_has_begun() -> None:
    gate = PulseGate(RULES)
    judge(gate, one(0, 10, 200), 0)
    judge(gate, PulsePlan.shut(N, W), 10)  # the node shuts it at 40
    assert judge(gate, one(0, 49, 100), 20)[1] == (Veto(0, Code.GATE_MIN_OFF),)
    assert judge(gate, one(0, 50, 100), 20)[1] == ()


def test_a_pulse_that_ends_as_a_new_window_starts_is_not_prolonged_by_it() -> None:
    gate = PulseGate(RULES)
    judge(gate, one(0, 0, 100), 0)
    assert judge(gate, one(0, 0, 100), 100)[1] == (Veto(0, Code.GATE_MIN_OFF),)


def test_a_window_that_shuts_all_ends_the_burn_that_is_counted() -> None:
    gate = PulseGate(RULES)
    judge(gate, one(0, 0, 200), 0)
    judge(gate, PulsePlan.shut(N, W), 10)
    assert (gate.burning_ms(0, 30), gate.burning_ms(0, 31)) == (30, 0)


def test_a_burn_that_goes_on_may_end_after_any_time() -> None:
    gate = PulseGate(RULES)
    judge(gate, one(0, 0, W), 0)
    plan, vetoes = judge(gate, one(0, 0, 1), W)
    assert (plan.close_ms[0], vetoes) == (1, ())
    assert (gate.burning_ms(0, W + 1), gate.burning_ms(0, W + 2)) == (W + 1, 0)


def test_a_cooldown_is_over_when_the_pulse_opens_not_when_its_window_starts() -> None:
    gate = PulseGate(RULES)
    for k in range(12):
        judge(gate, one(0, 0, W), k * W)
    assert judge(gate, one(0, 99, 200), 8900)[1] == (Veto(0, Code.GATE_COOLDOWN),)
    assert judge(gate, one(0, 100, 200), 8900)[1] == ()

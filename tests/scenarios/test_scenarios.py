"""Flies every scenario and holds what it expects against what was recorded."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from firmware_py.mission import ExpectConfig, MissionConfig, StepOutcome
from firmware_py.report.figures import FlownStep, Verdict, flown_steps, judge
from tests.scenarios.flights import Hangar

ALWAYS = (
    # A power step of the world is 50 ms long, so that one bad step is just allowed.
    ExpectConfig("bus_under_ms", below=50.1), ExpectConfig("energy_unexplained", below=1e-3),
    ExpectConfig("cold_charge_j", below=1.0),
)
"""What holds in every scenario: the bus is never low for long, no joule is lost, and no frozen battery is charged."""
OVERWHELMED = frozenset({"rail-short-hard"})
"""Flights in which the bus has to carry more than its sources can give, until the line is open."""


@pytest.mark.slow
def test_what_a_scenario_expects_comes_true(scenario: MissionConfig, hangar: Hangar) -> None:
    data, expectations = hangar.fly(scenario)
    assert expectations, f"{scenario.mission} expects nothing; a scenario must be able to fail"
    always = [e for e in ALWAYS if e.figure != "bus_under_ms" or scenario.mission not in OVERWHELMED]
    wrong = [verdict for verdict in judge(data, (*expectations, *always)) if not verdict.holds]
    if wrong:
        pytest.fail(_tell(scenario, wrong, flown_steps(data)), pytrace=False)


def _tell(scenario: MissionConfig, wrong: list[Verdict], steps: Sequence[FlownStep]) -> str:
    """What did not hold, how the steps ended that were not done, and the one command that flies it again."""
    lines = [f"{scenario.mission} (seed {scenario.seed}): {scenario.description}"]
    for verdict in wrong:
        where = f" ({verdict.where})" if verdict.where else ""
        value = verdict.why if verdict.value is None else f"{verdict.value} {verdict.unit}"
        lines.append(f"  {verdict.expect.figure}{where}: {value}; allowed {verdict.allowed}")
    for step in steps:
        if step.outcome != StepOutcome.DONE:
            lines.append(f"  step {step.name}: {step.outcome} {step.detail}".rstrip())
    lines.append(f"  again: qiki hil run {scenario.mission} --seed {scenario.seed}")
    return "\n".join(lines)

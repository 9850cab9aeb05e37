"""Flies every scenario and holds what it expects against what was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_py.cli.session import RigFlight, texts_of
from firmware_py.mission import ExpectConfig, MissionConfig, StepOutcome, StepRecord
from firmware_py.report.figures import Verdict, judge
from firmware_py.report.load import open_flight
from hal.profile import load_profile

ALWAYS = (
    # A power step of the world is 50 ms long, so that one bad step is just allowed.
    ExpectConfig("bus_under_ms", below=50.1), ExpectConfig("energy_unexplained", below=1e-3),
    ExpectConfig("cold_charge_j", below=1.0),
)
"""What holds in every scenario: the bus is never low for long, no joule is lost, and no frozen battery is charged."""


@pytest.mark.slow
def test_what_a_scenario_expects_comes_true(scenario: MissionConfig, tmp_path: Path) -> None:
    profile = load_profile(scenario.body, scenario.board)
    texts = texts_of(scenario.mission, scenario.body, scenario.board)
    result = RigFlight(scenario, profile, tmp_path / "flight", scenario.seed, texts=texts).run()
    data, expectations = open_flight(result.folder / "flight.mcap")
    assert expectations, f"{scenario.mission} expects nothing; a scenario must be able to fail"
    wrong = [verdict for verdict in judge(data, (*expectations, *ALWAYS)) if not verdict.holds]
    if wrong:
        pytest.fail(_tell(scenario, wrong, result.steps), pytrace=False)


def _tell(scenario: MissionConfig, wrong: list[Verdict], steps: tuple[StepRecord, ...]) -> str:
    """What did not hold, how the steps ended that were not done, and the one command that flies it again."""
    lines = [f"{scenario.mission} (seed {scenario.seed}): {scenario.description}"]
    for verdict in wrong:
        where = f" ({verdict.where})" if verdict.where else ""
        value = verdict.why if verdict.value is None else f"{verdict.value} {verdict.unit}"
        lines.append(f"  {verdict.expect.figure}{where}: {value}; allowed {verdict.allowed}")
    for step in steps:
        if step.outcome is not StepOutcome.DONE:
            lines.append(f"  step {step.name}: {step.outcome} {step.detail}".rstrip())
    lines.append(f"  again: qiki hil run {scenario.mission} --seed {scenario.seed}")
    return "\n".join(lines)

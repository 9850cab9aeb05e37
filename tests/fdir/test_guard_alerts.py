"""What the craft does about an alert: by severity, and a threat that is critical brakes, or evades as advised."""

from __future__ import annotations

import pytest

from fdir.codes import Code, Severity
from fdir.guard_alerts import RANK, GuardAlert, Reaction, reaction
from fdir.guard_rules import Trigger


@pytest.mark.parametrize("code", [None, Code.RADAR_ALERT_SPOOF])
@pytest.mark.parametrize(("severity", "trigger", "answer"), [
    (Severity.INFO, Trigger.PRESENT, Reaction.NONE),
    (Severity.INFO, Trigger.THREAT, Reaction.NONE),
    (Severity.WARNING, Trigger.PRESENT, Reaction.READINESS),
    (Severity.WARNING, Trigger.THREAT, Reaction.READINESS),
    (Severity.WARNING, Trigger.LOST, Reaction.READINESS),
    (Severity.CRITICAL, Trigger.PRESENT, Reaction.SAFE),
    (Severity.CRITICAL, Trigger.LOST, Reaction.SAFE),
    (Severity.CRITICAL, Trigger.THREAT, Reaction.BRAKE),
])
def test_severity_decides_and_a_critical_threat_brakes_with_or_without_a_code(severity, trigger, answer, code) -> None:
    assert reaction(GuardAlert("R", 1, code, severity, trigger, 0, "")) is answer


@pytest.mark.parametrize(("severity", "trigger", "answer"), [
    (Severity.CRITICAL, Trigger.THREAT, Reaction.EVADE), (Severity.CRITICAL, Trigger.PRESENT, Reaction.SAFE),
    (Severity.CRITICAL, Trigger.LOST, Reaction.SAFE), (Severity.WARNING, Trigger.THREAT, Reaction.READINESS),
])
def test_only_a_critical_threat_is_evaded_as_advised(severity, trigger, answer) -> None:
    assert reaction(GuardAlert("R", 1, None, severity, trigger, 0, "", (0.0, 1.0, 0.0))) is answer


def test_severities_rank_from_info_to_critical_above_nothing() -> None:
    assert RANK == {Severity.INFO: 1, Severity.WARNING: 2, Severity.CRITICAL: 3}


def test_reactions_have_their_words() -> None:
    assert [str(each) for each in Reaction] == ["none", "readiness", "safe", "brake", "evade"]

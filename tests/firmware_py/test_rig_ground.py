"""The rig's ground station: one uplink a second, silence while a fault lasts, and a link that outlives restarts."""

from __future__ import annotations

import pytest

from firmware_py.cli.rig_ground import GROUND_FAULTS, RigGround, check_ground_fault, ground_of
from firmware_py.mission import FaultConfig

MS = 1_000_000
SECOND = 1_000_000_000
STEP_NS = 50 * MS
LOST = FaultConfig("uplink_lost", at_s=1.0)


def ages(ground: RigGround, begin_s: float, end_s: float, start_s: float = 0.0) -> list[float]:
    """Age of the uplink at every medium tick, s, as the program reckons it in its own time."""
    told = []
    start_ns = round(start_s * SECOND)
    for now_ns in range(round(begin_s * SECOND), round(end_s * SECOND), STEP_NS):
        told.append((now_ns - start_ns - ground.heard_ns(now_ns, start_ns)) * 1e-9)
    return told


def test_a_ground_is_played_only_where_a_fault_speaks_of_one() -> None:
    assert ground_of([]) is None
    assert ground_of([FaultConfig("eclipse", at_s=1.0), FaultConfig("cpu_hot", at_s=1.0)]) is None
    assert ground_of([FaultConfig("eclipse", at_s=1.0), LOST]) is not None
    assert set(GROUND_FAULTS) == {"uplink_lost"}


def test_a_lost_uplink_takes_no_parameters() -> None:
    check_ground_fault(LOST)
    check_ground_fault(FaultConfig("uplink_lost", after_step="boot", for_s=3.0))
    with pytest.raises(ValueError, match="uplink_lost takes no parameters, but for_s"):
        check_ground_fault(FaultConfig("uplink_lost", at_s=1.0, parameters={"device": "radio"}))


def test_an_uplink_comes_every_second() -> None:
    told = ages(RigGround(), 0.0, 10.0)
    assert max(told) == pytest.approx(0.95)
    assert told.count(0.0) == 10


def test_the_age_grows_while_the_uplink_is_lost_and_is_small_again_at_the_next_uplink() -> None:
    ground = RigGround()
    ages(ground, 0.0, 2.0)
    end = ground.silence()
    silent = ages(ground, 2.0, 7.5)
    assert silent == pytest.approx([1.0 + 0.05 * k for k in range(len(silent))])
    end()
    # The next one comes at its second, not when the fault ends.
    after = ages(ground, 7.5, 9.0)
    assert after[:10] == pytest.approx([6.5 + 0.05 * k for k in range(10)])
    assert after[10] == 0.0
    assert max(after[10:]) < 1.0


def test_of_two_faults_that_overlap_both_must_end() -> None:
    ground = RigGround()
    first, second = ground.silence(), ground.silence()
    first()
    assert ages(ground, 0.0, 5.0)[-1] == pytest.approx(4.95)
    second()
    assert ages(ground, 5.0, 5.05) == [0.0]


def test_an_uplink_that_never_came_is_as_old_as_the_program() -> None:
    ground = RigGround()
    ground.silence()
    assert ages(ground, 3.0, 3.2, start_s=3.0) == pytest.approx([0.0, 0.05, 0.1, 0.15])


def test_for_a_program_started_again_the_time_without_uplink_begins_anew_but_the_fault_lasts() -> None:
    ground = RigGround()
    ages(ground, 0.0, 2.0)
    end = ground.silence()
    assert ages(ground, 2.0, 30.0)[-1] == pytest.approx(28.95)
    assert ages(ground, 30.0, 35.0, start_s=30.0)[-1] == pytest.approx(4.95)
    end()
    assert ages(ground, 36.0, 36.05, start_s=30.0) == [0.0]

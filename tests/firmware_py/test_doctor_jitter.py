"""Jitter beside a C twin: verdicts from the figures, and a short measurement with and without a compiler."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from firmware_py.doctor import Status
from firmware_py.doctor.jitter import Jitter, check_jitter, compile_twin, measure_jitter, twin_round
from firmware_py.scheduler import Histogram
from hal.profile.board import RealtimeConfig

US = 1000
HAS_GCC = shutil.which("gcc") is not None
PLAIN = RealtimeConfig(priority=1, cpu=None, spin_us=50, lock_memory=False)


def histogram(late_us: int, count: int = 100) -> Histogram:
    values = Histogram()
    for _ in range(count):
        values.add(late_us * US)
    return values


@pytest.mark.parametrize(
    ("ours_us", "twin_us", "status", "text"),
    [
        (100, 90, Status.PASS, "C twin"), (100, None, Status.PASS, "no C compiler: not compared"),
        (300, 100, Status.WARN, "C twin"), (1100, 100, Status.FAIL, "C twin"), (1100, 1000, Status.FAIL, "C twin"),
        (1100, None, Status.FAIL, "not compared"),
    ],
)
def test_lateness_is_held_against_a_fifth_of_a_period_and_the_twin(
    ours_us: int, twin_us: int | None, status: Status, text: str
) -> None:
    twin = None if twin_us is None else histogram(twin_us)
    check = check_jitter(Jitter(200, histogram(ours_us), twin, ()))
    assert check.status is status
    assert text in check.found
    assert "p99.9 below 1000 us" in check.allowed
    assert bool(check.next_step) == (status is not Status.PASS)
    if status is Status.FAIL:
        assert ("the C twin is as late" in check.next_step) == (twin_us == 1000)


def test_the_limit_follows_the_rate_and_what_was_refused_is_told() -> None:
    check = check_jitter(Jitter(500, histogram(450), None, ("fifo EPERM",)))
    assert check.status is Status.FAIL
    assert "below 400 us" in check.allowed
    assert "refused: fifo EPERM" in check.found


def test_without_a_compiler_only_our_own_ticks_are_counted() -> None:
    result = measure_jitter(200, 0.5, PLAIN, find=lambda name: None)
    assert (result.twin, result.ours.count) == (None, 100)


def test_a_compiler_that_fails_is_as_good_as_none() -> None:
    result = measure_jitter(200, 0.5, PLAIN, find=lambda name: "/bin/false")
    assert result.twin is None


@pytest.mark.skipif(not HAS_GCC, reason="no gcc on this machine")
def test_the_twin_waits_as_often_as_it_is_told(tmp_path: Path) -> None:
    program = compile_twin(tmp_path)
    assert program is not None
    values = Histogram()
    twin_round(program, 500, 50, 50, values)
    assert values.count == 50


@pytest.mark.skipif(not HAS_GCC, reason="no gcc on this machine")
def test_both_take_turns() -> None:
    result = measure_jitter(200, 1.0, PLAIN)
    assert result.twin is not None
    assert (result.ours.count, result.twin.count) == (100, 100)

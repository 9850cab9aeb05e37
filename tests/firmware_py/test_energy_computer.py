"""The flight computer's own heat: levels with persistence and hysteresis, the clock's limit, and what is missing."""

from __future__ import annotations

import os
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdir.codes import Code
from firmware_py.energy.computer import (
    LEAST_SHARE,
    ComputerPort,
    ComputerState,
    ComputerThrottle,
    ComputerVerdict,
    LinuxComputer,
)

POLICY = "sys/devices/system/cpu/cpufreq/policy0"
STEPS = "600000 700000 800000 900000 1000000 1100000 1200000 1300000 1400000 1500000 1600000 1700000 1800000 \n"


def stay(throttle: ComputerThrottle, celsius: float | None, samples: int = 3, share: float = 1.0) -> ComputerVerdict:
    for _ in range(samples):
        verdict = throttle.step(celsius, share)
    return verdict


@pytest.mark.parametrize(("celsius", "state", "codes", "safe"), [
    (74.9, ComputerState.NOMINAL, (), False),
    (75.0, ComputerState.WARM, (Code.THERMAL_NODE_HOT,), False),
    (79.9, ComputerState.WARM, (Code.THERMAL_NODE_HOT,), False),
    (80.0, ComputerState.THROTTLED, (Code.THERMAL_NODE_HOT, Code.DUTY_CHANGED), False),
    (84.9, ComputerState.THROTTLED, (Code.THERMAL_NODE_HOT, Code.DUTY_CHANGED), False),
    (85.0, ComputerState.CRITICAL, (Code.THERMAL_NODE_CRITICAL, Code.DUTY_CHANGED, Code.SAFE_THERMAL_CRITICAL), True),
])
def test_levels_begin_at_their_limits(
    celsius: float, state: ComputerState, codes: tuple[Code, ...], safe: bool
) -> None:
    verdict = stay(ComputerThrottle(), celsius)
    assert (verdict.state, verdict.codes, verdict.safe_request) == (state, codes, safe)


@pytest.mark.parametrize("celsius", [75.0, 80.0, 85.0, 100.0])
def test_two_samples_are_not_enough(celsius: float) -> None:
    throttle = ComputerThrottle()
    stay(throttle, 50.0)
    for _ in range(10):
        stay(throttle, celsius, 2)
        verdict = throttle.step(50.0)
        assert (verdict.state, verdict.share) == (ComputerState.NOMINAL, 1.0)


@pytest.mark.parametrize(("start", "still", "over"), [(75.0, 72.1, 72.0), (80.0, 77.1, 77.0), (85.0, 80.1, 80.0)])
def test_levels_end_below_where_they_began(start: float, still: float, over: float) -> None:
    throttle = ComputerThrottle()
    level = stay(throttle, start).state
    assert stay(throttle, still, 20).state is level
    assert stay(throttle, over).state is not level


@pytest.mark.parametrize(("celsius", "share"), [(80.0, 1.0), (82.0, 0.7), (84.0, 0.4), (85.0, 0.25), (110.0, 0.25)])
def test_the_limit_falls_from_throttle_to_safe(celsius: float, share: float) -> None:
    assert stay(ComputerThrottle(), celsius).share == pytest.approx(share)


@pytest.mark.parametrize(("wanted", "share"), [(1.0, 0.7), (0.7, 0.7), (0.5, 0.5), (0.25, 0.25), (0.0, 0.25)])
def test_never_more_than_wanted_and_never_less_than_a_quarter(wanted: float, share: float) -> None:
    assert stay(ComputerThrottle(), 82.0, share=wanted).share == pytest.approx(share)


@pytest.mark.parametrize("nothing", [None, nan, inf, -inf, -300.0, 151.0])
def test_no_reading_is_unknown_and_changes_nothing(nothing: float | None) -> None:
    fresh = stay(ComputerThrottle(), nothing, 20)
    assert (fresh.state, fresh.codes) == (ComputerState.UNKNOWN, (Code.THERMAL_TELEM_MISSING,))
    assert not fresh.safe_request
    throttle = ComputerThrottle()
    hot = stay(throttle, 90.0)
    lost = stay(throttle, nothing, 1000)
    assert lost.state is ComputerState.UNKNOWN
    assert lost.codes == (Code.THERMAL_TELEM_MISSING, *hot.codes)
    assert (lost.share, lost.safe_request) == (LEAST_SHARE, True)


@pytest.mark.parametrize("wanted", [nan, inf, -0.1, 1.1])
def test_a_share_that_is_none_leaves_the_last_one(wanted: float) -> None:
    throttle = ComputerThrottle()
    throttle.step(50.0, 0.6)
    assert throttle.step(50.0, wanted).share == 0.6
    assert throttle.refused == 1


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from([72.0, 75.0, 77.0, 80.0, 82.0, 85.0]), st.lists(st.floats(-1.4, 1.4), min_size=20, max_size=80))
def test_noise_never_makes_the_computer_chatter(centre: float, noise: list[float]) -> None:
    throttle = ComputerThrottle()
    before = stay(throttle, centre)
    changes = turns = way = 0
    for value in noise:
        verdict = throttle.step(centre + value)
        changes += verdict.state is not before.state
        step = (verdict.share > before.share) - (verdict.share < before.share)
        turns += step != 0 and way not in (0, step)
        way, before = step or way, verdict
    assert changes <= 1
    assert turns <= 1 + changes


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.one_of(st.none(), st.floats()), st.floats()), max_size=60))
def test_any_history_gives_a_share_between_a_quarter_and_one(history: list[tuple[float | None, float]]) -> None:
    throttle = ComputerThrottle()
    for celsius, wanted in history:
        verdict = throttle.step(celsius, wanted)
        assert LEAST_SHARE <= verdict.share <= 1.0
        if celsius is None or not -60.0 <= celsius <= 150.0:
            assert verdict.state is ComputerState.UNKNOWN
            assert Code.THERMAL_TELEM_MISSING in verdict.codes


# -- the computer itself


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    put(tmp_path, {
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n", "sys/class/thermal/thermal_zone0/temp": "48312\n",
        f"{POLICY}/cpuinfo_min_freq": "600000\n", f"{POLICY}/cpuinfo_max_freq": "1800000\n",
        f"{POLICY}/scaling_max_freq": "1800000\n", f"{POLICY}/scaling_available_frequencies": STEPS,
    })
    return tmp_path


@pytest.mark.parametrize(("share", "khz"), [
    (1.0, 1_800_000), (0.99, 1_700_000), (0.75, 1_300_000), (0.5, 900_000), (0.25, 600_000), (0.0, 600_000),
])
def test_a_share_is_the_next_slower_step_of_the_clock(pi: Path, share: float, khz: int) -> None:
    computer: ComputerPort = LinuxComputer(pi)
    assert computer.set_share(share)
    assert int((pi / POLICY / "scaling_max_freq").read_text()) == khz


def test_the_hottest_zone_counts_and_nonsense_does_not(pi: Path) -> None:
    put(pi, {
        "sys/class/thermal/thermal_zone1/temp": "61000\n", "sys/class/thermal/thermal_zone2/temp": "nan\n",
        "sys/class/thermal/thermal_zone3/temp": "999000\n",
    })
    assert LinuxComputer(pi).temperature_c() == 61.0
    assert LinuxComputer(pi, "cpu-thermal").temperature_c() == 48.312


def test_a_zone_that_falls_silent_is_missing(pi: Path) -> None:
    computer = LinuxComputer(pi)
    (pi / "sys/class/thermal/thermal_zone0/temp").unlink()
    assert computer.temperature_c() is None


def test_a_computer_without_any_of_it_has_no_reading_and_no_limit(tmp_path: Path) -> None:
    computer = LinuxComputer(tmp_path)
    assert computer.temperature_c() is None
    assert not computer.set_share(0.5)
    assert not computer.restore()


def test_a_limit_that_may_not_be_set_is_refused_without_harm(pi: Path) -> None:
    computer = LinuxComputer(pi)
    path = pi / POLICY / "scaling_max_freq"
    if os.geteuid() == 0:
        # Root may write anything: a folder in its place is as closed to it.
        path.unlink()
        path.mkdir()
    else:
        path.chmod(0o444)
    assert not computer.set_share(0.5)
    assert not computer.restore()
    assert computer.temperature_c() == 48.312


def test_the_limit_that_was_found_is_given_back(pi: Path) -> None:
    put(pi, {f"{POLICY}/scaling_max_freq": "1500000\n"})
    computer = LinuxComputer(pi)
    assert computer.set_share(0.5)
    assert computer.restore()
    assert int((pi / POLICY / "scaling_max_freq").read_text()) == 1_500_000

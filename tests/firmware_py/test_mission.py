"""Missions: the shipped ones load; bad ones are refused by line and key; the sequencer flies steps in order."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from fdir.modes import Motion
from firmware_py.mission import OrbitConfig, Sequencer, StepConfig, StepOutcome, load_mission, parse_epoch
from hal.profile import ConfigError

SECOND = 1_000_000_000
SHIPPED = sorted(Path(str(resources.files("hil") / "scenarios")).glob("*.yaml"))
TEXT = """schema_version: 1
mission: trial
description: a trial
body: qiki-t
board: qiki-rpi
epoch: "2026-06-21T12:00:00Z"
steps:
  - {name: boot, wait_for: Idle}
  - {name: move, command: translate, arguments: {vector_m: [1, 0, 0]}}
faults:
  - {kind: nozzle_off, at_s: 3, parameters: {nozzle: 1}}
expect:
  - {figure: position_error_m, below: 0.5}
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_missions_load(path) -> None:
    assert load_mission(path.stem).mission == path.stem


@pytest.mark.parametrize(
    ("old", "new", "key", "word"),
    [
        ("wait_for: Idle", "wait_for: Lunch", "steps[0].wait_for", "allowed: done, nothing, Boot"),
        ("name: move", "name: boot", "steps[1].name", "twice"),
        ("command: translate", "command: jump", "steps[1].command", "no command 'jump'"),
        ("[1, 0, 0]", "[1, 0]", "steps[1].command", "must be 3 numbers"),
        ("command: translate, arguments: {vector_m: [1, 0, 0]}",
         "command: burn, arguments: {duration_s: 1, level_pct: 5, direction: +x, ramp_in_s: 2}", "steps[1].command",
         "burn: ramps of 2 and 0 s do not fit"),
        ("at_s: 3", "at_s: 3, after_step: boot", "faults[0]", "either"),
        ("at_s: 3", "after_step: lunch", "faults[0].after_step", "no step 'lunch'"),
        ("below: 0.5", "step: boot", "expect[0]", "at least one"),
        ("below: 0.5", "below: 0.5, step: lunch", "expect[0].step", "no step"),
        ('"2026-06-21T12:00:00Z"', "yesterday", "epoch", "UTC"),
        ('"2026-06-21T12:00:00Z"', '"2026-06-21T12:00:00"', "epoch", "time zone"),
        ('"2026-06-21T12:00:00Z"', '"9999-06-21T12:00:00Z"', "epoch", "2199"),
        ("steps:", "initial: {rate_deg_s: [.nan, 0, 0]}\nsteps:", "initial.rate_deg_s[0]", "finite"),
        ("steps:", "initial: {rate_deg_s: [9000, 0, 0]}\nsteps:", "initial.rate_deg_s", "720"),
        ("steps:", "stops:", "stops", "allowed here"),
        ("schema_version: 1", "schema_version: 2", "schema_version", ""),
        ("description: a trial", "descripton: a trial", "descripton", "allowed here"),
    ],
)
def test_bad_mission_is_refused_by_key(old, new, key, word, tmp_path) -> None:
    assert old in TEXT
    path = tmp_path / "trial.yaml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_mission(str(path))
    assert caught.value.key == key
    assert word in caught.value.why
    assert caught.value.line is not None


def trial(tmp_path: Path, initial: str) -> str:
    path = tmp_path / "trial.yaml"
    path.write_text(TEXT.replace("steps:", f"initial: {{{initial}}}\nsteps:", 1))
    return str(path)


def test_orbit_lighting_cold_start_and_surroundings_are_read(tmp_path: Path) -> None:
    plain = load_mission(trial(tmp_path, "soc_battery: 0.5")).initial
    assert (plain.orbit, plain.lighting, plain.cold_start, plain.ambient_c) == (None, (), False, None)
    orbit = load_mission(trial(tmp_path, "orbit: {altitude_km: 550, beta_deg: -20, phase_deg: 90}")).initial.orbit
    assert orbit == OrbitConfig(550.0, -20.0, 90.0)
    assert load_mission(trial(tmp_path, "orbit: {altitude_km: 400}")).initial.orbit == OrbitConfig(400.0, 0.0, 0.0)
    initial = load_mission(trial(
        tmp_path, "lighting: [[0, 1.0], [60, 0.2], [60.5, 0]], cold_start: true, ambient_c: -60"
    )).initial
    assert initial.lighting == ((0.0, 1.0), (60.0, 0.2), (60.5, 0.0))
    assert initial.cold_start is True
    assert initial.ambient_c == -60.0


@pytest.mark.parametrize(("initial", "key", "word"), [
    ("orbit: {altitude_km: 100}", "initial.orbit.altitude_km", "150"),
    ("orbit: {altitude_km: 60000}", "initial.orbit.altitude_km", "50000"),
    ("orbit: {altitude_km: .nan}", "initial.orbit.altitude_km", ""),
    ("orbit: {altitude_km: 500, beta_deg: 91}", "initial.orbit.beta_deg", "90"),
    ("orbit: {altitude_km: 500, phase_deg: 400}", "initial.orbit.phase_deg", "360"),
    ("orbit: {altitude_km: 500, inclination_deg: 51}", "initial.orbit.inclination_deg", "allowed here"),
    ("orbit: {beta_deg: 10}", "initial.orbit", "altitude_km"),
    ("lighting: [[0, 1.1]]", "initial.lighting[0][1]", "1"),
    ("lighting: [[0, 0.5], [-1, 0.5]]", "initial.lighting[1][0]", "0"),
    ("lighting: [[0, .nan]]", "initial.lighting[0][1]", ""),
    ("lighting: [[10, 1.0], [10, 0.5]]", "initial.lighting", "rise"),
    ("lighting: [[10, 1.0], [5, 0.5]]", "initial.lighting", "rise"),
    ("lighting: [[0, 1.0]], orbit: {altitude_km: 500}", "initial.lighting", "either orbit or lighting"),
    ("ambient_c: -121", "initial.ambient_c", "-120"),
    ("ambient_c: 161", "initial.ambient_c", "160"),
    ("ambient_c: warm", "initial.ambient_c", ""),
    ("cold_start: maybe", "initial.cold_start", ""),
])
def test_impossible_light_orbit_and_surroundings_are_refused_by_key(
    initial: str, key: str, word: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_mission(trial(tmp_path, initial))
    assert caught.value.key == key
    assert word in caught.value.why
    assert caught.value.line is not None


def test_unknown_name_lists_the_shipped_missions() -> None:
    with pytest.raises(ConfigError, match="first-flight"):
        load_mission("second-flight")


def test_epoch_is_utc_nanoseconds() -> None:
    assert parse_epoch("1970-01-01T00:00:01Z") == SECOND
    assert parse_epoch("2026-06-21T14:00:00.5+02:00") == parse_epoch("2026-06-21T12:00:00Z") + SECOND // 2


def fly(sequencer: Sequencer, done_at: dict[str, int], motion: Motion = Motion.IDLE, until: int = 100) -> list[str]:
    given = []
    for t in range(until):
        step = sequencer.to_give(t * SECOND)
        if step is not None:
            given.append(f"{t} {step.name}")
        current = sequencer.current
        done = current is not None and t >= done_at.get(current.name, 10**9)
        sequencer.watch(t * SECOND, done, motion)
    return given


def test_steps_are_given_once_and_in_order() -> None:
    sequencer = Sequencer([StepConfig("a", "detumble"), StepConfig("b", "hold", stay_s=5)])
    assert fly(sequencer, {"a": 3, "b": 6}) == ["0 a", "4 b"]
    assert [(r.name, r.outcome, r.end_ns // SECOND) for r in sequencer.records] == [
        ("a", StepOutcome.DONE, 3), ("b", StepOutcome.DONE, 11),
    ]
    assert sequencer.finished
    assert sequencer.current is None
    assert sequencer.position == (2, 2)
    assert sequencer.to_give(0) is None
    assert sequencer.watch(0, True, Motion.IDLE) is None


def test_a_step_that_is_never_done_times_out_and_the_next_flies() -> None:
    sequencer = Sequencer([StepConfig("a", "detumble", timeout_s=10), StepConfig("b", None, wait_for="nothing")])
    fly(sequencer, {})
    assert [r.outcome for r in sequencer.records] == [StepOutcome.TIMEOUT, StepOutcome.DONE]
    assert "not done after 10 s" in sequencer.records[0].detail


def test_a_refused_step_ends_at_once() -> None:
    sequencer = Sequencer([StepConfig("a", "detumble")])
    sequencer.to_give(SECOND)
    assert sequencer.refused(SECOND, "CAP_LOW").outcome is StepOutcome.REFUSED


def test_a_step_may_wait_for_a_mode() -> None:
    sequencer = Sequencer([StepConfig("a", None, wait_for="Coast", timeout_s=20)])
    sequencer.to_give(0)
    assert sequencer.watch(SECOND, True, Motion.BURN) is None
    assert sequencer.watch(2 * SECOND, False, Motion.COAST).outcome is StepOutcome.DONE

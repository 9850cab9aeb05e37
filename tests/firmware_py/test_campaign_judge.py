"""What is judged from the record of a run: commands, modes, detection, isolation, SAFE in time, and its wholeness."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from fdir.codes import Code, Severity
from fdir.modes import Motion
from firmware_py.cli.campaign.cases import Case, Injection
from firmware_py.cli.campaign.entries import Entry, FaultClass, Invariant, Shown
from firmware_py.cli.campaign.judge import Findings, judge, look_at_commands
from firmware_py.cli.campaign.record import Told, read_run
from firmware_py.cli.campaign.rows import RowTime, row_times
from firmware_py.cli.campaign.watch import Limits, Watch
from firmware_py.recorder import RecordError
from firmware_py.recorder.flight import FlightRecorder
from hal.profile import load_profile
from tests.firmware_py.campaign_outcomes import command, event

NS = 1_000_000_000
EPOCH_NS = 1_800_000_000 * NS
PROFILE = load_profile("qiki-t", "qiki-rpi")
HEADER = {"software_version": "0", "hardware_profile_hash": "", "body": "qiki-t", "board": "qiki-rpi", "mission": "m",
          "seed": 1, "rates": {}, "epoch": ""}
END_S = 30.0
SILENT = Entry("dead.imu", "dead_imu", FaultClass.BUS, "bus_fault", shown=Shown.AT_ONCE, goal_s=0.1,
               codes=frozenset({"SENSOR_MISSING", "DEVICE_STATE"}), units=frozenset({"imu", "spi0"}))
QUIET = Entry("eclipse", "eclipse", FaultClass.COMPUTER, "eclipse")

Line = tuple[float, Code, Severity, str]


def write(folder: Path, lines: Sequence[Line], start_s: float = 0.0, stamps: bool = True) -> None:
    """One part of a record; times count from its own start."""
    recorder = FlightRecorder(folder, HEADER, EPOCH_NS + round(start_s * NS), None, {}, fast_hz=200, medium_hz=20)
    todo = sorted(lines, key=lambda line: line[0])
    for tick in range(round(END_S * 10)):
        t_ns = tick * NS // 10
        if stamps:
            recorder.snapshot(t_ns, {"mode": "Idle"})
        while todo and todo[0][0] * NS <= t_ns:
            t_s, code, severity, text = todo.pop(0)
            recorder.event(round(t_s * NS), code, severity, text)
        recorder.end_tick(t_ns)
    recorder.close()


def judged(
    tmp_path: Path, lines: Sequence[Line], *entries: Entry, motions: Sequence[tuple[float, Motion]] = (),
    masked: frozenset[int] = frozenset(), at_s: float = 10.0, stamps: bool = True,
) -> tuple[Watch, Findings]:
    """A run with faults at ``at_s`` whose record says ``lines``."""
    used = entries or (SILENT,)
    case = Case(tuple(Injection(entry.id, at_s) for entry in used), 1)
    watch = Watch(case, used, Limits())
    watch.motions = [(round(t_s * NS), motion) for t_s, motion in motions]
    write(tmp_path / "f", lines, stamps=stamps)
    flight = SimpleNamespace(
        clock=SimpleNamespace(now_ns=lambda: round(END_S * NS)), profile=PROFILE,
        program=SimpleNamespace(software=SimpleNamespace(supervisor=SimpleNamespace(failed=masked))),
    )
    return watch, judge(case, used, watch, flight, tmp_path / "f", Limits())  # type: ignore[arg-type]


def told(t_s: float, text: str = "imu-silent tripped: no good burst") -> Line:
    return (t_s, Code.SENSOR_MISSING, Severity.CRITICAL, text)


LOST = (10.05, Code.DEVICE_STATE, Severity.WARNING, "imu: LOST (timeout)")


# -- detection


def test_a_fault_seen_within_its_goal_is_well(tmp_path: Path) -> None:
    watch, found = judged(tmp_path, [told(10.1)])
    assert watch.breaches == {}
    assert found.detected_s == (pytest.approx(0.1),)


def test_a_fault_seen_late_is_a_breach(tmp_path: Path) -> None:
    watch, _ = judged(tmp_path, [told(10.105)])
    assert watch.breaches[Invariant.DETECTED].text == "dead.imu told after 0.105 s; goal 0.1 s"


def test_a_fault_never_seen_is_a_breach_and_words_before_it_do_not_count(tmp_path: Path) -> None:
    watch, found = judged(tmp_path, [told(9.9)])
    assert watch.breaches[Invariant.DETECTED].text == "dead.imu never told; goal 0.1 s"
    assert found.detected_s == (None,)


def test_a_device_that_is_lost_tells_of_the_fault_of_its_own_unit_only(tmp_path: Path) -> None:
    _, found = judged(tmp_path, [LOST])
    assert found.detected_s == (pytest.approx(0.05),)
    watch, found = judged(tmp_path / "other", [(10.05, Code.DEVICE_STATE, Severity.WARNING, "mag: LOST (timeout)")])
    assert found.detected_s == (None,)
    assert watch.breaches[Invariant.ISOLATION].text == "mag: LOST (timeout) without cause"


def test_a_bus_that_is_lost_is_named_with_a_word_before_it(tmp_path: Path) -> None:
    watch, _ = judged(tmp_path, [(10.05, Code.DEVICE_STATE, Severity.WARNING, "bus spi0: LOST (timeout)")])
    assert watch.breaches == {}


def test_in_boot_the_self_test_has_its_time(tmp_path: Path) -> None:
    boot = [(0.0, Motion.BOOT)]
    watch, _ = judged(tmp_path, [told(8.9)], motions=boot, at_s=2.0)
    assert watch.breaches == {}
    watch, _ = judged(tmp_path / "late", [told(9.2)], motions=boot, at_s=2.0)
    assert set(watch.breaches) == {Invariant.DETECTED}


def test_with_several_faults_detection_is_measured_but_not_asked_for(tmp_path: Path) -> None:
    watch, found = judged(tmp_path, [told(12.0)], SILENT, QUIET)
    assert watch.breaches == {}
    assert found.detected_s == (pytest.approx(2.0), None)
    assert found.rows == ()


# -- rows of the fault table


def test_rows_that_trip_are_timed_to_their_trip_and_their_clearing(tmp_path: Path) -> None:
    cleared = (14.0, Code.SENSOR_MISSING, Severity.INFO, "imu-silent cleared: no good burst")
    _, found = judged(tmp_path, [told(10.095), cleared])
    assert found.rows == (RowTime("imu-silent", pytest.approx(0.095), pytest.approx(3.905)),)


def test_recovery_counts_from_the_end_of_the_cause() -> None:
    events = [event(10.5, "X", "a-row:unit_1 tripped: text"), event(12.0, "X", "a-row:unit_2 cleared: text"),
              event(16.0, "X", "a-row:unit_1 cleared: text")]
    assert row_times(["a-row", "b-row"], 10 * NS, 15 * NS, events) == (RowTime("a-row", 0.5, 1.0),)
    assert row_times(["a-row"], 10 * NS, 17 * NS, events) == (RowTime("a-row", 0.5, 0.0),)
    assert row_times(["a-row"], 11 * NS, None, events) == ()


# -- isolation


def test_a_nozzle_masked_without_cause_is_a_breach(tmp_path: Path) -> None:
    why = (12.0, Code.RCS_UNAVAILABLE, Severity.WARNING, "nozzle 4 failed off: masked")
    watch, _ = judged(tmp_path, [told(10.1), why], masked=frozenset({4}))
    assert watch.breaches[Invariant.ISOLATION].text == "nozzles 4 masked without cause: nozzle 4 failed off: masked"


def test_the_guilty_nozzle_may_be_masked_and_its_cluster_once_two_of_it_are_gone(tmp_path: Path) -> None:
    clusters = [nozzle.cluster for nozzle in PROFILE.body.propulsion.nozzles]
    mates = [n for n, cluster in enumerate(clusters) if cluster == clusters[0]]

    def broken(n: int) -> Entry:
        return Entry(f"nozzle_off.{n}", "nozzle_off", FaultClass.WORLD, "nozzle_off", nozzles=frozenset({n}))

    watch, _ = judged(tmp_path, [], broken(mates[0]), masked=frozenset({mates[0]}))
    assert watch.breaches == {}
    watch, _ = judged(tmp_path / "one", [], broken(mates[0]), masked=frozenset(mates))
    assert set(watch.breaches) == {Invariant.ISOLATION}
    watch, _ = judged(tmp_path / "two", [], broken(mates[0]), broken(mates[1]), masked=frozenset(mates))
    assert watch.breaches == {}


# -- SAFE, modes, failures


@pytest.mark.parametrize(("safe_s", "broken"), [(11.0, False), (11.1, True)])
def test_safe_is_reached_within_its_time(tmp_path: Path, safe_s: float, broken: bool) -> None:
    hot = Entry("hot", "hot", FaultClass.HEAT, "temperature", safe_within_s=1.0)
    moves = [(5.0, Code.MODE_CHANGED, Severity.INFO, "Boot -> Idle"),
             (safe_s, Code.MODE_CHANGED, Severity.INFO, "Idle -> SAFE")]
    seen = [(0.0, Motion.BOOT), (5.0, Motion.IDLE), (safe_s, Motion.SAFE)]
    watch, _ = judged(tmp_path, moves, hot, motions=seen)
    assert (set(watch.breaches) == {Invariant.SAFE_IN_TIME}) is broken


@pytest.mark.parametrize(
    ("moves", "text"),
    [
        (["Boot -> Idle", "Idle -> Bridge"], "Idle -> Bridge"),
        (["Boot -> Idle", "Burn -> Idle"], "Burn -> Idle told, but the mode was Idle"),
    ],
)
def test_moves_that_the_table_does_not_have_are_seen(tmp_path: Path, moves: list[str], text: str) -> None:
    lines = [(5.0 + n, Code.MODE_CHANGED, Severity.INFO, move) for n, move in enumerate(moves)]
    watch, _ = judged(tmp_path, lines, QUIET)
    assert watch.breaches[Invariant.TRANSITION].text == text


def test_a_mode_that_nobody_told_is_seen(tmp_path: Path) -> None:
    lines = [(5.0, Code.MODE_CHANGED, Severity.INFO, "Boot -> Idle")]
    watch, _ = judged(tmp_path, lines, QUIET, motions=[(0.0, Motion.BOOT), (5.0, Motion.BURN)])
    assert watch.breaches[Invariant.TRANSITION].text == "told Idle, seen Burn"


def test_another_start_of_the_program_begins_with_its_boot_even_if_it_stays_there(tmp_path: Path) -> None:
    kill = Entry("process_kill.a", "process_kill", FaultClass.COMPUTER, "process_kill", for_s=2.0)
    write(tmp_path / "f" / "part-2", [told(0.1)], start_s=12.0)
    lines = [(5.0, Code.MODE_CHANGED, Severity.INFO, "Boot -> Idle")]
    seen = [(0.0, Motion.BOOT), (5.0, Motion.IDLE), (12.0, Motion.BOOT)]
    watch, _ = judged(tmp_path, lines, kill, motions=seen)
    assert watch.breaches == {}


def test_a_member_that_failed_is_an_exception_that_escaped(tmp_path: Path) -> None:
    watch, _ = judged(tmp_path, [(3.0, Code.MEMBER_FAILED, Severity.WARNING, "navigation: boom")], QUIET)
    assert watch.breaches[Invariant.EXCEPTION].text == "MEMBER_FAILED navigation: boom"


# -- the record itself


def test_a_record_with_a_gap_is_a_breach_unless_the_computer_was_the_cause(tmp_path: Path) -> None:
    watch, _ = judged(tmp_path, [told(10.1)], stamps=False)
    assert set(watch.breaches) == {Invariant.RECORD_GAP}
    watch, _ = judged(tmp_path / "computer", [], QUIET, stamps=False)
    assert watch.breaches == {}


def test_a_record_that_cannot_be_read_is_a_breach(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "flight.mcap").write_bytes(b"nothing of the kind")
    with pytest.raises(RecordError):
        read_run(tmp_path / "f")


def test_parts_of_a_record_are_one_row_of_time(tmp_path: Path) -> None:
    write(tmp_path / "f", [told(1.0)])
    write(tmp_path / "f" / "part-2", [told(0.5, "again")], start_s=40.0)
    run = read_run(tmp_path / "f")
    assert [(e.t_ns / NS, e.part, e.value["text"][:5]) for e in run.events] == [(1.0, 1, "imu-s"), (40.5, 2, "again")]
    assert run.unfinished == ()
    assert run.damage == ()


# -- commands


def broken_by(*stages: Told, motions: Sequence[tuple[float, Motion]] = ()) -> dict[Invariant, str]:
    watch = Watch(Case((), 1), (), Limits())
    watch.motions = [(round(t_s * NS), motion) for t_s, motion in motions]
    look_at_commands(stages, watch)
    return {invariant: breach.text for invariant, breach in watch.breaches.items()}


LIFE = ("requested", "validation_pending", "allowed", "publish_pending", "published", "ACK_accepted", "effect_pending")


def test_a_command_that_is_carried_out_once_is_well() -> None:
    assert broken_by(*(command(n, state) for n, state in enumerate(LIFE))) == {}


def test_two_commands_may_pass_the_same_stage_and_so_may_another_start_of_the_program() -> None:
    stages = [command(1.0, "allowed"), command(2.0, "allowed", number=2), command(3.0, "allowed", part=2)]
    assert broken_by(*stages) == {}


def test_a_command_carried_out_twice_is_seen() -> None:
    text = broken_by(command(1.0, "published"), command(2.0, "published"))[Invariant.COMMAND_LIFE]
    assert text == "slew (number 1) published twice"


@pytest.mark.parametrize("code", ["CMD_EXPIRED", "CMD_UNAUTHORIZED", "CMD_SPOOF_MISMATCH", "DECISION_ALREADY_EXECUTED"])
def test_a_command_carried_out_that_must_not_be_is_seen(code: str) -> None:
    assert Invariant.COMMAND_LIFE in broken_by(command(1.0, "rejected", code), command(2.0, "published"))
    assert broken_by(command(1.0, "rejected", code), command(2.0, "audited", code)) == {}


def test_a_refused_command_that_is_carried_out_is_seen() -> None:
    assert Invariant.COMMAND_LIFE in broken_by(command(1.0, "rejected", "CAP_LOW"), command(2.0, "effect_pending"))


def test_a_burn_allowed_in_safe_is_seen() -> None:
    safe = [(0.0, Motion.IDLE), (5.0, Motion.SAFE)]
    assert broken_by(command(4.9, "allowed", name="burn"), motions=safe) == {}
    assert broken_by(command(5.0, "allowed", name="burn"), motions=safe) == {
        Invariant.BURN_IN_SAFE: "burn allowed in SAFE",
    }
    assert broken_by(command(5.0, "allowed", name="brake"), motions=safe) == {}

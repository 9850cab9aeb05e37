"""The screen of a flight and its tables: everything visible from 80 x 24 up, lines elsewhere, missing is missing."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console, RenderableType

from firmware_py.cli.live import LiveState, LiveView, PlainProgress, display, render
from firmware_py.cli.tables import (
    KeyFigures,
    checks_table,
    expectations_table,
    figures_table,
    flight_summary,
    paths_table,
    steps_table,
)
from firmware_py.doctor import Check, Status
from firmware_py.mission import ExpectConfig, StepOutcome, StepRecord
from firmware_py.report.figures import FIGURES, FlightData, flown_steps, judge, summary
from tests.firmware_py.test_report_flight import make_flight

SIZES = [(80, 24), (100, 30), (120, 40)]
EVENTS = (
    (4.0, "info", "MODE_CHANGED", "Boot -> Idle"),
    (92.0, "warning", "RCS_UNAVAILABLE", "nozzle 5 did not push: masked"),
    (120.0, "critical", "BUS_UNSTABLE", "bus under-voltage tripped"),
)
STATE = LiveState(
    mission="first-flight", body="qiki-t", board="qiki-rpi", seed=1, t_s=121.5, duration_s=420.0, step_index=4,
    step_count=7, step="translate", phase="burn", motion="Burn", emission="open", safe="safe_inactive",
    attitude_deg=(12.34, -56.78, 178.9), attitude_error_deg=0.115, position_error_m=39.876,
    rate_deg_s=(0.123, -0.456, 3.789), position_m=(1.25, -0.06, 0.04), velocity_m_s=(0.389, 0.001, -0.002),
    sigma_attitude_deg=0.006, sigma_position_m=0.071, soc_battery=0.781, soc_supercap=0.612, bus_voltage_v=26.66,
    bus_current_a=6.77,
    temperatures_c={"core": 25.0, "pdu": 27.1, "supercap": 29.1, "battery": 31.1, "hull": -33.0, "sensor_head": 35.0,
                    "comms": None, "dock_bridge": 38.9},
    on_ms=(60, 95, 35, 75, 200, 0, 105, 30, 245, 0, 0, 0, 205, 0, 65, 125), window_ms=250, masked=frozenset({5}),
    propellant_kg=10.14, propellant_full_kg=12.0, speed=23.4, slips=2, lost_ticks=1, tick_p50_us=142.4,
    tick_p99_us=388.6, bus_failures=3, events=EVENTS,
)
NOTHING = dataclasses.replace(
    STATE, seed=None, step="", phase="", motion="", emission="", safe="", attitude_deg=None, attitude_error_deg=None,
    position_error_m=None, rate_deg_s=None, position_m=None, velocity_m_s=None, sigma_attitude_deg=None,
    sigma_position_m=None, soc_battery=None, soc_supercap=None, bus_voltage_v=None, bus_current_a=None,
    temperatures_c={}, on_ms=(), propellant_kg=None, speed=None, tick_p50_us=None, tick_p99_us=None, events=(),
    step_index=0,
)


class NoTerminal(io.StringIO):
    """A pipe."""


def text_of(thing: RenderableType, width: int = 80, height: int = 24) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None, record=True
    )
    console.print(thing)
    return console.export_text(styles=False).splitlines()


def screen(state: LiveState, width: int, height: int, **options: Any) -> list[str]:
    lines = text_of(render(state, width, height, **options), width, height)
    while len(lines) > height and not lines[-1]:
        lines.pop()
    return lines


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_screen_fits_and_shows_every_value(width: int, height: int) -> None:
    lines = screen(STATE, width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    page = "\n".join(lines)
    for words in (
        "first-flight", "qiki-t on qiki-rpi, seed 1", "x23.4 real time", "t 121.5 of 420 s", "29 %", "left 0:13",
        "step 5/7 translate", "burn", "Burn", "emission open", "safe_inactive", "+12.34", "-56.78", "+178.90", "+0.123",
        "-0.456", "+3.789", "+1.25", "+0.389", "0.115", "39.876", "0.006", "0.071", "78 %", "61 %", "10.14 kg",
        "26.66 V", "6.77 A", "25.0", "-33.0", "38.9", "142/389", "RCS_UNAVAILABLE nozzle 5", "BUS_UNSTABLE",
    ):
        assert words in page, words
    for name in ("slips", "lost ticks", "bus failures"):
        assert name in page


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_missing_is_shown_as_missing(width: int, height: int) -> None:
    lines = screen(NOTHING, width, height)
    assert len(lines) == height
    page = "\n".join(lines)
    assert page.count("missing") >= 4, "charges, propellant, temperatures, nozzles"
    assert "bus - V, - A" in page
    assert "None" not in page
    assert "nan" not in page


def test_a_masked_nozzle_and_the_pulses_of_the_others_are_in_their_cells() -> None:
    page = "\n".join(screen(STATE, 80, 24))
    assert "5 out" in page
    for nozzle, on_ms in ((0, 60), (8, 245), (15, 125)):
        assert f"{nozzle} {on_ms:3d}" in page


def test_a_firing_nozzle_has_another_colour_than_a_quiet_one() -> None:
    console = Console(
        file=io.StringIO(), width=80, height=24, force_terminal=True, color_system="truecolor", record=True
    )
    console.print(render(STATE, 80, 24))
    svg = console.export_svg(title="live")
    for colour in ("#a9d3f0", "#5aa5d8", "#1f6fb0", "#f0a050"):
        assert colour in svg


@pytest.mark.parametrize("count", [7, 12, 32])
def test_any_number_of_nozzles_has_cells(count: int) -> None:
    state = dataclasses.replace(STATE, on_ms=(30,) * count, masked=frozenset())
    lines = screen(state, 80, 30)
    assert len(lines) == 30
    assert all(f"{nozzle}  30" in "\n".join(lines) for nozzle in range(count))


def test_a_terminal_of_plain_characters_gets_plain_bars() -> None:
    page = "\n".join(screen(STATE, 80, 24, ascii_only=True))
    assert "###" in page
    assert "█" not in page


def test_the_newest_events_are_shown_when_not_all_fit() -> None:
    events = tuple((float(t), "info", "DEVICE_STATE", f"event {t}") for t in range(50))
    page = "\n".join(screen(dataclasses.replace(STATE, events=events), 80, 24))
    assert "event 49" in page
    assert "event 40" not in page


def test_names_with_brackets_are_shown_as_they_are() -> None:
    page = "\n".join(screen(dataclasses.replace(STATE, mission="[red]x[/]", step="[bold]", phase="[/]"), 80, 24))
    assert "[red]x[/]" in page
    assert "[bold]" in page


def test_after_the_last_step_the_screen_says_so() -> None:
    page = "\n".join(screen(dataclasses.replace(STATE, step_index=7, step=""), 80, 24))
    assert "all 7 steps ended" in page


def test_a_state_comes_from_a_snapshot() -> None:
    row = make_flight(130.0, 4).snapshots[-1][1]
    state = LiveState.from_row(
        row, mission="m", body="b", board="c", seed=None, duration_s=260.0, step_index=4, step_count=7, window_ms=250,
        propellant_full_kg=12.0, speed=10.0, events=EVENTS,
    )
    assert state.t_s == 130.0
    assert state.share == 0.5
    assert state.eta_s == pytest.approx(13.0)
    assert state.step == "translate"
    assert state.masked == {5}
    assert state.attitude_deg is not None
    assert state.attitude_deg[1] == pytest.approx(89.9, abs=0.3)
    assert state.attitude_error_deg == pytest.approx(0.1146, abs=1e-3)
    assert len(state.on_ms) == 16
    assert state.events == EVENTS


def test_a_row_of_nothing_but_missing_values_makes_a_state() -> None:
    row = {**dict.fromkeys(make_flight(1.0).snapshots[0][1]), "t_s": 1.0}
    state = LiveState.from_row(
        row, mission="m", body="b", board="c", seed=1, duration_s=0.0, step_index=0, step_count=1, window_ms=250,
        propellant_full_kg=0.0,
    )
    assert state.share == 0.0
    assert state.eta_s is None
    assert len(screen(state, 80, 24)) == 24


def test_without_a_terminal_there_are_lines_and_each_ten_seconds_only_one() -> None:
    out = NoTerminal()
    with display(Console(file=out)) as shown:
        assert isinstance(shown, PlainProgress)
        for tenth in range(451):
            shown.update(dataclasses.replace(STATE, t_s=tenth / 10, events=()))
    lines = out.getvalue().splitlines()
    assert [line[:12].strip() for line in lines] == [f"t={t:8.2f} s" for t in (0, 10, 20, 30, 40)]
    assert "step 5/7 translate  Burn  pointing 0.12 deg  position 39.88 m  battery 78 %" in lines[0]


def test_without_a_terminal_each_warning_is_told_once_and_at_once() -> None:
    out = NoTerminal()
    shown = PlainProgress(Console(file=out))
    for t_s in (0.0, 92.1, 92.2, 120.0):
        shown.update(dataclasses.replace(STATE, t_s=t_s, events=tuple(e for e in EVENTS if e[0] <= t_s)))
    told = [line for line in out.getvalue().splitlines() if "warning" in line or "critical" in line]
    assert told == [
        "t=   92.00 s  warning: RCS_UNAVAILABLE nozzle 5 did not push: masked",
        "t=  120.00 s  critical: BUS_UNSTABLE bus under-voltage tripped",
    ]


def test_two_warnings_of_one_moment_are_both_told() -> None:
    out = NoTerminal()
    shown = PlainProgress(Console(file=out))
    first = (5.0, "warning", "DEVICE_STATE", "mag lost")
    second = (5.0, "warning", "DEVICE_STATE", "mux lost")
    shown.update(dataclasses.replace(STATE, t_s=5.0, events=(first,)))
    shown.update(dataclasses.replace(STATE, t_s=5.1, events=(first, second)))
    shown.update(dataclasses.replace(STATE, t_s=5.2, events=(first, second)))
    assert out.getvalue().count("mag lost") == 1
    assert out.getvalue().count("mux lost") == 1


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_dumb_terminal_gets_lines(environment: dict[str, str]) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, _environ=environment)
    assert isinstance(display(console), PlainProgress)


def test_a_terminal_gets_the_screen_and_is_given_back() -> None:
    out = io.StringIO()
    environment = {"TERM": "xterm-256color"}
    console = Console(file=out, width=80, height=24, force_terminal=True, _environ=environment, legacy_windows=False)
    with display(console) as shown:
        assert isinstance(shown, LiveView)
        shown.update(STATE)
        assert "translate" in out.getvalue()
    assert out.getvalue().startswith("\x1b[?1049h"), "alternate screen"
    assert out.getvalue().endswith("\x1b[?25h\x1b[?1049l"), "cursor and screen restored"


# -- tables


@pytest.fixture(scope="module")
def flight() -> FlightData:
    return make_flight(rate_hz=4)


@pytest.fixture(scope="module")
def page() -> Callable[[RenderableType], str]:
    return lambda thing: "\n".join(text_of(thing, 80, 200))


def test_verdicts_are_words_and_say_why(flight: FlightData, page: Callable[[RenderableType], str]) -> None:
    verdicts = judge(flight, [
        ExpectConfig("soc_battery", above=0.5), ExpectConfig("speed_m_s", below=1.0, step="dock"),
        ExpectConfig("attitude_error_deg", below=0.01, last_s=60.0),
    ])
    text = page(expectations_table(verdicts))
    assert "2 of 3 fail" in text
    rows = text.splitlines()
    assert any(all(w in row for w in ("holds", "soc_battery", "whole flight", "0.7848", "> 0.5")) for row in rows)
    assert any(all(w in row for w in ("FAILS", "speed_m_s", "step dock", "missing", "< 1")) for row in rows)
    assert "step dock was not flown" in text
    assert any(all(w in row for w in ("FAILS", "attitude_error_deg", "last 60 s", "deg", "< 0.01")) for row in rows)
    assert "all hold" in page(expectations_table(verdicts[:1]))
    assert "Nothing was expected" in page(expectations_table([]))


def test_steps_come_from_the_program_or_from_the_record(
    flight: FlightData, page: Callable[[RenderableType], str]
) -> None:
    records = [StepRecord("slew", 80_000_000_000, 90_500_000_000, StepOutcome.TIMEOUT, "not done after 10 s")]
    assert "timeout slew 80.00 90.50 10.50 not done after 10 s" in " ".join(page(steps_table(records)).split())
    recorded = page(steps_table(flown_steps(flight)))
    assert all(name in recorded for name in ("boot", "detumble", "sun-track", "translate", "brake", "hold"))
    assert "No step was flown" in page(steps_table([]))


def test_the_summary_of_a_flight_has_key_figures_and_paths(
    flight: FlightData, page: Callable[[RenderableType], str]
) -> None:
    figures = KeyFigures.of(flight, wall_s=12.0)
    assert figures.times_real == pytest.approx(25.0)
    assert figures.warnings == 3
    long = "flights/" + "x" * 100 + "/flight.mcap"
    text = page(flight_summary([], flown_steps(flight), figures, {"black box": long}))
    for words in ("300.00 s", "25.0 times real time", "warnings", "propellant used", "late ticks missing"):
        assert words in " ".join(text.split()), words
    assert long in text.replace("\n", "").replace(" ", "")


def test_faults_of_the_rig_are_counted_when_they_begin(flight: FlightData) -> None:
    notes = [
        (1, {"code": "RIG_FAULT", "severity": "info", "text": "nozzle_off nozzle 5"}),
        (2, {"code": "RIG_FAULT", "severity": "info", "text": "nozzle_off ended"}),
    ]
    data = FlightData({}, flight.snapshots, flight.truth, notes, [])
    assert KeyFigures.of(data).faults_injected == 1
    assert KeyFigures.of(FlightData({}, flight.snapshots, [], notes, [])).faults_injected is None


def test_a_real_craft_s_key_figures_are_missing_not_zero(page: Callable[[RenderableType], str]) -> None:
    figures = KeyFigures.of(make_flight(2.0, truth=False))
    assert figures.propellant_used_kg is None
    assert figures.times_real is None
    assert page(flight_summary([], [], figures, {})).count("missing") >= 7


def test_every_figure_is_in_the_table_of_figures(flight: FlightData, page: Callable[[RenderableType], str]) -> None:
    text = page(figures_table(summary(flight)))
    assert all(name in text for name in FIGURES)


def test_checks_show_status_and_next_step_and_a_sum(page: Callable[[RenderableType], str]) -> None:
    checks = [
        Check("python", Status.PASS, "3.11"),
        Check("preemption", Status.WARN, "PREEMPT_DYNAMIC", "boot with preempt=full"),
        Check("bus can0", Status.FAIL, "no such interface", "load mcp251xfd"),
        Check("governor", Status.MISSING, "not visible"),
    ]
    text = page(checks_table(checks))
    for words in ("PASS python", "-> boot with preempt=full", "FAIL bus can0", "MISSING governor", "1 PASS, 1 WARN"):
        assert words in " ".join(text.split()), words
    assert "would not fly" in text
    assert "less margin" in page(checks_table(checks[:2]))
    assert "ready" in page(checks_table(checks[:1]))
    assert "nothing was checked" in page(checks_table([]))


def test_paths_are_never_shortened(page: Callable[[RenderableType], str]) -> None:
    assert "…" not in page(paths_table({"page": "a/" * 200}))

"""What a session answers: telemetry with units, missing as missing, watches, plots, events, help, modes of writing."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comms.dictionary import CHANNELS, COMMANDS, Authority
from comms.parameters import SCHEMA
from comms.shell import MARK, Mode
from comms.shell.answers import WORDS
from tests.comms.shell_craft import ROW, Desk, Reader

NS = 1_000_000_000


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.snapshot()
    return desk


@pytest.fixture
def reader(desk: Desk) -> Reader:
    reader, _ = desk.open()
    desk.run(2)
    return reader


def test_no_word_of_the_shell_hides_a_command_of_the_craft() -> None:
    assert not set(WORDS) & set(COMMANDS)


def test_a_session_says_what_it_may(desk: Desk) -> None:
    reader, _ = desk.open()
    desk.run(1)
    assert reader.text == "QIKI debug shell: read only. help says what there is.\n"
    keyed, _ = desk.open(peer="maria", authority=Authority.ENGINEER)
    desk.run(1)
    assert "maria, engineer" in keyed.text


@pytest.mark.parametrize(("line", "answer"), [
    ("get soc_battery", "soc_battery  0.81\n"),
    ("get bus_voltage_v", "bus_voltage_v  26.8 V\n"),
    ("get position_error_m", "position_error_m  missing\n"),
    ("get rate_rad_s[1]", "rate_rad_s[1]  -0.02 rad/s\n"),
    ("get rate_rad_s[7]", "rate_rad_s[7]  missing\n"),
    ("get rate_rad_s", "rate_rad_s  [0.01, -0.02, 0.03] rad/s\n"),
    ("get temperature_c", "temperature_c.core     21.5 deg C\ntemperature_c.battery  missing\n"),
    ("get temperature_c.core", "temperature_c.core  21.5 deg C\n"),
    ("get armed", "armed  yes\n"),
    ("get power_faults", "power_faults  none\n"),
    ("get faults", "faults  battery-low\n"),
    ("get gate_vetoes", "gate_vetoes  missing\n"),
    ("whoami", "nobody with a key, over test: viewer, read only\n"),
    ("history", "   1  history\n"),
])
def test_values_have_units_and_what_is_missing_says_so(desk: Desk, reader: Reader, line: str, answer: str) -> None:
    assert desk.ask(reader, line) == answer


@pytest.mark.parametrize(("line", "words"), [
    ("get", "1 to 16 channels"), ("get sock", "soc_battery"), ("get zzz", "channels lists them"),
    ("get " + "motion " * 17, "1 to 16 channels"), ("watch", "1 to 16 channels"), ("watch motion 99", "0.1..5 Hz"),
    ("watch zzz", "no channel"), ("plot motion", "is no number"),
    ("plot fault_worst", "has 5 numbers; give one of"),
    ("plot soc_battery 1e9", "1..1800 is allowed"), ("plot soc_battery x", "1..1800 is allowed"),
    ("plot", "plot CHANNEL"), ("events x", "1..100 is allowed"), ("param", "params lists them"),
    ("param zzz", "no parameter"), ("help zzz", "help lists"), ("channels qqq", "no channel has"),
    ("terminal loud", "HOW"),
    ("terminal 9999999999x1", "HOW"), ("json", "json WORD"), ("json quit", "json WORD"), ("json json get", "json WORD"),
    ("send", "send COMMAND"), ("send fly", "no command"), ("status now", "not understood"), ("fly", "help lists"),
    ("stat", "did you mean status"), ("get \"motion", "missing at the end"),
])
def test_what_is_wrong_is_said_with_what_is_allowed(desk: Desk, reader: Reader, line: str, words: str) -> None:
    desk.snapshot(fault_worst=dict.fromkeys("abcde", 1.0))
    answer = desk.ask(reader, line)
    assert words in " ".join(answer.split())
    assert desk.server.counts.refused == 1
    assert desk.server.counts.failed == 0


def test_help_knows_everything_that_is_declared(desk: Desk, reader: Reader) -> None:
    names = [*WORDS, *COMMANDS, *CHANNELS, *SCHEMA.by_name]
    for name in names:
        answer = desk.ask(reader, f"help {name}", steps=4)
        assert name in answer
        assert "nothing is called" not in answer


def test_help_on_a_command_has_its_arguments_with_unit_range_and_who_may_give_it(desk: Desk, reader: Reader) -> None:
    answer = desk.ask(reader, "help slew")
    for words in ("controller", "-180..180 deg", "angle about the axis", "attitude, or axis and angle_deg",
                  "confirmation: no", "usage: slew"):
        assert words in answer
    assert "confirmation: yes" in desk.ask(reader, "help arm")


def test_the_overview_is_one_screen_with_what_stands_out(desk: Desk, reader: Reader) -> None:
    desk.snapshot(safe="safe_latched", safe_reasons=["SAFE_POWER_LOW"], safe_open=["OPERATOR_ACKNOWLEDGE"],
                  shed=["lidar"], shed_reasons=["BAT_LOW"], heat_states={"rcs_c01": "cold"})
    page = desk.ask(reader, "status")
    assert len(page.splitlines()) <= 23
    assert all(len(line) < 80 for line in page.splitlines())
    together = " ".join(page.split())
    for words in ("Manoeuvre", "safe_latched: SAFE_POWER_LOW; to leave: OPERATOR_ACKNOWLEDGE", "battery 81.0 %",
                  "26.8 V", "position error missing", "11.1 kg", "sun_px LOST", "battery-low", "shed lidar for BAT_LOW",
                  "missing battery", "rcs_c01 cold", "nozzles out of use 3", "start 4", "link missing"):
        assert words in together


def test_an_empty_craft_is_missing_all_over_and_nothing_fails() -> None:
    desk = Desk()
    reader, _ = desk.open()
    for name, word in WORDS.items():
        if word.run is not None and name != "help":
            desk.ask(reader, name, steps=3)
    assert "no telemetry yet" in desk.ask(reader, "status")
    assert "no telemetry yet" in desk.ask(reader, "get motion")
    desk.snapshot({})
    page = desk.ask(reader, "status")
    assert page.count("missing") > 15
    assert "None" not in page
    assert "nan" not in page
    assert "missing over the last 60 s" in desk.ask(reader, "plot soc_battery")
    assert desk.server.counts.failed == 0


def test_old_telemetry_is_said_to_be_old(desk: Desk, reader: Reader) -> None:
    desk.run(200)
    assert "telemetry is" in desk.ask(reader, "get motion")
    assert "old" in desk.ask(reader, "status")


def test_a_plot_shows_the_past_with_gaps_and_units(desk: Desk, reader: Reader) -> None:
    for number in range(300):
        desk.run(5)
        desk.snapshot(bus_voltage_v=None if 100 <= number < 150 else 26.0 + number / 100)
    page = desk.ask(reader, "plot bus_voltage_v 30")
    assert "bus_voltage_v, V" in page
    assert "50 of 300 missing" in page
    assert "-30 s" in page
    assert "now" in page
    assert any("\u2801" <= mark <= "\u28ff" for mark in page)
    desk.ask(reader, "terminal ascii")
    assert desk.ask(reader, "plot bus_voltage_v 30").isascii()
    assert desk.ask(reader, "plot rate_rad_s").count("rad/s") == 3


def test_events_are_the_last_ones_or_those_that_come(desk: Desk, reader: Reader) -> None:
    for number in range(30):
        desk.event(text=f"event {number}")
    page = desk.ask(reader, "events 3")
    assert "event 29" in page
    assert "event 26" not in page
    assert "27 earlier ones" in page
    desk.ask(reader, "events -f")
    before = len(reader.seen)
    desk.event("BAT_LOW", "warning", "a new one")
    desk.run(2)
    assert "a new one" in reader.text[before:]
    desk.ask(reader, "")
    desk.event(text="not followed any more")
    desk.run(2)
    assert "not followed" not in reader.text


def test_followed_events_that_come_too_fast_are_counted(desk: Desk, reader: Reader) -> None:
    desk.ask(reader, "events -f")
    for number in range(2000):
        desk.event(text=f"event {number}")
    desk.run(300)
    assert "events left out" in reader.text
    assert "event 1999" in reader.text


def test_text_from_the_craft_never_moves_the_cursor(desk: Desk, reader: Reader) -> None:
    desk.event("A\x1b[2J", "info\r\n", "\x1b]0;title\x07 \u202e\x9b1m done")
    answer = desk.ask(reader, "events 1")
    assert answer.isascii()
    assert answer.count("\n") == 1
    assert "\x1b" not in answer


def test_a_watch_writes_lines_at_its_rate_until_a_line_comes(desk: Desk, reader: Reader) -> None:
    desk.ask(reader, "watch soc_battery temperature_c.battery 2", steps=1)
    desk.run(200)
    lines = [line for line in reader.text.splitlines() if line.startswith("t ")]
    assert len(lines) in (8, 9)
    assert "soc_battery 0.81  temperature_c.battery missing" in lines[0]
    assert "motion  Manoeuvre" in desk.ask(reader, "get motion")
    before = len(reader.seen)
    desk.run(200)
    assert len(reader.seen) == before


def test_a_watch_changes_in_place_on_a_terminal_and_ends_with_a_key(desk: Desk) -> None:
    reader, _ = desk.open(mode=Mode.ECHO)
    desk.ask(reader, "watch soc_battery soc_supercap 5", steps=60)
    assert "\x1b[3A" in reader.text
    assert "q ends" in reader.text
    reader.typed += b"xyz"
    desk.run(60)
    reader.typed += b"q"
    desk.run(3)
    assert reader.text.endswith("qiki> \x1b[K")
    before = len(reader.seen)
    desk.run(100)
    assert len(reader.seen) == before


def test_a_watch_that_nobody_reads_leaves_pictures_out(desk: Desk) -> None:
    reader, _ = desk.open(mode=Mode.ECHO)
    desk.ask(reader, "watch soc_battery " + "temperature_c.core " * 12 + "5", steps=50)
    reader.takes = 0
    desk.run(500)
    assert desk.server.counts.pictures_left_out > 10
    assert desk.server.counts.peak_out_bytes < 4096


def test_a_watch_ends_by_itself_after_an_hour(desk: Desk, reader: Reader) -> None:
    desk.ask(reader, "watch soc_battery 0.1", steps=2)
    desk.run(400, 10 * NS)
    before = len(reader.seen)
    desk.run(50, 10 * NS)
    assert len(reader.seen) == before


def test_json_is_one_line_that_a_program_reads(desk: Desk, reader: Reader) -> None:
    answer = json.loads(desk.ask(reader, "json get soc_battery position_error_m temperature_c"))
    assert answer == {"soc_battery": 0.81, "position_error_m": None, "temperature_c": {"core": 21.5, "battery": None}}
    desk.snapshot(soc_battery=float("nan"), bus_voltage_v=float("inf"))
    assert json.loads(desk.ask(reader, "json get soc_battery bus_voltage_v")) == {
        "soc_battery": None, "bus_voltage_v": None,
    }
    for name, word in WORDS.items():
        if word.run is not None and name not in ("help", "get", "param", "plot"):
            json.loads(desk.ask(reader, f"json {name}"))
    assert json.loads(desk.ask(reader, "json param speed_share"))["default"] == 1.0
    assert "series" in json.loads(desk.ask(reader, "json plot soc_supercap"))


def test_a_script_gets_a_mark_after_every_answer(desk: Desk) -> None:
    reader, _ = desk.open(mode=Mode.SCRIPT)
    reader.typed = b"get motion\nfly\n# a remark\n\nget step\nhold\n"
    desk.run(50)
    assert reader.text.split(MARK)[0] == "motion  Manoeuvre\n"
    assert [part.split("\n")[0] for part in reader.text.split(MARK)[1:]] == ["ok", "refused", "ok", "refused"]


def test_a_terminal_has_echo_prompt_and_completion(desk: Desk) -> None:
    reader, _ = desk.open(mode=Mode.ECHO)
    reader.typed = b"sta\t\r\x1b[A\x03get soc_b\t\r"
    desk.run(20)
    assert reader.text.count("craft ") == 1
    assert "^C" in reader.text
    assert "soc_battery  0.81\r\n" in reader.text
    assert reader.text.count("qiki> ") >= 4


def test_what_comes_by_itself_stands_above_the_line_that_is_typed(desk: Desk) -> None:
    reader, _ = desk.open(mode=Mode.ECHO, peer="maria", authority=Authority.CONTROLLER)
    desk.ask(reader, "hold")
    reader.typed += b"get mot"
    desk.run(3)
    before = len(reader.seen)
    desk.stage(desk.requests[0], "requested")
    desk.run(2)
    assert reader.text[before:] == "\r\x1b[Khold #7: requested\r\n\rqiki controller> get mot\x1b[K"


def test_quit_and_ctrl_d_end_a_session_after_its_last_words(desk: Desk) -> None:
    for keys, mode in ((b"quit\n", Mode.LINES), (b"\x04", Mode.ECHO), (b"quit\n", Mode.SCRIPT)):
        reader, _ = desk.open(mode=mode)
        reader.typed = keys
        desk.run(3)
        assert reader.closed
        assert ("session ended" in reader.text) == (mode is not Mode.SCRIPT)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(
    st.binary(max_size=60),
    st.sampled_from([b"\r", b"\t", b"status\r", b"watch soc_battery 5\r", b"plot rate_rad_s 1800\r", b"events -f\r",
                     b"q",
                     b"terminal script\r", b"terminal echo 20x5\r", b"json get temperature_c\r", b"\x03", b"help\r",
                     b"boost_burn 1 20 +x\r", b"yes\r", b"terminal ascii\r", b"hold\r", b"\x1b[8;5;20t", b"\x1b[A"]),
), max_size=25), st.sampled_from(list(Mode)), st.booleans())
def test_no_bytes_make_a_session_fail(pieces: list[bytes], mode: Mode, keyed: bool) -> None:
    desk = Desk()
    desk.snapshot()
    reader, _ = desk.open(mode=mode, peer="eve" if keyed else None, authority=Authority.SAFETY)
    for number, piece in enumerate(pieces):
        reader.typed += piece
        desk.run(3)
        desk.event(text=str(number))
        for request in desk.requests[-2:]:
            desk.stage(request, "allowed")
        if number % 5 == 0:
            desk.snapshot(soc_battery=None)
    desk.run(20)
    assert desk.server.counts.failed == 0
    assert desk.server.counts.lines_left_out == 0
    if not keyed:
        assert not desk.requests


WEIRD = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(CHANNELS)), WEIRD, max_size=40))
def test_no_telemetry_makes_a_session_fail(values: dict[str, object]) -> None:
    desk = Desk()
    reader, _ = desk.open()
    for row in ({}, values, ROW, values):
        desk.run(1)
        desk.snapshot(row)
    for line in ("status", "faults", "uptime", "get " + " ".join(list(values)[:16]), "json status",
                 *(f"plot {name}" for name in list(values)[:3])):
        desk.ask(reader, line, steps=3)
    assert desk.server.counts.failed == 0

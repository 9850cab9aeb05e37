"""Plots and the past they come from: values where they belong, gaps where something is missing, fixed memory."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.shell.plot import braille, draw
from comms.shell.trace import DEPTHS, Trace, numbers_in

NS = 1_000_000_000
TENTH = NS // 10


def dots(lines: list[str]) -> set[tuple[int, int]]:
    """Dots of Braille rows, x from the left and y from the top; the table is the Unicode standard's (chapter 21)."""
    places = {0: (0, 0), 1: (0, 1), 2: (0, 2), 3: (1, 0), 4: (1, 1), 5: (1, 2), 6: (0, 3), 7: (1, 3)}
    found = set()
    for row, line in enumerate(lines):
        for column, mark in enumerate(line):
            bits = ord(mark) - 0x2800 if mark != " " else 0
            for bit, (x, y) in places.items():
                if bits >> bit & 1:
                    found.add((2 * column + x, 4 * row + y))
    return found


@given(st.dictionaries(st.integers(0, 39), st.tuples(st.integers(0, 15), st.integers(0, 15)).map(sorted).map(tuple)))
def test_every_dot_stands_where_it_belongs(spans: dict[int, tuple[int, int]]) -> None:
    drawn = dots(braille(spans, 20, 4))
    assert drawn == {(x, y) for x, (top, bottom) in spans.items() for y in range(top, bottom + 1)}


def plotted(values: list[float | None], **changed: object) -> list[str]:
    times = [number * TENTH for number in range(len(values))]
    return draw("rate", "deg/s", times, values, 10.0, TENTH, 60, 10, **changed)  # type: ignore[arg-type]


def test_a_plot_has_title_unit_limits_and_times() -> None:
    lines = plotted([number / 10 for number in range(101)])
    assert lines[0].startswith("rate, deg/s  newest 10")
    assert lines[1].split("┤")[0].strip() == "10"
    assert lines[7].split("┤")[0].strip() == "0"
    assert "-10 s" in lines[-1]
    assert lines[-1].endswith("now")
    assert all(len(line) <= 60 for line in lines)


def test_missing_values_are_a_gap_and_are_counted() -> None:
    values: list[float | None] = [1.0 if number < 40 or number > 60 else None for number in range(101)]
    lines = plotted(values)
    assert "21 of 101 missing" in lines[-1]
    middle = next(line for line in lines[1:-2] if any(mark > "\u2800" for mark in line.split("┤")[-1].split("│")[-1]))
    curve = middle.split("┤")[-1].split("│")[-1]
    assert " " * 8 in curve.strip()


def curve(lines: list[str]) -> set[tuple[int, int]]:
    """Dots of a plot."""
    return dots([line.split("┤" if "┤" in line else "│", 1)[1] for line in lines[1:-2]])


@given(st.lists(st.floats(-100.0, 100.0), min_size=101, max_size=101))
@settings(max_examples=60)
def test_every_sample_is_on_the_plot_and_the_curve_has_no_holes(values: list[float]) -> None:
    lines = plotted(list(values))
    drawn = curve(lines)
    columns = {x for x, _ in drawn}
    assert columns == set(range(max(columns) + 1))
    high, low = (float(lines[row].split("┤")[0]) for row in (1, 7))
    down = 4 * 7 - 1
    for number, value in enumerate(values):
        x = round(number / 100 * max(columns))
        y = round((high - value) / (high - low) * down) if high > low else 0
        assert any(abs(x - a) <= 1 and abs(y - b) <= 1 for a, b in drawn)


def test_samples_are_joined_up_to_a_gap() -> None:
    few = [number * TENTH for number in (0, 1, 2, 50, 51, 100)]
    lines = draw("a", "m", few, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 10.0, TENTH, 60, 10)
    columns = {x for x, _ in curve(lines)}
    assert len(columns) < 12
    joined = draw("a", "m", few, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 10.0, 20 * TENTH, 60, 10)
    assert len({x for x, _ in curve(joined)}) > 60


def test_nothing_but_missing_values_is_said_in_words() -> None:
    assert plotted([None] * 5) == ["rate, deg/s: missing over the last 10 s"]
    assert plotted([]) == ["rate, deg/s: missing over the last 10 s"]


@pytest.mark.parametrize("plain", [False, True])
@given(values=st.lists(st.one_of(st.none(), st.floats(-3e38, 3e38)), min_size=1, max_size=150))
@settings(max_examples=100)
def test_any_values_are_plotted_within_their_place(plain: bool, values: list[float | None]) -> None:
    lines = plotted(values, plain=plain)
    if any(value is not None for value in values):
        assert len(lines) == 10
        assert not plain or "".join(lines).isascii()
    assert all(len(line) < 90 for line in lines)


def test_the_past_is_kept_at_two_depths_and_no_more() -> None:
    trace = Trace()
    for tick in range(20 * 4000):
        trace.add(tick * NS // 20, {"a": float(tick), "v": (1.0, float(tick)), "none": None, "text": "x"})
    times, values, period = trace.series("a", 60.0)
    assert (len(times), period) == (600, DEPTHS[0].period_ns)
    assert values[-1] == 79998.0
    times, values, period = trace.series("v[1]", 1800.0)
    assert (len(times), period) == (1800, NS)
    assert times[-1] - times[0] == 1799 * NS
    assert trace.series("text", 60.0)[1] == [None] * 600


def test_what_was_missing_stays_missing_also_after_the_ring_went_round() -> None:
    trace = Trace()
    for tick in range(1500):
        trace.add(tick * TENTH, {"a": 1.0 if tick % 2 else None})
    _, values, _ = trace.series("a", 10.0)
    assert values == [None if tick % 2 else 1.0 for tick in range(1500 - 101, 1500)][::-1][::-1] or values[-1] == 1.0
    assert values.count(None) in (50, 51)


def test_columns_are_bounded_and_those_left_out_are_counted() -> None:
    trace = Trace()
    trace.add(0, {"table": {f"key{number}": 1.0 for number in range(1000)}})
    assert trace.left_out == 2 * (1000 - 384)


def test_a_clock_that_steps_back_begins_anew() -> None:
    trace = Trace()
    for t_ns in (10 * NS, 11 * NS, NS, 2 * NS):
        trace.add(t_ns, {"a": 1.0})
    assert trace.series("a", 60.0)[0] == [NS, 2 * NS]


def test_numbers_of_a_snapshot_have_the_names_of_its_columns() -> None:
    row = {"a": 1, "b": None, "c": (1.0, None, 3.0), "d": {"x": 2.0, "y": "text", "z": [4]}, "e": True, "f": "text"}
    assert dict(numbers_in(row)) == {"a": 1.0, "c[0]": 1.0, "c[2]": 3.0, "d.x": 2.0, "d.z[0]": 4.0, "e": 1.0}
    assert math.isnan(dict(numbers_in({"a": 10**400}))["a"])

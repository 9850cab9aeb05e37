"""Values as text: units always, missing said, nothing that moves a cursor; and the outbox that bounds what waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.shell.outbox import RESERVE, Outbox
from comms.shell.show import clock, fold, listed, number, percent, plain, rows, seconds, shown, with_unit


@pytest.mark.parametrize(("value", "unit", "text"), [
    (None, "V", "missing"), (1.5, "V", "1.5 V"), (0.25, "1", "0.25"), (True, "-", "yes"),
    ((1.0, 2.5), "m", "[1, 2.5] m"),
    ([], "ms", "none"), ({"a": None, "b": 2}, "W", "a missing, b 2 W"), (float("nan"), "V", "missing V"),
    (["x", "y"], "-", "x, y"), ([None, 1.0], "m", "[missing, 1] m"), ({}, "-", "none"), ("", "-", ""),
    (10**20, "1", "1e+20"), (10**400, "1", "too large"),
])
def test_a_value_has_its_unit(value: object, unit: str, text: str) -> None:
    assert with_unit(value, unit) == text


def test_spans_and_shares_are_as_people_say_them() -> None:
    assert [clock(value) for value in (5.0, 150.0, 17048.6, None)] == ["5 s", "2 min 30 s", "4 h 44 min", "missing"]
    assert [percent(value) for value in (0.815, None, float("nan"))] == ["81.5 %", "missing", "missing"]
    assert (seconds(1_500_000_000), seconds(None)) == ("1.50 s", "missing")
    assert (listed(None), listed([]), listed({"a": 1})) == ("missing", "none", "a 1")


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.lists(st.text()), st.dictionaries(
    st.text(), st.floats())))
def test_no_value_moves_a_cursor(value: object) -> None:
    for text in (shown(value), number(value), plain(value), with_unit(value, "m"), listed(value)):
        assert text.isprintable()


@given(st.lists(st.tuples(st.text("ab ", max_size=10), st.text("ab ", max_size=200)), max_size=6), st.integers(40, 120),
       st.booleans())
def test_tables_fit_the_terminal(table: list[tuple[str, str]], columns: int, cut: bool) -> None:
    assert all(len(line) < columns for line in rows(table, columns, cut=cut))


@given(st.text("ab ", max_size=300), st.integers(30, 120))
def test_folding_loses_no_word(text: str, columns: int) -> None:
    lines = fold(text, columns, 2)
    assert all(len(line) < columns for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.lists(st.one_of(st.integers(1, 80), st.just(0)), max_size=200))
def test_what_waits_is_bounded_and_what_was_left_out_is_told(moves: list[int]) -> None:
    box = Outbox(400, "[{} left out]\n")
    put = seen = 0
    text = b""
    for move in moves:
        if move:
            put += 1
            box.put("x" * (move - 1) + "\n")
        else:
            data = box.take(100)
            text += data
            box.taken(len(data))
        assert len(box) <= box.limit + RESERVE
    while len(box) or seen < 2:
        data = box.take(100)
        text += data
        box.taken(len(data))
        seen += not data
    lines = text.decode().splitlines()
    told = sum(int(line[1:].split()[0]) for line in lines if line.startswith("["))
    assert told == box.left_out
    assert put == sum(not line.startswith("[") for line in lines) + told


def test_what_ends_an_answer_has_room_of_its_own() -> None:
    box = Outbox(10)
    assert box.put("0123456789")
    assert not box.put("x")
    assert box.put("end\n", must=True)
    assert box.left_out == 1

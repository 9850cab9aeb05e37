"""Packets between flight and recorder: what was packed is read, and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from firmware_py.recorder.port import (
    VERSION,
    End,
    Hello,
    Kept,
    Row,
    RowBatch,
    Rows,
    Text,
    pack_end,
    pack_hello,
    pack_kept,
    pack_text,
    read_packet,
)

HELLO = Hello("000001-a", VERSION, 5, {"mission": "m", "seed": None}, ("can0",), 2, 7)
ROWS = st.lists(
    st.tuples(st.integers(1, 5), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=200)), min_size=1, max_size=20
)


def batch(first: int, rows: list[tuple[int, int, bytes]]) -> bytes:
    made = RowBatch(first)
    for row in rows:
        made.add(*row)
    assert made.count == len(rows)
    assert len(made) == len(made.packet())
    return made.packet()


def test_every_packet_is_read_as_it_was_meant() -> None:
    assert read_packet(pack_hello(HELLO)) == HELLO
    assert read_packet(pack_text("body.yaml", "mass: ä")) == Text("body.yaml", "mass: ä")
    assert read_packet(pack_end()) == End()
    assert read_packet(pack_kept(3, 1, "no room")) == Kept(3, 1, "no room")
    assert len(pack_kept(0, 0, "w" * 1000)) < 300


@given(st.integers(0, 2**64 - 1), ROWS)
def test_rows_are_read_as_they_were_packed(first: int, rows: list[tuple[int, int, bytes]]) -> None:
    assert read_packet(batch(first, rows)) == Rows(first, tuple(Row(*row) for row in rows))


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    read_packet(data)


@given(ROWS, st.data())
def test_a_cut_packet_is_none_or_its_whole_rows(rows: list[tuple[int, int, bytes]], data: st.DataObject) -> None:
    whole = batch(0, rows)
    read = read_packet(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert read is None or (isinstance(read, Rows) and read.rows == tuple(Row(*row) for row in rows[: len(read.rows)]))


def test_what_makes_no_sense_is_none() -> None:
    assert read_packet(b"") is None
    assert read_packet(b"\x09") is None
    assert read_packet(pack_end() + b"x") is None
    assert read_packet(batch(0, [(9, 0, b"")])) is None
    assert read_packet(batch(0, [])) is None
    assert read_packet(pack_hello(Hello("s", VERSION, -1, {}, (), 0))) is None
    assert read_packet(pack_hello(Hello("s", VERSION, 0, {}, (), 65))) is None
    assert read_packet(pack_hello(Hello("s", VERSION, 0, {}, (), 0, -1))) is None

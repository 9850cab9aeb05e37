"""Frames of telemetry: every channel goes and comes back, nothing is invented, and what does not fit is said."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.dictionary import CHANNELS, LAYOUTS, TELEMETRY, Channel, Form, Kind
from comms.dictionary.frames import (
    MOST_MS,
    PART,
    SLICE,
    Frame,
    FrameCodec,
    codec_of,
    decode_frame,
    encode_frame,
    encode_parts,
)
from comms.dictionary.layouts import FIRST_LAYOUT_ID, LAYOUTS_BY_ID, Layout
from comms.dictionary.strict_cbor import MESSAGE, Reason, Refusal

FLOATS = st.floats(-1e6, 1e6, allow_nan=False)
TABLES = st.dictionaries(
    st.text("abc_.", min_size=1, max_size=8), st.none() | st.integers(0, 2**32) | FLOATS | st.text("xyz é", max_size=6),
    max_size=4,
)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.NUMBER: FLOATS, Kind.VECTOR3: st.tuples(FLOATS, FLOATS, FLOATS),
    Kind.QUATERNION: st.tuples(FLOATS, FLOATS, FLOATS, FLOATS), Kind.TEXT: st.text(max_size=12),
    Kind.FLAG: st.booleans(), Kind.TABLE: TABLES, Kind.LIST: st.lists(FLOATS | st.text("ab", max_size=3), max_size=5),
}


def strategy(channel: Channel) -> st.SearchStrategy[Any]:
    return st.none() | (st.integers(0, 2**32 - 1) if channel.form is Form.COUNT else VALUES[channel.kind])


SNAPSHOTS = {
    name: st.fixed_dictionaries({channel.name: strategy(channel) for channel in layout.channels})
    for name, layout in LAYOUTS.items()
}


def close(channel: Channel, sent: Any, got: Any) -> bool:
    """Whether a value came back in its channel's form."""
    if isinstance(sent, float):
        limit = 0.0 if channel.form is Form.FLOAT64 else 6e-8 * abs(sent) + 1e-40
        return isinstance(got, float | int) and abs(got - sent) <= limit
    if isinstance(sent, dict):
        return sent.keys() == got.keys() and all(close(channel, value, got[key]) for key, value in sent.items())
    if isinstance(sent, list | tuple):
        return len(sent) == len(got) and all(map(close, [channel] * len(sent), sent, got))
    return bool(type(sent) is type(got) and sent == got)


def test_every_channel_travels_in_exactly_one_group() -> None:
    names = [name for layout in LAYOUTS.values() for name in layout.names]
    assert sorted(names) == sorted(channel.name for channel in TELEMETRY)


def test_ids_of_groups_are_unlike_and_none_is_a_message_s() -> None:
    assert len(LAYOUTS_BY_ID) == len(LAYOUTS)
    assert all(FIRST_LAYOUT_ID <= identity <= 0xFFFF for identity in LAYOUTS_BY_ID)


@pytest.mark.parametrize("change", [{"unit": "km"}, {"kind": Kind.TEXT}, {"form": Form.FLOAT64}, {"id": 999}])
def test_another_meaning_of_a_place_is_another_id(change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from comms.dictionary import layouts

    before = layouts.layout_of("guard", 1.0, "", "guard_tracks guard_quality").id
    assert layouts.layout_of("guard", 1.0, "", "guard_quality guard_tracks").id != before
    assert layouts.layout_of("guard", 1.0, "", "guard_tracks").id != before
    monkeypatch.setitem(layouts.CHANNELS, "guard_quality", dataclasses.replace(CHANNELS["guard_quality"], **change))
    assert layouts.layout_of("guard", 1.0, "", "guard_tracks guard_quality").id != before


@pytest.mark.parametrize("name", list(LAYOUTS))
@given(data=st.data(), t_ms=st.integers(0, MOST_MS))
@settings(max_examples=25, deadline=None)
def test_a_group_comes_back_as_it_was(name: str, data: st.DataObject, t_ms: int) -> None:
    layout, values = LAYOUTS[name], data.draw(SNAPSHOTS[name])
    frame = decode_frame(encode_frame(layout, t_ms * 1_000_000 + 999_999, values))
    assert isinstance(frame, Frame)
    assert (frame.layout, frame.t_ns, frame.first) == (layout, t_ms * 1_000_000, 0)
    assert list(frame.values) == list(layout.names)
    for channel in layout.channels:
        assert close(channel, values[channel.name], frame.values[channel.name]), channel.name


@pytest.mark.parametrize("name", list(LAYOUTS))
@given(data=st.data(), most=st.integers(24, 200))
@settings(max_examples=25, deadline=None)
def test_parts_keep_to_the_line_and_lose_nothing_unsaid(name: str, data: st.DataObject, most: int) -> None:
    layout, values = LAYOUTS[name], data.draw(SNAPSHOTS[name])
    parts = encode_parts(layout, 5_000_000, values, most)
    assert parts == encode_parts(layout, 5_000_000, values, most)
    joined: dict[str, Any] = {}
    for data_out in parts.frames:
        assert len(data_out) <= most
        frame = decode_frame(data_out)
        assert isinstance(frame, Frame)
        first_of_it = frame.slices is None or frame.slices[0] == 0
        assert bool(joined.keys() & frame.values.keys()) is not first_of_it
        joined.update({name: frame.over(name, joined.get(name)) for name in frame.values})
    assert joined.keys() | set(parts.left_out) == set(layout.names)
    assert all(CHANNELS[name].kind is not Kind.NUMBER for name in parts.left_out)
    assert not joined.keys() & set(parts.left_out)
    for channel in layout.channels:
        if channel.name in joined:
            assert close(channel, values[channel.name], joined[channel.name]), channel.name


def test_a_table_longer_than_the_line_goes_in_slices_each_of_use_alone() -> None:
    layout, table = LAYOUTS["health"], {f"device_{index:02}": "missing" for index in range(40)}
    parts = encode_parts(layout, 0, {"devices": table, "bus_failures": 3}, 100)
    frames = [frame for frame in map(decode_frame, parts.frames) if isinstance(frame, Frame)]
    slices = [frame for frame in frames if frame.slices is not None]
    assert parts.left_out == ()
    assert [frame.slices for frame in slices] == [(index, len(slices)) for index in range(len(slices))]
    known: Any = {"gone": "ok"}
    for frame in slices:
        known = frame.over("devices", known)
        assert "gone" not in known
    assert known == table
    lost: Any = None
    for frame in slices[1:]:
        lost = frame.over("devices", lost)
    assert lost.items() < table.items()
    assert encode_parts(layout, 0, {"devices": {"x" * 200: 1}}, 100).left_out == ("devices",)
    assert encode_parts(LAYOUTS["motion"], 0, {"on_ms": [0.1] * 40}, 100).left_out == ("on_ms",)


def test_a_group_that_fits_goes_whole() -> None:
    layout = LAYOUTS["guard"]
    parts = encode_parts(layout, 0, {}, 200)
    assert parts.frames == (encode_frame(layout, 0, {}),)
    assert parts.left_out == ()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e39, "5", object(), [1.0], True, 10**400])
def test_what_is_no_number_goes_out_as_missing_and_takes_nothing_with_it(bad: Any) -> None:
    layout = LAYOUTS["power"]
    frame = decode_frame(encode_frame(layout, 0, {"bus_voltage_v": bad, "bus_current_a": 1.5, "flows_w": {"a": bad}}))
    assert isinstance(frame, Frame)
    assert frame.values["bus_voltage_v"] is None
    assert frame.values["bus_current_a"] == 1.5


@pytest.mark.parametrize(("name", "bad"), [
    ("quaternion", (1.0, 0.0)), ("quaternion", (1.0, 0.0, math.nan, 0.0)), ("quaternion", "wxyz"), ("quaternion", 3),
    ("rate_rad_s", (1.0, None, 2.0)), ("on_ms", 5), ("motion", 5), ("armed", 1), ("start", -1), ("start", 1.5),
    ("devices", ["a"]), ("link_used_j", math.inf), ("on_ms", {"a": 1}),
])
def test_what_is_no_value_of_its_channel_goes_out_as_missing(name: str, bad: Any) -> None:
    (layout,) = [layout for layout in LAYOUTS.values() if name in layout.names]
    frame = decode_frame(encode_frame(layout, 0, {name: bad}))
    assert isinstance(frame, Frame)
    assert frame.values[name] is None


def test_odd_things_inside_tables_and_lists_go_out_as_missing() -> None:
    table = {"a": math.nan, "b": object(), "c": [[[[1]]]], 5: "five", "d": "\ud800", "e": 2**70}
    frame = decode_frame(encode_frame(LAYOUTS["health"], 0, {"devices": table, "masked_nozzles": [3, math.inf, 4.0]}))
    assert isinstance(frame, Frame)
    assert frame.values["devices"] == {"a": None, "b": None, "c": [[None]], "5": "five", "d": "?", "e": None}
    assert frame.values["masked_nozzles"] == [3, None, 4.0]
    one = decode_frame(encode_frame(LAYOUTS["motion"], 0, {"on_ms": [1e300, 2.0]}))
    assert isinstance(one, Frame)
    assert one.values["on_ms"] == [None, 2.0]


GUARD = LAYOUTS["guard"]


@pytest.mark.parametrize(("item", "reason"), [
    ([GUARD.id, 0, 1, 0.5, None, None, None], Reason.WRONG_SHAPE),
    ([GUARD.id, 0, 1, 0.5, None, None, None, None, None], Reason.WRONG_SHAPE),
    ([GUARD.id, -1, 1, 0.5, None, None, None, None], Reason.OUT_OF_RANGE),
    ([GUARD.id, 2**54, 1, 0.5, None, None, None, None], Reason.OUT_OF_RANGE),
    ([GUARD.id, 1.0, 1, 0.5, None, None, None, None], Reason.OUT_OF_RANGE),
    ([GUARD.id, True, 1, 0.5, None, None, None, None], Reason.OUT_OF_RANGE),
    ([GUARD.id, 0, 1.0, 0.5, None, None, None, None], Reason.WRONG_SHAPE),
    ([GUARD.id, 0, 1, True, None, None, None, None], Reason.WRONG_SHAPE),
    ([GUARD.id, 0, 1, math.nan, None, None, None, None], Reason.NOT_FINITE),
    ([GUARD.id, 0, 1, math.inf, None, None, None, None], Reason.NOT_FINITE),
    ([GUARD.id, 0, 1, 0.5, [], None, None, None], Reason.WRONG_SHAPE),
    ([GUARD.id, 0, 1, 0.5, {"a": math.nan}, None, None, None], Reason.NOT_FINITE),
    ([GUARD.id, 0, 1, 0.5, {"a": cbor2.undefined}, None, None, None], Reason.NOT_PLAIN),
    ([GUARD.id ^ 1, 0, 1, 0.5, None, None, None, None], Reason.UNKNOWN_SCHEMA),
    ([PART, GUARD.id, 0, 5, None, None], Reason.WRONG_SHAPE),
    ([PART, GUARD.id, 0, -1, None], Reason.WRONG_SHAPE),
    ([PART, GUARD.id, 0, 6, None], Reason.WRONG_SHAPE),
    ([PART, GUARD.id, 0, 2**63, None], Reason.WRONG_SHAPE),
    ([PART, GUARD.id, 0, 0], Reason.WRONG_SHAPE),
    ([PART, "guard", 0, 0, None], Reason.WRONG_SHAPE),
    ([PART, 5, 0, 0, None], Reason.UNKNOWN_SCHEMA),
    ([PART, GUARD.id, 0, 1, 5], None),
    ([SLICE, GUARD.id, 0, 2, 0, 1, {"a": 1}], None),
    ([SLICE, GUARD.id, 0, 2, 1, 1, {"a": 1}], Reason.OUT_OF_RANGE),
    ([SLICE, GUARD.id, 0, 2, 0, 256, {"a": 1}], Reason.OUT_OF_RANGE),
    ([SLICE, GUARD.id, 0, 6, 0, 1, {"a": 1}], Reason.OUT_OF_RANGE),
    ([SLICE, GUARD.id, 0, -1, 0, 1, {"a": 1}], Reason.OUT_OF_RANGE),
    ([SLICE, GUARD.id, -1, 2, 0, 1, {"a": 1}], Reason.OUT_OF_RANGE),
    ([SLICE, GUARD.id, 0, 0, 0, 1, {"a": 1}], Reason.WRONG_SHAPE),
    ([SLICE, GUARD.id, 0, 2, 0, 1, [1]], Reason.WRONG_SHAPE),
    ([SLICE, GUARD.id, 0, 2, 0, True, {"a": 1}], Reason.WRONG_SHAPE),
    ([SLICE, GUARD.id, 0, 2, 0, 1], Reason.WRONG_SHAPE),
    ([SLICE, GUARD.id, 0, 2, 0, 1, {"a": math.nan}], Reason.NOT_FINITE),
    ([SLICE, 5, 0, 2, 0, 1, {"a": 1}], Reason.UNKNOWN_SCHEMA),
    ([PART, GUARD.id, 0, 0, 0.5], Reason.WRONG_SHAPE),
    ([], Reason.NOT_A_MESSAGE), ({}, Reason.NOT_A_MESSAGE), (["guard"], Reason.NOT_A_MESSAGE),
    (5, Reason.NOT_A_MESSAGE),
])
def test_a_frame_of_another_shape_is_refused_by_name(item: Any, reason: Reason | None) -> None:
    answer = decode_frame(cbor2.dumps(item))
    assert (answer.reason if isinstance(answer, Refusal) else None) is reason


@pytest.mark.parametrize(("value", "reason"), [
    ([1.0, 2.0], Reason.WRONG_SHAPE), ([1.0, 2.0, "3"], Reason.WRONG_SHAPE), ([1.0, 2.0, None], Reason.WRONG_SHAPE),
    ([1.0, 2.0, math.nan], Reason.NOT_FINITE), ([1.0, 2.0, True], Reason.WRONG_SHAPE), ("abc", Reason.WRONG_SHAPE),
    ([1, 2, 3], None),
])
def test_a_vector_is_as_many_finite_numbers_as_it_has(value: Any, reason: Reason | None) -> None:
    layout = LAYOUTS["motion"]
    answer = decode_frame(cbor2.dumps([PART, layout.id, 0, 1, value]))
    if reason is None:
        assert isinstance(answer, Frame)
        assert answer.values == {"rate_rad_s": (1, 2, 3)}
    else:
        assert isinstance(answer, Refusal)
        assert answer.reason is reason
        assert "rate_rad_s" in answer.detail


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_frame_or_a_refusal(noise: bytes) -> None:
    layout = LAYOUTS["state"]
    head = cbor2.dumps([layout.id, 0])[1:]
    for data in (noise, b"\x93" + head + noise, b"\x84\x0d" + head + noise):
        assert isinstance(decode_frame(data), Frame | Refusal)


def test_any_layout_has_a_codec_and_thirty_numbers_fit_where_a_map_does_not() -> None:
    channels = tuple(Channel(index, f"c{index}", Kind.NUMBER, "-", "") for index in range(30))
    codec = FrameCodec(Layout("thirty", 1.0, "", channels, 0xFFFE))
    values = {channel.name: 0.1 + channel.id for channel in channels}
    data = codec.encode(10**12, values)
    assert len(data) <= 162
    assert len(data) < len(cbor2.dumps(values)) / 2
    assert len(data) <= MESSAGE.most_bytes
    assert codec_of(GUARD).layout is GUARD
    with pytest.raises(KeyError):
        codec_of(Layout("other", 1.0, "", channels, 5))

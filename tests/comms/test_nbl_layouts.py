"""Layouts of emergency packets: what goes in comes out, missing stays missing, out of range is marked, size is kept."""

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.nbl.fields import FieldKind, Layout, LayoutFault, LayoutField, Unpacked, code_word
from comms.nbl.layouts import (
    BEACON,
    COMMAND_ACK,
    DISTRESS,
    LAYOUTS,
    LONGEST_USEFUL_BYTES,
    MINIMAL_STATE,
    SAFE_REASONS,
    page,
    unpack,
)
from comms.nbl.packet import PayloadClass
from fdir.codes import Code
from hal.profile import load_profile


def value_of(entry: LayoutField) -> st.SearchStrategy[Any]:
    if entry.kind is FieldKind.NUMBER:
        return st.floats(entry.low, entry.high)
    if entry.kind is FieldKind.COUNT:
        return st.integers(0, entry.most)
    if entry.kind is FieldKind.CODE:
        return st.sampled_from([str(code) for code in Code])
    if entry.kind is FieldKind.FLAGS:
        return st.lists(st.sampled_from(entry.choices), unique=True).map(
            lambda words: tuple(sorted(words, key=entry.choices.index)))
    return st.sampled_from(entry.choices)


@st.composite
def messages(draw: st.DrawFn) -> tuple[Layout, dict[str, Any]]:
    layout = draw(st.sampled_from(list(LAYOUTS.values())))
    return layout, {f.name: draw(st.none() | value_of(f)) for f in layout.fields}


def unpacked(payload: bytes) -> Unpacked:
    found = unpack(payload)
    assert isinstance(found, Unpacked), found
    return found


def test_every_class_has_a_layout_and_all_fit_one_packet() -> None:
    assert set(LAYOUTS) == set(PayloadClass)
    assert {layout.number for layout in LAYOUTS.values()} == {1, 2, 3, 4}
    assert all(layout.size_bytes <= LONGEST_USEFUL_BYTES for layout in LAYOUTS.values())
    sizes = [LAYOUTS[kind].size_bytes for kind in PayloadClass]
    assert sizes == [41, 98, 15, 20]


@given(messages())
def test_values_come_back_within_half_a_step_and_missing_stays_missing(message: tuple[Layout, dict[str, Any]]) -> None:
    layout, values = message
    packed = layout.pack(values)
    assert len(packed.payload) == layout.size_bytes
    assert packed.out_of_range == ()
    found = unpacked(packed.payload)
    assert found.layout is layout
    assert found.out_of_range == ()
    for entry in layout.fields:
        want, got = values[entry.name], found.values[entry.name]
        if isinstance(want, float):
            assert isinstance(got, float)
            assert abs(got - want) <= entry.step * 0.500001
        else:
            assert got == want, entry.name


@given(st.binary(max_size=130))
def test_any_bytes_are_values_or_a_named_fault(payload: bytes) -> None:
    found = unpack(payload)
    assert isinstance(found, LayoutFault | Unpacked)
    if isinstance(found, Unpacked):
        again = found.layout.pack(found.values)
        assert len(again.payload) == len(payload)


@given(messages(), st.integers(0, 1000))
def test_a_packet_of_another_length_is_refused(message: tuple[Layout, dict[str, Any]], cut: int) -> None:
    layout, values = message
    payload = layout.pack(values).payload
    short = payload[:cut % len(payload)]
    assert isinstance(unpack(short), LayoutFault)
    assert unpack(payload + b"\0") is LayoutFault.WRONG_LENGTH


def test_faults_have_names() -> None:
    payload = BEACON.pack({}).payload
    assert unpack(b"") is LayoutFault.EMPTY
    assert unpack(b"\xf1" + payload[1:]) is LayoutFault.UNKNOWN_LAYOUT
    assert unpack(b"\x32" + payload[1:]) is LayoutFault.UNKNOWN_VERSION
    assert COMMAND_ACK.unpack(payload) is LayoutFault.UNKNOWN_LAYOUT
    assert BEACON.unpack(b"") is LayoutFault.EMPTY
    ack = COMMAND_ACK.pack({"sequence": 1}).payload
    assert unpack(ack[:-1] + bytes([ack[-1] | 1])) is LayoutFault.PADDING


def test_a_choice_that_there_is_not_is_a_fault() -> None:
    layout = Layout(9, "x", "x", (LayoutField("way", FieldKind.CHOICE, 3, "x", choices=("up", "down")),
                                  LayoutField("rest", FieldKind.COUNT, 5, "x")))
    assert layout.unpack(bytes([0x91, 0b010_00000])) is LayoutFault.UNKNOWN_CHOICE
    assert layout.unpack(bytes([0x91, 0b001_11110])) is LayoutFault.UNKNOWN_CHOICE
    found = layout.unpack(bytes([0x91, 0b001_11111]))
    assert isinstance(found, Unpacked)
    assert found.values == {"way": "down", "rest": None}


@pytest.mark.parametrize(
    ("value", "edge"), [(1e9, "high"), (float("inf"), "high"), (-1e9, "low"), (float("-inf"), "low")],
)
def test_what_is_out_of_range_is_marked_at_both_ends(value: float, edge: str) -> None:
    packed = DISTRESS.pack({"position_x": value, "core_c": 20.0})
    assert packed.out_of_range == ("position_x",)
    found = unpacked(packed.payload)
    assert found.out_of_range == ("position_x",)
    entry = next(f for f in DISTRESS.fields if f.name == "position_x")
    assert found.values["position_x"] == getattr(entry, edge)
    assert found.values["core_c"] == 20.0


@pytest.mark.parametrize("value", [float("nan"), None, "hot", True, b"1", [1.0]])
def test_what_is_no_number_is_missing(value: object) -> None:
    packed = BEACON.pack({"core_c": value})
    assert packed.out_of_range == ()
    assert unpacked(packed.payload).values["core_c"] is None


def test_an_unknown_word_is_missing_and_told() -> None:
    packed = BEACON.pack({"motion": "Hover", "in_safe": True})
    assert packed.out_of_range == ("motion",)
    values = unpacked(packed.payload).values
    assert values["motion"] is None
    assert values["in_safe"] == "yes"


def test_no_reason_and_unknown_reasons_are_two_things() -> None:
    def reasons(value: object) -> object:
        return unpacked(DISTRESS.pack({"safe_reasons": value}).payload).values["safe_reasons"]

    assert reasons(()) == ()
    assert reasons(None) is None
    assert reasons("SAFE_POWER_LOW") is None
    assert reasons(("SAFE_POWER_LOW", "SOMETHING_NEW")) == ("SAFE_POWER_LOW", "other")
    assert reasons(tuple(SAFE_REASONS)) == tuple(str(code) for code in SAFE_REASONS)


def test_flags_without_an_other_say_what_they_cannot_carry() -> None:
    packed = MINIMAL_STATE.pack({"loads_on": ("radar", "kettle")})
    assert packed.out_of_range == ("loads_on",)
    assert unpacked(packed.payload).values["loads_on"] == ("radar",)


def test_counts_begin_anew_after_their_last_code() -> None:
    values = unpacked(BEACON.pack({"packet": 65_533, "start": 65_532}).payload).values
    assert (values["packet"], values["start"]) == (0, 65_532)
    assert unpacked(BEACON.pack({"packet": -1}).payload).values["packet"] is None


def test_code_words_tell_all_codes_apart() -> None:
    words = {code_word(code) for code in Code}
    assert len(words) == len(Code)
    assert (1 << 20) - 1 not in words
    assert code_word("CAP_LOW") == crc32(b"CAP_LOW") % (1 << 20)


def test_an_unknown_code_word_is_shown_as_it_is() -> None:
    layout = Layout(9, "x", "x", (LayoutField("code", FieldKind.CODE, 20, "x"),))
    found = layout.unpack(bytes([0x91, 0x00, 0x00, 0x10]))
    assert isinstance(found, Unpacked)
    assert found.values == {"code": "0x00001"}


def test_a_field_that_there_is_not_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError, match="warp"):
        BEACON.pack({"warp": 9})


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": FieldKind.NUMBER, "bits": 40}, {"kind": FieldKind.NUMBER, "bits": 8, "step": 0.0},
        {"kind": FieldKind.CHOICE, "bits": 2, "choices": ("a", "b", "c", "d")},
        {"kind": FieldKind.FLAGS, "bits": 3, "choices": ("a",)}, {"kind": FieldKind.CODE, "bits": 16},
    ],
)
def test_a_field_that_cannot_be_is_not_declared(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        LayoutField("x", text="x", **wrong)


def test_a_name_twice_is_not_declared() -> None:
    entry = LayoutField("x", FieldKind.COUNT, 8, "x")
    with pytest.raises(ValueError, match="twice"):
        Layout(5, "x", "x", (entry, entry))


def test_the_beacon_bit_by_bit() -> None:
    """By hand, field after field, from the printed page."""
    payload = BEACON.pack({
        "packet": 7, "start": 3, "t_s": 100.0, "motion": "SAFE", "emission": "restricted", "emcon": "1",
        "in_safe": True, "soc_battery": 0.5, "soc_supercap": 0.25, "core_c": 20.0, "uplink_age_s": 600.0,
    }).payload
    head = f"{3:04b}{1:04b}{7:016b}{3:016b}{1000:032b}"
    bits = f"{head}{8:04b}{1:02b}{1:03b}{1:02b}{100:08b}{50:08b}{140:09b}{150:012b}"
    assert len(bits) == 120
    assert payload == int(bits, 2).to_bytes(15, "big")
    assert struct.unpack(">H", payload[1:3]) == (7,)


def test_nodes_loads_and_heaters_are_the_bodys() -> None:
    body = load_profile("qiki-g", "qiki-rpi").body
    names = {f.name for f in MINIMAL_STATE.fields}
    assert {f"{node.name}_c" for node in body.thermal.nodes} <= names
    flags = {f.name: f.choices for f in MINIMAL_STATE.fields if f.kind is FieldKind.FLAGS}
    assert {load.name for load in body.power.loads} - {"base"} <= set(flags["loads_on"])


def test_the_page_lists_every_field() -> None:
    text = page()
    for layout in LAYOUTS.values():
        assert f"## {layout.name}" in text
        assert all(f"`{f.name}`" in text for f in layout.fields)
    assert "| beacon | 3 | 1 | 15 B (120 bit) | 26 B | 3.2 s | 488 J |" in text

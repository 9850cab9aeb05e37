"""Parameters: what is allowed, who may set it, and that a set is whole whatever is stored or asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.dictionary import Authority
from comms.parameters import (
    FORMAT,
    PARAMETERS,
    SCHEMA,
    Effect,
    Parameter,
    ParameterKind,
    ParameterRefused,
    ParameterSets,
    ParameterUnauthorised,
    Schema,
    decode,
    encode,
)

SAFETY, ENGINEER, CONTROLLER, VIEWER = Authority.SAFETY, Authority.ENGINEER, Authority.CONTROLLER, Authority.VIEWER
FRAM_SLOT = 512


def number(identity: int = 1, name: str = "share", **changed: object) -> Parameter:
    row = Parameter(identity, name, ParameterKind.NUMBER, "m", 1.0, CONTROLLER, Effect.AT_ONCE, "text", 0.5, 2.0)
    return replace(row, **changed)  # type: ignore[arg-type]


SMALL = Schema((
    number(),
    number(2, "deep", authority=SAFETY),
    number(3, "count", kind=ParameterKind.INTEGER, default=3, unit="-", low=1, high=5),
    number(4, "way", kind=ParameterKind.CHOICE, default="a", low=None, high=None, choices=("a", "b")),
    number(5, "on", kind=ParameterKind.FLAG, default=True, low=None, high=None, authority=ENGINEER),
))
NAMES = [parameter.name for parameter in SMALL.parameters]


def staged(*pairs: tuple[str, str], start: ParameterSets | None = None, schema: Schema = SMALL) -> ParameterSets:
    sets = ParameterSets() if start is None else start
    for name, text in pairs:
        sets = sets.stage(schema, name, text, SAFETY)
    return sets


# -- the table that ships


def test_ids_and_names_are_once_each_and_never_change() -> None:
    assert [(p.id, p.name) for p in PARAMETERS] == [
        (1, "speed_share"), (2, "slew_rate_share"), (3, "hold_deadband_deg"), (4, "hold_deadband_m"),
        (5, "idle_deadband_deg"), (6, "command_loss_s"), (7, "safe_leave_soc"), (8, "safe_leave_rate_deg_s"),
        (9, "safe_detumble_deg_s"), (10, "safe_point_deg_s"), (11, "sensor_profile"), (12, "telemetry_every"),
        (13, "boot_loop_starts"), (14, "boot_healthy_s"), (15, "self_test_s"), (16, "arm_at_boot"),
    ]


def test_what_touches_safe_takes_the_highest_role_and_only_gets_stricter() -> None:
    for parameter in PARAMETERS:
        if parameter.name.startswith(("safe_", "boot_", "command_loss", "arm_")):
            assert parameter.authority is SAFETY, parameter.name
    by_name = SCHEMA.by_name
    assert by_name["safe_leave_soc"].low == by_name["safe_leave_soc"].default
    assert by_name["safe_leave_rate_deg_s"].high == by_name["safe_leave_rate_deg_s"].default
    assert by_name["safe_detumble_deg_s"].high == by_name["safe_detumble_deg_s"].default
    detumble, point = by_name["safe_detumble_deg_s"], by_name["safe_point_deg_s"]
    assert point.high is not None
    assert detumble.low is not None
    assert point.high < detumble.low, "SAFE points at rates at which it does not detumble"


def test_the_largest_sets_fit_the_memory_of_the_boards_that_ship() -> None:
    sets = ParameterSets(number=0xFFFF_FFFF)
    longest = {"sensor_profile": "balanced", "arm_at_boot": "false"}
    for share in (0.31, 0.37, 0.41):
        for p in PARAMETERS:
            text = longest.get(p.name)
            if text is None and p.kind is ParameterKind.INTEGER:
                text = str(p.high)
            elif text is None:
                assert p.low is not None
                assert p.high is not None
                text = repr(p.low + (p.high - p.low) * share)
            sets = sets.stage(SCHEMA, p.name, text, SAFETY)
        if share < 0.4:
            sets = sets.activate(SCHEMA, SAFETY)
    assert len(encode(sets, SCHEMA)) <= FRAM_SLOT


# -- the schema


@pytest.mark.parametrize(("rows", "said"), [
    ((number(), number(2)), "stands twice"),
    ((number(), number(1, "other")), "stands twice"),
    ((number(0),), r"share: id is 0; 1..65535 is allowed"),
    ((number(65_536),), "id is 65536"),
    ((number(default=3.0),), r"default: share is 3; allowed: 0.5..2 m"),
    ((number(low=None),), "default: share is 1"),
    ((number(kind=ParameterKind.CHOICE, default="c", choices=("a",)),), "default: share is 'c'; allowed: a"),
])
def test_a_table_that_contradicts_itself_is_refused(rows: tuple[Parameter, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Schema(rows)


@pytest.mark.parametrize("identity", [1, 65_535])
def test_the_first_and_the_last_id_are_allowed(identity: int) -> None:
    assert Schema((number(identity),)).by_id[identity].name == "share"


@pytest.mark.parametrize(("name", "text", "value"), [
    ("share", "1.5", 1.5), ("share", "0.5", 0.5), ("share", "2", 2.0), ("share", "+.75", 0.75), ("share", "15e-1", 1.5),
    ("share", "1.", 1.0), ("share", "default", None), ("count", "5", 5), ("count", "1", 1), ("count", "+2", 2),
    ("way", "b", "b"), ("on", "true", True), ("on", "false", False), ("on", "default", None),
])
def test_a_value_is_read_from_text(name: str, text: str, value: object) -> None:
    found = SMALL.read(name, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("name", "text", "said"), [
    ("share", "0.49", r"share is 0.49; allowed: 0.5..2 m"), ("share", "2.01", "share is 2.01"),
    ("share", "nan", "share is 'nan'"), ("share", "inf", "share is 'inf'"), ("share", "1e999", "share is inf"),
    ("share", "1,5", "share is '1,5'"), ("share", "", "share is ''"), ("share", " 1", "share is ' 1'"),
    ("share", "1\n", "share is '1.n'"), ("share", "١", "share is '١'"), ("share", "true", "share is 'true'"),
    ("share", "0x1", "share is '0x1'"), ("share", "1_0", "share is '1_0'"),
    ("count", "0", r"count is 0; allowed: 1..5$"), ("count", "6", "count is 6"), ("count", "2.0", "count is '2.0'"),
    ("count", "9" * 16, "count is '9999"),
    ("way", "c", "way is 'c'; allowed: a, b"), ("way", "A", "way is 'A'"),
    ("on", "yes", "on is 'yes'; allowed: true, false"), ("on", "1", "on is '1'"), ("on", "True", "on is 'True'"),
    ("share", "1" * 65, "share: 65 characters; up to 64 are allowed"),
    ("nobody", "1", "no parameter 'nobody'; parameters: share, deep, count, way, on"),
    ("x" * 500, "1", f"no parameter '{'x' * 64}'; "),
])
def test_what_is_no_value_is_refused_with_what_is_allowed(name: str, text: str, said: str) -> None:
    with pytest.raises(ParameterRefused, match=said):
        SMALL.read(name, text)


@pytest.mark.parametrize(("name", "value"), [
    ("share", True), ("share", "1"), ("share", math.nan), ("share", math.inf), ("count", 2.0), ("count", True),
    ("way", 1), ("way", True), ("on", 1), ("on", "true"), ("on", 0.0),
])
def test_a_value_of_another_type_is_none(name: str, value: object) -> None:
    assert SMALL.by_name[name].objection(value) is not None  # type: ignore[arg-type]


def test_a_whole_number_is_a_number() -> None:
    assert SMALL.by_name["share"].objection(1) is None
    resolved = SMALL.resolve({1: 1})
    assert type(resolved.values["share"]) is float


def test_what_is_allowed_is_said_in_words() -> None:
    assert [p.allowed for p in SMALL.parameters] == ["0.5..2 m", "0.5..2 m", "1..5", "a, b", "true, false"]
    assert number(unit="1").allowed == "0.5..2"


def test_one_bad_value_has_its_default_alone() -> None:
    resolved = SMALL.resolve({1: 7.0, 3: 5, 99: 1, 4: "gone"})
    assert resolved.values == {"share": 1.0, "deep": 1.0, "count": 5, "way": "a", "on": True}
    assert resolved.problems == (
        "share is 7; allowed: 0.5..2 m; its default 1 is used", "way is 'gone'; allowed: a, b; its default a is used",
    )


def test_the_digest_changes_with_what_is_allowed_and_with_nothing_else() -> None:
    one = Schema((number(),)).digest
    assert len(one) == 8
    for other in (number(low=0.6), number(high=3.0), number(2)):
        assert Schema((other,)).digest != one
    for same in (number(text="other"), number(default=1.5), number(authority=SAFETY)):
        assert Schema((same,)).digest == one
    assert Schema((number(2, "b"), number())).digest == Schema((number(), number(2, "b"))).digest


# -- staging, activating, going back


def test_staging_changes_nothing_that_is_active() -> None:
    sets = staged(("share", "1.5"), ("count", "5"), ("share", "2"))
    assert (sets.number, sets.active, sets.previous) == (0, {}, None)
    assert sets.staged == {1: 2.0, 3: 5}


def test_all_that_is_staged_becomes_active_at_once() -> None:
    sets = staged(("share", "1.5"), ("count", "5")).activate(SMALL, SAFETY)
    assert sets == ParameterSets(1, {1: 1.5, 3: 5}, {}, {})
    after = staged(("share", "default"), ("way", "b"), start=sets).activate(SMALL, SAFETY)
    assert after == ParameterSets(2, {3: 5, 4: "b"}, {1: 1.5, 3: 5}, {})


def test_nothing_staged_is_nothing_to_activate() -> None:
    with pytest.raises(ParameterRefused, match="nothing is staged; stage a value first"):
        ParameterSets().activate(SMALL, SAFETY)


def test_one_staged_value_that_is_not_allowed_any_more_keeps_all_from_becoming_active() -> None:
    sets = ParameterSets(staged={1: 1.5, 3: 6, 4: "c", 99: 1})
    with pytest.raises(ParameterRefused, match=r"^count is 6; allowed: 1..5; way is 'c'; allowed: a, b$"):
        sets.activate(SMALL, SAFETY)


def test_going_back_twice_is_going_nowhere() -> None:
    one = staged(("share", "1.5")).activate(SMALL, SAFETY)
    back = one.rollback(SMALL, SAFETY)
    assert back == ParameterSets(2, {}, {1: 1.5}, {})
    again = back.rollback(SMALL, SAFETY)
    assert again == ParameterSets(3, {1: 1.5}, {}, {})


def test_going_back_leaves_what_is_staged() -> None:
    sets = staged(("count", "2"), start=staged(("share", "1.5")).activate(SMALL, SAFETY))
    assert sets.rollback(SMALL, SAFETY).staged == {3: 2}


def test_there_is_nothing_to_go_back_to_before_the_first_activation() -> None:
    with pytest.raises(ParameterRefused, match="no set to go back to"):
        staged(("share", "1.5")).rollback(SMALL, SAFETY)


def test_the_number_of_sets_begins_anew_where_it_cannot_be_kept() -> None:
    sets = replace(staged(("share", "1.5")), number=0xFFFF_FFFE).activate(SMALL, SAFETY)
    assert sets.number == 0xFFFF_FFFF
    assert sets.rollback(SMALL, SAFETY).number == 0


@pytest.mark.parametrize(("name", "role", "may"), [
    ("share", VIEWER, False), ("share", CONTROLLER, True), ("share", SAFETY, True), ("on", CONTROLLER, False),
    ("on", ENGINEER, True), ("deep", ENGINEER, False), ("deep", SAFETY, True),
])
def test_every_parameter_takes_its_own_role(name: str, role: Authority, may: bool) -> None:
    text = "false" if name == "on" else "1.5"
    one = staged((name, text))
    active = one.activate(SMALL, SAFETY)
    for act in (
        lambda: ParameterSets().stage(SMALL, name, text, role), lambda: one.activate(SMALL, role),
        lambda: active.rollback(SMALL, role),
    ):
        if may:
            act()
        else:
            with pytest.raises(ParameterUnauthorised, match=rf"{name} takes the authority \w+ or higher, not {role}"):
                act()


def test_a_role_may_go_back_where_nothing_of_a_higher_one_differs() -> None:
    deep = staged(("deep", "1.5")).activate(SMALL, SAFETY)
    sets = staged(("share", "2"), start=deep).activate(SMALL, CONTROLLER)
    assert sets.rollback(SMALL, CONTROLLER).active == {2: 1.5}
    with pytest.raises(ParameterUnauthorised, match="deep"):
        replace(sets, previous={}).rollback(SMALL, CONTROLLER)
    with pytest.raises(ParameterUnauthorised, match="deep"):
        replace(sets, previous={1: 2.0, 2: 1.75}).rollback(SMALL, CONTROLLER)
    with pytest.raises(ParameterUnauthorised, match="deep"):
        replace(sets, active={}, previous={2: 1.5}).rollback(SMALL, CONTROLLER)


def test_values_of_other_software_are_kept_and_moved_along() -> None:
    sets = ParameterSets(4, {99: "x"}, {98: 1}, {97: 2.5})
    after = sets.activate(SMALL, VIEWER)
    assert after == ParameterSets(5, {99: "x", 97: 2.5}, {99: "x"}, {})
    assert SMALL.resolve(after.active) == (SMALL.defaults, ())


# -- stored bytes

VALUES = st.one_of(st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False), st.text(max_size=12))
SETS = st.dictionaries(st.integers(1, 70_000), VALUES, max_size=8)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), SETS, st.none() | SETS, st.dictionaries(st.integers(1, 99), st.none() | VALUES))
def test_sets_come_back_as_they_were_stored(number_: int, active: dict, previous: dict | None, waiting: dict) -> None:
    sets = ParameterSets(number_, active, previous, waiting)
    found = decode(encode(sets, SMALL))
    assert found.sets == sets
    assert found.digest == SMALL.digest
    assert encode(found.sets, SMALL) == encode(sets, SMALL)


def test_equal_sets_are_equal_bytes_whatever_the_order() -> None:
    one = ParameterSets(1, {1: 1.0, 3: 2}, {4: "b", 1: 2.0}, {2: 1.0, 5: None})
    other = ParameterSets(1, {3: 2, 1: 1.0}, {1: 2.0, 4: "b"}, {5: None, 2: 1.0})
    assert encode(one, SMALL) == encode(other, SMALL)


GOOD = [FORMAT, b"12345678", 1, {1: 1.5}, None, {}]


@pytest.mark.parametrize(("place", "value", "said"), [
    (0, FORMAT + 1, "stored in format 2; this software reads 1"), (1, "text", "not readable"), (2, -1, "say set -1"),
    (2, 2**32, "say set 4294967296"), (2, "1", "not readable"), (3, {1: [1]}, "not readable"), (3, {"a": 1}, "not"),
    (3, {1: None}, "not readable"), (4, [], "not readable"), (5, None, "not readable"), (5, {1: {}}, "not readable"),
])
def test_what_is_none_of_ours_is_refused(place: int, value: object, said: str) -> None:
    wire = [*GOOD]
    wire[place] = value
    with pytest.raises(ParameterRefused, match=said):
        decode(msgspec.msgpack.encode(wire))


def test_the_good_wire_is_read() -> None:
    assert decode(msgspec.msgpack.encode(GOOD)) == (ParameterSets(1, {1: 1.5}, None, {}), b"12345678")
    assert decode(msgspec.msgpack.encode([FORMAT, b"", 2**32 - 1, {}, None, {}])).sets.number == 2**32 - 1


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=80))
def test_no_bytes_do_harm(data: bytes) -> None:
    try:
        sets = decode(data).sets
    except ParameterRefused:
        return
    resolved = SMALL.resolve(sets.active)
    assert list(resolved.values) == NAMES


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_stored_sets_with_a_byte_changed_are_values_that_are_allowed_or_nothing(at: int, flip: int) -> None:
    data = bytearray(encode(staged(("share", "1.5"), ("way", "b")).activate(SMALL, SAFETY), SMALL))
    data[at % len(data)] ^= flip
    try:
        sets = decode(bytes(data)).sets
    except ParameterRefused:
        return
    for name, value in SMALL.resolve(sets.active).values.items():
        assert SMALL.by_name[name].objection(value) is None


def test_a_nesting_without_end_is_refused() -> None:
    with pytest.raises(ParameterRefused):
        decode(b"\x91" * 20_000)

"""Messages of the link: each goes and comes back, and what is none is refused by name and never raises."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.dictionary import AXES, COMMANDS, LAYOUTS, Argument, Authority, Command, CommandRefused, Kind, validate
from comms.dictionary.arguments import PREFIX_DIGESTS, prefix_digests
from comms.dictionary.frames import MOST_MS, Frame
from comms.dictionary.messages import (
    LONGEST_WORDS,
    MESSAGES,
    ChannelTold,
    FileListing,
    FileRow,
    Hello,
    Notice,
    ParameterListing,
    ParametersAsk,
    Ping,
    Pong,
    TimeAsk,
    TimeTold,
    WireCommand,
    request_of,
)
from comms.dictionary.strict_cbor import Reason, Refusal
from comms.dictionary.wire import (
    decode_command,
    decode_event,
    decode_stage,
    encode_command,
    encode_event,
    encode_frame,
    encode_message,
    encode_stage,
    message_of,
)
from comms.flight_port import CommandStage, EventNote
from fdir.codes import Code
from fdir.gating import CommandClass
from fdir.lifecycle import Stage

COUNTS = st.integers(0, 2**32 - 1)
TIMES = st.none() | st.integers(0, MOST_MS)


def argument(row: Argument) -> st.SearchStrategy[Any]:
    """Values that the dictionary allows for an argument."""
    low, high = (-1e9 if row.low is None else row.low), (1e9 if row.high is None else row.high)
    numbers = st.floats(low, high)
    if high - low > 3:
        numbers = numbers | st.integers(int(low) + 1, int(high) - 1)
    if row.kind is Kind.RECORDS:
        return st.lists(given_of(row.fields), min_size=1, max_size=int(high))
    return {
        Kind.NUMBER: numbers, Kind.INTEGER: st.integers(int(low), int(high)), Kind.FLAG: st.booleans(),
        Kind.CHOICE: st.sampled_from([str(choice) for choice in row.choices] or [""]),
        Kind.TEXT: st.text("abc é_.", min_size=1, max_size=int(row.high or 40)),
        Kind.VECTOR3: st.tuples(*[st.floats(max(low, -1e6), min(high, 1e6))] * 3).map(list),
        Kind.QUATERNION: st.sampled_from([[1.0, 0.0, 0.0, 0.0], [0.5, -0.5, 0.5, -0.5]]),
        Kind.WRENCH: st.lists(st.floats(low, high), min_size=6, max_size=6),
        Kind.DIRECTION: st.sampled_from([*AXES, [1.0, 2.0, -2.0], [0.0, 0.0, 0.25]]),
    }[row.kind]


def given_of(arguments: tuple[Argument, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {row.name: argument(row) for row in arguments if row.required},
        optional={row.name: argument(row) for row in arguments if not row.required},
    )


def allowed(command: Command) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments that the dictionary allows for a command."""
    if not command.one_of:
        return given_of(command.arguments)
    every = {row.name: row for row in command.arguments}
    sets = []
    for names in command.one_of:
        in_sets = {name for row in command.one_of for name in row}
        records = {f.name for name in names for f in every[name].fields}
        free = [name for name in every if name not in in_sets and not (records and name in records)]
        sets.append(st.fixed_dictionaries({name: argument(every[name]) for name in names},
                                          optional={name: argument(every[name]) for name in free}))
    return st.one_of(sets)


@pytest.mark.parametrize("name", list(COMMANDS))
@given(data=st.data(), number=COUNTS, times=st.tuples(TIMES, TIMES), start=st.none() | COUNTS, confirmed=st.booleans(),
       priority=st.sampled_from(["normal", "urgent", "emergency"]))
@settings(max_examples=10, deadline=None)
def test_every_command_comes_back_as_the_dictionary_reads_it(
    name: str, data: st.DataObject, number: int, times: tuple[int | None, int | None], start: int | None,
    confirmed: bool, priority: str,
) -> None:
    before, after = sorted(times, key=lambda t: -1 if t is None else t)
    arguments = data.draw(allowed(COMMANDS[name]))
    sent = WireCommand(number, name, arguments, before, after, start, priority, confirmed)
    got = decode_command(encode_command(sent))
    assert got == WireCommand(number, name, validate(name, arguments)[1], before, after, start, priority, confirmed)


MESSAGES_SENT = [
    TimeAsk(1), TimeTold(2**32 - 1, MOST_MS, None), TimeTold(0, 0, 7), Ping(3), Pong(3, 5), ParametersAsk(12),
    ParameterListing(4, b"12345678", 16, ((1, 0.5), (2, 7), (11, "eco"), (16, True))),
    FileListing(0, 2, (FileRow("a.seq", 5), FileRow("b", 2**40))), Hello(b"12345678", None, "0.1.0"),
    ChannelTold(8, "survey", "science", 2, True, False),
    Notice(None, "argument", "level is 9"), Notice(4, "unknown command"),
    CommandStage(5_000_000, 9, "g:9", "g", "translate", "rejected", ("BAT_LOW", "CAP_LOW"), "too low"),
    CommandStage(0, 0, "", "", "an unknown name", "an unknown stage", ("AN_UNKNOWN_CODE",)),
    EventNote(MOST_MS * 1_000_000, "LINK_UP", "info", "ground"), EventNote(0, "NEW_CODE", "critical", ""),
    WireCommand(1, "idle"),
]


@pytest.mark.parametrize("message", MESSAGES_SENT, ids=lambda message: type(message).__name__)
def test_every_message_comes_back_as_it_was(message: Any) -> None:
    data = encode_message(message)
    assert message_of(data) == message
    item = cbor2.loads(data)
    assert len(item) == len(MESSAGES[item[0]].fields) + 1
    for end in range(len(data)):
        assert isinstance(message_of(data[:end]), Refusal)
    assert isinstance(message_of(data + b"\x00"), Refusal)


@pytest.mark.parametrize("message", MESSAGES_SENT, ids=lambda message: type(message).__name__)
def test_a_field_of_another_type_is_refused(message: Any) -> None:
    item = cbor2.loads(encode_message(message))
    for place in range(1, len(item)):
        for odd in (2**64 - 1, -1, 0.5, b"x", {"a": 1}, [[]], "x" * 300, float("nan"), cbor2.undefined):
            if type(odd) is type(item[place]):
                continue
            changed = [*item[:place], odd, *item[place + 1 :]]
            answer = message_of(cbor2.dumps(changed))
            assert isinstance(answer, Refusal), (place, odd)
    assert isinstance(message_of(cbor2.dumps([*item, None])), Refusal)
    assert isinstance(message_of(cbor2.dumps(item[:-1])), Refusal)


def test_a_frame_is_dispatched_like_every_other_message() -> None:
    frame = message_of(encode_frame(LAYOUTS["motion"], 10**9, {"rate_rad_s": (1.0, 2.0, 3.0)}))
    assert isinstance(frame, Frame)
    assert frame.values["rate_rad_s"] == (1.0, 2.0, 3.0)


def test_codes_stages_and_names_that_are_known_cost_a_number() -> None:
    event = EventNote(10**12, Code.BAT_LOW, "warning", "")
    assert len(encode_event(event)) <= 12
    assert decode_event(encode_event(event)) == EventNote(10**12, "BAT_LOW", "warning", "")
    for stage in Stage:
        sent = CommandStage(0, 1, "g:1", "g", "hold", stage.value)
        assert len(encode_stage(sent)) <= 20
        assert decode_stage(encode_stage(sent)) == sent


def test_words_for_people_are_cut_and_say_so() -> None:
    got = decode_event(encode_event(EventNote(0, "BAT_LOW", "loud", "é" * 500 + "\ud800")))
    assert isinstance(got, EventNote)
    assert len(got.text) == LONGEST_WORDS
    assert got.text.endswith("...")
    assert got.severity == "critical"


def test_numbers_that_a_newer_craft_uses_are_said_as_such() -> None:
    assert decode_event(cbor2.dumps([3, 0, 399, 0, ""])) == EventNote(0, "number 399", "info", "")


@pytest.mark.parametrize(("change", "reason"), [
    ({2: 9999}, Reason.UNKNOWN_COMMAND), ({2: 1}, Reason.SCHEMA_DIFFERS), ({3: 0}, Reason.SCHEMA_DIFFERS),
    ({4: [[1, 2, 3]]}, Reason.SCHEMA_DIFFERS), ({4: [[1, 2, 6000], "body"]}, Reason.ARGUMENT),
    ({4: [[1, 2, 3], "moon"]}, Reason.ARGUMENT), ({4: [None, "body"]}, Reason.ARGUMENT),
    ({4: [[1, 2, 3], "body", 1, 1]}, Reason.SCHEMA_DIFFERS), ({5: 9, 6: 8}, Reason.OUT_OF_RANGE),
    ({7: -1}, Reason.OUT_OF_RANGE), ({8: 3}, Reason.OUT_OF_RANGE), ({8: "urgent"}, Reason.WRONG_SHAPE),
    ({9: 1}, Reason.WRONG_SHAPE), ({1: 2**32}, Reason.OUT_OF_RANGE), ({1: True}, Reason.WRONG_SHAPE),
    ({4: {"vector_m": [1, 2, 3]}}, Reason.WRONG_SHAPE), ({0: 99}, Reason.UNKNOWN_SCHEMA),
    ({0: 6}, Reason.WRONG_SHAPE), ({0: "1"}, Reason.NOT_A_MESSAGE), ({0: -1}, Reason.UNKNOWN_SCHEMA),
])
def test_a_command_that_is_none_is_refused_by_name(change: dict[int, Any], reason: Reason) -> None:
    item = cbor2.loads(encode_command(WireCommand(7, "translate", {"vector_m": [1, 2, 3], "frame": "body"})))
    for place, value in change.items():
        item[place] = value
    answer = message_of(cbor2.dumps(item))
    assert isinstance(answer, Refusal)
    assert answer.reason is reason


def test_records_with_too_many_values_are_refused() -> None:
    segment = {"duration_s": 1.0, "level_pct": 5.0, "direction": "+x"}
    item = cbor2.loads(encode_command(WireCommand(7, "burn", {"segments": [segment]})))
    assert item[4] == [[[1.0, 5.0, "+x"]]]
    for records in ([[1.0, 5.0, "+x", None, None, None, None, 8]], [5], [[1.0]], [None], [[[1.0, 5.0, "+x"]]]):
        item[4] = [records]
        answer = message_of(cbor2.dumps(item))
        assert isinstance(answer, Refusal)
        assert answer.reason is Reason.ARGUMENT


@pytest.mark.parametrize("command", [
    WireCommand(1, "fly"), WireCommand(1, "emcon", {"level": 4}), WireCommand(1, "emcon", {"level": 1.5}),
    WireCommand(1, "emcon"), WireCommand(-1, "idle"), WireCommand(1, "idle", priority="loud"),
    WireCommand(1, "idle", not_before_ms=2, not_after_ms=1), WireCommand(1, "idle", start=2**40),
    WireCommand(1, "sequence_load", {"name": "x" * 65}), WireCommand(1, "sequence_load", {"name": ""}),
])
def test_the_ground_is_told_before_a_command_is_sent(command: WireCommand) -> None:
    with pytest.raises(CommandRefused):
        encode_command(command)


def test_only_the_message_asked_for_is_taken() -> None:
    answer = decode_command(encode_message(Ping(1)))
    assert isinstance(answer, Refusal)
    assert answer.reason is Reason.UNKNOWN_SCHEMA
    assert decode_stage(b"") == Refusal(Reason.EMPTY)


# -- the digest that guards places

_C = Command(900, "turn", CommandClass.HOLD, Authority.CONTROLLER, "", (
    Argument("angle", Kind.NUMBER, "rad", ""), Argument("rate", Kind.NUMBER, "rad/s", "", required=False)))


def test_an_optional_argument_more_at_the_end_leaves_older_senders_understood() -> None:
    longer = Command(900, "turn", CommandClass.HOLD, Authority.CONTROLLER, "other words", (
        *_C.arguments, Argument("then", Kind.TEXT, "-", "", required=False)))
    assert prefix_digests(longer)[:3] == prefix_digests(_C)
    assert [len(row) for row in PREFIX_DIGESTS.values()] == [len(c.arguments) + 1 for c in COMMANDS.values()]


@pytest.mark.parametrize("first", [
    Argument("angle", Kind.NUMBER, "deg", ""), Argument("turn", Kind.NUMBER, "rad", ""),
    Argument("angle", Kind.VECTOR3, "rad", ""), Argument("angle", Kind.NUMBER, "rad", "", fields=_C.arguments),
])
def test_a_place_that_means_something_else_has_another_digest(first: Argument) -> None:
    other = Command(900, "turn", CommandClass.HOLD, Authority.CONTROLLER, "", (first, _C.arguments[1]))
    assert prefix_digests(other)[0] == prefix_digests(_C)[0]
    assert all(a != b for a, b in zip(prefix_digests(other)[1:], prefix_digests(_C)[1:], strict=True))


def test_a_request_names_its_sender_and_keeps_every_bound() -> None:
    request = request_of(WireCommand(7, "hold", {}, 5, 6, 3, "urgent", True), "ground", Authority.SAFETY)
    assert (request.command_id, request.sender, request.sequence) == ("ground:7", "ground", 7)
    assert (request.not_before_ns, request.not_after_ns, request.start) == (5_000_000, 6_000_000, 3)
    assert (request.authority, request.priority, request.confirmed) == (Authority.SAFETY, "urgent", True)
    assert request_of(WireCommand(7, "hold"), "ground", Authority.VIEWER).not_after_ns is None


@given(st.binary(max_size=120))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_a_message_or_a_refusal(noise: bytes) -> None:
    for data in (noise, b"\x8a\x01" + noise, b"\x89\x02" + noise, b"\x85\x03" + noise):
        message = message_of(data)
        if not isinstance(message, Refusal | Frame):
            assert message_of(encode_message(message)) == message

"""CANopen codecs: frames as CiA 301 draws them, answers decoded or rejected by name, repeats bounded."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus.protocol import CanFrame
from drivers.canopen import (
    NEVER_NS,
    Emergency,
    NmtCommand,
    NmtState,
    Rejection,
    SdoClient,
    SdoOutcome,
    SdoStatus,
    abort_name,
    consumer_heartbeat,
    decode_emergency,
    decode_heartbeat,
    decode_sdo_answer,
    encode_nmt,
    encode_sdo_read,
    encode_sdo_write,
    heartbeat_frame,
)

MS = 1_000_000
FUZZ = settings(max_examples=200, deadline=None, derandomize=True)

# --- frames ---------------------------------------------------------------------------------------------------------


def test_nmt_commands_have_the_bytes_of_cia_301() -> None:
    assert encode_nmt(NmtCommand.START, 0x10) == CanFrame(0x000, bytes.fromhex("0110"))
    assert encode_nmt(NmtCommand.RESET_NODE, 0) == CanFrame(0x000, bytes.fromhex("8100"))


@pytest.mark.parametrize("node_id", [-1, 128])
def test_nmt_refuses_an_impossible_node_id(node_id: int) -> None:
    with pytest.raises(ValueError, match="node id"):
        encode_nmt(NmtCommand.STOP, node_id)


def test_heartbeat_of_the_flight_computer() -> None:
    assert heartbeat_frame(0x01, NmtState.OPERATIONAL) == CanFrame(0x701, b"\x05")


@pytest.mark.parametrize("state", list(NmtState))
def test_every_state_comes_back_from_its_heartbeat(state: NmtState) -> None:
    assert decode_heartbeat(heartbeat_frame(3, state).data) is state


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", Rejection.WRONG_LENGTH), (b"\x05\x00", Rejection.WRONG_LENGTH), (b"\x06", Rejection.UNKNOWN_STATE)],
)
def test_other_heartbeats_are_rejected_by_name(data: bytes, reason: Rejection) -> None:
    assert decode_heartbeat(data) is reason


def test_consumer_heartbeat_holds_producer_and_time() -> None:
    assert consumer_heartbeat(0x01, 100) == 0x0001_0064


def test_emergency_is_decoded_little_endian() -> None:
    assert decode_emergency(bytes.fromhex("3081110102030405"), 7) == Emergency(7, 0x8130, 0x11, b"\x01\x02\x03\x04\x05")
    assert decode_emergency(bytes(7), 7) is Rejection.WRONG_LENGTH


def test_emergency_agrees_with_the_canopen_package() -> None:
    emcy = pytest.importorskip("canopen.emcy")
    data = emcy.EMCY_STRUCT.pack(0xFF11, 0x81, b"\x03\x02")
    assert decode_emergency(data, 0) == Emergency(0, 0xFF11, 0x81, b"\x03\x02\x00\x00\x00")


# --- SDO ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "value", "data"),
    [
        (1, 0xFA, "2f012100fa000000"),
        (2, 3000, "2b012100b80b0000"),
        (3, 0x030201, "2701210001020300"),
        (4, 0x00010064, "2301210064000100"),
    ],
)
def test_expedited_write_requests(size: int, value: int, data: str) -> None:
    assert encode_sdo_write(0x10, 0x2101, 0, value, size) == CanFrame(0x610, bytes.fromhex(data))


@pytest.mark.parametrize(("value", "size"), [(256, 1), (-1, 1), (0, 0), (0, 5), (1 << 32, 4)])
def test_write_refuses_what_does_not_fit(value: int, size: int) -> None:
    with pytest.raises(ValueError, match="unsigned value"):
        encode_sdo_write(0x10, 0x2101, 0, value, size)


def test_read_request() -> None:
    assert encode_sdo_read(0x11, 0x1018, 2) == CanFrame(0x611, bytes.fromhex("4018100200000000"))


@pytest.mark.parametrize(
    ("data", "size", "expected"),
    [
        ("4318100256 4b4951", 4, SdoOutcome(0x1018, 2, SdoStatus.DONE, 0x51494B56)),
        ("4f181002fa 000000", 1, SdoOutcome(0x1018, 2, SdoStatus.DONE, 0xFA)),
        ("42181002fa 010203", 1, SdoOutcome(0x1018, 2, SdoStatus.DONE, 0xFA)),
        ("6018100200 000000", None, SdoOutcome(0x1018, 2, SdoStatus.DONE)),
        ("8018100211 000906", 4, SdoOutcome(0x1018, 2, SdoStatus.ABORTED, abort_code=0x06090011)),
        ("8018100202 000106", None, SdoOutcome(0x1018, 2, SdoStatus.ABORTED, abort_code=0x06010002)),
        ("4b18100256 4b0000", 4, Rejection.SDO_WRONG_SIZE),
        ("4118100208 000000", 4, Rejection.SDO_NOT_EXPEDITED),
        ("4318100156 4b4951", 4, Rejection.SDO_NOT_AWAITED),
        ("4319100256 4b4951", 4, Rejection.SDO_NOT_AWAITED),
        ("6018100200 000000", 4, Rejection.SDO_NOT_AWAITED),
        ("4318100256 4b4951", None, Rejection.SDO_NOT_AWAITED),
        ("2318100256 4b4951", 4, Rejection.SDO_UNKNOWN_COMMAND),
        ("43181002", 4, Rejection.WRONG_LENGTH),
        ("", None, Rejection.WRONG_LENGTH),
    ],
)
def test_sdo_answers(data: str, size: int | None, expected: SdoOutcome | Rejection) -> None:
    assert decode_sdo_answer(bytes.fromhex(data), 0x1018, 2, size) == expected


@FUZZ
@given(st.binary(max_size=8), st.integers(0, 0xFFFF), st.integers(0, 0xFF), st.sampled_from([None, 1, 2, 4]))
def test_any_answer_is_an_outcome_or_a_rejection(data: bytes, index: int, subindex: int, size: int | None) -> None:
    assert isinstance(decode_sdo_answer(data, index, subindex, size), SdoOutcome | Rejection)


@FUZZ
@given(st.integers(1, 4), st.integers(0, 0xFFFF), st.integers(0, 0xFF), st.data())
def test_a_value_written_is_the_value_that_a_read_of_it_brings(
    size: int, index: int, subindex: int, data: st.DataObject
) -> None:
    value = data.draw(st.integers(0, (1 << 8 * size) - 1))
    request = encode_sdo_write(5, index, subindex, value, size).data
    # A server's expedited upload answer differs from the client's download request in the command bits only.
    answer = bytes((0x40 | request[0] & 0x1F,)) + request[1:]
    assert decode_sdo_answer(answer, index, subindex, size) == SdoOutcome(index, subindex, SdoStatus.DONE, value)


def test_abort_codes_have_bounded_names() -> None:
    assert abort_name(0x06020000) == "no_object"
    assert {abort_name(code) for code in range(1000)} == {"other"}


# --- client ---------------------------------------------------------------------------------------------------------


class Sent(list[CanFrame]):
    """Frames that a client sent."""


def test_a_request_is_repeated_and_then_given_up() -> None:
    sent = Sent()
    client = SdoClient(0x10, sent.append, 50 * MS)
    client.read(0, 0x2100, 0, 1, repeats=2)
    ends = [client.on_time(now * MS) for now in (49, 50, 99, 100, 149, 150)]
    assert ends[:-1] == [None] * 5
    assert ends[-1] == SdoOutcome(0x2100, 0, SdoStatus.TIMED_OUT)
    assert sent == [encode_sdo_read(0x10, 0x2100, 0)] * 3
    assert (client.busy, client.due_ns, client.repeats) == (False, NEVER_NS, 2)


def test_a_request_without_repeats_is_sent_once() -> None:
    sent = Sent()
    client = SdoClient(0x10, sent.append, 50 * MS)
    client.write(0, 0x2100, 0, 1, 1, repeats=0)
    assert client.on_time(50 * MS) == SdoOutcome(0x2100, 0, SdoStatus.TIMED_OUT)
    assert len(sent) == 1


def test_an_answer_for_another_object_leaves_the_request_waiting() -> None:
    client = SdoClient(0x10, Sent().append, 50 * MS)
    client.read(0, 0x2100, 0, 1, repeats=0)
    assert client.on_answer(bytes.fromhex("4f01210001000000")) is Rejection.SDO_NOT_AWAITED
    assert client.busy
    assert client.on_answer(bytes.fromhex("4f00210001000000")) == SdoOutcome(0x2100, 0, SdoStatus.DONE, 1)
    assert not client.busy


def test_an_answer_that_nobody_asked_for_is_rejected() -> None:
    client = SdoClient(0x10, Sent().append, 50 * MS)
    assert client.on_answer(bytes(8)) is Rejection.SDO_NOT_AWAITED
    assert client.on_answer(b"") is Rejection.WRONG_LENGTH
    client.read(0, 0x2100, 0, 1, repeats=0)
    client.cancel()
    assert client.on_answer(bytes.fromhex("4f00210001000000")) is Rejection.SDO_NOT_AWAITED
    assert client.on_time(NEVER_NS) is None

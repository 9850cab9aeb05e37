"""What is understood becomes an order in plain types; the rest becomes the record of its refusal."""

from __future__ import annotations

import dataclasses

import pytest

from comms.dictionary import COMMANDS, Authority
from fdir.codes import Code
from firmware_py.commands import (
    ONBOARD,
    CommandRecord,
    CommandRequest,
    CommandState,
    Confirmation,
    Order,
    Priority,
    Source,
    onboard,
    parse,
)


def test_an_order_carries_number_source_and_converted_arguments() -> None:
    order = parse(7, "translate", {"vector_m": [1, 2, 3], "speed_m_s": 1}, "operator", 5)
    assert order == Order(7, "translate", {"vector_m": (1.0, 2.0, 3.0), "speed_m_s": 1.0}, "operator")


BARE = [
    name for name, command in COMMANDS.items()
    if not command.one_of and not any(a.required for a in command.arguments)
]


@pytest.mark.parametrize("name", BARE)
def test_every_command_without_required_arguments_is_understood_bare(name: str) -> None:
    assert isinstance(parse(1, name, {}, "test", 0), Order)


def test_a_refusal_keeps_what_was_asked_and_says_what_is_allowed() -> None:
    record = parse(3, "slew", {"axis": [0, 0, 1], "angle_deg": 500}, "script", 42)
    assert isinstance(record, CommandRecord)
    assert (record.t_ns, record.number, record.state) == (42, 3, CommandState.REJECTED)
    assert record.codes == (Code.CMD_VALIDATION_FAILED,)
    assert "-180..180" in record.detail
    assert record.arguments == {"axis": [0, 0, 1], "angle_deg": 500}


def test_a_request_is_of_its_sender_or_else_of_its_source() -> None:
    request = CommandRequest("a", "hold", {}, Source.EXTERNAL, Authority.VIEWER, True)
    assert (request.who, dataclasses.replace(request, sender="tablet").who) == ("external", "tablet")
    assert (request.sequence, request.not_after_ns) == (None, None)
    assert (request.priority, request.confirmation) == (Priority.NORMAL, Confirmation.NONE)


def test_the_program_s_own_request_is_trusted_and_its_id_is_its_number() -> None:
    request = onboard(12, "hold", {"a": 1}, "script")
    assert request == CommandRequest(
        "onboard-12", "hold", {"a": 1}, Source.SCRIPT, Authority.SAFETY, True, "script",
        confirmation=Confirmation.CONFIRMED,
    )
    assert frozenset({Source.SAFE, Source.SCRIPT}) == ONBOARD

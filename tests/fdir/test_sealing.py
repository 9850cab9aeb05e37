"""Sealing: what was allowed is what is carried out, once, whatever is done to the command meanwhile."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from math import inf, nan
from threading import Lock
from types import MappingProxyType
from typing import Any

import pytest

from fdir.codes import Code
from fdir.sealing import Decision, Sealed, canonical, digest_of, seal

LOOP: list[Any] = []
LOOP.append(LOOP)


def command(**changes: Any) -> Sealed:
    given: dict[str, Any] = {
        "kind": "command", "subject": "propulsion", "name": "burn",
        "parameters": {"level_pct": 40.0, "axis": [1, 0, 0]},
    }
    return Sealed(**{**given, **changes})


def sealed(**changes: Any) -> Decision:
    decision = seal(command(**changes))
    assert isinstance(decision, Decision)
    return decision


def test_the_canonical_form_is_sorted_without_spaces_in_utf_8() -> None:
    form = '{"kind":"command","name":"b\u00fcrn","parameters":{"a":[true,null,1],"b":1.5},"subject":"s"}'.encode()
    written = command(name="b\u00fcrn", subject="s", parameters={"b": 1.5, "a": (True, None, 1)})
    assert canonical(written) == form
    assert digest_of(written) == hashlib.sha256(form).hexdigest()


def test_the_order_of_keys_makes_no_difference_and_a_value_does() -> None:
    one = command(parameters={"a": 1, "b": {"c": 2, "d": 3}})
    assert digest_of(one) == digest_of(command(parameters=OrderedDict([("b", {"d": 3, "c": 2}), ("a", 1)])))
    for other in ({"a": 1, "b": {"c": 2, "d": 4}}, {"a": 1}, {"a": "1", "b": {"c": 2, "d": 3}}):
        assert digest_of(one) != digest_of(command(parameters=other))


@pytest.mark.parametrize("changes", [
    {"kind": "event"}, {"subject": "dock"}, {"name": "burn_stop"}, {"parameters": {}},
])
def test_every_field_is_under_the_seal(changes: dict[str, Any]) -> None:
    decision = sealed()
    assert decision.differs(command()) == ()
    assert decision.differs(command(**changes)) == (Code.CMD_SPOOF_MISMATCH,)
    assert decision.publish(command(**changes)) == (Code.CMD_SPOOF_MISMATCH,)
    assert not decision.published


@pytest.mark.parametrize("parameters", [
    {"x": nan}, {"x": inf}, {"x": -inf}, {"x": [1, {"y": nan}]}, {1: "x"}, {"x": {2: "y"}}, {"x": [{None: 1}]},
    {"x": ({True: 1},)}, {"x": "\ud800"}, {"x": object()}, {"x": b"bytes"}, {"x": {1, 2}}, {"x": Lock()}, {"x": LOOP},
])
def test_what_has_no_canonical_form_is_not_sealed(parameters: dict[Any, Any]) -> None:
    with pytest.raises((TypeError, ValueError, RecursionError)):
        canonical(command(parameters=parameters))
    assert seal(command(parameters=parameters)) == (Code.CMD_VALIDATION_FAILED,)
    decision = sealed()
    assert decision.publish(command(parameters=parameters)) == (Code.CMD_SPOOF_MISMATCH,)


def test_a_key_that_is_no_text_is_named() -> None:
    with pytest.raises(TypeError, match=r"^key 1 is no text$"):
        canonical(command(parameters={"x": [{1: 2}]}))


@pytest.mark.parametrize("field", ["kind", "subject", "name"])
def test_a_command_without_kind_subject_or_name_is_empty(field: str) -> None:
    assert seal(command(**{field: ""})) == (Code.CMD_EMPTY_COMMAND,)


def test_the_copy_under_seal_is_deep() -> None:
    parameters: dict[str, Any] = {"axis": [1, 0, 0], "more": {"deep": [1]}}
    decision = sealed(parameters=MappingProxyType(parameters))
    parameters["axis"][0] = 9
    parameters["more"]["deep"].append(2)
    assert decision.command.parameters == {"axis": [1, 0, 0], "more": {"deep": [1]}}
    assert decision.differs(command(parameters=parameters)) == (Code.CMD_SPOOF_MISMATCH,)
    assert decision.differs(command(parameters={"axis": [1, 0, 0], "more": {"deep": [1]}})) == ()


def test_a_copy_under_seal_that_was_tampered_with_is_never_carried_out() -> None:
    decision = sealed()
    decision.command.parameters["axis"][0] = 9  # type: ignore[index]
    for given in (command(), decision.command):
        assert decision.publish(given) == (Code.CMD_SPOOF_MISMATCH,)
    assert not decision.published


def test_a_digest_that_was_changed_fits_nothing() -> None:
    decision = sealed()
    decision.digest = digest_of(command(name="brake"))
    assert decision.differs(command()) == (Code.CMD_SPOOF_MISMATCH,)
    assert decision.differs(command(name="brake")) == (Code.CMD_SPOOF_MISMATCH,)


def test_it_is_published_once_and_executed_once() -> None:
    decision = sealed()
    assert (decision.published, decision.executed) == (False, False)
    assert decision.publish(command()) == ()
    assert (decision.published, decision.executed) == (True, False)
    assert decision.publish(command()) == (Code.CMD_ALREADY_PUBLISHED,)
    assert decision.execute(command()) == ()
    assert (decision.published, decision.executed) == (True, True)
    assert decision.execute(command()) == (Code.DECISION_ALREADY_EXECUTED,)
    assert decision.publish(command()) == (Code.CMD_ALREADY_PUBLISHED,)


def test_what_was_never_published_is_not_executed() -> None:
    decision = sealed()
    assert decision.execute(command()) == (Code.CMD_REJECTED,)
    assert not decision.executed
    assert decision.publish(command()) == ()
    assert decision.execute(command()) == ()


def test_another_command_is_not_executed_and_the_right_one_still_may_be() -> None:
    decision = sealed()
    decision.publish(command())
    assert decision.execute(command(name="brake")) == (Code.CMD_SPOOF_MISMATCH,)
    assert not decision.executed
    assert decision.execute(command()) == ()

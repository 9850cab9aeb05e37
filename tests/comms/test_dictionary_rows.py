"""Rows 12 and 13 of the link's campaign pass on the real code, and find what is broken on purpose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from comms.channel_plan import ChannelKind
from comms.dictionary import COMMANDS, Authority
from comms.dictionary.grants import grant
from comms.dictionary.strict_cbor import Limits, Reason, Refusal
from comms.dictionary.wire import message_of
from fdir.codes import Code
from firmware_py.cli.link_campaign import rows_dictionary
from firmware_py.cli.link_campaign.row import RowResult
from firmware_py.cli.link_campaign.rows_dictionary import ROWS

FUZZ, RIGHTS = ROWS


def run(row: Any, cases: int, seed: int = 3) -> RowResult:
    said: list[tuple[int, int]] = []
    result: RowResult = row.run(np.random.default_rng(seed), cases, lambda done, of: said.append((done, of)))
    assert said[-1] == (result.cases, result.cases)
    return result


def test_the_rows_pass_and_are_numbered_as_the_plan_numbers_them() -> None:
    assert [(row.number, row.full) for row in ROWS] == [(12, 10_000_000), (13, RIGHTS.slice)]
    fuzz = run(FUZZ, 40_000)
    assert fuzz.passed, fuzz.failures
    assert fuzz.counts["taken"] > 2000
    rights = run(RIGHTS, RIGHTS.slice)
    assert rights.passed, rights.failures
    assert rights.cases > 4 * len(COMMANDS) * 6 * 4
    assert rights.counts["granted"] > 500


def test_the_same_seed_makes_the_same_cases() -> None:
    one, other = run(FUZZ, 3000), run(FUZZ, 3000)
    assert {**one.counts, "grown_kib": 0} == {**other.counts, "grown_kib": 0}
    assert run(FUZZ, 3000, 4).counts["taken"] != one.counts["taken"]


def test_an_exception_out_of_the_parser_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> Any:
        if data[:1] == b"\xff":
            raise ValueError("broken")
        return message_of(data)

    monkeypatch.setattr(rows_dictionary, "message_of", broken)
    result = run(FUZZ, 3000)
    assert not result.passed
    assert "ValueError out of the parser: ff" in result.failures[0]


def test_a_parser_that_takes_too_much_or_too_little_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_dictionary, "message_of", lambda data: None)
    assert not run(FUZZ, 500).passed
    monkeypatch.setattr(rows_dictionary, "message_of", lambda data: Refusal(Reason.MALFORMED))
    assert not run(FUZZ, 500).passed


def test_a_slow_parser_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(data: bytes) -> Any:
        if len(data) > 4096:
            sum(range(100_000))
        return message_of(data)

    monkeypatch.setattr(rows_dictionary, "message_of", slow)
    result = run(FUZZ, 2000)
    assert any("longer than 1 ms" in failure for failure in result.failures)


@pytest.mark.parametrize("role", list(Authority))
def test_one_right_too_many_or_too_few_is_found(role: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(*cell: Any) -> Any:
        return () if cell[0] is role and cell[1:4] == ("key_renew", ChannelKind.BULK, 3) else grant(*cell)

    monkeypatch.setattr(rows_dictionary, "grant", generous)
    assert not run(RIGHTS, RIGHTS.slice).passed
    monkeypatch.setattr(rows_dictionary, "grant", lambda *cell: (Code.CMD_UNAUTHORIZED,))
    assert not run(RIGHTS, RIGHTS.slice).passed


def test_every_reason_against_a_command_is_told() -> None:
    assert grant(Authority.VIEWER, "file_send", ChannelKind.NBL, 3) == (
        Code.CMD_UNAUTHORIZED, Code.COMMS_UNAUTHORIZED, Code.EMCON_BLOCK)
    assert grant(Authority.CONTROLLER, "file_send", ChannelKind.CONTROL, 1) == (Code.EMCON_BLOCK,)
    assert grant(Authority.SAFETY, "hold", ChannelKind.CONTROL, None) == (Code.CMD_UNAUTHORIZED,)
    assert grant("safety", "hold", ChannelKind.CONTROL, 0) == (Code.CMD_UNAUTHORIZED,)
    assert grant(Authority.VIEWER, "ping", ChannelKind.SERVICE, 3) == ()


def test_limits_are_what_they_say() -> None:
    assert Limits() == Limits(4096, 6, 1024, False)

"""The campaign's row about the emergency transmitter: it passes, and it finds what is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from comms.nbl import gates, sender
from comms.nbl.packet import Criticality, PayloadClass
from comms.nbl.rate import RateBook
from comms.nbl.sender import NblSender
from firmware_py.cli.link_campaign.row import RowResult
from firmware_py.cli.link_campaign.rows_nbl import ROWS, oracle

ROW = ROWS[0]


def fly(cases: int = 10_000) -> RowResult:
    return ROW.run(np.random.default_rng(1), cases, lambda done, of: None)


def caught(words: str, cases: int = 10_000) -> None:
    result = fly(cases)
    assert not result.passed
    assert any(words in text for text in result.failures), result.failures
    assert len(result.failures) <= 20


def test_the_row_passes_and_says_the_same_again() -> None:
    assert (ROW.number, ROW.full) == (19, 1_000_000)
    first = fly()
    assert first.passed, first.failures
    assert first == fly()
    assert first.counts["sent"] > 0


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("LONGEST_BITS", 1023, "NBL_PAYLOAD_TOO_LARGE"), ("LONGEST_BITS", 1025, "NBL_PAYLOAD_TOO_LARGE"),
        ("CORE_MAX_C", 89.95, "NBL_THERMAL_BLOCK"), ("CORE_MAX_C", 90.1, "NBL_THERMAL_BLOCK"),
        ("PAUSE_NS", 120_000_000_001, "NBL_RATE_LIMIT"), ("PAUSE_NS", 119_999_999_999, "NBL_RATE_LIMIT"),
        ("HOTTEST_C", 200.0, "THERMAL"),
    ],
)
def test_an_edge_that_is_off_by_a_hair_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, value: float, code: str
) -> None:
    monkeypatch.setattr(gates, name, value)
    caught(code)


def test_a_gate_that_is_left_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "_emission_allows", lambda ask, facts: True)
    caught("EMCON_BLOCK")


@pytest.mark.parametrize(
    ("target", "name", "broken", "words"),
    [
        (sender, "under_way_blocks", lambda facts, limits: (), "went on against"),
        (sender, "judge", lambda ask, facts, limits: (), "started against"),
        (RateBook, "since_last_ns", lambda self, now_ns: gates.NEVER_NS, "after the last"),
        (RateBook, "in_last_hour", lambda self, now_ns: 0, "seventh in an hour"),
        (sender, "PEAK_W", 160.0, "asked for"),
    ],
)
def test_a_sender_without_one_of_its_checks_is_found(
    monkeypatch: pytest.MonkeyPatch, target: Any, name: str, broken: Callable[..., Any] | float, words: str
) -> None:
    if name in ("in_last_hour", "since_last_ns"):
        # A crowd of packets, so that the rate is what holds them back.
        submit = NblSender.submit

        def crowd(self: NblSender, payload: bytes, criticality: Any, payload_class: Any, now_ns: int) -> Any:
            for _ in range(8):
                submit(self, payload, Criticality.CRITICAL, PayloadClass.BEACON, now_ns)

        monkeypatch.setattr(NblSender, "submit", crowd)
    monkeypatch.setattr(target, name, broken)
    caught(words, 20_000)


def test_the_oracle_knows_a_good_state() -> None:
    pause_ns = 120 * 10**9
    good = gates.NblFacts(0.45, 0.35, 90.0, False, False, True, False, gates.EmconLevel.OPEN, True, False, pause_ns, 5)
    assert oracle(gates.NblAsk(Criticality.CRITICAL, PayloadClass.DISTRESS, 1024), good) == ()

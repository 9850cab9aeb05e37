"""The row on files holds in a slice, repeats exactly, and finds what is broken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from comms.cfdp import State
from comms.cfdp.checksum import Checksum
from comms.cfdp.nak import NakList
from comms.cfdp.pdu import Body, Nak
from comms.cfdp.sender import Sender
from comms.cfdp.store import Partial
from firmware_py.cli.link_campaign.row import RowResult
from firmware_py.cli.link_campaign.rows_cfdp import RECEIVER_STATES, ROWS, SENDER_STATES

ROW = ROWS[0]


def flown(cases: int = 40, seed: int = 1) -> RowResult:
    return ROW.run(np.random.default_rng(seed), cases, lambda done, of: None)


def test_the_slice_passes_and_breaks_contact_in_every_state() -> None:
    result = flown(ROW.slice)
    assert result.passed, result.failures
    for state in (*SENDER_STATES, *RECEIVER_STATES):
        assert result.counts[f"breaks while {state}"] > 0
    assert result.counts["power cuts"] > 10
    assert result.counts["breaks of contact"] > 6 * ROW.slice


def test_a_seed_flies_the_same_again() -> None:
    assert flown(10) == flown(10)


def patched(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, replacement: Any, cases: int = 16) -> RowResult:
    monkeypatch.setattr(owner, name, replacement)
    return flown(cases)


def test_it_finds_a_receiver_that_asks_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    result = patched(monkeypatch, NakList, "all_anew", lambda self, empty=False: None)
    assert any("no accident" in failure for failure in result.failures)


def test_it_finds_bytes_that_were_not_brought_to_the_medium(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checksum, "value", property(lambda self: 0))
    monkeypatch.setattr(Partial, "sync", lambda self: True)
    result = flown(60)
    assert not result.passed
    assert any("another file" in failure for failure in result.failures)


def test_it_finds_a_sender_that_sends_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Sender.receive

    def deaf(self: Sender, body: Body, now_ns: int) -> Any:
        return None if isinstance(body, Nak) else real(self, body, now_ns)

    result = patched(monkeypatch, Sender, "receive", deaf)
    assert any("no accident" in failure for failure in result.failures)


def test_it_finds_a_part_that_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    result = patched(monkeypatch, Partial, "discard", lambda self: None, 40)
    assert any("left behind" in failure for failure in result.failures)


def test_it_finds_a_store_that_claims_success(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Partial.commit

    def bold(self: Partial, name: str, length: int) -> Any:
        if self.key.startswith("in-"):
            self.discard()
            return None
        return real(self, name, length)

    result = patched(monkeypatch, Partial, "commit", bold)
    assert any("told as delivered" in failure for failure in result.failures)


def test_every_state_is_one_that_breaks_are_drawn_for() -> None:
    assert set(SENDER_STATES) | set(RECEIVER_STATES) == set(State) - {State.ENDED}

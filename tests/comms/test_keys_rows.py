"""The campaign's rows about keys: a slice of each holds, and each finds what it is there to find."""

from __future__ import annotations

import numpy as np
import pytest

from comms.keys import psk_life, responder, ring_codec
from comms.keys.counters import CounterBook
from comms.keys.exchange_budget import ExchangeBudget
from comms.keys.keyring import KeyStore
from comms.keys.points import ZERO, KeyPair
from comms.keys.ring import Peer, SlotState
from firmware_py.cli.link_campaign.rows_keys import ROWS
from firmware_py.cli.link_campaign.rows_keys_power import STEPS, fly_case

POWER, FLOOD, BAD_KEYS = ROWS


def fly(row, cases: int, seed: int = 1):
    return row.run(np.random.default_rng(seed), cases, lambda done, of: None)


@pytest.mark.parametrize(("row", "cases"), [(POWER, 80), (FLOOD, 30_000), (BAD_KEYS, 55)], ids=lambda x: str(x)[:12])
def test_a_slice_of_each_row_holds(row, cases):
    result = fly(row, cases)
    assert result.failures == ()
    assert result.passed
    assert result.cases >= cases


def test_rows_are_those_of_the_plan():
    assert [(row.number, row.full >= 5000) for row in ROWS] == [(6, True), (9, True), (14, True)]
    assert POWER.full >= 2000 * len(STEPS)


def test_a_row_flies_alike_from_the_same_seed():
    assert fly(POWER, 24) == fly(POWER, 24)
    assert fly(FLOOD, 5000) == fly(FLOOD, 5000)


@pytest.mark.parametrize("step", STEPS)
def test_the_power_goes_away_in_every_step(step):
    cuts = 0
    for seed in range(12):
        problem, seen = fly_case(np.random.default_rng(seed), step)
        assert problem == ""
        cuts += seen["cuts"]
    assert cuts >= 2


def test_a_handshake_that_settles_on_the_wrong_key_is_found(monkeypatch):
    def wrongly(peer, slot_id):
        staged = peer.slot(SlotState.STAGED)
        return peer if staged is None else psk_life.promote(peer, staged.id)

    monkeypatch.setattr(psk_life, "settle", wrongly)
    assert not fly(POWER, 160).passed


def test_keys_that_are_never_wiped_are_found(monkeypatch):
    monkeypatch.setattr(KeyStore, "settle", lambda self, name, slot_id: self.peer(name))
    assert not fly(POWER, 80).passed


def test_a_craft_that_confirms_what_it_has_not_stored_is_found(monkeypatch):
    def lazily(self, name, slot_id):
        return psk_life.promote(self.peer(name), slot_id)

    monkeypatch.setattr(KeyStore, "promote", lazily)
    assert not fly(POWER, 80).passed


def test_exchanges_without_a_budget_are_found(monkeypatch):
    def take(self, count, now_ns):
        self.spent += count
        return True

    monkeypatch.setattr(ExchangeBudget, "take", take)
    assert not fly(FLOOD, 10_000).passed


def test_answers_to_replays_are_found(monkeypatch):
    monkeypatch.setattr(CounterBook, "highest", lambda self, slot_id: 0)
    assert not fly(FLOOD, 60_000).passed


@pytest.mark.parametrize("broken", ["low order", "expired", "revoked", "checks"])
def test_bad_keys_that_give_a_session_are_found(monkeypatch, broken):
    if broken == "low order":
        exchange = KeyPair.exchange
        monkeypatch.setattr(KeyPair, "exchange", lambda self, key: exchange(self, key) or ZERO)
    elif broken == "expired":
        monkeypatch.setattr(Peer, "expired", lambda self, start: False)
    elif broken == "revoked":
        monkeypatch.setattr(responder.Responder, "confirm", lambda self, session_id, now_ns: True)
    else:
        monkeypatch.setattr(ring_codec, "_check_peer", lambda peer: None)
    assert not fly(BAD_KEYS, 110).passed

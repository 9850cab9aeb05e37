"""Handshakes on the air, both sides, on virtual time: what is answered, what never is, and how long is tried."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.channel_plan import Suite
from comms.dictionary import Authority
from comms.keys import handshake
from comms.keys.exchange_budget import ExchangeBudget
from comms.keys.faults import HandshakeFault, KeyFault
from comms.keys.handshake import MESSAGE_1_BYTES, MESSAGE_2_BYTES, SessionSecrets, is_handshake, pack_1, pack_2
from comms.keys.initiator import Initiator, InitiatorState, RetryPlan
from comms.keys.keyring import KeyStore, new_operator
from comms.keys.pairing import pair
from comms.keys.points import KeyPair
from comms.keys.psk_life import first_slot
from comms.keys.responder import HALF_OPEN_NS, MOST_STATES, Responder
from comms.keys.ring import SlotState, filter_key
from comms.keys.vault import Lock
from firmware_py.cli.link_campaign.rows_keys_rig import Sides, connect
from hil.disk import SimDisk

SECOND = 1_000_000_000


@pytest.fixture
def sides() -> Sides:
    return Sides(np.random.default_rng(11))


def parties(sides: Sides, **more) -> tuple[Initiator, Responder]:
    return (Initiator(sides.operator.keys, "C-1", sides.random),
            Responder(sides.craft.keys, sides.random, **more))


def ask(initiator: Initiator, now_ns: int = 0, payload: bytes = b"") -> bytes:
    initiator.start(now_ns, payload)
    message = initiator.step(now_ns)
    assert message is not None
    return message


def shaken(initiator: Initiator, responder: Responder, now_ns: int = 0, payload: bytes = b""):
    assert responder.receive(ask(initiator, now_ns, payload), "here") is None
    answer, = responder.step(now_ns)
    secrets = initiator.receive(answer.message, now_ns)
    assert isinstance(secrets, SessionSecrets)
    return answer, secrets


def test_both_sides_get_the_same_secrets_and_know_each_other(sides):
    initiator, responder = parties(sides, answer_payload=lambda peer: f"hello {peer.name}".encode())
    answer, secrets = shaken(initiator, responder, payload=b"from ann")
    craft = answer.secrets
    assert (craft.up_chain, craft.down_chain, craft.binding) == (secrets.up_chain, secrets.down_chain, secrets.binding)
    assert craft.up_chain != craft.down_chain
    assert (craft.peer.name, craft.peer.role, secrets.peer.name) == ("ann", Authority.CONTROLLER, "C-1")
    assert craft.peer.public_key == sides.operator.keys.identity.public
    assert (craft.payload, secrets.payload) == (b"from ann", b"hello ann")
    assert answer.source == "here"
    assert initiator.state is InitiatorState.DONE
    assert responder.confirm(craft.id, 0)


def test_the_messages_are_122_and_66_bytes_and_no_record(sides):
    initiator, responder = parties(sides)
    first = ask(initiator)
    responder.receive(first, None)
    second = responder.step(0)[0].message
    assert (len(first), len(second)) == (MESSAGE_1_BYTES, MESSAGE_2_BYTES) == (122, 66)
    assert is_handshake(first)
    assert is_handshake(second)
    assert not is_handshake(b"\x01\x05")
    assert not is_handshake(b"")


def test_each_handshake_has_secrets_of_its_own(sides):
    initiator, responder = parties(sides)
    found = {shaken(initiator, responder, at * 10 * SECOND)[1].up_chain for at in range(4)}
    assert len(found) == 4


def test_a_replayed_message_gets_no_answer_and_costs_no_exchange_also_after_a_restart(sides):
    initiator, responder = parties(sides)
    old = ask(initiator)
    responder.receive(old, None)
    assert len(responder.step(0)) == 1
    sides.craft.restart()
    for again in (responder, Responder(sides.craft.keys, sides.random)):
        spent = again.budget.spent
        assert again.receive(old, None) is HandshakeFault.REPLAYED
        assert again.budget.spent == spent
        assert again.step(0) == ()
    assert responder.refused[HandshakeFault.REPLAYED] == 1


def test_the_same_message_twice_before_it_is_worked_off_counts_once(sides):
    initiator, responder = parties(sides)
    message = ask(initiator)
    assert responder.receive(message, 1) is None
    assert responder.receive(message, 2) is HandshakeFault.REPLAYED
    newer = ask(initiator, SECOND)
    assert responder.receive(newer, 3) is None
    assert responder.refused[HandshakeFault.DISPLACED] == 1
    assert [answer.source for answer in responder.step(SECOND)] == [3]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=220), st.sampled_from([b"", b"\0", b"\0\1", b"\0\2", b"\1"]))
def test_no_bytes_get_an_answer_or_raise(data, start):
    sides = Sides(np.random.default_rng(11))
    initiator, responder = parties(sides)
    ask(initiator)
    assert isinstance(responder.receive(start + data, None), HandshakeFault)
    assert responder.step(0) == ()
    assert responder.budget.spent <= 5
    assert isinstance(initiator.receive(start + data, 0), HandshakeFault)
    assert initiator.state is InitiatorState.WAITING


def test_every_flipped_bit_of_message_1_is_refused_before_any_exchange(sides):
    initiator, responder = parties(sides)
    message = ask(initiator)
    for at in range(len(message)):
        for bit in range(8):
            wrong = message[:at] + bytes([message[at] ^ 1 << bit]) + message[at + 1:]
            assert responder.receive(wrong, None) is not None
    assert responder.states == 0
    assert responder.receive(message, None) is None


def test_a_forged_answer_changes_nothing_and_the_right_one_still_comes_in(sides):
    initiator, responder = parties(sides)
    responder.receive(ask(initiator), None)
    answer, = responder.step(0)
    for at in range(2, len(answer.message)):
        wrong = answer.message[:at] + bytes([answer.message[at] ^ 1]) + answer.message[at + 1:]
        assert initiator.receive(wrong, at * SECOND) is HandshakeFault.UNKNOWN_PEER
    assert isinstance(initiator.receive(answer.message, 60 * SECOND), SessionSecrets)
    assert initiator.receive(answer.message, 60 * SECOND) is HandshakeFault.NOT_AWAITED


def test_a_flood_of_forged_answers_costs_a_bounded_number_of_exchanges(sides):
    initiator, _ = parties(sides)
    message = ask(initiator)
    outcomes = [initiator.receive(b"\0\2" + sides.random(64), 0) for _ in range(100)]
    assert outcomes == [HandshakeFault.UNKNOWN_PEER] * 100, "who has not the shared key costs none"
    # Who has it, and is not the craft, is bounded.
    secret = sides.craft.keys.peer("ann").slots[0].secret
    forged = [pack_2(sides.random(48), filter_key(secret), message[-16:]) for _ in range(100)]
    outcomes = [initiator.receive(answer, 0) for answer in forged]
    assert outcomes.count(HandshakeFault.NO_EXCHANGE) == 96


def test_the_answer_to_an_earlier_try_does_not_open_a_later_one(sides):
    initiator, responder = parties(sides)
    responder.receive(ask(initiator), None)
    late, = responder.step(0)
    assert initiator.step(SECOND) is not None
    assert initiator.receive(late.message, SECOND) is HandshakeFault.UNKNOWN_PEER


@pytest.mark.parametrize("part", ["suites", "roles", "version"])
def test_another_version_suite_list_or_role_list_gives_no_session(sides, monkeypatch, part):
    other = {"suites": handshake.AGREED.replace(bytes([len(Suite), *sorted(Suite)]), bytes([1, 24])),
             "roles": handshake.AGREED.replace(b"viewer", b"safety"),
             "version": handshake.AGREED.replace(b"link\1", b"link\2")}[part]
    assert other != handshake.AGREED
    initiator, responder = parties(sides)
    message = ask(initiator)
    monkeypatch.setattr(handshake, "AGREED", other)
    assert responder.receive(message, None) is None
    assert responder.step(0) == ()
    assert responder.refused[HandshakeFault.OPEN] == 1


def test_strangers_the_revoked_and_the_expired_are_named_and_get_no_answer(sides):
    initiator, responder = parties(sides, craft_start=8)
    keys = sides.craft.keys
    keys.pin(replace(keys.peer("ann"), last_start=7))
    assert responder.receive(ask(initiator), None) is HandshakeFault.EXPIRED
    assert Responder(keys, sides.random).receive(ask(initiator), None) is HandshakeFault.EXPIRED
    assert Responder(keys, sides.random, craft_start=7).receive(ask(initiator), None) is None
    keys.revoke("ann")
    assert responder.receive(ask(initiator), None) is HandshakeFault.REVOKED
    keys.unpin("ann")
    assert responder.receive(ask(initiator), None) is HandshakeFault.UNKNOWN_PEER
    assert responder.step(0) == ()


def test_a_peer_revoked_while_its_message_waits_or_its_session_is_half_open_gets_none(sides):
    initiator, responder = parties(sides)
    responder.receive(ask(initiator), None)
    answer, = responder.step(0)
    responder.receive(ask(initiator, SECOND), None)
    sides.craft.keys.revoke("ann")
    assert responder.step(SECOND) == ()
    assert not responder.confirm(answer.secrets.id, SECOND)
    initiator = Initiator(sides.operator.keys, "C-1", sides.random)
    sides.operator.keys.revoke("C-1")
    initiator.start(0)
    assert initiator.step(0) is None
    assert (initiator.state, initiator.error) == (InitiatorState.GAVE_UP, KeyFault.REVOKED)


def test_a_pinned_peer_with_anothers_shared_key_is_found_by_its_static_key(sides):
    initiator, responder = parties(sides)
    keys = sides.craft.keys
    keys.pin(replace(keys.peer("ann"), public_key=KeyPair(sides.random(32)).public, name="carol"))
    keys.unpin("ann")
    assert responder.receive(ask(initiator), None) is None
    assert responder.step(0) == ()
    assert responder.refused[HandshakeFault.WRONG_KEY] == 1


def test_a_session_is_live_only_with_its_first_good_record_and_lapses_without(sides):
    initiator, responder = parties(sides)
    first, _ = shaken(initiator, responder)
    second, _ = shaken(initiator, responder, 5 * SECOND)
    assert not responder.confirm(first.secrets.id, 6 * SECOND)
    assert responder.confirm(second.secrets.id, 6 * SECOND)
    assert not responder.confirm(second.secrets.id, 6 * SECOND)
    third, _ = shaken(initiator, responder, 20 * SECOND)
    responder.step(20 * SECOND + HALF_OPEN_NS)
    assert responder.take_lapsed() == (third.secrets.id,)
    assert responder.take_lapsed() == ()
    assert not responder.confirm(third.secrets.id, 20 * SECOND + HALF_OPEN_NS)


def test_tries_become_slower_and_end(sides):
    initiator, _ = parties(sides)
    initiator.start(0)
    sent = [now for now in range(0, 120 * SECOND, SECOND // 4) if initiator.step(now) is not None]
    waits = [(b - a) // SECOND for a, b in itertools.pairwise(sent)]
    assert waits == [1, 2, 4, 8, 16, 16, 16]
    assert initiator.state is InitiatorState.GAVE_UP
    assert initiator.error is None
    assert RetryPlan().wait_ns(60) == 16 * SECOND


def test_with_a_staged_key_tries_take_both_in_turn_and_the_handshake_settles_it(sides):
    new = sides.random(32)
    sides.operator.keys.stage("C-1", new)
    staged = sides.craft.keys.stage("ann", new).slots[1]
    sides.craft.keys.promote("ann", staged.id)
    assert connect(sides) is not None
    for keys, name in ((sides.craft.keys, "ann"), (sides.operator.keys, "C-1")):
        assert [slot.id for slot in keys.peer(name).slots if slot.state is SlotState.ACTIVE] == [staged.id]
        assert keys.peer(name).slot(SlotState.STAGED) is None


def test_what_was_made_ahead_is_used_once_and_not_after_a_change_of_keys(sides):
    initiator, responder = parties(sides)
    initiator.prepare()
    first = shaken(initiator, responder)
    assert shaken(initiator, responder, 5 * SECOND)[1].up_chain != first[1].up_chain
    initiator.prepare()
    sides.now_ns = 20 * SECOND
    pair(sides.craft.keys, sides.operator.keys, sides.random)
    answer, secrets = shaken(initiator, responder, 20 * SECOND)
    assert answer.secrets.psk_id == secrets.psk_id == sides.operator.keys.peer("C-1").slots[0].id


def test_a_full_disk_stops_no_handshake_at_the_craft_and_is_told(sides):
    initiator, responder = parties(sides)
    sides.craft.disk.full = True
    answer, _ = shaken(initiator, responder)
    assert responder.confirm(answer.secrets.id, 0)
    assert sides.craft.keys.counters.unsaved == 1


def test_a_full_disk_at_the_operator_sends_nothing_and_is_told(sides):
    initiator, _ = parties(sides)
    sides.operator.disk.full = True
    initiator.start(0)
    assert initiator.step(0) is None
    assert (initiator.state, initiator.error) == (InitiatorState.GAVE_UP, KeyFault.STORAGE)


def test_in_no_second_are_there_more_than_twenty_exchanges():
    budget, spent = ExchangeBudget(), []
    for now in range(0, 5 * SECOND, SECOND // 100):
        while budget.take(1, now):
            spent.append(now)
    assert max(sum(start <= at < start + SECOND for at in spent) for start in range(0, 4 * SECOND, SECOND // 100)) <= 20
    assert len(spent) >= 60


def test_a_step_back_of_the_clock_gives_no_exchanges():
    budget = ExchangeBudget()
    assert budget.take(8, 10 * SECOND)
    assert not budget.take(1, 0)
    assert not budget.take(1, 10 * SECOND)
    assert budget.take(1, 11 * SECOND)


def test_one_bad_peer_does_not_keep_the_others_out(sides):
    random = sides.random
    insiders = []
    for number in range(15):
        keys = KeyStore(SimDisk(np.random.default_rng(1)), Lock.from_sealing_key(random(32)), random,
                        new_operator(f"op-{number}", Authority.VIEWER, random))
        pair(sides.craft.keys, keys, random)
        insiders.append(sides.craft.keys.peer(f"op-{number}").filter_key)
    initiator, responder = parties(sides)
    initiator.start(0)
    for counter, now in enumerate(range(0, 10 * SECOND, SECOND // 10), 1):
        for key in insiders:
            responder.receive(pack_1(counter, random(96), key), "bad")
        message = initiator.step(now)
        if message is not None:
            responder.receive(message, "good")
        assert responder.states <= MOST_STATES
        for answer in responder.step(now):
            assert answer.source == "good"
            if isinstance(initiator.receive(answer.message, now), SessionSecrets):
                return
    pytest.fail("the good peer got no session")


def test_the_filter_key_is_not_the_shared_key():
    slot = first_slot(bytes(range(32)))
    assert slot.secret is not None
    assert filter_key(slot.secret) != slot.secret
    assert slot.id not in slot.secret

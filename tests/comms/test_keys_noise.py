"""Noise handshakes against the published vectors and another implementation, and what a peer may send instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.keys.faults import HandshakeFault
from comms.keys.noise import HANDSHAKES, CipherState, HandshakeState, pattern
from comms.keys.points import LOW_ORDER, KeyPair

VECTORS = json.loads(
    (Path(__file__).parents[1] / "data/vectors/noise_cacophony_25519_chachapoly.json").read_text(encoding="utf-8")
)["vectors"]
OURS = [v for v in VECTORS if v["protocol_name"].endswith("_SHA256")]
IKPSK2 = pattern("IKpsk2")
ALICE, BOB, CAROL = (KeyPair(bytes([n]) * 31 + b"k") for n in (1, 2, 3))
PSK = bytes(range(32))


def unhex(vector: dict, key: str) -> bytes | None:
    return bytes.fromhex(vector[key]) if key in vector else None


def sides(vector: dict) -> tuple[HandshakeState, HandshakeState]:
    which = pattern(vector["protocol_name"].split("_")[1])

    def side(own: str, initiator: bool) -> HandshakeState:
        seed, psks = unhex(vector, f"{own}_static"), vector.get(f"{own}_psks")
        knows = which.responder_known if initiator else which.initiator_known
        return HandshakeState(
            which, initiator, unhex(vector, f"{own}_prologue") or b"",
            lambda: KeyPair(unhex(vector, f"{own}_ephemeral") or b""), static=None if seed is None else KeyPair(seed),
            remote_static=unhex(vector, f"{own}_remote_static") if knows else None,
            psk=bytes.fromhex(psks[0]) if psks else None,
        )

    return side("init", True), side("resp", False)


def pair(psk: bytes = PSK, expected: bytes | None = None, prologue: bytes = b"p", **more):
    initiator = HandshakeState(IKPSK2, True, b"p", lambda: KeyPair(b"e" * 31 + b"1"), static=ALICE,
                               remote_static=BOB.public, psk=PSK)
    responder = HandshakeState(IKPSK2, False, prologue, lambda: KeyPair(b"e" * 31 + b"2"), static=BOB, psk=psk,
                               expected_static=expected, **more)
    return initiator, responder


@pytest.mark.parametrize("vector", OURS, ids=lambda v: v["protocol_name"])
def test_each_published_message_is_written_and_read_byte_for_byte(vector):
    initiator, responder = sides(vector)
    sender, receiver = initiator, responder
    transport: list[tuple[CipherState, CipherState]] = []
    one_way = len(HANDSHAKES[vector["protocol_name"].split("_")[1].partition("psk")[0]][2]) == 1
    for number, message in enumerate(vector["messages"]):
        payload, expected = bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"])
        if not transport:
            assert sender.write_message(payload) == expected
            assert receiver.read_message(expected) == payload
            sender, receiver = receiver, sender
            if initiator.finished:
                assert initiator.handshake_hash == responder.handshake_hash == unhex(vector, "handshake_hash")
                assert initiator.split() == responder.split()
                transport = [(CipherState(a), CipherState(b)) for a, b in zip(initiator.split(), responder.split(),
                                                                                strict=True)]
        else:
            write, read = transport[0 if one_way else number % 2]
            assert write.encrypt(b"", payload) == expected
            assert read.decrypt(b"", expected) == payload
    assert initiator.finished
    assert responder.finished


def test_the_links_own_pattern_is_among_the_vectors():
    assert any(v["protocol_name"] == IKPSK2.protocol.decode() for v in OURS)
    assert len(OURS) == 12


def test_ikpsk2_takes_96_and_48_bytes_on_the_air():
    initiator, responder = pair()
    first = initiator.write_message()
    assert responder.read_message(first) == b""
    second = responder.write_message()
    assert initiator.read_message(second) == b""
    assert (len(first), len(second)) == (96, 48)
    assert responder.remote_static == ALICE.public


def test_another_implementation_speaks_with_both_of_our_sides():
    connection = pytest.importorskip("noise.connection")

    def theirs(initiator: bool):
        noise = connection.NoiseConnection.from_name(IKPSK2.protocol)
        noise.set_psks(psk=PSK)
        noise.set_prologue(b"p")
        noise.set_keypair_from_private_bytes(connection.Keypair.STATIC, (ALICE if initiator else BOB).private_bytes())
        if initiator:
            noise.set_as_initiator()
            noise.set_keypair_from_public_bytes(connection.Keypair.REMOTE_STATIC, BOB.public)
        else:
            noise.set_as_responder()
        noise.start_handshake()
        return noise

    _, ours = pair()
    peer = theirs(True)
    assert ours.read_message(bytes(peer.write_message(b"one"))) == b"one"
    answer = ours.write_message(b"two")
    assert peer.read_message(answer) == b"two"
    assert peer.get_handshake_hash() == ours.handshake_hash
    ours, _ = pair()
    peer = theirs(False)
    assert peer.read_message(ours.write_message(b"one")) == b"one"
    assert ours.read_message(bytes(peer.write_message(b"two"))) == b"two"
    assert peer.decrypt(CipherState(ours.split()[0]).encrypt(b"", b"three")) == b"three"


def test_exchanges_made_ahead_change_nothing_on_the_air():
    shared = ALICE.exchange(BOB.public)
    assert shared is not None
    plain, ahead = pair(), pair(known={"ss": shared})
    message = plain[0].write_message(b"x")
    for responder in (plain[1], ahead[1]):
        assert responder.read_message(message) == b"x"
    assert plain[1].write_message() == ahead[1].write_message()


@pytest.mark.parametrize(("responder", "fault"), [
    ({"psk": bytes(31) + b"\7"}, None), ({"prologue": b"q"}, HandshakeFault.OPEN),
    ({"expected": CAROL.public}, HandshakeFault.WRONG_KEY),
])
def test_a_wrong_prologue_or_static_key_is_found_in_message_1_and_a_wrong_psk_in_message_2(responder, fault):
    initiator, other = pair(**responder)
    got = other.read_message(initiator.write_message())
    if fault is None:
        assert got == b""
        assert initiator.read_message(other.write_message()) is HandshakeFault.OPEN
    else:
        assert got is fault
    assert not initiator.finished


@pytest.mark.parametrize("point", sorted(LOW_ORDER), ids=bytes.hex)
def test_an_ephemeral_key_of_low_order_is_refused_by_both_sides(point):
    initiator, responder = pair()
    message = initiator.write_message()
    assert isinstance(message, bytes)
    assert responder.read_message(point + message[32:]) is HandshakeFault.LOW_ORDER
    _, responder = pair()
    responder.read_message(message)
    answer = responder.write_message()
    assert isinstance(answer, bytes)
    assert initiator.read_message(point + answer[32:]) is HandshakeFault.LOW_ORDER


def test_every_flipped_bit_and_every_cut_of_both_messages_is_refused():
    initiator, responder = pair()
    first = initiator.write_message(b"payload")
    responder.read_message(first)
    second = responder.write_message(b"payload")
    for message, from_initiator in ((first, True), (second, False)):
        changed = [message[:length] for length in range(len(message))]
        changed += [message[:at] + bytes([message[at] ^ 1 << bit]) + message[at + 1:]
                    for at in range(len(message)) for bit in (0, 6)]
        for wrong in changed:
            a, b = pair()
            good = a.write_message(b"payload")
            if from_initiator:
                assert isinstance(b.read_message(wrong), HandshakeFault)
            else:
                b.read_message(good)
                assert isinstance(a.read_message(wrong), HandshakeFault)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_bytes_of_a_peer_raise(message):
    initiator, responder = pair()
    assert isinstance(responder.read_message(message), HandshakeFault)
    assert responder.read_message(message) is HandshakeFault.ENDED
    initiator.write_message()
    assert isinstance(initiator.read_message(message), HandshakeFault)


def test_a_handshake_is_not_used_out_of_turn_or_before_its_end():
    initiator, responder = pair()
    with pytest.raises(RuntimeError):
        responder.write_message()
    with pytest.raises(RuntimeError):
        initiator.read_message(b"")
    with pytest.raises(RuntimeError):
        initiator.split()


@pytest.mark.parametrize("wrong", [{"psk": None}, {"psk": b"short"}, {"remote_static": None}])
def test_a_missing_key_is_an_error_of_the_program(wrong):
    keys = {"static": ALICE, "remote_static": BOB.public, "psk": PSK} | wrong
    with pytest.raises(ValueError, match="IKpsk2"):
        HandshakeState(IKPSK2, True, b"", lambda: ALICE, **keys)


def test_the_counter_of_a_cipher_stops_before_its_last_value():
    cipher = CipherState(PSK)
    cipher.nonce = 2**64 - 2
    cipher.encrypt(b"", b"x")
    with pytest.raises(OverflowError):
        cipher.encrypt(b"", b"x")


def test_nothing_secret_is_shown():
    initiator, _ = pair()
    for thing in (initiator, ALICE):
        assert ALICE.private_bytes().hex() not in repr(thing)
        assert PSK.hex() not in repr(thing)

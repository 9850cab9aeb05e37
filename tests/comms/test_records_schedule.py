"""Key schedule: RFC 8613 Appendix C and RFC 8439 2.8.2, through the functions that records use, and against aiocoap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from aiocoap import Message, oscore
from aiocoap.numbers.codes import Code
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.channel_plan import Suite
from comms.records import schedule
from comms.records.header import counter_bytes

VECTORS = Path(__file__).resolve().parents[1] / "data" / "vectors"
OSCORE: dict[str, Any] = json.loads((VECTORS / "rfc8613_appendix_c.json").read_text())
CCM = Suite.AES_CCM_16_64_128
FACTS = schedule.SUITES[CCM]
DERIVATIONS = {vector["id"]: vector for vector in OSCORE["key_derivation"]}
MESSAGES = {vector["id"]: vector for vector in OSCORE["messages"]}
OSCORE_OPTION = 9


class Context:
    """An OSCORE security context that is made with our key schedule."""

    def __init__(self, vector: dict[str, Any]) -> None:
        self.secret = bytes.fromhex(vector["master_secret"])
        self.salt = bytes.fromhex(vector["master_salt"])
        self.sender = bytes.fromhex(vector["sender_id"])
        self.recipient = bytes.fromhex(vector["recipient_id"])
        self.context = None if vector["id_context"] is None else bytes.fromhex(vector["id_context"])

    def key(self, identity: bytes) -> bytearray:
        info = schedule.key_info(identity, self.context, CCM, "Key", FACTS.key_bytes)
        return schedule.derive(self.secret, self.salt, info, FACTS.key_bytes)

    @property
    def common_iv(self) -> bytearray:
        info = schedule.key_info(b"", self.context, CCM, "IV", FACTS.nonce_bytes)
        return schedule.derive(self.secret, self.salt, info, FACTS.nonce_bytes)

    def nonce(self, identity: bytes, counter: int) -> bytes:
        return schedule.nonce(schedule.nonce_base(self.common_iv, identity), counter, FACTS.nonce_bytes)


def aad(request_id: bytes, request_counter: bytes) -> bytes:
    """RFC 8613 section 5.4, without options of class I."""
    return schedule.encryption_aad(cbor2.dumps([1, [int(CCM)], request_id, request_counter, b""]))


def option_value(flags: int, counter: bytes, context: bytes | None, identity: bytes | None) -> bytes:
    """Compressed COSE object, RFC 8613 section 6.1."""
    if context is not None:
        flags |= 0x10
    value = bytes((flags | len(counter) | (8 if identity is not None else 0),)) + counter
    if context is not None:
        value += bytes((len(context),)) + context
    value += identity or b""
    return b"" if value == b"\0" else value


def coap_of(encoded: str) -> Message:
    return Message.decode(bytes.fromhex(encoded))


@pytest.mark.parametrize("name", DERIVATIONS)
def test_keys_and_nonces_are_those_of_appendix_c(name: str) -> None:
    vector = DERIVATIONS[name]
    context = Context(vector)
    assert context.key(context.sender).hex() == vector["sender_key"]
    assert context.key(context.recipient).hex() == vector["recipient_key"]
    assert context.common_iv.hex() == vector["common_iv"]
    assert context.nonce(context.sender, 0).hex() == vector["sender_nonce_piv0"]
    assert context.nonce(context.recipient, 0).hex() == vector["recipient_nonce_piv0"]


@pytest.mark.parametrize("name", ["C.4", "C.5", "C.6"])
def test_requests_are_those_of_appendix_c(name: str) -> None:
    vector = MESSAGES[name]
    context = Context(DERIVATIONS[vector["context"]])
    counter = vector["sender_seq"]
    plain, protected = coap_of(vector["unprotected_coap"]), coap_of(vector["protected_coap"])
    # Code, then the options of class E: of these requests the path alone.
    inner = bytes((plain.code,)) + Message(uri_path=plain.opt.uri_path, code=plain.code).opt.encode()
    written = counter.to_bytes(counter_bytes(counter), "big")
    cipher = schedule.cipher(CCM, context.key(context.sender))
    sealed = cipher.encrypt(context.nonce(context.sender, counter), inner, aad(context.sender, written))
    assert sealed == protected.payload
    (option,) = protected.opt.get_option(OSCORE_OPTION)
    assert option_value(0, written, context.context, context.sender) == option.value


@pytest.mark.parametrize("name", ["C.7 response reuse nonce", "C.8 response with piv"])
def test_responses_are_those_of_appendix_c(name: str) -> None:
    vector = MESSAGES[name]
    context = Context(DERIVATIONS[vector["context"]])
    plain, protected = coap_of(vector["unprotected_coap"]), coap_of(vector["protected_coap"])
    inner = bytes((plain.code,)) + b"\xff" + plain.payload
    request = bytes.fromhex(vector["request_piv"])
    own = vector.get("sender_seq")
    if own is None:
        nonce, written = context.nonce(context.recipient, int.from_bytes(request, "big")), b""
    else:
        nonce, written = context.nonce(context.sender, own), own.to_bytes(counter_bytes(own), "big")
    cipher = schedule.cipher(CCM, context.key(context.sender))
    assert cipher.encrypt(nonce, inner, aad(context.recipient, request)) == protected.payload
    (option,) = protected.opt.get_option(OSCORE_OPTION)
    assert option_value(0, written, None, None) == option.value


def test_the_default_suite_is_that_of_rfc_8439() -> None:
    vector = json.loads((VECTORS / "aead_2_8_2.json").read_text())
    raw = {key: bytes.fromhex(value) for key, value in vector.items() if key != "_source"}
    cipher = schedule.cipher(Suite.CHACHA20_POLY1305, raw["key"])
    assert cipher.encrypt(raw["nonce"], raw["plaintext"], raw["aad"]) == raw["ciphertext"] + raw["tag"]


class Peer(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """One end of aiocoap's OSCORE, in memory."""

    def __init__(self, secret: bytes, salt: bytes, ids: tuple[bytes, bytes], context: bytes | None) -> None:
        self.alg_aead = oscore.algorithms["AES-CCM-16-64-128"]
        self.hashfun = oscore.hashfunctions["sha256"]
        self.sender_id, self.recipient_id = ids
        self.id_context = context
        self.sender_sequence_number = 0
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        self.recipient_replay_window.initialize_empty()
        self.derive_keys(salt, secret)

    def post_seqnoincrease(self) -> None:
        """Nothing is kept."""


@settings(max_examples=25)
@given(st.binary(min_size=16, max_size=32), st.binary(max_size=16), st.binary(min_size=1, max_size=7),
       st.none() | st.binary(min_size=1, max_size=8), st.binary(min_size=1, max_size=64),
       st.sampled_from([0, 1, 255, 256, 65_535, 65_536, 2**24, 2**32, 2**40 - 2]))
def test_a_peer_seals_what_our_schedule_opens(
    secret: bytes, salt: bytes, identity: bytes, id_context: bytes | None, payload: bytes, counter: int,
) -> None:
    peer = Peer(secret, salt, (identity, b""), id_context)
    peer.sender_sequence_number = counter
    protected, _ = peer.protect(Message(code=Code.POST, payload=payload))
    ours = Context({
        "master_secret": secret.hex(), "master_salt": salt.hex(), "sender_id": identity.hex(), "recipient_id": "",
        "id_context": None if id_context is None else id_context.hex(),
    })
    written = counter.to_bytes(counter_bytes(counter), "big")
    cipher = schedule.cipher(CCM, ours.key(identity))
    opened = cipher.decrypt(ours.nonce(identity, counter), protected.payload, aad(identity, written))
    assert opened == bytes((Code.POST,)) + b"\xff" + payload


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        schedule.cipher(Suite.CHACHA20_POLY1305, bytes(16))


def test_an_identity_that_a_nonce_has_no_room_for_is_refused() -> None:
    assert schedule.nonce_base(bytes(13), bytes(7)) >= 0
    with pytest.raises(ValueError, match="room for 7"):
        schedule.nonce_base(bytes(13), bytes(8))


@pytest.mark.parametrize("suite", Suite)
def test_a_key_may_be_forgotten_once_its_cipher_is_made(suite: Suite) -> None:
    facts = schedule.SUITES[suite]
    key = schedule.expand(bytes(range(32)), b"info", facts.key_bytes)
    cipher, same = schedule.cipher(suite, key), schedule.cipher(suite, bytes(key))
    schedule.forget(key)
    nonce = bytes(facts.nonce_bytes)
    assert cipher.encrypt(nonce, b"content", b"") == same.encrypt(nonce, b"content", b"")


def test_a_secret_can_be_forgotten() -> None:
    secret = schedule.expand(bytes(range(32)), b"info")
    assert any(secret)
    schedule.forget(secret)
    assert secret == bytes(32)

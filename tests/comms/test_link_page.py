"""The worked example of docs/protocols/link.md is what the code makes, and opens with the library's primitives alone.

Keys, nonces and associated data of the page are worked out here a second time, from the text of the page alone.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, ChaCha20Poly1305

from comms.channel_plan import PLAN, ChannelSpec, Direction, channel_named
from comms.dictionary.messages import TimeAsk, WireCommand
from comms.dictionary.wire import encode_message, message_of
from comms.keys.handshake import AGREED, IKPSK2, is_handshake, pack_1, pack_2, prologue, take_1, take_2
from comms.keys.noise import HandshakeState
from comms.keys.points import KeyPair
from comms.keys.ring import filter_key
from comms.link.entity_ids import entity_of
from comms.link.fragments import pieces
from comms.records.kept import NblReceiver
from comms.records.lane import LaneKeys
from comms.records.ratchet import Ratchet
from comms.records.record import Opened, Opener, Sealer
from comms.records.session import RecordSession

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocols" / "link.md"
CRAFT, OPERATOR, CRAFT_ONCE, OPERATOR_ONCE, PSK, ROOT = (bytes([n]) * 31 + b"\x40" for n in range(1, 7))
COUNTER = 5
CONTROL, SERVICE, BUNDLES, NBL = (channel_named(name) for name in ("control", "service", "bundles", "nbl"))
LABEL = b"qiki nbl craft"


def handshake() -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """Both messages on the air, the chains up and down, and the binding."""
    craft, operator = KeyPair(CRAFT), KeyPair(OPERATOR)
    asking = HandshakeState(
        IKPSK2, True, prologue(COUNTER), lambda: KeyPair(OPERATOR_ONCE), static=operator, remote_static=craft.public,
        psk=PSK,
    )
    answering = HandshakeState(
        IKPSK2, False, prologue(COUNTER), lambda: KeyPair(CRAFT_ONCE), static=craft, psk=PSK,
    )
    noise_1 = asking.write_message(b"")
    assert isinstance(noise_1, bytes)
    assert answering.read_message(noise_1) == b""
    noise_2 = answering.write_message(b"")
    assert isinstance(noise_2, bytes)
    assert asking.read_message(noise_2) == b""
    assert asking.split() == answering.split()
    up, down = asking.split()
    key = filter_key(PSK)
    message_1 = pack_1(COUNTER, noise_1, key)
    return message_1, pack_2(noise_2, key, message_1[-16:]), up, down, asking.handshake_hash


def command() -> bytes:
    """The first message of the example."""
    return encode_message(WireCommand(1000, "hold", {}, None, 60_000, 1))


def example() -> str:
    """The block of the page."""
    message_1, message_2, up, down, binding = handshake()
    record = Sealer(Ratchet(up, binding, Direction.UP).lane(CONTROL)).seal(command())
    later = Sealer(Ratchet(up, binding, Direction.UP).lane(CONTROL), first=256).seal(command())
    next_epoch = Ratchet(down, binding, Direction.DOWN).ahead()
    asked = Sealer(Ratchet(up, binding, Direction.UP).ahead().lane(SERVICE), first=3).seal(encode_message(TimeAsk(1)))
    bundle = Sealer(next_epoch.lane(BUNDLES)).seal(b"bundle")
    nbl = Sealer(LaneKeys(ROOT, LABEL, Direction.DOWN, NBL, 7, implied=True)).seal(bytes(15))
    rows: list[tuple[str, object]] = [
        ("craft, private", CRAFT), ("craft, public", KeyPair(CRAFT).public),
        ("operator, private", OPERATOR), ("operator, public", KeyPair(OPERATOR).public),
        ("craft, ephemeral", CRAFT_ONCE), ("operator, ephemeral", OPERATOR_ONCE),
        ("pre-shared key", PSK), ("filter key", filter_key(PSK)),
        ("prologue, counter 5", prologue(COUNTER)), ("message 1", message_1), ("message 2", message_2),
        ("binding", binding), ("chain up, epoch 0", up), ("chain down, epoch 0", down),
        ("plaintext", command()),
        ("up, control, epoch 0: key", key_of(up, binding, CONTROL, Direction.UP, 0)),
        ("  common IV", iv_of(up, binding, CONTROL, 0)),
        ("  counter 0: nonce", nonce_of(iv_of(up, binding, CONTROL, 0), CONTROL, Direction.UP, 0)),
        ("  associated data", aad_of(CONTROL, Direction.UP, b"\x01\x00")), ("  record", record),
        ("  counter 256: record", later),
        ("up, service, epoch 1, counter 3: record", asked),
        ("chain down, epoch 1", hkdf_expand(down, b"qiki record epoch" + (1).to_bytes(4, "big"), 32)),
        ("down, bundles, epoch 1, counter 0: record", bundle),
        ("nbl root", ROOT), ("nbl, start 7, counter 0: record", nbl),
        ("CFDP entity of the operator", entity_of(KeyPair(OPERATOR).public).to_bytes(2, "big")),
        ("pieces of 10 bytes, longest 8, number 1", b" ".join(
            piece.hex().encode() for piece in pieces(bytes(range(10)), 8, 1))),
    ]
    lines: list[str] = []
    for name, value in rows:
        assert isinstance(value, bytes), (name, value)
        text = value.decode() if name.startswith("pieces") else value.hex()
        parts = [text[at : at + 96] for at in range(0, len(text), 96)]
        lines += [f"{name:42}{parts[0]}", *(" " * 42 + part for part in parts[1:])]
    return "\n".join(lines)


# -- the page's rules once more, without the code that they describe


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 section 2.3."""
    out, block = b"", b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.digest(key, block + info + bytes([number]), "sha256")
        out += block
    return out[:length]


def derived(chain: bytes, salt: bytes, identity: bytes, epoch: int, suite: int, kind: str, length: int) -> bytes:
    """A key or common IV."""
    info = cbor2.dumps([identity, b"\x01" + epoch.to_bytes(4, "big"), suite, kind, length])
    return hkdf_expand(hmac.digest(salt, chain, "sha256"), info, length)


def suite_of(spec: ChannelSpec) -> tuple[int, int, int, int]:
    """Number, and bytes of key, nonce and tag."""
    return (10, 16, 13, 8) if spec.id == NBL.id else (24, 32, 12, 16)


def key_of(chain: bytes, salt: bytes, spec: ChannelSpec, direction: Direction, epoch: int) -> bytes:
    suite, length, _, _ = suite_of(spec)
    return derived(chain, salt, bytes([direction, spec.id]), epoch, suite, "Key", length)


def iv_of(chain: bytes, salt: bytes, spec: ChannelSpec, epoch: int) -> bytes:
    suite, _, length, _ = suite_of(spec)
    return derived(chain, salt, b"", epoch, suite, "IV", length)


def nonce_of(iv: bytes, spec: ChannelSpec, direction: Direction, counter: int) -> bytes:
    plain = bytes([2]) + bytes(len(iv) - 8) + bytes([direction, spec.id]) + counter.to_bytes(5, "big")
    return bytes(a ^ b for a, b in zip(plain, iv, strict=True))


def aad_of(spec: ChannelSpec, direction: Direction, header: bytes) -> bytes:
    outside = [1, suite_of(spec)[0], int(direction), bytes([direction, spec.id]), spec.id, int(spec.qos), header]
    return cbor2.dumps(["Encrypt0", b"", cbor2.dumps(outside)])


def opened(
    record: bytes, header_bytes: int, chain: bytes, salt: bytes, spec: ChannelSpec, direction: Direction, epoch: int,
    counter: int,
) -> bytes:
    """Open a record with the primitives alone."""
    key = key_of(chain, salt, spec, direction, epoch)
    cipher = AESCCM(key, 8) if spec.id == NBL.id else ChaCha20Poly1305(key)
    nonce = nonce_of(iv_of(chain, salt, spec, epoch), spec, direction, counter)
    return cipher.decrypt(nonce, record[header_bytes:], aad_of(spec, direction, record[:header_bytes]))


def shown(name: str) -> bytes:
    """A value of the page's block."""
    lines = PAGE.read_text(encoding="utf-8").split("```text\n")[-1].split("```")[0].splitlines()
    at = next(index for index, line in enumerate(lines) if line[:42].strip() == name)
    text = lines[at][42:]
    for line in lines[at + 1 :]:
        if line[:42].strip():
            break
        text += line[42:]
    return bytes.fromhex(text)


def test_the_page_shows_what_the_code_makes() -> None:
    block = PAGE.read_text(encoding="utf-8").split("```text\n")[-1].split("```")[0].rstrip("\n")
    assert block == example(), f"copy the example again:\n{example()}"


def test_the_page_s_records_open_with_the_library_s_primitives_alone() -> None:
    up, down, binding = shown("chain up, epoch 0"), shown("chain down, epoch 0"), shown("binding")
    plain = shown("plaintext")
    assert opened(shown("record"), 2, up, binding, CONTROL, Direction.UP, 0, 0) == plain
    assert opened(shown("counter 256: record"), 3, up, binding, CONTROL, Direction.UP, 0, 256) == plain
    up_1 = hkdf_expand(up, b"qiki record epoch\x00\x00\x00\x01", 32)
    asked = opened(shown("up, service, epoch 1, counter 3: record"), 2, up_1, binding, SERVICE, Direction.UP, 1, 3)
    assert cbor2.loads(asked) == [4, 1]
    down_1 = shown("chain down, epoch 1")
    assert down_1 == hkdf_expand(down, b"qiki record epoch\x00\x00\x00\x01", 32)
    bundle = shown("down, bundles, epoch 1, counter 0: record")
    assert opened(bundle, 3, down_1, binding, BUNDLES, Direction.DOWN, 1, 0) == b"bundle"
    assert opened(shown("nbl, start 7, counter 0: record"), 2, ROOT, LABEL, NBL, Direction.DOWN, 7, 0) == bytes(15)


def test_the_page_s_messages_are_what_the_receivers_take() -> None:
    message_1, message_2 = shown("message 1"), shown("message 2")
    assert is_handshake(message_1)
    assert (len(message_1), len(message_2)) == (122, 66)
    received = take_1(message_1)
    assert not isinstance(received, str)
    assert received.counter == COUNTER
    key = hkdf_expand(PSK, b"filter", 32)
    assert received.mac == hmac.digest(key, message_1[:-16], "sha256")[:16]
    assert message_2[-16:] == hmac.digest(key, message_1[-16:] + message_2[:-16], "sha256")[:16]
    assert take_2(message_2, key, message_1[-16:]) == message_2[2:-16]
    assert shown("prologue, counter 5") == AGREED + bytes(7) + b"\x05"
    assert message_of(shown("plaintext")) == WireCommand(1000, "hold", {}, None, 60_000, 1)
    craft = RecordSession(
        shown("chain up, epoch 0"), shown("chain down, epoch 0"), shown("binding"), Direction.DOWN, 0,
        {spec.id: spec for spec in PLAN}.get,
    )
    for name in ("record", "counter 256: record", "up, service, epoch 1, counter 3: record"):
        assert isinstance(craft.open(shown(name), 0), Opened), name
    bundles = Opener(Ratchet(shown("chain down, epoch 1"), shown("binding"), Direction.DOWN, 1).lane(BUNDLES))
    assert isinstance(bundles.open(shown("down, bundles, epoch 1, counter 0: record")), Opened)
    far = NblReceiver(ROOT, LABEL, Direction.DOWN, NBL)
    found = far.open(shown("nbl, start 7, counter 0: record"))
    assert isinstance(found, Opened)
    assert found.epoch == 7


def test_a_peer_s_entity_number_follows_from_its_key() -> None:
    number = int.from_bytes(sha256(b"qiki entity" + shown("operator, public")).digest()[:2], "big") | 0x8000
    assert shown("CFDP entity of the operator") == number.to_bytes(2, "big")

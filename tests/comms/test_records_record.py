"""Records of one lane: opened exactly once, exactly as sealed, and refused by name otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.channel_plan import PLAN, ChannelKind, ChannelSpec, Direction, QosClass, channel_named
from comms.records.faults import RecordFault
from comms.records.lane import LaneKeys
from comms.records.record import Opened, Opener, Sealer
from comms.records.schedule import COUNTER_LAST
from comms.records.window import ReplayWindow

SECRET, SALT = bytes(range(32)), b"handshake hash"
CONTROL, NBL = channel_named("control"), channel_named("nbl")
BORDERS = [0, 1, 254, 255, 256, 2**16 - 1, 2**16, 2**24 - 1, 2**24, 2**32 - 1, 2**32, COUNTER_LAST - 1, COUNTER_LAST]


def keys(spec: ChannelSpec = CONTROL, epoch: int = 0, direction: Direction = Direction.UP, **more: Any) -> LaneKeys:
    return LaneKeys(SECRET, SALT, direction, spec, epoch, **more)


def pair(spec: ChannelSpec = CONTROL, first: int = 0, epoch: int = 0, **more: Any) -> tuple[Sealer, Opener]:
    lane = keys(spec, epoch, **more)
    return Sealer(lane, first), Opener(lane)


def sealed(sealer: Sealer, plaintext: bytes = b"content") -> bytes:
    record = sealer.seal(plaintext)
    assert isinstance(record, bytes)
    return record


def by_the_book(spec: ChannelSpec, direction: int, epoch: int, counter: int, plaintext: bytes) -> bytes:
    """A record of a channel below 7 or of id 7 to 23, written from the RFCs alone."""
    suite, key_length, nonce_length = (10, 16, 13) if spec.kind is ChannelKind.NBL else (24, 32, 12)
    context = b"\x01" + epoch.to_bytes(4, "big")
    identity = bytes([direction, spec.id])

    def derived(name: bytes, kind: str, length: int) -> bytes:
        info = cbor2.dumps([name, context, suite, kind, length])
        return HKDF(SHA256(), length, SALT, info).derive(SECRET)

    written = counter.to_bytes(max(1, (counter.bit_length() + 7) // 8), "big")
    code = min(spec.id, 7)
    header = bytes([(epoch % 4) << 6 | code << 3 | len(written)]) + (bytes([spec.id]) if code == 7 else b"") + written
    padded = bytes([2]) + identity.rjust(nonce_length - 6, b"\0") + written.rjust(5, b"\0")
    nonce = bytes(a ^ b for a, b in zip(padded, derived(b"", "IV", nonce_length), strict=True))
    external = cbor2.dumps([1, suite, direction, identity, spec.id, int(spec.qos), header])
    aad = cbor2.dumps(["Encrypt0", b"", external])
    key = derived(identity, "Key", key_length)
    cipher = AESCCM(key, 8) if suite == 10 else ChaCha20Poly1305(key)
    return header + cipher.encrypt(nonce, plaintext, aad)


@settings(max_examples=60)
@given(st.sampled_from(PLAN), st.sampled_from(Direction), st.integers(0, 2**32 - 1),
       st.sampled_from(BORDERS) | st.integers(0, COUNTER_LAST), st.binary(max_size=300))
def test_a_record_is_as_the_standards_make_it(
    spec: ChannelSpec, direction: Direction, epoch: int, counter: int, plaintext: bytes,
) -> None:
    lane = keys(spec, epoch, direction)
    record = sealed(Sealer(lane, counter), plaintext)
    assert record == by_the_book(spec, direction, epoch, counter, plaintext)
    assert Opener(lane).open(record) == Opened(spec.id, plaintext, epoch, counter)


@pytest.mark.parametrize("spec", [CONTROL, channel_named("bundles"), NBL], ids=lambda spec: spec.name)
def test_every_border_of_the_counter_is_passed(spec: ChannelSpec) -> None:
    for border in (2**8, 2**16, 2**24, 2**32):
        sealer, opener = pair(spec, border - 3)
        for counter in range(border - 3, border + 3):
            size = sealer.overhead
            record = sealed(sealer)
            assert len(record) == size + len(b"content")
            assert opener.open(record) == Opened(spec.id, b"content", 0, counter)


def test_after_the_last_counter_nothing_is_sealed() -> None:
    sealer, opener = pair(first=COUNTER_LAST - 1)
    for counter in (COUNTER_LAST - 1, COUNTER_LAST):
        assert opener.open(sealed(sealer)) == Opened(0, b"content", 0, counter)
    for _ in range(3):
        assert sealer.seal(b"content") is RecordFault.COUNTER_END
    sealer.raise_limit(2**64)
    assert sealer.seal(b"content") is RecordFault.COUNTER_END


def test_a_limit_is_kept_and_counters_never_go_back() -> None:
    sealer = Sealer(keys(), first=5, limit=7)
    assert sealed(sealer)[1] == 5
    assert sealed(sealer)[1] == 6
    assert sealer.seal(b"") is RecordFault.COUNTER_END
    sealer.raise_limit(20, first=3)
    assert sealed(sealer)[1] == 7
    sealer.raise_limit(20, first=12)
    assert sealed(sealer)[1] == 12


@settings(max_examples=30)
@given(st.data())
def test_records_open_once_in_any_order(data: st.DataObject) -> None:
    sealer, opener = pair(first=data.draw(st.sampled_from([0, 200, 2**16 - 40])))
    records = [sealed(sealer, bytes((index,))) for index in range(60)]
    order = data.draw(st.permutations(range(60)))
    for index in order:
        found = opener.open(records[index])
        assert isinstance(found, Opened)
        assert found.plaintext == bytes((index,))
    assert all(opener.open(record) is RecordFault.REPLAYED for record in records)


@pytest.mark.parametrize("spec", [CONTROL, NBL, channel_named("bundles")], ids=lambda spec: spec.name)
def test_no_single_bit_can_be_changed(spec: ChannelSpec) -> None:
    sealer, opener = pair(spec, first=300, implied=spec is NBL)
    record = sealed(sealer)
    for bit in range(8 * len(record)):
        changed = bytearray(record)
        changed[bit // 8] ^= 1 << bit % 8
        assert isinstance(opener.open(bytes(changed)), RecordFault)
    assert opener.open(record) == Opened(spec.id, b"content", 0, 300)


@given(st.binary(max_size=80))
def test_nothing_raises_and_noise_is_refused(raw: bytes) -> None:
    _, opener = pair()
    assert isinstance(opener.open(raw), RecordFault)
    assert opener.window.next == 0


def test_other_lanes_are_refused() -> None:
    record = sealed(Sealer(keys()))
    others = [
        LaneKeys(SECRET, SALT, Direction.DOWN, CONTROL, 0), LaneKeys(SECRET, SALT, Direction.UP, CONTROL, 4),
        LaneKeys(SECRET, b"another", Direction.UP, CONTROL, 0), LaneKeys(bytes(32), SALT, Direction.UP, CONTROL, 0),
        keys(replace(CONTROL, qos=QosClass.BULK)), keys(replace(CONTROL, kind=ChannelKind.NBL)),
    ]
    for lane in others:
        assert Opener(lane).open(record) is RecordFault.FORGED
    assert Opener(keys(epoch=1)).open(record) is RecordFault.WRONG_EPOCH
    assert Opener(keys(channel_named("telemetry"))).open(record) is RecordFault.WRONG_CHANNEL


def test_lengths_are_judged_before_any_cryptography() -> None:
    lane = keys()
    opener = Opener(lane, longest=64)
    record = sealed(Sealer(lane))
    for end in range(len(record)):
        assert isinstance(opener.open(record[:end]), RecordFault)
    assert opener.open(record[:17]) is RecordFault.TOO_SHORT
    assert opener.open(record + bytes(64)) is RecordFault.TOO_LONG
    sealer = Sealer(lane, longest=64)
    assert sealer.seal(bytes(64 - 18 + 1)) is RecordFault.TOO_LONG
    assert sealer.next == 0
    assert len(sealed(sealer, bytes(64 - 18))) == 64
    known = Opener(lane)
    assert isinstance(known.open(record), Opened)
    forged = known.forged
    for wrong in (record[:17], b"", record[:1]):
        assert known.open(wrong) is RecordFault.TOO_SHORT
    assert known.forged == forged


def test_a_forgery_moves_no_window() -> None:
    sealer, opener = pair()
    genuine = sealed(sealer)
    far = Sealer(keys(), first=40_000)
    forged = sealed(far)[:-1] + b"\0"
    assert opener.open(forged) is RecordFault.FORGED
    assert opener.forged == 1
    assert isinstance(opener.open(genuine), Opened)


def test_a_key_is_shut_by_its_limit_of_false_tags() -> None:
    sealer, opener = pair(NBL)
    record = sealed(sealer)
    forged = record[:-1] + bytes((record[-1] ^ 1,))
    for _ in range(2**14):
        assert not opener.shut
        assert opener.open(forged) is RecordFault.FORGED
    assert opener.shut
    assert opener.open(forged) is RecordFault.KEY_SHUT
    assert opener.open(record) is RecordFault.KEY_SHUT


def test_what_a_window_knows_counts() -> None:
    lane = keys()
    sealer = Sealer(lane, first=9)
    opener = Opener(lane, ReplayWindow(floor=10))
    assert opener.open(sealed(sealer)) is RecordFault.REPLAYED
    assert isinstance(opener.open(sealed(sealer)), Opened)


def test_an_empty_plaintext_is_a_record() -> None:
    sealer, opener = pair()
    assert opener.open(sealed(sealer, b"")) == Opened(0, b"", 0, 0)


def test_no_secret_is_shown() -> None:
    lane = keys()
    for shown in (lane, Sealer(lane), Opener(lane)):
        assert SECRET.hex()[:8] not in repr(shown)
        assert "bytearray" not in repr(shown)


def test_an_epoch_that_cannot_be_is_refused() -> None:
    for epoch in (-1, 2**32):
        with pytest.raises(ValueError, match="32 bits"):
            keys(epoch=epoch)

"""Bundles: published bytes, another implementation's bytes, and a name for everything that is no bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.bundles import NULL, Block, BlockKind, Bundle, CrcKind, Eid, Malformed, Primary, decode, encode
from comms.bundles.block import age_block, hop_block, previous_block, urgency_block
from comms.bundles.bundle import LONGEST_BUNDLE, MOST_BLOCKS
from comms.bundles.cbor_items import uint_item
from comms.bundles.checks import crc16_x25, crc32c
from comms.bundles.eid import EidForm

PEER = Path(__file__).parents[1] / "data" / "vectors" / "bpv7_peer.json"
ROWS = json.loads(PEER.read_text())["rows"]
RFC9173_PRIMARY = "88070000820282010282028202018202820201820018281a000f4240"
RFC9173_PAYLOAD = "85010100005823526561647920746f2067656e657261746520612033322d62797465207061796c6f6164"
RFC9173_AGE = "85070200004319012c"
RFC9173_BIB = ("850b0200005856810101018202820201828201078203008181820158403bdc69b3a34a2b5d3a8554368bd1e808f606219d2a10"
               "a846eae3886ae4ecc83c4ee550fdfb1cc636b904e2f1a73e303dcd4b6ccece003e95e8164dcc89a156e1")


def bundle(*blocks: Block, payload: bytes = b"sealed", **changed: object) -> Bundle:
    primary = replace(Primary(Eid.ipn(2, 1), Eid.ipn(1, 1), NULL, 0, 7, 60_000), **changed)  # type: ignore[arg-type]
    return Bundle(primary, (*blocks, Block(BlockKind.PAYLOAD, 1, payload)))


def raw(*blocks: bytes) -> bytes:
    return b"\x9f" + b"".join(blocks) + b"\xff"


PRIMARY = Primary(Eid.ipn(2, 1), Eid.ipn(1, 1), NULL, 0, 7, 60_000).encode()
PAYLOAD = Block(BlockKind.PAYLOAD, 1, b"sealed").encode()


def test_checksums_have_their_published_check_values():
    assert crc16_x25(b"123456789") == 0x906E
    assert crc32c(b"123456789") == 0xE3069283


def test_the_example_of_rfc_9173_appendix_a1_is_read_and_written():
    data = bytes.fromhex("9f" + RFC9173_PRIMARY + RFC9173_PAYLOAD + "ff")
    found = decode(data)
    assert isinstance(found, Bundle)
    assert (str(found.primary.destination), str(found.primary.source)) == ("ipn:1.2", "ipn:2.1")
    assert (found.primary.created_ms, found.primary.sequence, found.primary.lifetime_ms) == (0, 40, 1_000_000)
    assert found.primary.crc is CrcKind.NONE
    assert found.payload == b"Ready to generate a 32-byte payload"
    assert encode(found) == data


def test_blocks_that_are_not_known_pass_through_unchanged():
    """RFC 9173 appendix A.1.4: a block integrity block stands between primary and payload."""
    data = bytes.fromhex("9f" + RFC9173_PRIMARY + RFC9173_BIB + RFC9173_PAYLOAD + "ff")
    found = decode(data)
    assert isinstance(found, Bundle)
    assert [block.kind for block in found.blocks] == [11, 1]
    assert encode(found) == data


def test_the_bundle_age_of_rfc_9173_appendix_a3_is_300_ms():
    found = decode(bytes.fromhex("9f" + RFC9173_PRIMARY + RFC9173_AGE + RFC9173_PAYLOAD + "ff"))
    assert isinstance(found, Bundle)
    assert found.age_ms == 300
    assert age_block(2, 300).encode().hex() == RFC9173_AGE


def test_both_forms_of_rfc_9758_mean_the_same_endpoint():
    pair, triple = bytes.fromhex("8202821b000ee8680000006401"), bytes.fromhex("8202831a000ee868186401")
    found = [Eid.from_item(cbor2.loads(data)) for data in (pair, triple)]
    assert found[0] == found[1] == Eid.parse("ipn:977000.100.1")
    assert [eid.encode() for eid in found if eid is not None] == [pair, triple]
    assert str(found[0]) == "ipn:977000.100.1"


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_bytes_of_another_implementation_are_read_and_written_back(row: dict):
    data = bytes.fromhex(row["bundle"])
    found = decode(data)
    assert isinstance(found, Bundle)
    primary = found.primary
    told = {name: getattr(primary, name) for name in ("flags", "created_ms", "sequence", "lifetime_ms", "crc")}
    assert told == {name: row[name] for name in told}
    ids = {name: getattr(primary, name) for name in ("destination", "source", "report_to")}
    assert ids == {name: Eid.parse(row[name]) for name in ids}
    assert found.payload.hex() == row["payload"]
    assert found.age_ms == row.get("age_ms")
    assert [found.hop_limit, found.hop_count] == row.get("hops", [None, None])
    assert (None if found.previous is None else str(found.previous)) == row.get("previous")
    others = [[block.kind, block.data.hex()] for block in found.blocks if block.kind >= 192]
    assert others == ([row["other"]] if "other" in row else [])
    assert encode(found) == data


eids = st.builds(
    Eid, st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1), st.integers(0, 2**64 - 1),
    st.sampled_from((EidForm.PAIR, EidForm.TRIPLE)),
)
counts = st.integers(0, 2**64 - 1)
crcs = st.sampled_from(CrcKind)


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    primary = Primary(draw(eids), draw(eids), draw(st.one_of(eids, st.just(NULL))), draw(counts), draw(counts),
                      draw(counts), draw(st.sampled_from((0, 4, 0x24, 0x4004))), draw(crcs))
    made = [previous_block(2, draw(eids)), age_block(3, draw(counts)),
            hop_block(4, draw(st.integers(1, 255)), draw(st.integers(0, 255))),
            urgency_block(5, draw(st.integers(0, 3))), Block(200, 6, draw(st.binary(max_size=20)), draw(crcs))]
    blocks = [replace(block, crc=draw(crcs)) for block in draw(st.permutations(made))[: draw(st.integers(0, 5))]]
    return Bundle(primary, (*blocks, Block(BlockKind.PAYLOAD, 1, draw(st.binary(max_size=300)), crc=draw(crcs))))


@given(bundles())
@settings(max_examples=150, deadline=None)
def test_every_bundle_comes_back_as_it_was_in_the_same_bytes(made: Bundle):
    data = encode(made)
    found = decode(data)
    assert found == made
    assert encode(made) == data
    assert isinstance(found, Bundle)
    assert (found.age_ms, found.hop_limit, found.previous) == (made.age_ms, made.hop_limit, made.previous)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_bundle_or_a_name(data: bytes):
    assert isinstance(decode(data), Bundle | Malformed)


@given(bundles(), st.data())
@settings(max_examples=150, deadline=None)
def test_a_broken_bundle_is_a_bundle_with_other_meaning_or_a_name(made: Bundle, draw: st.DataObject):
    data = bytearray(encode(made))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    found = decode(bytes(data))
    assert isinstance(found, Malformed) or encode(found) == bytes(data)


def test_no_bit_of_a_block_with_a_checksum_can_change():
    made = bundle(crc=CrcKind.CRC32C)
    data = encode(made)
    for bit in range(8, 8 * (1 + len(made.primary.encode()))):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert isinstance(decode(bytes(changed)), Malformed)


@pytest.mark.parametrize(("data", "reason"), [
    (b"", Malformed.STRUCTURE),
    (b"\x9f\xff", Malformed.STRUCTURE),
    (raw(PRIMARY)[1:], Malformed.STRUCTURE),
    (raw(PRIMARY, PAYLOAD)[:-1], Malformed.STRUCTURE),
    (raw(PRIMARY), Malformed.NO_PAYLOAD),
    (raw(PRIMARY, PAYLOAD, age_block(2, 0).encode()), Malformed.NO_PAYLOAD),
    (raw(PRIMARY, PAYLOAD, PAYLOAD), Malformed.BLOCK_NUMBER),
    (raw(PRIMARY, age_block(1, 0).encode(), PAYLOAD), Malformed.BLOCK_NUMBER),
    (raw(PRIMARY, age_block(0, 0).encode(), PAYLOAD), Malformed.BLOCK_NUMBER),
    (raw(PRIMARY, Block(1, 2, b"").encode(), PAYLOAD), Malformed.STRUCTURE),
    (raw(PRIMARY, Block(1, 5, b"").encode()), Malformed.BLOCK_NUMBER),
    (raw(PRIMARY, age_block(2, 0).encode(), age_block(3, 0).encode(), PAYLOAD), Malformed.STRUCTURE),
    (raw(PRIMARY, Block(7, 2, b"\xff").encode(), PAYLOAD), Malformed.BLOCK_DATA),
    (raw(PRIMARY, Block(7, 2, b"\x18\x05").encode(), PAYLOAD), Malformed.BLOCK_DATA),
    (raw(PRIMARY, Block(10, 2, b"\x82\x00\x00").encode(), PAYLOAD), Malformed.BLOCK_DATA),
    (raw(PRIMARY, Block(10, 2, b"\x82\x19\x01\x00\x00").encode(), PAYLOAD), Malformed.BLOCK_DATA),
    (raw(PRIMARY, Block(6, 2, b"\x82\x01\x62n1").encode(), PAYLOAD), Malformed.BLOCK_DATA),
    (raw(PRIMARY, Block(193, 2, b"\x04").encode(), PAYLOAD), Malformed.BLOCK_DATA),
    (raw(PRIMARY, *(Block(200, 2 + n, b"").encode() for n in range(MOST_BLOCKS)), PAYLOAD),
     Malformed.TOO_MANY_BLOCKS),
    (raw(PRIMARY, b"\x00", PAYLOAD), Malformed.STRUCTURE),
    (raw(PRIMARY, b"\x85\x01", PAYLOAD), Malformed.NOT_CBOR),
    (raw(PRIMARY, b"\x1c", PAYLOAD), Malformed.NOT_CBOR),
    (raw(PRIMARY, b"\x5b\x7f" + bytes(7), PAYLOAD), Malformed.NOT_CBOR),
    (raw(PRIMARY.replace(b"\x89\x07", b"\x89\x06", 1), PAYLOAD), Malformed.VERSION),
    (raw(PRIMARY[:-1] + bytes((PRIMARY[-1] ^ 1,)), PAYLOAD), Malformed.CRC),
    (bytes(LONGEST_BUNDLE + 1), Malformed.TOO_LARGE),
])
def test_what_is_no_bundle_has_a_name(data: bytes, reason: Malformed):
    assert decode(data) is reason


def primary_of(*items: object, crc: int = 0) -> bytes:
    fields = [7, 0, crc, [2, [2, 1]], [2, [1, 1]], [1, 0], [0, 7], 60_000]
    for index, item in enumerate(items):
        fields[index] = item if item is not None else fields[index]
    return cbor2.dumps(fields)


@pytest.mark.parametrize(("primary", "reason"), [
    (primary_of(None, None, 3), Malformed.CRC_KIND),
    (primary_of(None, 0x4002), Malformed.FLAGS),
    (primary_of(None, 0, None, None, [1, 0]), Malformed.FLAGS),
    (primary_of(None, 0x4004, None, None, [1, 0]), Malformed.FLAGS),
    (primary_of(None, None, None, [1, "//node/in"]), Malformed.ENDPOINT),
    (primary_of(None, None, None, [3, [1, 1]]), Malformed.ENDPOINT),
    (primary_of(None, None, None, [2, [1]]), Malformed.ENDPOINT),
    (primary_of(None, None, None, [2, [1, -1]]), Malformed.ENDPOINT),
    (primary_of(None, None, None, [2, [0, 4]]), Malformed.ENDPOINT),
    (primary_of(None, None, None, [2, [2**32, 1, 1]]), Malformed.ENDPOINT),
    (primary_of(None, None, None, [2, [True, 1]]), Malformed.ENDPOINT),
    (primary_of(None, None, None, None, None, None, [0]), Malformed.STRUCTURE),
    (primary_of(None, None, None, None, None, None, None, 1.5), Malformed.STRUCTURE),
    (primary_of(None, None, None, None, None, None, None, 2**64), Malformed.STRUCTURE),
    (primary_of(crc=1), Malformed.STRUCTURE),
    (primary_of(None, 1), Malformed.STRUCTURE),
    (cbor2.dumps([7, 1, 0, [2, [2, 1]], [2, [1, 1]], [1, 0], [0, 7], 60_000, 0, 100]), Malformed.FRAGMENT),
    (cbor2.dumps([7, 0, 0]), Malformed.STRUCTURE),
    (b"\x98\x08" + primary_of()[1:], Malformed.NOT_DETERMINISTIC),
    (primary_of()[:1] + b"\x18\x07" + primary_of()[2:], Malformed.NOT_DETERMINISTIC),
    (b"\x9f" + primary_of()[1:] + b"\xff", Malformed.NOT_CBOR),
])
def test_a_primary_block_that_is_none_has_a_name(primary: bytes, reason: Malformed):
    assert decode(raw(primary, PAYLOAD)) is reason


def test_a_payload_of_indefinite_length_is_refused():
    assert decode(raw(PRIMARY, b"\x85\x01\x01\x00\x00\x5f\x41a\xff")) is Malformed.NOT_CBOR


def test_a_bundle_with_blocks_that_none_may_have_cannot_be_made():
    with pytest.raises(ValueError, match="no_payload"):
        Bundle(bundle().primary, (age_block(2, 0),))


@pytest.mark.parametrize("text", ["ipn:1", "ipn:1.2.3.4", "ipn:a.1", "dtn://n1", "ipn:-1.2", "", "ipn:1.²"])
def test_a_text_that_is_no_endpoint_is_refused(text: str):
    with pytest.raises(ValueError, match="no endpoint id"):
        Eid.parse(text)


@given(eids)
def test_endpoints_come_back_from_text_and_bytes(eid: Eid):
    assert Eid.parse(str(eid)) == eid
    assert Eid.from_item(cbor2.loads(eid.encode())) == eid


@given(st.integers(0, 2**64 - 1))
def test_numbers_are_written_as_the_library_writes_them(value: int):
    assert uint_item(value) == cbor2.dumps(value)

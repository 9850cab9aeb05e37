"""Rows 1, 2, 11 and 16: records that were changed, cut, joined, made for other rules, or guessed."""

from __future__ import annotations

import numpy as np

from comms.channel_plan import NBL_CHANNEL, PLAN, ChannelKind, ChannelSpec, Direction, QosClass, Suite
from comms.records import schedule
from comms.records.faults import RecordFault
from comms.records.header import encode_header
from comms.records.kept import NBL_LONGEST
from comms.records.lane import LaneKeys
from comms.records.record import Opened, Opener, Sealer
from comms.records.session import RecordSession
from firmware_py.cli.link_campaign._records_kit import CHANNELS, LIVE, Failures, ends, known, sealed
from firmware_py.cli.link_campaign.row import Progress, RowResult

__all__ = ["downgrades", "false_tags", "flips", "splices"]

SHORTEST, LONGEST = 24, 315
MANY_FLIPS = 1000
"""Random changes of several bits to each record, beside every single bit."""
EXTENSIONS, SPLICES = 64, 100


def flips(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """Every single bit of ``cases`` records, and 1,000 times 2 to 16 bits of each."""
    failures = Failures()
    changes = header_bits = 0
    for case in range(cases):
        progress(case, cases)
        spec = PLAN[int(rng.integers(len(PLAN)))]
        nbl = spec.kind is ChannelKind.NBL
        lane = LaneKeys(rng.bytes(32), rng.bytes(32), Direction.DOWN, spec, int(rng.integers(1 << 32)), implied=nbl)
        sealer = Sealer(lane, first=int(rng.choice((0, 200, 300, 1 << 16, 1 << 24, 1 << 33))))
        size = int(rng.integers(SHORTEST, (NBL_LONGEST if nbl else LONGEST) + 1))
        header_bits += 8 * (sealer.overhead - lane.facts.tag_bytes)
        record = sealer.seal(rng.bytes(max(0, size - sealer.overhead)))
        assert isinstance(record, bytes)
        opener = Opener(lane)
        whole, bits = int.from_bytes(record, "big"), 8 * len(record)
        masks = [1 << bit for bit in range(bits)]
        for count in rng.integers(2, 17, MANY_FLIPS):
            masks.append(sum(1 << int(bit) for bit in set(rng.integers(0, bits, count).tolist())))
        for mask in masks:
            changes += 1
            if isinstance(opener.open((whole ^ mask).to_bytes(len(record), "big")), Opened):
                failures.add(f"record {case}: opened with bits {mask:x}h changed")
        failures.unless(isinstance(opener.open(record), Opened), f"record {case}: doesn't open unchanged")
    return failures.result(changes, {"records": cases, "header bits": header_bits})


def splices(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """Every beginning of ``cases`` records, 1 to 64 bytes more, and 100 joinings of two of them each."""
    failures = Failures()
    ground, craft = ends(rng)
    tried = 0
    for case in range(cases):
        progress(case, cases)
        spec = LIVE[int(rng.integers(len(LIVE)))]
        record, other = (
            sealed(ground, spec.id, rng.bytes(int(rng.integers(SHORTEST, LONGEST + 1) - 20))) for _ in range(2))
        broken = [record[:end] for end in range(len(record))]
        broken += [record + rng.bytes(more) for more in range(1, EXTENSIONS + 1)]
        for _ in range(SPLICES):
            left, right = int(rng.integers(1, len(record))), int(rng.integers(1, len(other)))
            broken.append(record[:left] + other[right:])
        for raw in broken:
            tried += 1
            if raw in (record, other):
                continue
            try:
                opened = isinstance(craft.open(raw, 0), Opened)
            except Exception as error:
                failures.add(f"record {case}: {raw.hex()} raises {type(error).__name__}")
            else:
                failures.unless(not opened, f"record {case}: {raw.hex()} is opened")
        for whole in (record, other):
            failures.unless(isinstance(craft.open(whole, 0), Opened), f"record {case}: doesn't open unchanged")
    return failures.result(tried, {"records": 2 * cases})


class _Maker:
    """Makes records after any rules, with the keys of a real session: what an older or careless end would send."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.chain, self.binding = rng.bytes(32), rng.bytes(32)
        self.receiver = RecordSession(self.chain, rng.bytes(32), self.binding, Direction.DOWN, 0, known)
        self.spec = LIVE[int(rng.integers(len(LIVE)))]
        self.counter = 0

    def record(
        self, version: int = schedule.VERSION, suite: Suite = Suite.CHACHA20_POLY1305,
        direction: Direction = Direction.UP, spec: ChannelSpec | None = None, qos: QosClass | None = None,
        epoch: int = 0, told_epoch: int | None = None,
    ) -> bytes:
        """One record, the next of this session if nothing else is asked for."""
        used = self.spec if spec is None else spec
        facts = schedule.SUITES[suite]
        identity = bytes((direction, used.id))
        context = bytes((version,)) + epoch.to_bytes(4, "big")
        key_info = schedule.key_info(identity, context, suite, "Key", facts.key_bytes)
        iv_info = schedule.key_info(b"", context, suite, "IV", facts.nonce_bytes)
        cipher = schedule.cipher(suite, schedule.derive(self.chain, self.binding, key_info, facts.key_bytes))
        base = schedule.nonce_base(
            schedule.derive(self.chain, self.binding, iv_info, facts.nonce_bytes), identity)
        header = encode_header(epoch if told_epoch is None else told_epoch, self.spec.id, self.counter)
        external = schedule.external_aad(
            suite, direction, identity, used.id, used.qos if qos is None else qos, header)
        external = external[:1] + bytes((version,)) + external[2:]
        nonce = schedule.nonce(base, self.counter, facts.nonce_bytes)
        return header + cipher.encrypt(nonce, b"content of a record", schedule.encryption_aad(external))


def downgrades(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """Records after other rules than those of the channel; every one is tried on a session whose own still open."""
    failures = Failures()
    tried = 0
    for case in range(cases):
        if case % 64 == 0:
            progress(case, cases)
        maker = _Maker(rng)
        other = LIVE[(LIVE.index(maker.spec) + 1) % len(LIVE)]
        genuine = maker.record()
        start = len(genuine) - 16 - len(b"content of a record")
        clear = genuine[:start] + b"content of a record"
        wrong = {
            "short tags": maker.record(suite=Suite.AES_CCM_16_64_128),
            "version 0": maker.record(version=0), "version 2": maker.record(version=2),
            "other direction": maker.record(direction=Direction.DOWN),
            "other channel's keys": maker.record(spec=other),
            "other class of service": maker.record(qos=QosClass((maker.spec.qos + 1) % len(QosClass))),
            "later epoch under this one": maker.record(epoch=4, told_epoch=0),
            "this epoch under the next": maker.record(told_epoch=1),
            "epoch told wrong": bytes((genuine[0] ^ 0x40 * (1 + case % 3),)) + genuine[1:],
            "clear text": clear, "clear text, tag of zeros": clear + bytes(16),
            "no counter": bytes((genuine[0] & 0xF8,)) + genuine[1:], "text alone": b"content of a record",
            "tag cut to 8": genuine[:-8],
        }
        for name, raw in wrong.items():
            tried += 1
            if isinstance(maker.receiver.open(raw, 0), Opened):
                failures.add(f"case {case}, channel {maker.spec.id}: {name} is opened")
        failures.unless(isinstance(maker.receiver.open(genuine, 0), Opened), f"case {case}: the right one is refused")
    return failures.result(tried, {"sessions": cases})


def false_tags(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """2^14 false tags of 8 bytes on each of ``cases`` keys: an alert, the key shut, both ways in the next epoch."""
    failures = Failures()
    limit = schedule.SUITES[CHANNELS[NBL_CHANNEL].kind.suite].false_tags
    for case in range(cases):
        progress(case, cases)
        ground, craft = ends(rng)
        genuine = sealed(ground, NBL_CHANNEL, rng.bytes(40))
        body = genuine[:-8]
        for _ in range(limit - 1):
            if isinstance(craft.open(body + rng.bytes(8), 0), Opened):
                failures.add(f"key {case}: a guessed tag is opened")
        failures.unless(craft.intrusions == 0, f"key {case}: an alert before the limit")
        craft.open(body + bytes((genuine[-8] ^ 1,)) + genuine[-7:], 0)
        failures.unless(craft.intrusions == 1, f"key {case}: no alert at the limit")
        failures.unless(craft.open(genuine, 0) is RecordFault.KEY_SHUT, f"key {case}: the key still opens")
        back = ground.open(sealed(craft, 0, b""), 0)
        failures.unless(isinstance(back, Opened) and back.epoch == 1, f"key {case}: no rotation")
        there = craft.open(sealed(ground, NBL_CHANNEL, b""), 0)
        failures.unless(isinstance(there, Opened) and there.epoch == 1, f"key {case}: the peer doesn't follow")
    return failures.result(cases * limit, {"keys": cases})

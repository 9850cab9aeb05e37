"""Rows 3, 4, 7 and 15: records that come again, in disorder, over a rotation, and at the borders of the counter."""

from __future__ import annotations

import numpy as np

from comms.channel_plan import PLAN, ChannelKind, Direction, channel_named
from comms.records.faults import RecordFault
from comms.records.kept import NblReceiver
from comms.records.lane import LaneKeys
from comms.records.receiving import DRAIN_RECORDS
from comms.records.record import Opened, Opener, Sealer
from comms.records.schedule import COUNTER_LAST
from comms.records.sending import EPOCH_RECORDS, LANE_RECORDS
from comms.records.session import RecordSession
from comms.records.window import ReplayWindow
from firmware_py.cli.link_campaign._records_kit import LIVE, Failures, ends, sealed, tell
from firmware_py.cli.link_campaign.row import Progress, RowResult

__all__ = ["borders", "disorder", "replays", "rotations"]

BURST = 200
DISORDER = 32
LOSSES = (0.0, 0.1, 0.3)
SIZES = (64, 1024, 8128)
BORDERS = (0, 1 << 8, 1 << 16, 1 << 24, 1 << 32, COUNTER_LAST)
AROUND = 8


def replays(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """Each of ``cases`` records is sent again in eight ways, in sessions of 500."""
    failures = Failures()
    done = tried = 0
    while done < cases:
        progress(done, cases)
        count = min(500, cases - done)
        ground, craft = ends(rng)
        _, stranger = ends(rng)
        channels = [LIVE[int(index)].id for index in rng.integers(0, len(LIVE), count)]
        records = [sealed(ground, channel, rng.bytes(12)) for channel in channels]
        kept = _replayed_nbl(rng, count, failures)
        tried += _at_once(ground, craft, stranger, records, failures, done) + kept
        ground.rotate()
        for _ in range(2 + DRAIN_RECORDS * int(rng.integers(0, 2))):
            craft.open(sealed(ground, 0, b""), 0)
        for index, record in enumerate(records):
            tried += 2
            for name, raw in (("after a rotation", record), ("as of the next epoch", _epoch_told(record, 1))):
                failures.unless(not isinstance(craft.open(raw, 0), Opened), f"record {done + index}: opened {name}")
        done += count
    progress(cases, cases)
    return failures.result(tried, {"records": cases})


def _at_once(
    ground: RecordSession, craft: RecordSession, stranger: RecordSession, records: list[bytes], failures: Failures,
    first: int,
) -> int:
    tried = 0
    for index, record in enumerate(records):
        failures.unless(isinstance(craft.open(record, 0), Opened), f"record {first + index}: doesn't open")
        flag = record[0]
        again = {
            "at once": (craft, record), "at its sender": (ground, record), "in another session": (stranger, record),
            "on another channel": (craft, bytes((flag ^ 0x08,)) + record[1:]),
        }
        for name, (end, raw) in again.items():
            tried += 1
            failures.unless(not isinstance(end.open(raw, 0), Opened), f"record {first + index}: opened {name}")
    for index, record in enumerate(records):
        tried += 1
        found = craft.open(record, 0)
        failures.unless(not isinstance(found, Opened), f"record {first + index}: opened late")
    return tried


def _replayed_nbl(rng: np.random.Generator, count: int, failures: Failures) -> int:
    """Records of a kept context, again after the receiver was started anew."""
    nbl, root, boot_id = channel_named("nbl"), rng.bytes(32), int(rng.integers(1, 1000))
    sealer = Sealer(LaneKeys(root, b"craft", Direction.DOWN, nbl, boot_id, implied=True))
    receiver = NblReceiver(root, b"craft", Direction.DOWN, nbl, boot_id)
    records = [record for record in (sealer.seal(b"state") for _ in range(min(count, 8))) if isinstance(record, bytes)]
    for record in records:
        failures.unless(isinstance(receiver.open(record), Opened), "an NBL record doesn't open")
    again = NblReceiver(root, b"craft", Direction.DOWN, nbl, *receiver.progress)
    for record in records:
        failures.unless(not isinstance(again.open(record), Opened), "an NBL record opened after a restart")
    return len(records)


def _epoch_told(record: bytes, more: int) -> bytes:
    return bytes((record[0] + (more << 6) & 0xFF,)) + record[1:]


class _SetModel:
    """A window by its definition alone."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.newest = -1
        self.taken: set[int] = set()

    def take(self, counter: int) -> bool:
        if counter in self.taken or counter < self.newest - self.size:
            return False
        self.taken.add(counter)
        self.newest = max(self.newest, counter)
        return True


def disorder(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """WireGuard's list at three sizes, then ``cases`` random operations against a set."""
    failures = Failures()
    for size in SIZES:
        window = ReplayWindow(size)
        for step, (counter, taken) in enumerate(_wireguard(size, window.limit), 1):
            failures.unless(_take(window, counter) is taken, f"size {size}, step {step}: {counter}")
    window, model, at = ReplayWindow(SIZES[0]), _SetModel(SIZES[0]), 0
    taken_in = 0
    for case in range(cases):
        if case % 5000 == 0:
            progress(case, cases)
            size = int(rng.choice(SIZES))
            window, model, at = ReplayWindow(size), _SetModel(size), int(rng.integers(0, 1 << 40))
            steps = rng.integers(-size - 8, size // 4 + 9, 5000).tolist()
            jumps = (rng.random(5000) < 0.002).tolist()
        counter = max(0, at + steps[case % 5000] // (1 + case % 16))
        if jumps[case % 5000]:
            counter += 3 * window.size
        at = max(at, counter)
        expected = model.take(counter)
        taken_in += expected
        if _take(window, counter) is not expected:
            verdict = "taken" if expected else "refused"
            failures.add(f"operation {case}, size {window.size}: {counter} must be {verdict}")
    return failures.result(cases, {"taken": taken_in})


def _take(window: ReplayWindow, counter: int) -> bool:
    if window.check(counter) is not None:
        return False
    window.commit(counter)
    return True


def _wireguard(size: int, reject: int) -> list[tuple[int, bool]]:
    """Decisions of drivers/net/wireguard/selftest/counter.c, whose list this is."""
    limit = size + 1
    yes = (0, 1, 9, 8, 7, limit, limit - 1, limit - 2, 2, limit + 16, 4 * limit, 3 * limit + 1, 3 * limit + 2)
    no = (3, limit + 16, 10, 3 * limit, 3 * limit - 1, 3 * limit + 1, 0, reject, reject + 1)
    end = [(reject - 1, True), (reject - 1, False), (reject - 2, True), (reject - 3, True), (reject - 3, False)]
    return [*((counter, True) for counter in yes), *((counter, False) for counter in no), *end]


def rotations(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """A rotation at one of 200 positions of a burst, with loss and disorder."""
    failures = Failures()
    delivered = 0
    for case in range(cases):
        progress(case, cases)
        position, loss = case // len(LOSSES) * 7 % BURST, LOSSES[case % len(LOSSES)]
        name = f"rotation at {position}, loss {loss:g}, case {case}"
        ground, craft = ends(rng)
        withheld = sealed(ground, 0, b"withheld")
        arrivals: list[tuple[float, int, bytes]] = []
        for index in range(BURST + 2 * DISORDER):
            if index == position:
                ground.rotate()
            record = sealed(ground, LIVE[index % 3].id, index.to_bytes(2, "big"))
            if rng.random() >= loss:
                arrivals.append((index + DISORDER * rng.random(), index, record))
        for _, index, record in sorted(arrivals):
            delivered += 1
            wrong = any(isinstance(craft.open(_epoch_told(record, more), 0), Opened) for more in (1, 2, 3))
            failures.unless(not wrong, f"{name}: record {index} opens in another epoch")
            found = craft.open(record, 0)
            right = isinstance(found, Opened) and found.epoch == (index >= position)
            failures.unless(right, f"{name}: record {index} is {tell(found)}")
        for _ in range(DRAIN_RECORDS + 1):
            craft.open(sealed(ground, 0, b""), 0)
        found = craft.open(withheld, 0)
        failures.unless(found is RecordFault.WRONG_EPOCH, f"{name}: the old epoch is not shut ({tell(found)})")
    return failures.result(cases, {"records": delivered})


def borders(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """Walks over the borders of the counter's length and to its end; and the two numbers at which an epoch ends."""
    failures = Failures()
    for case in range(cases):
        progress(case, cases)
        border = BORDERS[case % len(BORDERS)]
        spec = PLAN[int(rng.integers(len(PLAN)))]
        implied = spec.kind is ChannelKind.NBL
        lane = LaneKeys(rng.bytes(32), rng.bytes(32), Direction.UP, spec, int(rng.integers(1 << 32)), implied=implied)
        first = max(0, border - int(rng.integers(0, AROUND)))
        sealer, opener = Sealer(lane, first), Opener(lane)
        for counter in range(first, first + 2 * AROUND):
            record = sealer.seal(b"content")
            found = None if isinstance(record, RecordFault) else opener.open(record)
            if counter <= COUNTER_LAST:
                right = isinstance(found, Opened) and found.counter == counter and found.plaintext == b"content"
            else:
                right = record is RecordFault.COUNTER_END
            failures.unless(right, f"case {case}, channel {spec.id}: counter {counter}")
    _end_of_lane(rng, failures)
    _end_of_epoch(rng, failures)
    return failures.result(cases, {"records of the longest epoch": EPOCH_RECORDS})


def _end_of_lane(rng: np.random.Generator, failures: Failures) -> None:
    ground, craft = ends(rng)
    for _ in range(LANE_RECORDS - 1):
        ground.seal(1, b"", 0)
    for epoch in (0, 1):
        found = craft.open(sealed(ground, 1, b""), 0)
        failures.unless(isinstance(found, Opened) and found.epoch == epoch, f"epoch {epoch} of a full channel")


def _end_of_epoch(rng: np.random.Generator, failures: Failures) -> None:
    """All channels at once: the sum ends the epoch, before any of them is full."""
    ground, _ = ends(rng)
    sums = 0
    while ground.state().send_epoch == 0 and sums < 2 * EPOCH_RECORDS:
        for _ in range(1024):
            for spec in PLAN:
                ground.seal(spec.id, b"", 0)
        sums += 1024 * len(PLAN)
    failures.unless(sums <= 1 << 20, f"an epoch goes on after {sums} records")

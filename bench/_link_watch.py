"""What watching and storing costs: intrusion detection a frame, the audit log a record, bundles a piece."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from time import perf_counter

import cbor2
import numpy as np

from bench.harness import Report
from comms.bundles import Block, BlockKind, Bundle, BundleNode, Eid, NodeSettings, decode, encode
from comms.bundles.block import age_block, hop_block
from comms.watch.audit import AuditLog, AuditSettings
from comms.watch.audit_files import MAGIC
from comms.watch.audit_record import AuditClass, AuditEvent
from comms.watch.intrusion import IntrusionDetector
from comms.watch.meta import FrameMeta, Outcome
from comms.watch.signing import AuditSigner
from comms.watch.verify import verify

__all__ = ["measure"]

SLICES = 12
MICRO = 1e6
NS = 1_000_000_000


def measure(report: Report, short: bool) -> None:
    """Add the figures of bundles, intrusion detection and audit. Peers run in the same slices."""
    scale = 1 if short else 5
    _intrusion(report, 4000 * scale)
    _audit(report, 400 * scale)
    _bundles(report, 300 * scale)


def _interleaved(*runs: Callable[[], int]) -> list[float]:
    """Median seconds a piece of each run, in turns: what disturbs the machine disturbs all of them."""
    took: list[list[float]] = [[] for _ in runs]
    for _ in range(SLICES):
        for times, run in zip(took, runs, strict=True):
            begun = perf_counter()
            pieces = run()
            times.append((perf_counter() - begun) / pieces)
    return [float(np.median(times)) for times in took]


def _intrusion(report: Report, frames: int) -> None:
    honest, flooded = IntrusionDetector(), IntrusionDetector()
    clock = [0, 0]

    def good() -> int:
        for number in range(frames):
            clock[0] += 20_000_000
            honest.observe(FrameMeta(clock[0], "udp:0", 40 + number % 32, Outcome.ACCEPTED, number % 4))
        honest.step(clock[0])
        return frames

    def forged() -> int:
        for number in range(frames):
            clock[1] += 20_000
            flooded.observe(FrameMeta(clock[1], f"udp:{number % 500}", 60, Outcome.AUTH_FAILED, 0))
        flooded.step(clock[1])
        return frames

    good_s, forged_s = _interleaved(good, forged)
    report.add("intrusion detection, an authentic frame", good_s * MICRO, "us", target="< 10", holds=good_s < 10e-6)
    report.add("intrusion detection, a forged frame", forged_s * MICRO, "us", target="< 4", holds=forged_s < 4e-6)


def _audit(report: Report, records: int) -> None:
    signer = AuditSigner(bytes(32))
    log = AuditLog(None, signer, 1, 0, AuditSettings(inside_per_s=1 << 20))
    written = _MemoryFiles()
    kept = AuditLog(written, signer, 1, 0, AuditSettings(inside_per_s=1 << 20, file_bytes=1 << 22))
    events = [AuditEvent(AuditClass.PUBLISH, number, "desk", command_id=f"c{number}", operator="ground",
                         codes=("OK",)) for number in range(records)]
    for event in events:
        kept.append(event, 0)
    head = kept.close(NS)
    files = [(name, data) for name, data in written.files().items() if data.startswith(MAGIC)]
    clock = [0]

    def append() -> int:
        clock[0] += NS
        for event in events:
            log.append(event, clock[0])
        return records

    def bare() -> int:
        before = bytes(32)
        for number, event in enumerate(events):
            before = sha256(cbor2.dumps([number, before, event.fields()], canonical=True)).digest()
            if number % 64 == 63:
                signer.sign(before)
        return records

    def check() -> int:
        verdict = verify(files, signer.public_key, [head])
        if not verdict.intact:
            raise RuntimeError(f"the log is not intact: {verdict.finding}")
        return verdict.records

    append_s, bare_s, check_s = _interleaved(append, bare, check)
    ratio = append_s / bare_s
    report.add("audit, appending a record", append_s * MICRO, "us", f"{bare_s * MICRO:.3g} us bare hash and encoding",
               "< 2 times bare", ratio < 2.0)
    report.add("audit, verifying a record", check_s * MICRO, "us", target="< 100", holds=check_s < 100e-6)


def _bundles(report: Report, count: int) -> None:
    primary = BundleNode(NodeSettings(Eid.ipn(5, 0)), 100, 0).make(Eid.ipn(7, 1), 1, 3600.0)
    bundle = Bundle(primary, (age_block(2, 5000), hop_block(3, 16, 1), Block(BlockKind.PAYLOAD, 1, bytes(1024))))
    data = encode(bundle)
    if decode(data) != bundle:
        raise RuntimeError("a bundle does not come back as it was")

    def write() -> int:
        for _ in range(count):
            encode(bundle)
        return count

    def read() -> int:
        for _ in range(count):
            decode(data)
        return count

    def bare() -> int:
        for _ in range(count):
            cbor2.loads(data)
        return count

    write_s, read_s, bare_s = _interleaved(write, read, bare)
    report.add("bundle of 1 KiB, encoding", write_s * MICRO, "us", target="< 100", holds=write_s < 100e-6)
    report.add("bundle of 1 KiB, strict decoding", read_s * MICRO, "us", f"{bare_s * MICRO:.3g} us bare cbor2",
               "< 200", read_s < 200e-6)
    report.add("bundle, bytes beside its payload", len(data) - 1024, "B", target="<= 64", holds=len(data) - 1024 <= 64)


class _MemoryFiles:
    """Files in memory: what is measured is the log, not the medium."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._data: list[bytearray] = []

    def files(self) -> dict[str, bytes]:
        """All files."""
        return {name: bytes(self._data[handle]) for name, handle in self._names.items()}

    def read(self, name: str, most: int) -> bytes | None:
        """See Files."""
        return bytes(self._data[self._names[name]][:most]) if name in self._names else None

    def create(self, name: str) -> int:
        """See Files."""
        self._data.append(bytearray())
        self._names[name] = len(self._data) - 1
        return self._names[name]

    def write(self, handle: int, data: bytes) -> int:
        """See Files."""
        self._data[handle] += data
        return len(data)

    def sync(self, handle: int) -> None:
        """See Files."""

    def close(self, handle: int) -> None:
        """See Files."""

    def rename(self, old: str, new: str) -> None:
        """See Files."""
        self._names[new] = self._names.pop(old)

    def sync_folder(self) -> None:
        """See Files."""

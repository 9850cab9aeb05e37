"""File transfers beside cfdp-py: speed of both stacks in one run, bytes on the wire under loss, files both ways.

Both stacks send the same file through memory: put, every unit encoded and decoded, the file compared. Slices are
interleaved, so that what else the machine does hits both alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import spacepackets.countdown
from cfdppy.exceptions import AbstractFileDirectiveBase
from cfdppy.filestore import VirtualFilestore
from cfdppy.handler.dest import DestHandler
from cfdppy.handler.source import SourceHandler
from cfdppy.mib import (
    CheckTimerProvider,
    DefaultFaultHandlerBase,
    IndicationConfig,
    LocalEntityConfig,
    RemoteEntityConfig,
    RemoteEntityConfigTable,
)
from cfdppy.request import PutRequest
from cfdppy.user import CfdpUserBase
from spacepackets.cfdp import ChecksumType, ConditionCode, PduFactory, TransmissionMode
from spacepackets.cfdp.defs import Direction
from spacepackets.cfdp.pdu import EofPdu
from spacepackets.countdown import Countdown
from spacepackets.seqcount import SeqCountProvider
from spacepackets.util import ByteFieldU8

from bench.harness import Report
from comms.cfdp import CfdpEntity, EntityConfig, MemoryStore, Mode, PeerConfig
from comms.cfdp.checksum import Checksum, ChecksumKind
from firmware_py.cli.link_campaign.cfdp_rig import Line, LineFaults

__all__ = ["CfdpPyPeer", "exchange", "measure", "virtual_time"]

SECOND_NS = 1_000_000_000
SEGMENT_BYTES = 1024
UNIT_BYTES = 1100
TICK_NS = 20_000_000
SLOT_BYTES = 20_000
LONGEST_S = 4000


class _Memory(VirtualFilestore):
    """cfdp-py's file store in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}

    def read_data(self, file: PurePath, offset: int | None, read_len: int) -> bytes:
        start = offset or 0
        return bytes(self.files[file.name][start : start + read_len])

    def read_from_opened_file(self, bytes_io: Any, offset: int, read_len: int) -> bytes:
        raise NotImplementedError

    def is_directory(self, _path: PurePath) -> bool:
        return False

    def filename_from_full_path(self, path: PurePath) -> str | None:
        return path.name

    def file_exists(self, path: PurePath) -> bool:
        return path.name in self.files

    def truncate_file(self, file: PurePath) -> None:
        self.files[file.name].clear()

    def file_size(self, file: PurePath) -> int:
        return len(self.files[file.name])

    def write_data(self, file: PurePath, data: bytes, offset: int | None) -> None:
        held = self.files[file.name]
        start = offset or 0
        held.extend(bytes(max(0, start - len(held))))
        held[start : start + len(data)] = data

    def create_file(self, file: PurePath) -> Any:
        self.files[file.name] = bytearray()

    def delete_file(self, file: PurePath) -> Any:
        self.files.pop(file.name, None)

    def _none(self, *_arguments: Any, **_named: Any) -> Any:
        raise NotImplementedError

    rename_file = replace_file = create_directory = remove_directory = list_directory = _none

    def calculate_checksum(
        self, checksum_type: ChecksumType, file_path: PurePath, size_to_verify: int, **_named: Any
    ) -> bytes:
        checksum = Checksum(ChecksumKind(checksum_type))
        checksum.update(bytes(self.files[file_path.name][:size_to_verify]))
        return checksum.value.to_bytes(4, "big")

    def verify_checksum(self, checksum: bytes, *arguments: Any, **named: Any) -> bool:
        return self.calculate_checksum(*arguments, **named) == checksum


class _User(CfdpUserBase):
    """Keeps the ends it is told of."""

    def __init__(self, store: _Memory) -> None:
        super().__init__(store)
        self.finished: list[Any] = []

    def transaction_finished_indication(self, params: Any) -> None:
        self.finished.append(params)

    def _quiet(self, *_arguments: Any, **_named: Any) -> None:
        pass

    transaction_indication = eof_sent_indication = metadata_recv_indication = file_segment_recv_indication = _quiet
    report_indication = suspended_indication = resumed_indication = fault_indication = _quiet
    abandoned_indication = eof_recv_indication = _quiet


class _Faults(DefaultFaultHandlerBase):
    def _quiet(self, *_arguments: Any, **_named: Any) -> None:
        pass

    notice_of_suspension_cb = notice_of_cancellation_cb = abandoned_cb = ignore_cb = _quiet


class _CheckTimers(CheckTimerProvider):
    def provide_check_timer(self, *_arguments: Any, **_named: Any) -> Countdown:
        return Countdown.from_seconds(10.0)


class CfdpPyPeer:
    """One end of cfdp-py, with the calls of ``CfdpEntity`` that an exchange needs.

    Attributes:
        errors: what its handlers raised, by name; a unit that raises is dropped.
    """

    def __init__(
        self, entity_id: int, other_id: int, checksum: ChecksumType = ChecksumType.CRC_32, crc: bool = False,
        immediate: bool = False,
    ) -> None:
        self.store = _Memory()
        self.user = _User(self.store)
        self.errors: dict[str, int] = {}
        self._other = other_id
        remote = RemoteEntityConfig(
            ByteFieldU8(other_id), SEGMENT_BYTES, UNIT_BYTES, False, crc, TransmissionMode.ACKNOWLEDGED, checksum,
            positive_ack_timer_interval_seconds=5.0, positive_ack_timer_expiration_limit=20, check_limit=3,
            disposition_on_cancellation=True, immediate_nak_mode=immediate, nak_timer_interval_seconds=5.0,
            nak_timer_expiration_limit=20,
        )
        local = LocalEntityConfig(ByteFieldU8(entity_id), IndicationConfig(), _Faults())
        table = RemoteEntityConfigTable([remote])
        self._source = SourceHandler(local, self.user, table, _CheckTimers(), SeqCountProvider(16))
        self._dest = DestHandler(local, self.user, table, _CheckTimers())
        # All of its handlers share one list of lost segments, also over transactions.
        self._dest._params.acked_params.lost_seg_tracker.reset()

    @property
    def busy(self) -> int:
        return int(self._source.state.value != 0) + int(self._dest.state.value != 0)

    def put(self, name: str, mode: Mode) -> None:
        file = Path(name)
        self._source.put_request(PutRequest(ByteFieldU8(self._other), file, file, TransmissionMode(mode), False))

    def receive(self, unit: bytes) -> list[bytes]:
        """Take a unit; returns what the handler wants to send at once."""
        pdu = PduFactory.from_raw(unit)
        assert pdu is not None
        if isinstance(pdu, EofPdu):
            # It takes the condition out without shifting it, and could not acknowledge a cancelled file.
            pdu.condition_code = ConditionCode(pdu.condition_code >> 4)
        return self._run(self._source if pdu.direction == Direction.TOWARDS_SENDER else self._dest, pdu)

    def units(self, most: int) -> list[bytes]:
        """Up to ``most`` rounds of both handlers without a unit that came in."""
        units: list[bytes] = []
        for _ in range(most):
            made = self._run(self._source) + self._run(self._dest)
            if not made:
                break
            units += made
        return units

    def _run(self, handler: Any, pdu: AbstractFileDirectiveBase | None = None) -> list[bytes]:
        units: list[bytes] = []
        try:
            handler.state_machine(pdu)
        except Exception as error:
            self._count(error)
        while (held := handler.get_next_packet()) is not None:
            try:
                units.append(bytes(held.pack()))
            except ValueError as error:
                self._count(error)
        return units

    def _count(self, error: Exception) -> None:
        self.errors[type(error).__name__] = self.errors.get(type(error).__name__, 0) + 1


@contextmanager
def virtual_time() -> Iterator[list[int]]:
    """Lets cfdp-py's timers, which ask the wall clock, run on the list's only entry, ns."""
    now = [0]
    before = spacepackets.countdown.time_ms
    spacepackets.countdown.time_ms = lambda: now[0] // 1_000_000
    try:
        yield now
    finally:
        spacepackets.countdown.time_ms = before


def entity(
    entity_id: int, other_id: int, rng: np.random.Generator, immediate: bool = False, crc: bool = False,
    checksum: ChecksumKind = ChecksumKind.CRC_32,
) -> CfdpEntity:
    """One of ours, in memory."""
    peer = PeerConfig(other_id, SEGMENT_BYTES, checksum, crc, immediate)
    return CfdpEntity(EntityConfig(entity_id), MemoryStore(), [peer], rng.bytes, 0)


def exchange(
    first: CfdpEntity | CfdpPyPeer, second: CfdpEntity | CfdpPyPeer, loss: float, rng: np.random.Generator,
    now: list[int], longest_s: int = LONGEST_S,
) -> int:
    """Let two ends talk over lines with this loss until both are done; returns the bytes put on both lines."""
    ends = (first, second)
    faults = LineFaults(loss=loss)
    lines = (Line(rng, faults), Line(rng, faults))
    while (first.busy or second.busy or len(lines[0]) or len(lines[1])) and now[0] < longest_s * SECOND_NS:
        now[0] += TICK_NS
        for end, into, out in ((ends[0], lines[1], lines[0]), (ends[1], lines[0], lines[1])):
            for unit in _turn(end, into, now[0]):
                out.put(unit, now[0])
    return lines[0].carried_bytes + lines[1].carried_bytes


def _turn(end: CfdpEntity | CfdpPyPeer, into: Line, now_ns: int) -> list[bytes]:
    units: list[bytes] = []
    for unit in into.take(now_ns):
        answer = end.receive(unit, now_ns) if isinstance(end, CfdpEntity) else end.receive(unit)
        if isinstance(answer, list):
            units += answer
    if isinstance(end, CfdpPyPeer):
        return units + end.units(SLOT_BYTES // UNIT_BYTES)
    end.step(now_ns)
    return end.pdus(UNIT_BYTES, now_ns, SLOT_BYTES)


def measure(report: Report, short: bool) -> None:
    """Add every figure to a report."""
    _speed(report, short)
    _wire(report, short)
    _interop(report, short)


def _speed(report: Report, short: bool) -> None:
    size = 200_000 if short else 1_000_000
    data = np.random.default_rng(1).bytes(size)
    for mode, name in ((Mode.ACKNOWLEDGED, "class 2"), (Mode.UNACKNOWLEDGED, "class 1")):
        ours, theirs = [], []
        for _ in range(5 if short else 15):
            ours.append(_ours(data, mode))
            theirs.append(_theirs(data, mode))
        ratio = median(t / o for o, t in zip(ours, theirs, strict=True))
        report.add(f"CFDP {name}, file of {size // 1000} kB, 1 KiB segments, through memory",
                   size / median(ours) / 1e6, "MB/s", f"cfdp-py {size / median(theirs) / 1e6:.2f} MB/s")
        report.add(f"CFDP {name}, speed against cfdp-py", ratio, "x", "cfdp-py", ">= 1.5", ratio >= 1.5)


def _ours(data: bytes, mode: Mode) -> float:
    rng = np.random.default_rng(2)
    sender, receiver = entity(1, 2, rng), entity(2, 1, rng)
    sender.store.save("file", data)
    start = perf_counter()
    sender.put("file", 2, 0, mode=mode)
    while sender.busy or receiver.busy:
        while (unit := sender.next_pdu(UNIT_BYTES, 0)) is not None:
            receiver.receive(unit, 0)
        while (unit := receiver.next_pdu(UNIT_BYTES, 0)) is not None:
            sender.receive(unit, 0)
    taken = perf_counter() - start
    assert receiver.store.read("file") == data
    return taken


def _theirs(data: bytes, mode: Mode) -> float:
    sender, receiver = CfdpPyPeer(1, 2), CfdpPyPeer(2, 1)
    sender.store.files["file"] = bytearray(data)
    start = perf_counter()
    sender.put("file", mode)
    while sender.busy or receiver.busy:
        for unit in sender.units(1):
            for answer in receiver.receive(unit):
                for last in sender.receive(answer):
                    receiver.receive(last)
        for unit in receiver.units(1):
            for last in sender.receive(unit):
                receiver.receive(last)
    taken = perf_counter() - start
    assert bytes(receiver.store.files["file"]) == data
    return taken


def _wire(report: Report, short: bool) -> None:
    size = 300_000 if short else 1_000_000
    data = np.random.default_rng(3).bytes(size)
    for loss, limit in ((0.0, None), (0.1, 1.20), (0.3, 1.55), (0.5, None)):
        shares = []
        for seed in range(3 if short else 10):
            rng = np.random.default_rng(seed)
            sender, receiver = entity(1, 2, rng), entity(2, 1, rng)
            sender.store.save("file", data)
            sender.put("file", 2, 0)
            shares.append(exchange(sender, receiver, loss, rng, [0]) / size)
            if receiver.store.read("file") != data:
                shares.append(float("nan"))
        worst = max(shares)
        report.add(f"CFDP bytes on the wire, both ways, {loss:.0%} loss, worst of {len(shares)}", worst, "x the file",
                   f"no protocol could below {1 / (1 - loss):.3f}", None if limit is None else f"<= {limit}",
                   worst == worst and (limit is None or worst <= limit))


def _interop(report: Report, short: bool) -> None:
    size = 60_000 if short else 300_000
    data = np.random.default_rng(4).bytes(size)
    for ours_sends in (True, False):
        for loss in (0.0, 0.1, 0.3):
            whole = _across(data, ours_sends, loss, Mode.ACKNOWLEDGED)
            way = "our sender, cfdp-py's receiver" if ours_sends else "cfdp-py's sender, our receiver"
            outcome = "whole" if whole else "not whole"
            report.add(f"CFDP class 2, {way}, {loss:.0%} loss", outcome, "", None, "whole", whole)


def _across(data: bytes, ours_sends: bool, loss: float, mode: Mode) -> bool:
    rng = np.random.default_rng(5)
    with virtual_time() as now:
        ours, theirs = entity(1, 2, rng), CfdpPyPeer(2, 1)
        if ours_sends:
            ours.store.save("file", data)
            ours.put("file", 2, 0, mode=mode)
        else:
            theirs.store.files["file"] = bytearray(data)
            theirs.put("file", mode)
        exchange(ours, theirs, loss, rng, now)
    return bytes(theirs.store.files.get("file", b"")) == data if ours_sends else ours.store.read("file") == data

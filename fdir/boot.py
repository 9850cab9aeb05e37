"""Starts that do not last: when a craft that keeps restarting goes to SAFE by itself, and until when.

Pure policy over a small record that outlives restarts; who keeps it is not known here. A start counts as failed until
the craft has been out of Boot for a healthy time, or was stopped cleanly. With ``limit`` failed starts in a row behind
it, the next start goes to SAFE, and so does every start after it until a person has acknowledged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum, unique

__all__ = ["HEALTHY_NS", "LIMIT", "MOST", "BootPolicy", "BootRecord", "BootVerdict", "ResetReason"]

LIMIT = 3
"""Failed starts in a row (P): one may be chance and two a coincidence."""
HEALTHY_NS = 60_000_000_000
"""Time out of Boot (P): a minute holds the self-test's end, the first sight of the Sun and a detumble."""
MOST = 0xFFFF_FFFF
"""Where counts stop."""


@unique
class ResetReason(StrEnum):
    """Why the computer last started, where that is known."""

    POWER = "power"
    WATCHDOG = "watchdog"
    ORDERED = "ordered"


@dataclass(frozen=True, slots=True)
class BootRecord:
    """What is known of the starts so far.

    Attributes:
        starts: since the memory was made, the present one included.
        failed: in a row, that did not last, the present one included until it is healthy.
        clean: whether the last stop was a clean one.
        latched: whether the craft boots to SAFE until somebody acknowledges.
        last_good: number of the last start that became healthy, ``None`` if none did.
        reset: why the present start happened, ``None`` where that is not known.
    """

    starts: int = 0
    failed: int = 0
    clean: bool = False
    latched: bool = False
    last_good: int | None = None
    reset: ResetReason | None = None


@dataclass(frozen=True, slots=True)
class BootVerdict:
    """What follows from a record: boot to SAFE (BOOT_LOOP), and whether this start has just shown itself healthy."""

    safe: bool
    healthy: bool


@dataclass(frozen=True, slots=True)
class BootPolicy:
    """The rules. ``limit``: failed starts in a row; ``healthy_ns``: time out of Boot.

    Raises:
        ValueError: a limit below 1 or a time below 0.
    """

    limit: int = LIMIT
    healthy_ns: int = HEALTHY_NS

    def __post_init__(self) -> None:
        """Refuse rules that would never let a craft boot."""
        if self.limit < 1 or self.healthy_ns < 0:
            raise ValueError(f"limit {self.limit}, healthy_ns {self.healthy_ns}; at least 1 and 0 are allowed")

    def started(self, before: BootRecord | None, reset: ResetReason | None) -> BootRecord:
        """The record of a start that begins now, to be kept before anything can fail; ``None``: nothing is known."""
        known = BootRecord() if before is None else before
        failed = 0 if known.clean else known.failed
        return BootRecord(
            starts=min(known.starts + 1, MOST), failed=min(failed + 1, MOST), clean=False,
            latched=known.latched or failed >= self.limit, last_good=known.last_good, reset=reset,
        )

    def judge(self, record: BootRecord, out_of_boot_ns: int | None) -> BootVerdict:
        """What follows now. ``out_of_boot_ns``: time since Boot was left; ``None``: it was not."""
        lasted = out_of_boot_ns is not None and out_of_boot_ns >= self.healthy_ns
        return BootVerdict(safe=record.latched, healthy=lasted and record.failed > 0)

    def lasted(self, record: BootRecord) -> BootRecord:
        """The record of a start that has become healthy. What is latched stays so."""
        return replace(record, failed=0, last_good=record.starts)

    def acknowledged(self, record: BootRecord) -> BootRecord:
        """The record once a person has seen that the craft kept restarting: the count begins anew."""
        return replace(record, latched=False, failed=min(record.failed, 1))

    def stopped(self, record: BootRecord) -> BootRecord:
        """The record of a clean stop."""
        return replace(record, clean=True)

"""Defects that are known and not yet mended: a run that breaks just what they break is lost, but tells nothing new.

It counts as lost in every figure and is shown under its reason; only the exit code is not failed by it. A row goes out
of the table with the change that mends it, and its case into ``regressions.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from firmware_py.cli.campaign.entries import Invariant

__all__ = ["KNOWN_OPEN", "KnownOpen", "known_open"]


@dataclass(frozen=True, slots=True)
class KnownOpen:
    """Faults whose ids begin with ``begin`` may break ``breaks``, for a reason that is not yet mended."""

    begin: str
    breaks: frozenset[Invariant]
    reason: str


FLIPPED = (
    "bits flipped behind the checksum of CAN open valves, and each nozzle that pushed unasked is masked; where what is "
    "left turns the craft only with a push, SAFE lets the rate be"
)

KNOWN_OPEN: tuple[KnownOpen, ...] = tuple(
    KnownOpen(begin, frozenset({Invariant.RATE_RECOVERED}), FLIPPED)
    for begin in (
        "implausible_wrong_bits.valves_", "bus_noise_0.05.can0", "bus_noise_0.5.can0", "bus_bit_flip_short.can0",
        "bus_bit_flip_for_ever.can0",
    )
)


def known_open(
    faults: Sequence[str], broken: Iterable[Invariant], table: Sequence[KnownOpen] | None = None
) -> tuple[str, ...]:
    """Reasons that explain everything a run has broken; empty if anything of it is new.

    Args:
        faults: ids of the faults of the run.
        broken: invariants that it broke.
        table: the shipped one if not given.
    """
    wanted = frozenset(broken)
    rows = KNOWN_OPEN if table is None else table
    met = [row for row in rows if row.breaks & wanted and any(fault.startswith(row.begin) for fault in faults)]
    if not wanted or wanted - {invariant for row in met for invariant in row.breaks}:
        return ()
    return tuple(dict.fromkeys(row.reason for row in met))

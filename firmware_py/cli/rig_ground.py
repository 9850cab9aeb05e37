"""The ground station of a rig flight: an uplink a second that the craft hears, until a fault takes it away.

A craft waits for uplinks only in flights that have such a fault: there is no ground where nobody plays it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from firmware_py.mission import FaultConfig

__all__ = ["GROUND_FAULTS", "RigGround", "check_ground_fault", "ground_of"]

SECOND = 1_000_000_000
PERIOD_NS = SECOND
UPLINK_LOST = "uplink_lost"
GROUND_FAULTS: dict[str, tuple[str, ...]] = {UPLINK_LOST: ()}
"""Faults of the link to the ground with their parameters."""


def check_ground_fault(fault: FaultConfig) -> None:
    """Refuse what cannot be started. Raises ValueError."""
    if fault.parameters:
        raise ValueError(f"{fault.kind} takes no parameters, but for_s")


def ground_of(faults: Iterable[FaultConfig]) -> RigGround | None:
    """A ground for a flight whose faults speak of one."""
    return RigGround() if any(fault.kind in GROUND_FAULTS for fault in faults) else None


class RigGround:
    """Owner of the link's state. It outlives restarts of the program, as a real ground does."""

    def __init__(self) -> None:
        self._silenced = 0
        self._next_ns = 0
        self._heard_ns: int | None = None

    def silence(self) -> Callable[[], None]:
        """The uplink is lost from now on; returns what ends that."""
        self._silenced += 1

        def end() -> None:
            self._silenced -= 1

        return end

    def heard_ns(self, rig_ns: int, start_ns: int) -> int:
        """When the program, started at rig time ``start_ns``, was last reached, in its own time; 0 if not since its
        start. At the medium rate."""
        if rig_ns >= self._next_ns:
            self._next_ns = rig_ns + PERIOD_NS
            if not self._silenced:
                self._heard_ns = rig_ns
        return 0 if self._heard_ns is None else max(0, self._heard_ns - start_ns)

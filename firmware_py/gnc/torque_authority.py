"""What torque the nozzles that still work can make without a force, so that no demand asks for the rest.

Torques without a force that non-negative firings make are a convex cone: what is inside it is kept whole, and of what
is not, the parts about those body axes are kept whose torque is inside. A sum of these is inside, too.
"""

from __future__ import annotations

from firmware_py.gnc.allocation import Allocator
from hal.frames import Vec3

__all__ = ["TorqueAuthority"]

LIVE = 1e-3
"""Share of the whole craft's torque about an axis under which the axis counts as lost: rounding of directions."""
MOST_MASKS = 64
"""Failed sets that are remembered."""

Live = tuple[tuple[bool, bool], tuple[bool, bool], tuple[bool, bool]]
"""For each body axis, whether a positive and a negative torque about it can be made."""


class TorqueAuthority:
    """Torque-only authority of one craft under any set of failed nozzles.

    A set that is not known yet costs six look-ups of the allocator, besides its own table of it: about 0.2 ms once.
    """

    def __init__(self, allocator: Allocator) -> None:
        self._allocator = allocator
        self._whole = [[self._reach(axis, sign, 0) for sign in (1.0, -1.0)] for axis in (3, 4, 5)]
        self._known: dict[int, Live] = {}

    def attainable(self, torque: Vec3, failed: int) -> Vec3:
        """The part of a torque (or torque impulse; body axes) that the nozzles outside ``failed`` can make."""
        failed |= self._allocator.failed
        live = self._known.get(failed)
        if live is None:
            if len(self._known) >= MOST_MASKS:
                self._known.clear()
            live = self._known[failed] = self._live(failed)
        kept = [value if live[axis][1 if value < 0.0 else 0] else 0.0 for axis, value in enumerate(torque)]
        made = (kept[0], kept[1], kept[2])
        if made == torque:
            return torque
        whole = self._allocator.largest_scale((0.0, 0.0, 0.0, *torque), 0)
        # About an oblique axis there may be a torque though there is none about the body's own.
        inside = self._allocator.largest_scale((0.0, 0.0, 0.0, *torque), failed) > LIVE * whole
        return torque if inside else made

    def _live(self, failed: int) -> Live:
        x, y, z = (
            tuple(self._reach(axis, sign, failed) > LIVE * whole for sign, whole in zip((1.0, -1.0), both, strict=True))
            for axis, both in zip((3, 4, 5), self._whole, strict=True)
        )
        return (x[0], x[1]), (y[0], y[1]), (z[0], z[1])

    def _reach(self, axis: int, sign: float, failed: int) -> float:
        wrench = [0.0] * 6
        wrench[axis] = sign
        return self._allocator.largest_scale(tuple(wrench), failed)

"""Whether a battery's gauge behaves like one: it answers, its number is a charge, it moves with the charge that flows.

A gauge that hangs goes on answering with what it had. Its charge shows that only after a whole swing, some minutes; the
voltage and current that it tells beside show it at the first change of the load: they stand still to the last bit.

A gauge is a sensor with faults of its own. It is judged here by itself; whether it agrees with the other sources is the
estimator's business. Once rejected for what it did, it is heard again only after it has followed a whole swing.
"""

from __future__ import annotations

from firmware_py.energy.estimates import GaugeReading
from firmware_py.energy.trust import SourceVerdict, plausible

__all__ = ["GaugeCheck"]

STALE_S = 5.0
"""CANON section 7: general stale."""
JUMP = 0.05
"""P: five of its steps of 1 % that no current explains, between two readings."""
SWING = 0.03
"""P: counted change of charge over which its own is judged; three of its steps."""
FOLLOWS_SHARE = 0.25
"""P: a gauge that moved by less than this share of the swing stands still."""
FOLLOWS_WITHIN = 0.02
"""P: how far it may be from the counted change to be believed again: two of its steps."""
STILL_A = 0.5
"""P: change of the measured current that a gauge's own can't miss: five steps of 0.1 A."""
STILL_READINGS = 5
"""New readings that are all the same while that lasts."""


class GaugeCheck:
    """One gauge. ``soc`` is its newest usable number, ``None`` while ``verdict`` is not OK.

    ``still``: all that it tells has stood still while the measured current changed. Whether the gauge or the current is
    to blame is for who knows more than one gauge: ``hangs`` tells it.
    """

    __slots__ = (
        "_anchor", "_anchor_moved", "_behaviour", "_last", "_last_moved", "_shown", "_shown_a", "_still_readings",
        "hangs", "seen", "soc", "verdict",
    )

    def __init__(self) -> None:
        self.verdict = SourceVerdict.MISSING
        self.soc: float | None = None
        self.seen = False
        self._behaviour = SourceVerdict.OK
        self._last: float | None = None
        self._last_moved = 0.0
        self._anchor = 0.0
        self._anchor_moved = 0.0
        self.hangs = False
        self._shown: tuple[float | None, ...] = ()
        self._shown_a = 0.0
        self._still_readings = 0

    @property
    def still(self) -> bool:
        """See above."""
        return self._still_readings >= STILL_READINGS

    def update(self, reading: GaugeReading | None, moved: float, amperes: float | None = None) -> bool:
        """Take a reading; whether it is new and usable.

        ``moved`` is the change of charge counted since the start, ``amperes`` the measured current.
        """
        verdict = SourceVerdict.MISSING if reading is None else plausible(reading.soc, 0.0, 1.0)
        if reading is None or reading.soc is None or verdict is not SourceVerdict.OK:
            if verdict is SourceVerdict.MISSING and self.seen:
                verdict = SourceVerdict.STALE
            self.verdict, self.soc = verdict, None
            return False
        if not -1.0 <= reading.age_s <= STALE_S:
            self.verdict, self.soc, self.seen = SourceVerdict.STALE, None, True
            return False
        self.seen = True
        if reading.new or self._last is None:
            self._judge(reading.soc, moved)
            self._watch(reading, amperes)
        self.verdict = SourceVerdict.FROZEN if self.hangs and self.still else self._behaviour
        self.soc = reading.soc if self.verdict is SourceVerdict.OK else None
        return reading.new and self.soc is not None

    def _watch(self, reading: GaugeReading, amperes: float | None) -> None:
        """Count readings that are the same as under another current."""
        shown = (reading.soc, *reading.shown)
        if amperes is None or reading.shown[1] is None:
            self._still_readings = 0
        elif shown != self._shown:
            self._shown, self._shown_a, self._still_readings = shown, amperes, 0
        elif abs(amperes - self._shown_a) > STILL_A:
            self._still_readings += 1

    def _judge(self, soc: float, moved: float) -> None:
        """Compare its own change with the counted one."""
        if self._last is None:
            self._anchor, self._anchor_moved = soc, moved
        elif abs(soc - self._last - (moved - self._last_moved)) > JUMP:
            self._behaviour = SourceVerdict.JUMPED
            self._anchor, self._anchor_moved = soc, moved
        elif abs(moved - self._anchor_moved) >= SWING:
            swing, own = moved - self._anchor_moved, soc - self._anchor
            if abs(own) < FOLLOWS_SHARE * abs(swing):
                self._behaviour = SourceVerdict.FROZEN
            elif abs(own - swing) <= FOLLOWS_WITHIN:
                self._behaviour = SourceVerdict.OK
            self._anchor, self._anchor_moved = soc, moved
        self._last, self._last_moved = soc, moved

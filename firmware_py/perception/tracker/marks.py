"""What a detection says of a track beside where it is: strength, size, transponder, band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import NO_ID, Band, Frame, TransponderMode, left_out
from firmware_py.perception.tracker.store import Number, Word

__all__ = ["Marks", "marks", "refresh"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SHARE = 0.3
"""Of a new strength or size in the track's."""
_STRENGTH = slice(Number.SNR, Number.EXTENT + 1)


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of a frame's detections; None for a kind that the whole frame lacks.

    ``strength`` is (3, m): signal over noise, cross section, extent. ``names`` are the identities.
    """

    strength: Floats | None
    band: NDArray[np.int8] | None
    names: Ints | None
    mode: NDArray[np.int8] | None

    def take(self, rows: Ints) -> Marks:
        """Those of some detections."""
        return Marks(
            None if self.strength is None else self.strength[:, rows], None if self.band is None else self.band[rows],
            None if self.names is None else self.names[rows], None if self.mode is None else self.mode[rows])


def marks(frame: Frame, order: Ints) -> Marks:
    """Marks of the frame's rows in this order."""
    strength: Floats | None = None
    if not (left_out(frame, "snr_db") and left_out(frame, "rcs_dbsm") and left_out(frame, "extent_m")):
        strength = np.array((frame.snr_db, frame.rcs_dbsm, frame.extent_m))
    return Marks(
        None if strength is None or np.isnan(strength).all() else strength.take(order, axis=1),
        _told(frame, "band", 0, order), _told(frame, "transponder_id", NO_ID, order),
        _told(frame, "transponder_mode", 0, order),
    )


def _told(frame: Frame, name: str, missing: int, order: Ints) -> NDArray[Any] | None:
    """A column in this order; None if it says nothing."""
    if left_out(frame, name):
        return None
    column: NDArray[Any] = getattr(frame, name)
    return column.take(order) if np.count_nonzero(column != missing) else None


def refresh(numbers: Floats, words: Ints, track: Ints | slice, found: Marks, rows: Ints) -> None:
    """Note what ``rows`` of the marks say of the columns ``track``. What is missing changes nothing.

    Strength and size are averaged over detections; identity stays with the track until another is told.
    """
    if found.strength is not None:
        told, old = found.strength[:, rows], numbers[_STRENGTH, track]
        mean = np.where(np.isnan(old), told, old + _SHARE * (told - old))
        numbers[_STRENGTH, track] = np.where(np.isnan(told), old, mean)
    if found.band is not None:
        band = found.band[rows]
        words[Word.BAND, track] = np.where(band != Band.UNSPECIFIED, band, words[Word.BAND, track])
    named: NDArray[np.bool_] | None = None
    if found.names is not None:
        names = found.names[rows]
        named = names != NO_ID
        words[Word.TRANSPONDER, track] = np.where(named, names, words[Word.TRANSPONDER, track])
    if found.mode is not None:
        mode = found.mode[rows]
        spoke = mode != TransponderMode.OFF
        words[Word.MODE, track] = np.where(spoke if named is None else spoke | named, mode, words[Word.MODE, track])

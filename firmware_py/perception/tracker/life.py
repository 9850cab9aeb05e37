"""Birth, confirmation and end of tracks, by time in view and not by frames.

A track is missed only while it is in the view of a sensor that looks, and for no longer than that sensor's revisit time
each look. How long it may be missed follows from the sensor that saw it last: one that comes back every second leaves
no doubt after 0.3 s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.tracker.config import TrackerConfig
from firmware_py.perception.tracker.converted import uncertainty
from firmware_py.perception.tracker.sensors import Patience, Sensor
from firmware_py.perception.tracker.store import FIRM, POSITION, Store, Word

__all__ = ["hit", "look", "missing", "spare"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def look(words: Ints, t_ns: int, in_view: Bools | None, sensor: Sensor, track: Ints) -> None:
    """A sensor looked: all tracks in its view (None: all) were missed, but for the columns ``track``.

    Those that were missed oddly often may have turned away: they are looked for with the second model.
    """
    revisit_ns, odd_misses = sensor.revisit_ns, sensor.odd_misses
    looked = words[Word.LOOKED_NS]
    gap = np.minimum(t_ns - looked, revisit_ns)
    missed = words[Word.MISSED_NS : Word.MISSES + 1]
    if in_view is None:
        missed[0] += gap
        missed[1] += 1
        looked.fill(t_ns)
    else:
        missed[0] += gap * in_view
        missed[1] += in_view
        looked[in_view] = t_ns
    missed[:, track] = 0
    odd = words[Word.MISSES] >= odd_misses
    if np.count_nonzero(odd):
        words[Word.ALARM_NS, odd] = t_ns + revisit_ns


def hit(store: Store, t_ns: int, track: Ints, sensor: Sensor, times: Patience, config: TrackerConfig) -> int:
    """Columns ``track`` were detected; returns how many of them became firm.

    One that could still be its neighbour waits a little: who is told as firm should not be told as another next.
    """
    words = store.words
    words[Word.MEASURED_NS, track] = t_ns
    words[Word.HITS, track] += 1
    words[store.sensor_row + sensor.index, track] = t_ns
    firm = words[Word.STATUS].take(track) == FIRM
    words[Word.PATIENCE_NS, track] = times.firm_ns
    if np.count_nonzero(firm) == len(firm):
        return 0
    young = track[~firm]
    past = store.hit_rows
    words[past.start : past.stop - 1, young] = words[past.start + 1 : past.stop, young]
    words[past.stop - 1, young] = t_ns
    enough = words[Word.HITS, young] >= config.confirm_hits
    enough &= t_ns - words[past.start, young] <= times.confirm_ns
    if np.count_nonzero(enough) and config.apart_s > 0.0:
        waits = enough & (t_ns - words[Word.BORN_NS, young] < config.apart_s * 1e9)
        if np.count_nonzero(waits):
            enough[waits] = ~_mingled(store.numbers, young[waits], config.apart_sigma)
    words[Word.STATUS, young[enough]] = FIRM
    words[Word.PATIENCE_NS, young[~enough]] = times.tentative_ns
    return int(np.count_nonzero(enough))


def _mingled(numbers: Floats, track: Ints, sigma: float) -> Bools:
    """(k,) columns ``track`` that lie within ``sigma`` of another track, by the mean of their variances."""
    place, variance = numbers[POSITION], uncertainty(numbers) / 3.0
    apart = np.zeros((len(track), numbers.shape[1]))
    for axis in place:
        apart += np.square(axis[track][:, None] - axis)
    apart[np.arange(len(track)), track] = np.inf
    close: Bools = (apart < sigma**2 * (variance[track][:, None] + variance)).any(axis=1)
    return close


def missing(words: Ints, t_ns: int, coast_ns: int) -> Bools:
    """(n,) tracks that have ended: missed for too long, or looked at by nobody for too long."""
    gone: Bools = words[Word.MISSED_NS] >= words[Word.PATIENCE_NS]
    gone |= words[Word.MEASURED_NS] <= t_ns - coast_ns
    # A tentative one that left the view is not waited for: it would only stand, ever less certain, beside new ones.
    gone |= (words[Word.STATUS] != FIRM) & (words[Word.MEASURED_NS] < t_ns - 2 * words[Word.PATIENCE_NS])
    return gone


def spare(store: Store, wanted: int) -> Bools:
    """(n,) the least worth of the tracks, at most ``wanted``: tentative ones that are being missed, fewest hits first,
    longest missed first."""
    words = store.words
    idle = ((words[Word.STATUS] != FIRM) & (words[Word.MISSES] > 0)).nonzero()[0]
    order = np.lexsort((idle, -words[Word.MISSED_NS, idle], words[Word.HITS, idle]))
    chosen = np.zeros(store.count, np.bool_)
    chosen[idle[order[:wanted]]] = True
    return chosen

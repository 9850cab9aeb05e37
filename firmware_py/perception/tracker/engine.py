"""One frame through the tracks: move on, expect, gate, choose, correct, let live or end, begin.

Pure arithmetic on the store: the same state and frame give the same bytes. What is asked for only when needed (several
sensors, identities, contested detections) costs nothing otherwise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import NO_ID, Frame, Status
from firmware_py.perception.tracker import health, life
from firmware_py.perception.tracker.association import Choice, associate
from firmware_py.perception.tracker.births import begin
from firmware_py.perception.tracker.config import TrackerConfig
from firmware_py.perception.tracker.converted import Places, as_places, bent, reachable, uncertainty
from firmware_py.perception.tracker.gating import Pairs, candidates, compare
from firmware_py.perception.tracker.marks import refresh
from firmware_py.perception.tracker.measurement import Expected, Rise, View, expect, rise_of, view_of
from firmware_py.perception.tracker.motion import Motion
from firmware_py.perception.tracker.report import Tally
from firmware_py.perception.tracker.scan import Scan, scan
from firmware_py.perception.tracker.sensors import Patience, Sensor, in_view
from firmware_py.perception.tracker.store import FIRM, Number, Store, Word
from firmware_py.perception.tracker.update import correct, correct_shared

__all__ = ["Engine"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_ATTRACTION = 30.0
"""Log-likelihood ratio of the same identity: more than any numbers inside the gate."""

_NEVER_NS = -(2**62)


class Engine:
    """The tracks at ``now_ns``. ``health`` is the state of the sensors."""

    def __init__(self, config: TrackerConfig, sensors: int, start_ns: int) -> None:
        self.store = Store(config.capacity, config.confirm_hits, sensors)
        self.health = health.start(sensors)
        self.now_ns = start_ns
        self._config = config
        self._sensors = sensors
        self._motion = Motion(config.psd_m2_s3, config.manoeuvre_ratio)
        self._coast_ns = round(config.coast_s * 1e9)
        self.support_ns = round(config.support_s * 1e9)
        self._newborn = _newborn(self.store, config)
        self._hold_ns = round(config.manoeuvre_hold_s * 1e9)

    def process(self, frame: Frame, sensor: Sensor, tally: Tally) -> Ints:
        """Work ``frame`` in. Returns the rows in the frame of the new tracks, which stand last and have no id yet."""
        store, seen = self.store, scan(frame, sensor)
        tally.unusable = seen.unusable
        view = view_of(frame.pose)
        variances = sensor.variances * self.health[sensor.index, health.Column.INFLATION]
        if store.count:
            self._motion.predict(store.numbers, store.words, frame.event_ns, (frame.event_ns - self.now_ns) * 1e-9)
        self.now_ns = frame.event_ns
        times = sensor.times
        if store.count:
            rise = rise_of(store.numbers, view) if sensor.flat else None
            expected = expect(store.numbers, view, variances, rise)
            seen = self._bound(seen, expected, tally)
            free = self._match(frame, seen, expected, sensor, view, variances, times, tally, rise)
        else:
            seen = self._bound(seen, None, tally)
            free = np.arange(len(seen.order))
        tally.unassociated = len(free)
        self.end(frame.event_ns, tally)
        return self._begin(frame, seen, free, sensor, view, times, tally)

    def end(self, t_ns: int, tally: Tally) -> None:
        """End the tracks that were missed, or not looked at, for too long."""
        store = self.store
        if store.count == 0:
            return
        gone = life.missing(store.words, t_ns, self._coast_ns)
        ended = store.words[Word.STATUS, gone]
        if len(ended):
            tally.dropped += len(ended)
            tally.lost += int(np.count_nonzero(ended == FIRM))
            store.keep(~gone)

    def _bound(self, seen: Scan, expected: Expected | None, tally: Tally) -> Scan:
        """At most ``max_detections``: first those that firm tracks may want, then the strongest, then the nearest."""
        most, count = self._config.max_detections, len(seen.order)
        if count <= most:
            return seen
        wanted = np.zeros(count, np.bool_)
        if expected is not None:
            firm = (self.store.words[Word.STATUS] == FIRM).nonzero()[0]
            if len(firm):
                _, detection, _ = candidates(seen.detections, expected.take(firm), self._config.gate_sigma,
                                             self._config.max_candidates)
                wanted[detection] = True
        strength = seen.marks.strength
        dim = np.zeros(count) if strength is None else -np.nan_to_num(strength[0], nan=-np.inf)
        order = np.lexsort((np.arange(count), dim, ~wanted))
        tally.culled_detections = count - most
        return seen.take(np.sort(order[:most]))

    def _match(
        self, frame: Frame, seen: Scan, expected: Expected, sensor: Sensor, view: View, variances: Floats,
        times: Patience, tally: Tally, rise: Rise | None,
    ) -> Ints:
        """Correct the tracks; returns the detections that none of them took."""
        store, config = self.store, self._config
        numbers, words = store.numbers, store.words
        pairs, places = self._pairs(seen, expected, sensor, view, variances, tally, rise)
        plain = len(pairs.track) if places is None else len(pairs.track) - len(places.pairs.track)

        def score(some: Pairs) -> Floats:
            spread = some.spread
            if spread is None:
                spread = np.log(expected.variances).sum(axis=0)[some.track] - sensor.silent
            worth: Floats = sensor.ratio - 0.5 * (some.distance + spread)
            return worth if some.extra is None else worth + some.extra

        choice = associate(pairs, score, np.log(words[Word.HITS]), len(seen.order), config,
                           None if places is None else np.arange(len(pairs.track)) >= plain)
        tally.conflicts, tally.clusters = choice.conflicts, choice.clusters
        track, detection = pairs.track[choice.chosen], pairs.detection[choice.chosen]
        if places is not None:
            places.put(expected, choice.chosen[choice.chosen >= plain] - plain)
        visible = in_view(expected.values, sensor)
        self._consistency(pairs, choice, expected, sensor, visible)
        correct(numbers, expected, track, pairs.steps[:, choice.chosen])
        if len(choice.shared):
            tally.shared = correct_shared(numbers, expected, pairs.track[choice.shared],
                                          pairs.steps[:, choice.shared], choice.share)
            track = np.concatenate((track, pairs.track[choice.owner]))
            detection = np.concatenate((detection, pairs.detection[choice.owner]))
        life.look(words, frame.event_ns, visible, sensor, track)
        tally.confirmed = life.hit(store, frame.event_ns, track, sensor, times, config)
        refresh(numbers, words, track, seen.marks, detection)
        tally.associated = len(detection)
        taken = np.zeros(len(seen.order), np.bool_)
        taken[detection] = True
        return (~taken).nonzero()[0]

    def _pairs(
        self, seen: Scan, expected: Expected, sensor: Sensor, view: View, variances: Floats, tally: Tally,
        rise: Rise | None,
    ) -> tuple[Pairs, Places | None]:
        """Pairs inside the gate; behind the plain ones, those that were compared as places."""
        config, numbers = self._config, self.store.numbers
        names = None
        if seen.marks.names is not None:
            names = self.store.words[Word.TRANSPONDER]
            names = names if np.count_nonzero(names != NO_ID) else None
        reach = config.gate_sigma if names is None else config.identity_gate_sigma
        spread = uncertainty(numbers, rise)
        unsure = bent(spread, expected, sensor.model.sigma_range_m)
        wide = None if unsure is None else np.where(unsure, reach * np.sqrt(spread), 0.0)
        track, detection, tally.clipped = candidates(seen.detections, expected, reach, config.max_candidates, wide)
        measured = None if sensor.all_measured else sensor.measured
        places = None
        if unsure is None and seen.partial is None:
            pairs = compare(seen.detections, expected, track, detection, measured)
        else:
            pairs, places = self._mixed(seen, expected, sensor, view, variances, track, detection, unsure,
                                        names is not None)
        if names is None:
            inside = pairs.distance <= reach**2
        else:
            inside = self._identities(pairs, names, seen, tally)
        if np.count_nonzero(inside) == len(inside):
            return pairs, places
        rows = inside.nonzero()[0]
        if places is not None:
            plain = len(pairs.track) - len(places.pairs.track)
            places = places.take(rows[rows >= plain] - plain)
        return pairs.take(rows), places

    def _mixed(
        self, seen: Scan, expected: Expected, sensor: Sensor, view: View, variances: Floats, track: Ints,
        detection: Ints, unsure: Bools | None, named: bool,
    ) -> tuple[Pairs, Places | None]:
        """Pairs of which some are compared as places; those stand last."""
        odd = np.zeros(len(track), np.bool_) if unsure is None else unsure[track]
        if seen.partial is not None:
            odd |= seen.partial[detection]
        measured = None if sensor.all_measured else sensor.measured
        if not odd.any():
            return compare(seen.detections, expected, track, detection, measured), None
        pairs = compare(seen.detections, expected, track[~odd], detection[~odd], measured)
        track, detection = track[odd], detection[odd]
        near = reachable(self.store.numbers, seen.detections, track, detection, expected, variances,
                         self._config.identity_gate_sigma if named else self._config.gate_sigma, view)
        if not near.any():
            return pairs, None
        places = as_places(self.store.numbers, seen.detections, track[near], detection[near], expected, view, sensor,
                           variances)
        spread = np.log(expected.variances).sum(axis=0)[pairs.track] - sensor.silent
        return Pairs(
            np.concatenate((pairs.track, places.pairs.track)),
            np.concatenate((pairs.detection, places.pairs.detection)),
            np.concatenate((pairs.distance, places.pairs.distance)),
            np.concatenate((pairs.steps, places.pairs.steps), axis=1),
            np.concatenate((spread, places.pairs.spread)),  # type: ignore[arg-type]
        ), places

    def _identities(self, pairs: Pairs, names: Ints, seen: Scan, tally: Tally) -> Bools:
        """Pairs inside the gate: the same identity attracts, another forbids."""
        assert seen.marks.names is not None
        known, told = names.take(pairs.track), seen.marks.names.take(pairs.detection)
        both = (known != NO_ID) & (told != NO_ID)
        same = both & (known == told)
        near = pairs.distance <= self._config.gate_sigma**2
        clash = both & ~same
        tally.clashes = int((near & clash).sum())
        if same.any():
            pairs.extra = np.where(same, _ATTRACTION, 0.0)
        inside: Bools = (near | (same & (pairs.distance <= self._config.identity_gate_sigma**2))) & ~clash
        return inside

    def _consistency(
        self, pairs: Pairs, choice: Choice, expected: Expected, sensor: Sensor, visible: Bools | None,
    ) -> None:
        """Innovations of the tracks, which may raise the alarm, and of the sensor, which may lower its weight."""
        config, numbers, words = self._config, self.store.numbers, self.store.words
        track = pairs.track[choice.chosen]
        fresh = pairs.distance[choice.chosen] / sensor.degrees
        excess = numbers[Number.EXCESS].take(track)
        excess += fresh
        excess -= config.manoeuvre_nis
        np.maximum(excess, 0.0, out=excess)
        numbers[Number.EXCESS, track] = excess
        high = excess > config.manoeuvre_alarm
        if np.count_nonzero(high):
            words[Word.ALARM_NS, track[high]] = self.now_ns + self._hold_ns
        if self._sensors == 1:
            return
        firm = words[Word.STATUS] == FIRM
        ours = firm[track]
        if ours.any():
            rows = choice.chosen[ours]
            scaled = pairs.steps[:, rows] / np.sqrt(expected.variances[:, track[ours]])
            health.note_innovations(self.health, sensor.index, fresh[ours], scaled, config.health_memory)
        times = words[self.store.sensor_row :]
        others = firm & (np.delete(times, sensor.index, axis=0).max(axis=0) > self.now_ns - self.support_ns)
        if visible is not None:
            others &= visible
        if others.any():
            hit = np.zeros(len(firm), np.bool_)
            hit[track] = True
            hit[pairs.track[choice.owner]] = True
            health.note_hits(self.health, sensor.index, int(others.sum()), int((hit & others).sum()),
                             config.health_memory)
        health.judge(self.health, sensor.index, sensor.model.detection_probability, config)

    def _begin(
        self, frame: Frame, seen: Scan, free: Ints, sensor: Sensor, view: View, times: Patience, tally: Tally,
    ) -> Ints:
        """New tracks of the detections ``free``; those beyond the capacity are not begun."""
        store, config = self.store, self._config
        lacking = len(free) - (config.capacity - store.count)
        if lacking > 0:
            old = life.spare(store, lacking)
            ended = int(old.sum())
            if ended:
                store.keep(~old)
            free = free[: len(free) - lacking + ended]
            tally.culled += lacking
        if len(free) == 0:
            return free
        numbers, words = store.append(len(free))
        begin(numbers, seen.detections.take(free, axis=1), view, sensor, config.initial_velocity_sigma_m_s)
        numbers[Number.SNR : Number.EXTENT + 1] = np.nan
        words[:] = self._newborn
        words[Word.BORN_NS : Word.LOOKED_NS + 1] = frame.event_ns
        words[store.hit_rows.stop - 1] = frame.event_ns
        words[store.sensor_row + sensor.index] = frame.event_ns
        words[Word.PATIENCE_NS] = times.tentative_ns if config.confirm_hits > 1 else times.firm_ns
        if config.confirm_hits == 1:
            tally.confirmed += len(free)
        tally.born = len(free)
        rows = seen.order[free]
        refresh(numbers, words, slice(None), seen.marks, free)
        if seen.marks.names is not None:
            told = words[Word.TRANSPONDER]
            tally.doubled = int(np.isin(told[told != NO_ID], store.words[Word.TRANSPONDER, : -len(free)]).sum())
        return rows


def _newborn(store: Store, config: TrackerConfig) -> Ints:
    """Words (rows, 1) of a track with one hit, but for its times."""
    column = np.full((store.words.shape[0], 1), _NEVER_NS)
    column[: Word.BAND + 1] = 0
    column[Word.STATUS] = Status.NEW if config.confirm_hits > 1 else FIRM
    column[Word.HITS] = 1
    column[Word.ALARM_NS] = _NEVER_NS
    column[Word.TRANSPONDER] = NO_ID
    return column

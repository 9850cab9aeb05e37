"""The one tracker: frames of all sensors in, tracks out, whatever the order in which the frames arrive.

A frame that is late by less than the ring takes its place: the state before it is restored, and what came after is done
again. The tracks are then, number for number, what they would have been in order; only ids are given in the order of
arrival, because an id once told is never given to another track.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firmware_py.perception.observation import NO_ID, Frame
from firmware_py.perception.tracker import health
from firmware_py.perception.tracker.clusters import solver
from firmware_py.perception.tracker.config import TrackerConfig
from firmware_py.perception.tracker.engine import Engine
from firmware_py.perception.tracker.motion import Motion
from firmware_py.perception.tracker.report import Counters, FrameReport, Outcome, SensorHealth, Tally
from firmware_py.perception.tracker.ring import BEGINNING_NS, Begun, Entry, Key, Ring
from firmware_py.perception.tracker.sensors import Sensor, prepare
from firmware_py.perception.tracker.snapshot import take_tracks
from firmware_py.perception.tracker.store import Word
from firmware_py.perception.tracks import SensorModel, TrackSet

__all__ = ["Tracker"]

_NO_SENSOR = -1
_MOST_SENSORS = 32
"""Bits of a track's sources that fit a telemetry word."""


class Tracker:
    """Tracks of all sensors, and the one owner of identity.

    ``sensors`` is fixed for the tracker's life but for what ``set_sensor`` changes; bit k of a track's sources is its
    k-th. ``counters`` are sums since the start. Raises ValueError naming a sensor whose model is impossible.
    """

    def __init__(self, config: TrackerConfig, sensors: Mapping[str, SensorModel]) -> None:
        if not 1 <= len(sensors) <= _MOST_SENSORS:
            raise ValueError(f"{len(sensors)} sensors: 1 to {_MOST_SENSORS} are allowed")
        self.counters = Counters()
        self._config = config
        self._names = tuple(sensors)
        self._index = {name: k for k, name in enumerate(self._names)}
        self._sensors: list[Sensor] = [_prepare(name, k, sensors[name], config) for k, name in enumerate(self._names)]
        self._engine = Engine(config, len(sensors), BEGINNING_NS)
        self._preview = Motion(config.psd_m2_s3, config.manoeuvre_ratio)
        self._next_id = 1
        self._ring = Ring(self._entry((BEGINNING_NS, _NO_SENSOR, 0), None, None), round(config.rollback_s * 1e9),
                          config.rollback_frames)
        solver()

    def observe(self, frame: Frame) -> FrameReport:
        """Work a frame in. Never raises on what a frame holds: what can't be used is refused and counted by name."""
        index = self._index.get(frame.sensor_id)
        if index is None:
            return self.counters.add(FrameReport(Outcome.UNKNOWN_SENSOR, len(frame)))
        if self._ring.holds(index, frame.frame_id):
            return self.counters.add(FrameReport(Outcome.DUPLICATE, len(frame)))
        key = (frame.event_ns, index, frame.frame_id)
        if key > self._ring.newest.key:
            entry, tally = self._process(key, frame, self._sensors[index], None)
            self._ring.push(entry)
            return self._report(Outcome.USED, frame, tally, 0)
        if not self._ring.reaches(key):
            return self.counters.add(FrameReport(Outcome.TOO_LATE, len(frame)))
        before, after = self._ring.cut(key)
        self._restore(before)
        entry, tally = self._process(key, frame, self._sensors[index], None)
        self._ring.push(entry)
        for old in after:
            self._replay(old)
        return self._report(Outcome.REPLAYED, frame, tally, len(after))

    def advance(self, now_ns: int) -> int:
        """End the tracks that nobody has looked at for too long. For when no frame comes; a frame does it by itself.

        Returns how many ended.
        """
        key = (now_ns, _NO_SENSOR, 0)
        tally = Tally()
        if key > self._ring.newest.key:
            self._engine.end(now_ns, tally)
            if tally.dropped:
                self._ring.push(self._entry(key, None, None))
        self.counters.dropped += tally.dropped
        self.counters.lost += tally.lost
        return tally.dropped

    def set_sensor(self, sensor_id: str, model: SensorModel) -> None:
        """From the next frame on, this is true of the sensor. Raises KeyError for one that is not in the table."""
        index = self._index[sensor_id]
        self._sensors[index] = _prepare(sensor_id, index, model, self._config)

    def tracks(self, t_ns: int) -> TrackSet:
        """All tracks as they should be at ``t_ns``: copies, nothing here changes."""
        return take_tracks(self._engine, self._preview, self._config, t_ns)

    def sensor_health(self) -> tuple[SensorHealth, ...]:
        """How well each sensor agrees with the others, in the table's order."""
        return health.tell(self._names, self._engine.health)

    @property
    def sensor_ids(self) -> tuple[str, ...]:
        """Sensors in the order of the bits of a track's sources."""
        return self._names

    def _process(self, key: Key, frame: Frame, sensor: Sensor, begun: Begun | None) -> tuple[Entry, Tally]:
        """Through the engine; tracks that this frame began before get their ids of then."""
        tally, engine = Tally(), self._engine
        rows = engine.process(frame, sensor, tally)
        count = len(rows)
        ids = np.arange(self._next_id, self._next_id + count)
        if begun is not None and count:
            known = dict(zip(begun[0].tolist(), begun[1].tolist(), strict=True))
            ids = np.array([known.get(row, NO_ID) for row in rows.tolist()], np.int64)
            new = ids == NO_ID
            count = int(new.sum())
            ids[new] = np.arange(self._next_id, self._next_id + count)
        self._next_id += count
        engine.store.words[Word.ID, engine.store.count - len(rows) :] = ids
        return self._entry(key, frame, sensor, (rows, ids)), tally

    def _replay(self, old: Entry) -> None:
        """Do an entry again on top of what is there now."""
        if old.frame is None or old.sensor is None:
            self._engine.end(old.key[0], Tally())
            self._ring.push(self._entry(old.key, None, None))
            return
        entry, _ = self._process(old.key, old.frame, old.sensor, old.begun)
        self._ring.push(entry)

    def _entry(self, key: Key, frame: Frame | None, sensor: Sensor | None, begun: Begun | None = None) -> Entry:
        engine = self._engine
        return Entry(key, frame, sensor, engine.now_ns, engine.store.copy(), engine.health.copy(), begun)

    def _restore(self, entry: Entry) -> None:
        self._engine.store.restore(entry.columns)
        self._engine.health[:] = entry.health
        self._engine.now_ns = entry.state_ns

    def _report(self, outcome: Outcome, frame: Frame, tally: Tally, replayed: int) -> FrameReport:
        return self.counters.add(FrameReport(
            outcome, len(frame), tally.unusable, tally.culled_detections, tally.clipped, tally.associated,
            tally.unassociated, tally.conflicts, tally.clusters, tally.shared, tally.clashes, tally.doubled, tally.born,
            tally.confirmed, tally.dropped, tally.lost, tally.culled, replayed))


def _prepare(sensor_id: str, index: int, model: SensorModel, config: TrackerConfig) -> Sensor:
    try:
        return prepare(index, model, config)
    except ValueError as refused:
        raise ValueError(f"sensor {sensor_id}: {refused}") from refused

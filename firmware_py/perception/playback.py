"""A record of the perception as something to look at: tracks, risk and grid at any time, own path, events."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.port import CODEC, CraftMotion
from firmware_py.perception.record import read_columns, read_header, read_perception, read_tracks
from firmware_py.perception.tracks import TrackSet
from firmware_py.recorder import RecordError

__all__ = ["FILE", "Playback", "SeenEvent", "load_playback", "record_in"]

FILE = "perception.mcap"
"""Name of the record in the folder of a flight."""


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """One event of the perception."""

    t_ns: int
    code: str
    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class Playback:
    """All of one record, undecoded where it is long. Times ascend, flight ns."""

    header: dict[str, Any]
    path: NDArray[np.float64]
    """(k, 7): flight time s, position m and velocity m/s of the craft, inertial."""
    track_ns: tuple[int, ...]
    _tracks: tuple[bytes, ...]
    risk_ns: tuple[int, ...]
    _risks: tuple[bytes, ...]
    grid_ns: tuple[int, ...]
    _grids: tuple[bytes, ...]
    events: tuple[SeenEvent, ...]
    scans: dict[str, int]
    """Scans by device."""

    @property
    def end_ns(self) -> int:
        """Time of the last thing that was told."""
        last = [times[-1] for times in (self.track_ns, self.grid_ns) if times]
        return max([*last, *(event.t_ns for event in self.events[-1:]),
                    *([round(float(self.path[-1, 0]) * 1e9)] if len(self.path) else [])], default=0)

    def tracks_at(self, t_ns: int) -> TrackSet | None:
        """The newest track list not after a time; ``None`` before the first."""
        found = _newest(self.track_ns, self._tracks, t_ns)
        return None if found is None else read_tracks(found)

    def risk_at(self, t_ns: int) -> dict[str, NDArray[Any]] | None:
        """Columns of risk of the newest report not after a time."""
        found = _newest(self.risk_ns, self._risks, t_ns)
        return None if found is None else read_columns(found)[1]

    def grid_at(self, t_ns: int) -> dict[str, NDArray[Any]] | None:
        """Occupied cells (``centre_m`` (n, 3), ``probability`` (n,)) as last recorded before a time."""
        found = _newest(self.grid_ns, self._grids, t_ns)
        return None if found is None else read_columns(found)[1]

    def own_at(self, t_ns: int) -> NDArray[np.float64]:
        """(6,) position and velocity of the craft as last told before a time; NaN if it never was."""
        row = int(np.searchsorted(self.path[:, 0], t_ns * 1e-9, side="right")) - 1
        return self.path[row, 1:] if row >= 0 else np.full(6, np.nan)

    def history(self, until_ns: int, most: int = 400) -> dict[int, NDArray[np.float64]]:
        """By track id the positions (k, 3) up to a time, from at most ``most`` lists spread evenly."""
        last = bisect.bisect_right(self.track_ns, until_ns)
        rows: dict[int, list[NDArray[np.float64]]] = {}
        for index in np.unique(np.linspace(0, max(0, last - 1), min(most, last)).astype(int)) if last else ():
            tracks = read_tracks(self._tracks[index])
            for track_id, state in zip(tracks.track_id.tolist(), tracks.state, strict=True):
                rows.setdefault(track_id, []).append(state[:3])
        return {track_id: np.array(states) for track_id, states in rows.items()}


def record_in(path: Path) -> Path:
    """The record itself, given it or the folder of a flight."""
    return path / FILE if path.is_dir() else path


def load_playback(path: Path) -> Playback:
    """Read a record. Raises RecordError for a file that is none, or whose lists are none."""
    try:
        return _loaded(path)
    except (ValueError, TypeError, KeyError, msgspec.DecodeError) as error:
        raise RecordError(path, f"is damaged ({error})", "look at another record") from None


def _loaded(path: Path) -> Playback:
    header = read_header(path)
    kept: dict[str, tuple[list[int], list[bytes]]] = {topic: ([], []) for topic in ("/tracks", "/risk", "/grid")}
    own: list[list[float]] = []
    events: list[SeenEvent] = []
    scans: dict[str, int] = {}
    for message in read_perception(path):
        if message.topic in kept:
            # Looked at here, so that damage is found before anything is shown.
            read_tracks(message.data) if message.topic == "/tracks" else read_columns(message.data)
            times, held = kept[message.topic]
            times.append(message.t_ns)
            held.append(message.data)
        elif message.topic == "/in":
            told = CODEC.read(message.data)
            if isinstance(told, CraftMotion):
                own.append([told.now_ns * 1e-9, *told.position_m, *told.velocity_m_s])
            elif told is not None and hasattr(told, "device"):
                scans[told.device] = scans.get(told.device, 0) + 1
        elif message.topic == "/event":
            event = msgspec.json.decode(message.data)
            events.append(SeenEvent(message.t_ns, event["code"], event["severity"], event["text"]))
    tracks, risks, grids = kept["/tracks"], kept["/risk"], kept["/grid"]
    return Playback(
        header, np.array(own).reshape(-1, 7), tuple(tracks[0]), tuple(tracks[1]), tuple(risks[0]), tuple(risks[1]),
        tuple(grids[0]), tuple(grids[1]), tuple(events), dict(sorted(scans.items())),
    )


def _newest(times: tuple[int, ...], held: tuple[bytes, ...], t_ns: int) -> bytes | None:
    index = bisect.bisect_right(times, t_ns) - 1
    return held[index] if index >= 0 else None

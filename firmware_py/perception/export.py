"""Writes a record of the perception for other programs: CSV, or a file of the Rerun viewer where its library is."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from firmware_py.perception.playback import Playback
from firmware_py.perception.query import full_row

__all__ = ["RerunMissing", "write_csv", "write_rerun"]

COLOURS = ((0, 114, 178), (230, 159, 0), (213, 94, 0))
"""By level of risk."""


class RerunMissing(ImportError):
    """The library of the viewer is not installed."""


def _levels(seen: Playback, t_ns: int) -> dict[int, int]:
    columns = seen.risk_at(t_ns)
    if columns is None:
        return {}
    return dict(zip(columns["track_id"].tolist(), columns["level"].tolist(), strict=True))


def write_csv(seen: Playback, path: Path) -> int:
    """One row for every track of every list; columns as those of a track in docs/guide/see.md. Returns the rows.

    Raises OSError.
    """
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer: Any = None
        for t_ns in seen.track_ns:
            tracks, own, levels = seen.tracks_at(t_ns), seen.own_at(t_ns), _levels(seen, t_ns)
            for row in range(0 if tracks is None else len(tracks)):
                assert tracks is not None
                values = _flat(full_row(tracks, row, levels.get(int(tracks.track_id[row]), 0), own))
                if writer is None:
                    writer = csv.DictWriter(file, list(values))
                    writer.writeheader()
                writer.writerow(values)
                count += 1
    return count


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Lists as numbered columns, what is missing as an empty cell."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, list):
            flat.update({f"{name}_{index}": number for index, number in enumerate(value)})
        else:
            flat[name] = "" if value is None else value
    return flat


def write_rerun(seen: Playback, path: Path) -> int:
    """Points, paths and occupied cells over flight time. Returns the track lists written.

    Raises RerunMissing without the library, OSError for a place that can't be written.
    """
    try:
        import rerun
    except ImportError:
        raise RerunMissing("the library rerun-sdk is not installed") from None
    with path.open("wb"):
        pass  # the library tells of a bad place late and in a thread of its own
    stream = rerun.RecordingStream("qiki-flight")
    stream.save(path)
    for t_ns in seen.track_ns:
        tracks = seen.tracks_at(t_ns)
        if tracks is None:
            continue
        stream.set_time("flight", duration=t_ns * 1e-9)
        own, levels = seen.own_at(t_ns), _levels(seen, t_ns)
        firm = np.flatnonzero(tracks.firm)
        level = [levels.get(int(tracks.track_id[row]), 0) for row in firm]
        radius = np.sqrt(np.trace(tracks.covariance[firm][:, :3, :3], axis1=1, axis2=2) / 3.0)
        stream.log("craft", rerun.Points3D([own[:3]], radii=[1.0], labels=["craft"]))
        stream.log("tracks", rerun.Points3D(
            tracks.state[firm, :3], radii=np.maximum(radius, 0.3), colors=[COLOURS[number] for number in level],
            labels=[str(int(tracks.track_id[row])) for row in firm],
        ))
        stream.log("velocity", rerun.Arrows3D(origins=tracks.state[firm, :3], vectors=tracks.state[firm, 3:]))
        cells = seen.grid_at(t_ns)
        if cells is not None and len(cells["centre_m"]):
            half = 0.5 * float(cells["cell_m"][0])
            stream.log("grid", rerun.Boxes3D(
                centers=cells["centre_m"], half_sizes=np.full((len(cells["centre_m"]), 3), half),
            ))
    stream.flush()
    return len(seen.track_ns)

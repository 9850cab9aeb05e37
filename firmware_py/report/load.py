"""Opens a black box as the rows and expectations that figures, plots and page work on."""

from __future__ import annotations

import tempfile
from pathlib import Path

from firmware_py.mission import ExpectConfig, load_mission
from firmware_py.recorder import RecordError
from firmware_py.recorder.reader import Flight, read_flight
from firmware_py.report.parts import joined
from firmware_py.report.scope import FlightData
from hal.profile import BodyConfig, ConfigError, load_body

__all__ = ["body_flown", "expectations_of", "flight_data", "open_flight"]


def flight_data(flight: Flight) -> FlightData:
    """The rows of a recorded flight, its later parts included, every channel but the bus bytes. Raises RecordError."""
    return joined(flight)


def expectations_of(flight: Flight) -> tuple[ExpectConfig, ...]:
    """What the mission in the black box expected; nothing if it holds none.

    Raises:
        RecordError: the mission in it cannot be read by today's program.
    """
    text = flight.attachments.get("mission.yaml")
    if text is None:
        return ()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mission.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            return load_mission(str(path)).expect
        except ConfigError as error:
            raise RecordError(
                flight.path, f"holds a mission that this version cannot read ({error.key}: {error.why})",
                "use the version that flew it",
            ) from None


def body_flown(flight: Flight) -> BodyConfig | None:
    """The body in a black box; ``None`` if it holds none, or one that today's program cannot read."""
    text = flight.attachments.get("body.yaml")
    if text is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "body.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            return load_body(str(path))
        except ConfigError:
            return None


def open_flight(path: Path) -> tuple[FlightData, tuple[ExpectConfig, ...]]:
    """Rows and expectations of a black box. Raises RecordError."""
    flight = read_flight(path)
    return flight_data(flight), expectations_of(flight)

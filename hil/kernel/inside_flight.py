"""Checks of a boot that flies: units, mission, rate and memory, as the guest's own tools show them.

Standard library only; what is true comes from the rig's log, not from the program that flies.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from math import acos, degrees, sqrt
from pathlib import Path

from hil.kernel.inside_host import (
    FLIGHT,
    CheckFailed,
    flight_mode,
    show,
    truth_rows,
    until,
)

__all__ = ["FLIGHT_CHECKS", "UNITS", "await_flight"]

UNITS = ("qiki-flight", "qiki-recorder", "qiki-comms", "qiki-perception")
UNITS_S = 30.0
MISSION_S = 150.0
SLOW_DEG_S = 1.0
STILL_DEG_S = 0.3
QUIET_S = 8.0
TURN_DEG = 20.0
NEAR_DEG = 6.0
RAD = 57.29577951308232


def await_flight(limit_s: float) -> float:
    """Seconds since the kernel's start at which the flight program flew."""
    until("the flight program flies", lambda: flight_mode() is not None, limit_s)
    return float(Path("/proc/uptime").read_text().split()[0])


def boot() -> tuple[float | None, str]:
    """When the flight program flew; the host measures from its own side."""
    return None, show(FLIGHT, "StatusText")["StatusText"]


def units() -> tuple[None, str]:
    """What the service manager thinks of every unit, once those that must run have started."""
    until("flight and recorder run", lambda: all(_active(name) for name in UNITS[:2]), UNITS_S, 0.2)
    states = {name: show(f"{name}.service", "ActiveState", "Result") for name in UNITS}
    failed = [name for name, state in states.items() if state.get("ActiveState") == "failed"]
    idle = [name for name in UNITS[:2] if states[name].get("ActiveState") != "active"]
    if failed or idle:
        raise CheckFailed(f"failed {failed}, not active {idle}: {states}")
    return None, ", ".join(f"{name} {state['ActiveState']}" for name, state in states.items())


def mission() -> tuple[float, str]:
    """The world has stopped turning near the commanded angle from where it was, and stays."""
    began = time.monotonic()
    modes: list[str] = []

    def done() -> bool:
        mode = flight_mode()
        if mode and (not modes or modes[-1] != mode):
            modes.append(mode)
        return "Manoeuvre" in modes and abs(_turned_deg() - TURN_DEG) < NEAR_DEG and _settled()

    until("the craft has turned and stands", done, MISSION_S, 0.5)
    return time.monotonic() - began, f"{' > '.join(modes)}; turned {_turned_deg():.1f} deg of {TURN_DEG:.0f}"


def rate() -> tuple[float, str]:
    """Share of ticks late or lost by the program's own status."""
    text = show(FLIGHT, "StatusText")["StatusText"]
    found = re.search(r"ticks late over (\d+), lost over (\d+)", text)
    late, lost = (int(found[1]), int(found[2])) if found else (0, 0)
    since = show(FLIGHT, "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"]
    lived_s = time.monotonic() - int(since) / 1e6
    return 2.0 * max(late, lost) / (lived_s * _hz()), f"{_hz()} Hz for {lived_s:.0f} s; {text}"


def resources() -> tuple[float, str]:
    """Proportional set size of the processes of all units; flight and recorder must have one."""
    parts = {}
    for name in UNITS:
        total = sum(_pss_kb(number) for number in _processes(name))
        if total:
            parts[name] = total / 1000.0
    unknown = [name for name in UNITS[:2] if name not in parts]
    if unknown:
        raise CheckFailed(f"no memory figure of {', '.join(unknown)}; of others: {parts}")
    return sum(parts.values()), ", ".join(f"{name} {size:.0f} MB" for name, size in parts.items())


def _active(unit: str) -> bool:
    return show(f"{unit}.service", "ActiveState").get("ActiveState") == "active"


def _hz() -> int:
    found = re.search(r"fast_hz:\s*(\d+)", Path("/etc/qiki/board.yaml").read_text())
    if found is None:
        raise CheckFailed("the board file names no rate")
    return int(found[1])


def _full() -> list[dict[str, object]]:
    rows = [dict(row) for row in truth_rows() if "quaternion" in row]
    if not rows:
        raise CheckFailed("the rig has said nothing yet")
    return rows


def _angle_deg(first: Mapping[str, object], second: Mapping[str, object]) -> float:
    """Between two attitudes of the log."""
    one, other = first["quaternion"], second["quaternion"]
    if not isinstance(one, list) or not isinstance(other, list):
        raise CheckFailed("the rig tells no attitude")
    return degrees(2.0 * acos(min(1.0, abs(sum(a * b for a, b in zip(one, other, strict=True))))))


def _turned_deg() -> float:
    """From where the craft first stood still to where it is; 0 if it never did."""
    rows = _full()
    stood = next((row for row in rows if _speed_deg_s(row) < STILL_DEG_S), None)
    return 0.0 if stood is None else _angle_deg(stood, rows[-1])


def _speed_deg_s(row: Mapping[str, object]) -> float:
    parts = row["rate_rad_s"]
    if not isinstance(parts, list):
        raise CheckFailed(f"the rig says {parts} of the rate")
    return sqrt(sum(float(part) ** 2 for part in parts)) * RAD


def _settled() -> bool:
    """Over the last 8 s the craft stood still."""
    rows = _full()
    last = float(str(rows[-1]["t"]))
    recent = [row for row in rows if float(str(row["t"])) > last - QUIET_S]
    return last > QUIET_S and all(_speed_deg_s(row) < SLOW_DEG_S for row in recent)


def _processes(unit: str) -> list[int]:
    path = Path(f"/sys/fs/cgroup/system.slice/{unit}.service/cgroup.procs")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def _pss_kb(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+)", text, re.M)
    return int(found[1]) if found else 0


FLIGHT_CHECKS = {
    "boot": boot, "units": units, "mission": mission, "rate": rate, "resources": resources,
}

"""The processes of a craft on this machine: start, processor time, memory, and what is left when one dies or hangs.

A served rig plays every chip; what valves did is the rig's truth. Times are the worst of the rounds, but for the start.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import monotonic

from bench._install_craft import QIKI, ProcessCraft
from bench._install_supervisor import Service, Supervisor, cpu_seconds, resident_mb, share_mb
from bench.harness import Report

__all__ = ["measure"]

FLY_CPU = "1"
PRIORITY = 50
"""From the start on, as in systemd/system/qiki-flight.service: others may be busy, a restart must not wait for them."""
CPU_WINDOW_S = 20.0
ROUNDS = 3
START_S, BACK_S, SHUT_S, REPLACED_S = 2.0, 3.0, 0.1, 2.0
MOST_CPU, MOST_MB = 0.40, 300.0
TURNING = """
schema_version: 1
mission: turning
description: Turns to and fro, so that valves are often open
body: qiki-t
board: qiki-rpi
epoch: "2026-06-21T12:00:00Z"
initial: {loads_off: [nbl]}
surroundings:
  clutter_per_frame: 0.5
  targets:
    - {name: runner, frame: craft, position_m: [120, 40, 2], velocity_m_s: [2, 0.5, 0], radius_m: 1,
       rcs_dbsm: 5, type: drone}
  obstacles:
    - {name: rock, position_m: [-80, 66, 5], radius_m: 6, rcs_dbsm: 18}
    - {name: boulder, position_m: [90, -70, 0], radius_m: 4, rcs_dbsm: 15}
steps:
  - {name: boot, wait_for: Idle, timeout_s: 60}
  - {name: detumble, command: detumble, timeout_s: 60}
  - {name: there, command: slew, arguments: {axis: [0, 1, 0], angle_deg: 170}, timeout_s: 120}
  - {name: back, command: slew, arguments: {axis: [0, 1, 0], angle_deg: -170}, timeout_s: 120}
"""


def measure(report: Report, short: bool = False) -> None:
    """Add every figure; ``short`` for a look, not a result."""
    rounds = 1 if short else ROUNDS
    starts: list[float] = []
    _costs(report, 5.0 if short else CPU_WINDOW_S, starts)
    _deaths(report, rounds, starts)
    report.add("exec to READY=1 and first tick, median", round(median(starts), 2), "s", f"{len(starts)} starts",
               f"< {START_S:g}", median(starts) < START_S)


@contextmanager
def _craft(steps: bool) -> Iterator[tuple[Supervisor, ProcessCraft]]:
    """A served rig in a folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="qk", dir="/tmp") as name, Supervisor() as supervisor:
        folder = Path(name)
        (folder / "turning.yaml").write_text(TURNING)
        mission = str(folder / "turning.yaml")
        yield supervisor, ProcessCraft(supervisor, folder, mission=mission, steps=mission if steps else None)


def _costs(report: Report, window_s: float, starts: list[float]) -> None:
    """Processor time and memory of all units while the craft turns and looks around."""
    with _craft(steps=True) as (supervisor, craft):
        recorder = craft.record("--keep-mb", "100")
        link = _link(craft)
        perception = craft.perceive()
        flight = craft.fly("--cpu", FLY_CPU, priority=PRIORITY)
        _started(supervisor, flight, starts)
        supervisor.until(lambda: "Manoeuvre" in _said(flight), 60.0)
        units = {"flight": flight, "recorder": recorder, "link": link, "perception": perception}
        before, at = {name: cpu_seconds(unit.now.pid) for name, unit in units.items()}, monotonic()
        supervisor.run(window_s)
        passed = monotonic() - at
        share = {name: (cpu_seconds(unit.now.pid) - before[name]) / passed for name, unit in units.items()}
        report.add("CPU of flight at 200 Hz, one core", round(share["flight"], 3), "1", "manoeuvring, all ports served",
                   f"< {MOST_CPU:g}", share["flight"] < MOST_CPU)
        for name in ("recorder", "link", "perception"):
            report.add(f"CPU of {name}", round(share[name], 3), "1", "of one core")
        memory = {name: resident_mb(unit.now.pid) for name, unit in units.items()}
        for name, megabytes in memory.items():
            report.add(f"resident memory of {name}", round(megabytes, 1), "MB")
        each = sum(memory.values())
        total = sum(share_mb(unit.now.pid) for unit in units.values())
        report.add("resident memory of all units", round(total, 1), "MB", f"{each:.1f} with shared pages in each",
                   f"< {MOST_MB:g}", total < MOST_MB)
        del units["flight"]
        _crashes_beside(report, supervisor, flight, units)


def _crashes_beside(report: Report, supervisor: Supervisor, flight: Service, others: dict[str, Service]) -> None:
    for name, unit in others.items():
        unit.kill()
        supervisor.until(lambda unit=unit: len(unit.starts) == 2, 10.0)  # type: ignore[misc]
        supervisor.run(2.0)
        flew_on = len(flight.starts) == 1 and flight.running
        report.add(f"{name} killed: flight", "goes on" if flew_on else "ended", "", None, "goes on", flew_on)


def _deaths(report: Report, rounds: int, starts: list[float]) -> None:
    """The flight program killed and hung, each in the middle of its pushing."""
    shut: dict[str, list[float]] = {"killed": [], "hung": []}
    ready: list[float] = []
    armed: list[float] = []
    replaced: list[float] = []
    pushed = 0
    for _ in range(rounds):
        for what, number in (("killed", signal.SIGKILL), ("hung", signal.SIGSTOP)):
            with _craft(steps=True) as (supervisor, craft):
                flight = craft.fly(
                    "--cpu", FLY_CPU, record=False, link=False, perception=False, priority=PRIORITY
                )
                _started(supervisor, flight, starts)
                supervisor.until(lambda craft=craft: _pushing(craft), 60.0)  # type: ignore[misc]
                at = flight.kill(number)
                supervisor.until(lambda flight=flight: len(flight.starts) == 2 and flight.ready, 30.0)  # type: ignore[misc]
                back = flight.now.ready_s or at
                open_for = [r["machine_s"] - at for r in craft.truths(at)
                            if r["machine_s"] < back and r.get("driven_mask", 0)]
                shut[what].append(_shut_after(craft, at, back))
                pushed += bool(open_for)
                starts.append(back - flight.now.began_s)
                if what == "killed":
                    ready.append(back - at)
                    supervisor.until(lambda flight=flight: "valves armed" in _said(flight), 30.0)  # type: ignore[misc]
                    armed.append(flight.now.status[-1][0] - at)
                else:
                    replaced.append(flight.now.began_s - at)
    for what, times in shut.items():
        report.add(f"flight {what}: last valve shut, worst", round(max(times), 3), "s", f"{len(times)} rounds",
                   f"< {SHUT_S:g}", max(times) < SHUT_S)
    report.add("of these rounds, valves were open at that moment", pushed, f"of {2 * rounds}")
    report.add("flight killed: reads, decides and kicks again, worst", round(max(ready), 2), "s", None, f"< {BACK_S:g}",
               max(ready) < BACK_S)
    report.add("flight killed: tested, Idle and armed again, worst", round(max(armed), 2), "s")
    report.add("flight hung: process replaced, worst", round(max(replaced), 2), "s", None, f"< {REPLACED_S:g}",
               max(replaced) < REPLACED_S)


def _shut_after(craft: ProcessCraft, at_s: float, until_s: float) -> float:
    """When the last valve had shut, s after ``at_s``: the first line without one, behind the last with one."""
    last = 0.0
    driven = False
    for row in craft.truths(at_s - 1.0):
        if "driven_mask" not in row or row["machine_s"] >= until_s:
            continue
        after_s = row["machine_s"] - at_s
        if driven and not row["driven_mask"] and after_s > 0.0:
            last = after_s
        driven = bool(row["driven_mask"])
    return last


def _started(supervisor: Supervisor, flight: Service, starts: list[float]) -> None:
    supervisor.until(lambda: flight.ready, 30.0)
    assert flight.now.ready_s is not None
    starts.append(flight.now.ready_s - flight.now.began_s)


def _said(flight: Service) -> str:
    return flight.now.status[-1][1] if flight.now.status else ""


def _pushing(craft: ProcessCraft) -> bool:
    rows = list(craft.truths(monotonic() - 0.2))
    return bool(rows) and bool(rows[-1].get("driven_mask", 0))


def _link(craft: ProcessCraft) -> Service:
    """``qiki link serve`` with keys of its own, on a line that nobody is at."""
    import subprocess

    keys, seal = craft.folder / "craft", craft.folder / "craft.seal"
    subprocess.run([*QIKI, "keys", "new", "--craft", str(keys), "--seal-key", str(seal)], check=True,
                   stdout=subprocess.DEVNULL, stderr=sys.stderr)
    return craft.process("link", [
        *QIKI, "link", "serve", "--port", str(craft.ports["link"]), "--listen", "udp:127.0.0.1:0", "--keys", str(keys),
        "--seal-key", str(seal), "--state", str(craft.folder / "link-state"),
    ])

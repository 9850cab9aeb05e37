"""Processes of a craft die and hang: valves are shut by what is left, and the craft is back in control in time.

Real processes on this machine, over loopback and local sockets: a served rig, the flight program, its recorder and a
link's stand-in. The times are those of a craft; a machine that is busy with other tests is given more where it is
Python's start that takes them.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bench._install_craft import ProcessCraft
from bench._install_supervisor import Service, Supervisor
from firmware_py.recorder.reader import read_flight
from firmware_py.recorder.shelf import Shelf

pytestmark = [pytest.mark.slow, pytest.mark.alone]

TURNING = """
schema_version: 1
mission: turning
description: Turns to and fro, so that valves are often open
body: qiki-t
board: qiki-rpi
epoch: "2026-06-21T12:00:00Z"
initial: {loads_off: [radar, nbl]}
steps:
  - {name: boot, wait_for: Idle, timeout_s: 60}
  - {name: detumble, command: detumble, timeout_s: 60}
  - {name: there, command: slew, arguments: {axis: [0, 1, 0], angle_deg: 170}, timeout_s: 120}
  - {name: back, command: slew, arguments: {axis: [0, 1, 0], angle_deg: -170}, timeout_s: 120}
"""
LONGEST_OPEN_S = 1.0
"""From the end of a program to the last valve: 100 ms of the nodes' heartbeat, of which the last may be 50 ms old; the
rest is what the log of a busy machine is late. The figure is in bench/."""
BUSY = 3.0
"""How much longer Python may take to start on a machine that tests on every core."""


@pytest.fixture
def folder() -> Iterator[Path]:
    # A path short enough for sockets.
    with tempfile.TemporaryDirectory(prefix="qk", dir="/tmp") as name:
        (Path(name) / "turning.yaml").write_text(TURNING)
        yield Path(name)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as looked_after:
        yield looked_after


def flown(supervisor: Supervisor, folder: Path, **wanted: bool) -> tuple[ProcessCraft, Service]:
    """A craft that has come to life and pushes."""
    craft = ProcessCraft(supervisor, folder, steps=str(folder / "turning.yaml"))
    flight = craft.fly("--no-realtime", **wanted)
    supervisor.until(lambda: flight.ready, 20.0)
    supervisor.until(lambda: pushing(craft), 30.0)
    return craft, flight


def pushing(craft: ProcessCraft) -> bool:
    rows = list(craft.truths())
    return bool(rows) and rows[-1].get("driven_mask", 0) != 0


def open_after(craft: ProcessCraft, from_s: float, until_s: float) -> list[float]:
    """When valves were driven between two moments, as s after the first."""
    return [
        row["machine_s"] - from_s for row in craft.truths(from_s)
        if row["machine_s"] < until_s and row.get("driven_mask", 0)
    ]


def test_a_killed_flight_leaves_valves_shut_and_is_back_in_control(supervisor: Supervisor, folder: Path) -> None:
    craft, flight = flown(supervisor, folder, record=False, link=False, perception=False)
    killed_s = flight.kill()
    supervisor.until(lambda: len(flight.starts) == 2 and flight.ready, 3.0 * BUSY)
    ready_s = flight.now.ready_s
    assert ready_s is not None
    assert ready_s - killed_s < 3.0 * BUSY
    last = max(open_after(craft, killed_s, ready_s), default=0.0)
    assert last < LONGEST_OPEN_S
    supervisor.until(lambda: any("motion Idle" in text for _, text in flight.now.status), 20.0)
    supervisor.run(1.0)
    # Nobody on board knows what happened meanwhile: the mission's steps are not given again.
    assert all("Manoeuvre" not in text for _, text in flight.now.status)
    assert flight.stop() == 0


def test_a_hung_flight_thread_is_replaced_and_its_valves_are_shut_by_the_nodes(
    supervisor: Supervisor, folder: Path
) -> None:
    craft, flight = flown(supervisor, folder, record=False, link=False, perception=False)
    hung_s = flight.kill(signal.SIGSTOP)
    supervisor.until(lambda: len(flight.starts) == 2, 2.0 * BUSY)
    replaced_s = flight.now.began_s - hung_s
    first = flight.starts[0]
    assert first.killed_by_watchdog
    assert replaced_s < 2.0 * BUSY
    supervisor.until(lambda: flight.ready, 3.0 * BUSY)
    assert flight.now.ready_s is not None
    last = max(open_after(craft, hung_s, flight.now.ready_s), default=0.0)
    assert last < LONGEST_OPEN_S
    # The enable line fell by hardware, for nobody kicked any more.
    low = [row for row in craft.truths(hung_s + LONGEST_OPEN_S)
           if row["machine_s"] < flight.now.ready_s and "enabled" in row]
    assert low
    assert not any(row["enabled"] for row in low)


def test_flight_goes_on_when_its_recorder_dies_and_nothing_is_lost(supervisor: Supervisor, folder: Path) -> None:
    craft = ProcessCraft(supervisor, folder)
    recorder = craft.record()
    flight = craft.fly("--no-realtime", link=False, perception=False)
    supervisor.until(lambda: any("motion Idle" in text for _, text in flight.now.status), 30.0)
    recorder.kill()
    supervisor.until(lambda: len(recorder.starts) == 2, 5.0)
    supervisor.until(lambda: len(Shelf(craft.flights, None).folders()) == 2, 10.0 * BUSY)
    supervisor.run(2.5)
    assert len(flight.starts) == 1
    assert flight.stop() == 0
    supervisor.run(1.0)
    recorder.stop()
    first, second = (read_flight(one.path / "flight.mcap") for one in Shelf(craft.flights, None).folders())
    assert not first.complete
    assert second.complete
    times = sorted({record.t_ns for one in (first, second) for record in one.messages("/bus")})
    # Every tick that was run is in one file or in both; those that the scheduler lost are told by an event.
    events = [row.value for one in (first, second) for row in one.rows("/event")]
    lost = sum(int(event["text"].split()[0]) for event in events if event["code"] == "TICKS_LOST")
    assert sum(round((b - a) / 5e6) - 1 for a, b in pairwise(times)) <= lost
    assert not [r for r in second.rows("/event") if "never arrived" in r.value["text"]]


def test_flight_tells_that_nobody_records_and_flies_on(supervisor: Supervisor, folder: Path) -> None:
    craft = ProcessCraft(supervisor, folder)
    flight = craft.fly("--no-realtime", link=False, perception=False)
    supervisor.until(
        lambda: any("not recording: the recorder process is away" in text for _, text in flight.now.status), 30.0
    )
    supervisor.until(lambda: any("motion Idle" in text for _, text in flight.now.status), 30.0)
    recorder = craft.record()
    supervisor.until(lambda: "not recording" not in flight.now.status[-1][1], 20.0)
    assert flight.stop() == 0
    supervisor.run(1.0)
    recorder.stop()
    [kept] = Shelf(craft.flights, None).folders()
    codes = [row.value["code"] for row in read_flight(kept.path / "flight.mcap").rows("/event")]
    assert "RECORDING_STOPPED" in codes
    assert "RECORDING_RESUMED" in codes
    # What was flown before anybody recorded was kept for whoever comes.
    assert "SELF_TEST_PASSED" in codes


def test_flight_goes_on_when_link_and_perception_die(supervisor: Supervisor, folder: Path) -> None:
    craft = ProcessCraft(supervisor, folder)
    flight = craft.fly("--no-realtime", record=False)
    others = [
        craft.process(name, [sys.executable, "-c", TALKER, str(craft.ports[name])]) for name in ("link", "perception")
    ]
    supervisor.until(lambda: any("motion Idle" in text for _, text in flight.now.status), 30.0)
    for other in others:
        supervisor.until(lambda other=other: "heard" in other.output.read_text(), 10.0 * BUSY)
        other.kill()
    supervisor.until(lambda: all(len(other.starts) == 2 for other in others), 5.0)
    supervisor.run(2.0)
    assert len(flight.starts) == 1
    assert flight.running
    assert flight.stop() == 0


TALKER = """
import sys, time
from pathlib import Path
from comms.packet_socket import PacketClient
end = PacketClient(Path(sys.argv[1]))
while True:
    if end.receive() is not None:
        print("heard", flush=True)
    end.send(b"\\xff nonsense")
    time.sleep(0.05)
"""


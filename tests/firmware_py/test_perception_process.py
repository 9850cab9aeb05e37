"""The perception beside the flight program: it lives in that program's time, and begins anew with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from comms.flight_port import LinkOrder, LocalPort
from comms.link.socket_port import FlightSocket
from drivers.samples import RadarScan
from firmware_py.perception.config import load_perception
from firmware_py.perception.playback import load_playback
from firmware_py.perception.port import CODEC, ContactFrame
from firmware_py.perception.replay import replay_record
from firmware_py.perception.service import Perception
from firmware_py.perception_process import PerceptionProcess
from tests.firmware_py.perception.port_craft import NS, PROFILE, motion, radar_objects, scan

MS = 1_000_000


class Setup:
    """A process on a clock of its own, which reads 1000 s more than nothing."""

    def __init__(self) -> None:
        self.clock = 1000 * NS
        self.port: Any = LocalPort(1000)
        self.made: list[Perception] = []
        self.process = PerceptionProcess(self.port.link, self._make, lambda: self.clock)

    def _make(self, port: Any) -> Perception:
        self.made.append(Perception(load_perception(), PROFILE, port))
        return self.made[-1]

    def fly(self, t_ns: int, start: int, cycles: int, x_m: float = 60.0) -> int:
        """The radar looks so often; returns the time of the last look."""
        for cycle in range(cycles):
            t_ns += 72 * MS
            self.clock += 72 * MS
            sample = RadarScan(cycle, 1, radar_objects([(x_m + 0.01 * (cycle % 7), 0.0, 0.0, 0.0)]))
            self.say(motion(t_ns, start=start), scan("radar", t_ns, radar=sample))
            self.process.step()
        return t_ns

    def say(self, *messages: Any) -> None:
        for message in messages:
            assert self.port.flight.send(message)

    def heard(self) -> list[ContactFrame]:
        return self.port.flight.receive(1000)


def test_before_the_flight_program_was_heard_nothing_is_said() -> None:
    setup = Setup()
    for _ in range(5):
        setup.process.step()
    assert setup.heard() == []


def test_contacts_have_the_flight_programs_time() -> None:
    setup = Setup()
    last_ns = setup.fly(5 * NS, 1, 20)
    frames = [frame for frame in setup.heard() if frame.contacts]
    assert frames[-1].t_ns == frames[-1].contacts[0].event_ns == last_ns
    assert setup.process.restarts == 0


def test_scans_of_the_first_batch_are_of_a_known_time() -> None:
    setup = Setup()
    sample = RadarScan(1, 1, radar_objects([(60.0, 0.0, 0.0, 0.0)]))
    setup.say(motion(5 * NS), scan("radar", 5 * NS, radar=sample))
    setup.process.step()
    assert setup.made[0].refusals == {}
    assert setup.made[0].sensing.used["radar"] == 1


def test_with_a_new_start_everything_begins_anew_and_nothing_of_it_is_lost() -> None:
    setup = Setup()
    setup.fly(500 * NS, 1, 20)
    setup.heard()
    sample = RadarScan(1, 1, radar_objects([(30.0, 0.0, 0.0, 0.0)]))
    # Still of the old program; then the new one, with an order at once.
    setup.say(scan("radar", 502 * NS, radar=sample), motion(NS, start=2), scan("radar", NS, radar=sample),
              LinkOrder(NS, 3, "perception_mode", {"mode": "auto"}))
    setup.process.step()
    assert setup.process.restarts == 1
    old, new = setup.made
    assert setup.process.perception is new
    assert new.sensing.used["radar"] == 1
    assert new.refusals == {}
    assert old.sensing.used["radar"] == 20
    assert [end for frame in setup.heard() for end in frame.finished] == [(3, True, "")]


def test_two_processes_over_a_socket_see_answer_and_leave_a_record(tmp_path: Path) -> None:
    path = tmp_path / "port"
    flight = FlightSocket(path, CODEC)
    process = subprocess.Popen(
        [sys.executable, "-c", "from firmware_py.cli.main import app; app()", "perception", "serve", "--port",
         str(path), "--record", str(tmp_path / "records"), "--for", "60"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    frames: list[Any] = []
    try:
        began, cycle, order = monotonic(), 0, False
        while monotonic() - began < 45.0 and not (order and any(f.finished for f in frames)
                                                  and any(f.contacts for f in frames)):
            t_ns = NS + round((monotonic() - began) * NS)
            sample = RadarScan(cycle % 65536, 1, radar_objects([(60.0 + 0.01 * (cycle % 7), 0.0, 0.0, 0.0)]))
            if flight.send(motion(t_ns)) and flight.send(scan("radar", t_ns, radar=sample)):
                cycle += 1
            if cycle == 10 and not order:
                order = flight.send(LinkOrder(t_ns, 9, "perception_query", {"what": "tracks"}))
            frames += flight.receive(64)
            sleep(0.02)
        assert [end[:2] for frame in frames for end in frame.finished] == [(9, True)]
        assert any(contact.range_m for frame in frames for contact in frame.contacts)
    finally:
        process.terminate()
        said = process.communicate(timeout=30)[0]
        flight.close()
    assert process.returncode == 0, said
    (record,) = (tmp_path / "records").glob("perception-*.mcap")
    assert load_playback(record).scans["radar"] > 0
    assert replay_record(record).differing == 0

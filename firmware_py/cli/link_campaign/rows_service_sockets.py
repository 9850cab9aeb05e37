"""Row 8 over sockets of this machine: another process floods the craft's port for a short while, and ends by itself.

How fast things go depends on the machine; so do its figures. They are judged only when enough datagrams were sent for
them to mean anything, and when the machine has not taken the processor away for so long that the kernel lost some.
"""

from __future__ import annotations

import json
import subprocess
import sys
from time import perf_counter_ns, process_time_ns, sleep

import numpy as np

from comms.dictionary import Authority
from comms.emcon import Transmitter
from comms.transports.pacer import Pacer
from comms.transports.udp import UdpTransport
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from firmware_py.cli.link_campaign.rows_service_flood import RATE_HZ, judge_delays
from firmware_py.cli.link_campaign.service_rig import NS, ServiceRig

__all__ = ["SOCKETS_ROW", "run_sockets"]

OWN = "127.0.0.1:0"
STEP_NS, COMMAND_EVERY_NS = 10_000_000, 50_000_000
STALL_NS = 25_000_000
"""Time without the processor that fills the socket's buffer."""
JUDGED = 250_000
"""Datagrams from which on delays are judged: five seconds of flood."""
AFTER_NS = NS // 2
MODULE = "firmware_py.cli.link_campaign.service_flooder"


def _udp(name: str, peer: str = "") -> UdpTransport:
    return UdpTransport(name, OWN, peer=peer, pacer=Pacer(50e6, 1200))


class _Loop:
    """Craft and operator in real time, each with a socket."""

    def __init__(self, rng: np.random.Generator, near: UdpTransport, far: UdpTransport) -> None:
        self.rig = ServiceRig(
            rng, {"udp": Transmitter.CABLE}, {"ada": ("udp", Authority.SAFETY)}, near={"udp": lambda: near},
            far={"udp": far}, flight_ns=STEP_NS,
        )
        self.delays: list[int] = []
        self.given: dict[str, int] = {}
        self.stalls = 0
        """Turns in which others had the processor for too long."""
        self._begun_ns = perf_counter_ns()
        self._command_ns = 0
        self._number = 0

    def turn(self, commands: bool) -> None:
        """A hundredth of a second, or longer if the machine is busy."""
        rig, used_ns = self.rig, process_time_ns()
        rig.now_ns = perf_counter_ns() - self._begun_ns
        if commands and rig.now_ns >= self._command_ns:
            self._command_ns = rig.now_ns + COMMAND_EVERY_NS
            self._number += 1
            rig.ground.order("ping", {"number": self._number}, rig.now_ns, priority="urgent")
            self.given[repr([("number", self._number)])] = rig.now_ns
        rig.station_step(rig.stations["ada"])
        rig.link.step(rig.craft_ns)
        rig.flight.step(rig.craft_ns)
        ended_ns = perf_counter_ns() - self._begun_ns
        for key in [key for key in self.given if rig.done["ping", key]]:
            self.delays.append(ended_ns - self.given.pop(key))
        pause_ns = max(0, rig.now_ns + STEP_NS - ended_ns)
        sleep(pause_ns / NS)
        took_ns = perf_counter_ns() - self._begun_ns - rig.now_ns
        self.stalls += took_ns - pause_ns - (process_time_ns() - used_ns) > STALL_NS


def run_sockets(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """``cases`` forged datagrams at 50,000 a second over sockets; the attacker ends by itself."""
    near = _udp("udp")
    far = _udp("operator", near.address)
    try:
        return _flood(rng, cases, progress, near, far)
    finally:
        near.close()
        far.close()


def _flood(
    rng: np.random.Generator, cases: int, progress: Progress, near: UdpTransport, far: UdpTransport
) -> RowResult:
    loop = _Loop(rng, near, far)
    rig = loop.rig
    while not rig.ground.connected and rig.now_ns < 10 * NS:
        loop.turn(False)
    port = near.address.rpartition(":")[2]
    command = [sys.executable, "-m", MODULE, port, str(cases), str(RATE_HZ), str(int(rng.integers(1 << 31)))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as attacker:
        before = near.counts.received
        while near.counts.received - before < 50 and attacker.poll() is None:
            loop.turn(False)
        loop.delays.clear()
        loop.stalls = 0
        begun_ns = rig.craft_ns
        while attacker.poll() is None:
            loop.turn(True)
            progress(min(cases, near.counts.received - before), cases)
        told = json.loads(attacker.communicate()[0])
    end_ns = rig.now_ns + AFTER_NS
    while rig.now_ns < end_ns:
        loop.turn(False)
    late = len(loop.given)
    p99_ms, why = judge_delays(loop.delays, late)
    outcomes = rig.link.ends.counts.by_outcome
    alerts = [t_ns for t_ns, code, text in rig.flight.events if code == "INTRUSION_ALERT" and text.startswith("flood")]
    failures = [text for text in (
        why if told["sent"] >= JUDGED and not loop.stalls else "",
        f"{told['answers']} answers to the attacker" if told["answers"] else "",
        "" if outcomes.get("good", 0) <= far.counts.sent else f"{outcomes['good']} records of {far.counts.sent} opened",
        "" if alerts and alerts[0] - begun_ns <= NS else "no alert of the flood within 1 s",
        "" if sum(outcomes.values()) == near.counts.received else "a datagram without an outcome",
        "" if rig.link.ends.counts.sessions == 1 else f"{rig.link.ends.counts.sessions} sessions",
    ) if text]
    counts = {
        "sent": told["sent"], "sent a second": told["sent"] / max(1e-9, told["seconds"]),
        "taken in": near.counts.received, "lost by the kernel": near.counts.overruns,
        "command p99 ms": p99_ms, "commands": len(loop.delays), "commands not through": late,
        "stalls of the machine": loop.stalls,
    }
    return RowResult(not failures, int(told["sent"]), counts, tuple(failures))


SOCKETS_ROW = Row(
    8, "flood over sockets",
    "50,000 forged datagrams/s over sockets of this machine: 0 opened, no answer, an alert within 1 s; over 5 s and "
    "more also control commands within 50 ms (99 %)", 500_000, 20_000, run_sockets,
)

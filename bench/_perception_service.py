"""The whole perception: from a radar frame to what the flight loop acts on, with 200 tracks; memory; replay.

The frame comes in as the driver gave it, and goes through frames, intake, tracker, verdicts, risk, contacts and the
guard. What a bus and a tick add is not in it: a fast tick each way, 10 ms at 200 Hz, is added to the figure. Times are
of this thread alone: what else the machine does is not the craft's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from math import cos, radians, sin
from typing import Any

import numpy as np

from bench.harness import Report
from comms.flight_port import LocalPort
from drivers.samples import RadarObject, RadarScan
from fdir.guard_engine import GuardEngine
from fdir.guard_rules import load_guard_rules
from firmware_py.perception.config import load_perception
from firmware_py.perception.observation import Status
from firmware_py.perception.port import ContactFrame, CraftMotion, Scan
from firmware_py.perception.service import Perception
from hal.profile import load_profile

__all__ = ["run", "soak"]

NS = 1_000_000_000
CYCLE_NS = 72_000_000
TARGETS = 200
BRAKE_M_S2 = 1.44
TICKS_S = 0.010
"""Two fast ticks: one until the frame is sent, one until the contacts are taken."""


def _targets(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 6) states in a radar's view; the first one comes straight at it."""
    distance, bearing = rng.uniform(40.0, 230.0, count), rng.uniform(radians(-55.0), radians(55.0), count)
    states = np.zeros((count, 6))
    states[:, 0], states[:, 1] = distance * np.cos(bearing), distance * np.sin(bearing)
    states[:, 3:5] = rng.uniform(-3.0, 3.0, (count, 2))
    states[0] = (60.0, 0.0, 0.0, -9.0, 0.0, 0.0)
    return states


def _scan(states: np.ndarray, rng: np.random.Generator, counter: int, now_ns: int) -> Scan:
    objects = []
    for number, (x, y, _, vx, vy, _) in enumerate(states):
        if rng.uniform() > 0.9:
            continue
        far, turn = float(np.hypot(x, y)) + rng.normal(0.0, 0.3), float(np.arctan2(y, x)) + rng.normal(0.0, 0.012)
        objects.append(RadarObject(
            number & 0xFF, far * cos(turn), far * sin(turn), vx + rng.normal(0.0, 0.1), vy + rng.normal(0.0, 0.1), 5.0,
            "moving",
        ))
    return Scan("radar", now_ns, now_ns, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0),
                radar=RadarScan(counter, len(objects), tuple(objects)))


def _motion(now_ns: int) -> CraftMotion:
    rates = {"radar": 4.0, "lidar": 0.0, "proximity": 0.0, "spectrometer": 0.0, "magnetometer": 2.0}
    return CraftMotion(now_ns, 1, "Coast", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0),
                       0.1, 0.01, 0.001, rates_hz=rates, energy_level="full", brake_m_s2=BRAKE_M_S2, mass_kg=432.0,
                       tank_m_s=15.0)


def soak(frames: int) -> tuple[list[float], list[float], int, float | None]:
    """Feed so many frames; returns seconds a frame in the perception and in the guard, the most firm tracks, and time
    to closest approach (s) when the first contact was told to be on a collision course."""
    port = LocalPort(1024)
    seen = Perception(load_perception(), load_profile("qiki-t", "qiki-rpi"), port.link)
    guard = GuardEngine(load_guard_rules().rules, BRAKE_M_S2)
    rng = np.random.default_rng(7)
    states = _targets(TARGETS, rng)
    here, there, firm, told = [], [], 0, None
    for number in range(frames):
        now_ns = NS + number * CYCLE_NS
        port.flight.send(_motion(now_ns))  # type: ignore[arg-type]
        port.flight.send(_scan(states, rng, number & 0xFFFF, now_ns))  # type: ignore[arg-type]
        began = time.thread_time()
        seen.step(now_ns)
        here.append(time.thread_time() - began)
        answers: list[Any] = port.flight.receive(1024)
        for answer in answers:
            if isinstance(answer, ContactFrame) and answer.contacts:
                began = time.thread_time()
                guard.step(answer.contacts, now_ns)
                there.append(time.thread_time() - began)
                if told is None and any(contact.collision_course for contact in answer.contacts):
                    told = states[0, 0] / 9.0
        if seen.tracks is not None:
            firm = max(firm, int(np.count_nonzero(seen.tracks.status == Status.TRACKED)))
        states[:, :3] += states[:, 3:] * (CYCLE_NS / NS)
        gone = (np.abs(states[:, :2]).max(axis=1) > 250.0) | (states[:, 0] < 4.0)
        if gone.any():
            states[gone] = _targets(TARGETS, rng)[gone]
    return here, there, firm, told


def run(report: Report) -> None:
    """Every figure of the service."""
    # In a process of its own, as on the craft: not beside what other trackers have left in memory.
    code = "import json; from bench._perception_service import soak; print(json.dumps(soak(300)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    here, there, firm, told = json.loads(done.stdout.splitlines()[-1])
    step, guard = np.array(here[60:]) * 1e3, np.array(there) * 1e3
    whole = float(np.percentile(step, 99)) + float(np.percentile(guard, 99)) + TICKS_S * 1e3
    report.add(f"radar frame to trigger, {firm} tracks, p99", round(whole, 2), "ms",
               f"perception {np.median(step):.2f} p50, {np.percentile(step, 99):.2f} p99; "
               f"guard {np.percentile(guard, 99):.2f}", "< 20", whole < 20.0)
    report.add("tracks in that", firm, "", None, f">= {TARGETS * 0.9:.0f}", firm >= TARGETS * 0.9)
    report.add("collision course told, before it", None if told is None else round(told, 2), "s", None, "> 2",
               told is not None and told > 2.0)
    code = "from bench._perception_service import soak, resident; soak(400); print(resident())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    memory = float(done.stdout.split()[-1])
    report.add("resident memory of the process, at most", round(memory, 1), "MB", None, "< 120", memory < 120.0)


def resident() -> float:
    """Most resident memory of this process, MB."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024.0 for line in file if line.startswith("VmHWM"))

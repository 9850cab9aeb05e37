"""Row 17, the queues: over a lossy line and a blackout they stay in bounds, and the newest telemetry comes first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from comms.channels.channel_queue import Drop, rule_for
from comms.channels.manager import ChannelManager
from comms.channels.scheduler import Scheduler
from comms.emcon import EmconGate
from fdir.modes import Emission
from firmware_py.cli.link_campaign.channels_rig import KEPT, OVERHEAD, S, open_all
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult

__all__ = ["QUEUES_ROW"]

LOSSES = (0.01, 0.10, 0.30, 0.50)
BLACKOUT_S = (200, 800)
RUN_S = 900
STEP_NS = S // 4


def _lossy(rng: np.random.Generator, mean_loss: float, steps: int) -> Iterator[bool]:
    """Gilbert-Elliott: whether the line is bad, step by step; bad for 8 steps at a time on average."""
    leave_bad = 1.0 / 8.0
    enter_bad = leave_bad * mean_loss / (1.0 - mean_loss)
    bad = False
    for draw in rng.random(steps).tolist():
        bad = draw >= leave_bad if bad else draw < enter_bad
        yield bad


def _loss_run(rng: np.random.Generator, mean_loss: float) -> list[str]:
    manager, emcon = ChannelManager(), EmconGate()
    emcon.follow(Emission.OPEN, 0)
    scheduler = Scheduler(manager, 9600.0)
    faults: list[str] = []
    last_control, control_number = -1, 0
    was_dark, tried = False, dict.fromkeys((0, 1, 2, 3), 0)
    for step, bad in enumerate(_lossy(rng, mean_loss, RUN_S * S // STEP_NS)):
        now_ns = step * STEP_NS
        dark = BLACKOUT_S[0] <= now_ns // S < BLACKOUT_S[1]
        manager.put(1, b"%08d" % step + bytes(40), now_ns)
        tried[1] += 1
        if step % 40 == 0:
            control_number += 1
            tried[0] += 1
            manager.put(0, b"%08d" % control_number, now_ns)
        for number in (2, 3):
            tried[number] += 1
            manager.put(number, bytes(100), now_ns)
        open_all(manager, emcon, now_ns, line_up=not (bad or dark))
        room = int(9600 / 8 * STEP_NS / S)
        first_telemetry = True
        while (picked := scheduler.next_packet(room, now_ns)) is not None:
            if bad or dark:
                faults.append(f"{now_ns} ns: sent on a line that is down")
            room -= len(picked.payload) + OVERHEAD
            if picked.channel_id == 0:
                number = int(picked.payload[:8])
                if number <= last_control:
                    faults.append(f"{now_ns} ns: control {number} after {last_control}")
                last_control = number
            if picked.channel_id == 1 and first_telemetry and was_dark:
                first_telemetry = was_dark = False
                if int(picked.payload[:8]) != step:
                    faults.append(f"{now_ns} ns: after the gap telemetry {picked.payload[:8]!r} first")
        was_dark = was_dark or dark
    return faults + _books(manager, tried)


def _books(manager: ChannelManager, tried: dict[int, int]) -> list[str]:
    """Every packet is sent, waits, or is counted by its reason; no queue was ever beyond its bounds."""
    faults = []
    for number, offered in tried.items():
        lane = manager.lane(number)
        if lane is None:
            continue
        counts, rule = lane.queue.counts, rule_for(lane.spec)
        lost = sum(counts.dropped.values())
        waiting = len(lane.queue)
        if offered != counts.sent + waiting + lost:
            faults.append(f"{lane.spec.name}: {offered} offered, {counts.sent} sent, {waiting} wait, {lost} lost")
        if rule is None or counts.peak_entries > rule.entries or counts.peak_bytes > rule.size_bytes:
            faults.append(f"{lane.spec.name}: {counts.peak_entries} entries, {counts.peak_bytes} bytes")
    control = manager.lane(0)
    if control is not None and control.queue.counts.dropped[Drop.DISPLACED]:
        faults.append("a command was displaced")
    return faults


def _losses(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    failures: list[str] = []
    for case in range(cases):
        loss = LOSSES[case % len(LOSSES)]
        found = _loss_run(rng, loss)
        failures += [f"run {case}, loss {loss:g}: {text}" for text in found][: max(0, KEPT - len(failures))]
        progress(case + 1, cases)
    return RowResult(not failures, cases, {"seconds": float(cases * RUN_S)}, tuple(failures))


QUEUES_ROW = Row(
    17, "queues over a lossy link",
    "loss of 1, 10, 30, 50 % in bursts and a blackout of 600 s: telemetry latest-first after the gap, control in "
    "its order, queues within their bounds, every loss counted", 200, 4, _losses,
)

"""Row 21: on a saturated line nobody gets more than is his, and nobody less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from comms.channel_plan import ChannelKind, ChannelSpec, QosClass
from comms.channels.manager import ChannelManager, ChannelRefusal
from comms.channels.scheduler import Scheduler
from comms.emcon import EmconGate
from fdir.modes import Emission
from firmware_py.cli.link_campaign.channels_rig import KEPT, OVERHEAD, S, open_all
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult

__all__ = ["QOS_ROW"]

@dataclass(slots=True)
class _Offer:
    """What one channel offers: packets of these sizes, ``None`` a bit rate for one that never runs dry."""

    spec: ChannelSpec
    low: int
    high: int
    bit_rate: float | None = None
    next_ns: int = 0


LINE_S = 60
LONGEST = 251
"""Slot: the longest packet of these runs, without its record."""


def _offers(rng: np.random.Generator, manager: ChannelManager, line: float, heavy: bool) -> list[_Offer]:
    """Eight created channels beside those of the plan: bulk always saturated, the others mostly."""
    kinds = [ChannelKind.CONTROL, ChannelKind.TELEMETRY, ChannelKind.TELEMETRY, ChannelKind.SCIENCE,
             ChannelKind.SCIENCE, ChannelKind.BULK, ChannelKind.BULK, ChannelKind.BULK]
    classes = {"control": QosClass.CONTROL, "telemetry": QosClass.TELEMETRY, "science": QosClass.SCIENCE,
               "bulk": QosClass.BULK}
    offers: list[_Offer] = []
    for index, kind in enumerate(kinds):
        spec = manager.create_channel(kind, True, classes[kind], f"c{index}", f"owner-{index % 3}")
        assert not isinstance(spec, ChannelRefusal), spec
        offers.append(_offer(rng, spec, line, heavy))
    offers += [_offer(rng, lane.spec, line, heavy) for lane in list(manager.lanes())
               if lane.spec.name in ("control", "telemetry", "science", "files")]
    return offers


def _offer(rng: np.random.Generator, spec: ChannelSpec, line: float, heavy: bool) -> _Offer:
    if spec.qos is QosClass.CONTROL:
        # Two of them: one tenth of the line together, or six tenths.
        return _Offer(spec, 20, 60, (0.30 if heavy else 0.05) * line)
    low = int(rng.integers(20, 120))
    return _Offer(spec, low, int(rng.integers(low + 1, LONGEST + 1)))


def _feed(rng: np.random.Generator, manager: ChannelManager, offer: _Offer, now_ns: int) -> None:
    """Bring a channel's queue up to now."""
    lane = manager.lane(offer.spec.id)
    if lane is None:
        return
    if offer.bit_rate is None:
        while len(lane.queue) < 4:
            manager.put(offer.spec.id, bytes(int(rng.integers(offer.low, offer.high + 1))), now_ns)
        return
    while offer.next_ns <= now_ns:
        size = int(rng.integers(offer.low, offer.high + 1))
        manager.put(offer.spec.id, bytes(size), offer.next_ns)
        mean_s = 8.0 * (size + OVERHEAD) / offer.bit_rate
        offer.next_ns += int(S * mean_s * rng.uniform(0.6, 1.4))


def _qos_run(rng: np.random.Generator, heavy: bool) -> list[str]:
    manager = ChannelManager(longest_bytes=LONGEST)
    emcon = EmconGate()
    emcon.follow(Emission.OPEN, 0)
    line = float(rng.choice([9600.0, 38_400.0, 57_600.0, 115_200.0]))
    offers = _offers(rng, manager, line, heavy)
    open_all(manager, emcon)
    scheduler = Scheduler(manager, line, overhead_bytes=OVERHEAD)
    waits: list[tuple[int, int]] = []
    sent: dict[int, int] = {}
    now_ns = 0
    while now_ns < LINE_S * S:
        for offer in offers:
            _feed(rng, manager, offer, now_ns)
        picked = scheduler.next_packet(1 << 20, now_ns)
        if picked is None:
            return [f"{now_ns} ns: the line idles while bulk waits"]
        size = len(picked.payload) + OVERHEAD
        own_ns = int(8 * size * S / line)
        spec = manager.spec(picked.channel_id)
        if spec is not None and spec.qos is QosClass.CONTROL:
            waits.append((now_ns - picked.came_ns, own_ns))
        sent[picked.channel_id] = sent.get(picked.channel_id, 0) + size
        now_ns += own_ns
    return _judge_shares(offers, sent, waits, line, heavy)


def _judge_shares(
    offers: list[_Offer], sent: dict[int, int], waits: list[tuple[int, int]], line: float,
    heavy: bool,
) -> list[str]:
    faults = []
    total = line / 8.0 * LINE_S
    of_class: dict[QosClass, dict[int, int]] = {}
    for offer in offers:
        of_class.setdefault(offer.spec.qos, {})[offer.spec.id] = sent.get(offer.spec.id, 0)
    control = sum(of_class[QosClass.CONTROL].values())
    slot = LONGEST + OVERHEAD
    most = 0.2 * total + max(0.2 * line / 8.0, 2 * slot) + slot
    if control > most:
        faults.append(f"control has {control / total:.3f} of the line")
    if heavy and control < 0.18 * total:
        faults.append(f"control is starved: {control / total:.3f} of the line")
    if not heavy:
        late = np.sort([wait - int(8 * slot * S / line) - own for wait, own in waits])
        p99 = late[min(len(late) - 1, int(0.99 * len(late)))]
        if p99 > 0:
            faults.append(f"control p99 {p99 / S:.4f} s later than a slot and its own time ({len(late)} packets)")
    rest = total - control
    for qos, weight in ((QosClass.TELEMETRY, 5), (QosClass.SCIENCE, 2), (QosClass.BULK, 1)):
        share = sum(of_class[qos].values()) / (rest * weight / 8.0)
        if share < 0.9:
            faults.append(f"{qos.name} has {share:.3f} of its weight")
        fair = sum(of_class[qos].values()) / len(of_class[qos])
        over = {n: size for n, size in of_class[qos].items() if size > fair * 1.02 + slot}
        if over:
            faults.append(f"{qos.name}: channels {sorted(over)} above their share")
    return faults


def _qos(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    failures: list[str] = []
    for case in range(cases):
        found = _qos_run(rng, heavy=bool(case % 2))
        failures += [f"run {case}: {text}" for text in found][: max(0, KEPT - len(failures))]
        progress(case + 1, cases)
    return RowResult(not failures, cases, {"seconds": float(cases * LINE_S)}, tuple(failures))


QOS_ROW = Row(
    21, "QoS",
    "bulk saturated, eight channels beside the plan's: control p99 wait at most a slot and its own time, at most "
    "20 % of the line, no class below 90 % of its weight in 60 s, no channel over its share", 200, 6, _qos,
)

"""The perception of one craft: what the flight loop sends in, contacts and answers out, in the order of coming.

One step takes the messages that wait, and every frame that the tracker got makes a track list, a judgement and one
frame of contacts. Nothing here waits, every queue is bounded, and the same messages at the same times give the same
answers to the last byte. What it knows of time is flight time, as it is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import cos, isfinite, nan, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comms.flight_port import EventNote, LinkOrder, Port
from fdir.codes import Code, Severity
from fdir.modes import Motion
from firmware_py.energy.duty_table import Consumer, EnergyLevel
from firmware_py.perception.answers import Answers
from firmware_py.perception.config import PerceptionConfig
from firmware_py.perception.modes import ModeSwitch, PerceptionMode, plan
from firmware_py.perception.mounts import CraftPose, Mount, mount_pose, mounts_of
from firmware_py.perception.observation import Band, Frame, Status
from firmware_py.perception.port import CODEC, ContactFrame, CraftMotion, Scan
from firmware_py.perception.record import PerceptionRecord, pack_columns, pack_tracks
from firmware_py.perception.risk import OwnState, RiskReport, RiskWatch, ThreatKind, contacts_of
from firmware_py.perception.scan_gate import ScanGate
from firmware_py.perception.science import Science
from firmware_py.perception.sensing import Sensing
from firmware_py.perception.tracks import TrackSet
from firmware_py.perception.transponder_join import TransponderJoin
from firmware_py.perception.verdicts import Verdicts
from hal.frames import Vec3, add, rotate
from hal.profile import Profile

__all__ = ["Perception"]

NS = 1_000_000_000
MOST_MESSAGES = 64
"""Messages of one step; what is beyond waits for the next."""
MOST_CONTACTS = 64
NOWHERE = (nan, nan, nan)
SPEAK_NS = NS // 2
"""It speaks at least so often, whether there is anything to say or not."""
GRID_NS = NS
REFUSED_NS = 10 * NS
"""Refusals are told as an event at most so often."""
MOST_EVENTS = 16
"""Events of one frame; what is beyond waits for the next."""
MOST_WAITING = 128
"""Events that wait; more of them are dropped and counted."""


class Perception:
    """Owner of all that is known of the surroundings.

    Args:
        config: checked.
        profile: body and board, for the mounts of the sensors.
        port: this end of the port to the flight loop.
        record: where all that comes in and goes out is kept; ``None``: nowhere.

    Attributes:
        tracks: the last judged track list; ``None`` before the first frame.
        report: its risk.
    """

    def __init__(
        self, config: PerceptionConfig, profile: Profile, port: Port, record: PerceptionRecord | None = None
    ) -> None:
        self._port: Any = port
        self._record = record
        self._keep_out_m = config.keep_out_radius_m
        mounts = mounts_of(profile)
        receiver = next((d.name for d in profile.board.devices if d.role == "transponder"), None)
        self._receiver = Mount() if receiver is None else mounts[receiver]
        self._join = None if receiver is None else TransponderJoin(self._receiver)
        self.sensing = Sensing(config, profile, mounts, self._join)
        self.gate = ScanGate(profile)
        self.science = Science(mounts)
        self.verdicts = Verdicts(config, receiver is not None)
        self.risk = RiskWatch(config.risk)
        self.switch = ModeSwitch()
        self._answers = Answers(self.sensing, self.science)
        self.tracks: TrackSet | None = None
        self.report: RiskReport | None = None
        self.lists: deque[TrackSet] = deque(maxlen=MOST_MESSAGES)
        """The judged track lists of the last step, oldest first."""
        self._motion: CraftMotion | None = None
        self._now_ns = 0
        """Flight time of this step: what the step says, or the newest motion if that is ahead."""
        self._judged_ns = -NS
        """Time of the last judgement."""
        self._stale_ns = round(max(config.tracker.coast_s, config.tracker.drop_firm_s) * NS)
        self.own_m: Vec3 = (0.0, 0.0, 0.0)
        """Where the craft was at the last judgement, inertial."""
        self._asked: tuple[str, ...] = ()
        self._events: list[EventNote] = []
        self._finished: list[tuple[int, bool, str]] = []
        self._spoke_ns = -SPEAK_NS
        self._grid_ns = 0
        self._told_refused: tuple[int, int] = (0, -REFUSED_NS)
        self.unread = self.untold = 0
        """Messages that are none of this port's, and events that found no room."""

    def step(self, now_ns: int) -> None:
        """Take what has come, and speak if there is something to say, or it is time to."""
        messages = self._port.receive(MOST_MESSAGES)
        self._now_ns = max(self._now_ns, now_ns)
        self.lists.clear()
        if messages:
            self._keep(now_ns, messages)
        for message in messages:
            self._take(message)
        motion = self._motion
        if motion is None:
            return
        if self._finished or self._events or self._now_ns - self._spoke_ns >= SPEAK_NS:
            if not messages:
                self._keep(now_ns, messages)
            self._quiet(self._now_ns)

    def close(self) -> None:
        """The record is finished."""
        if self._record is not None:
            self._record.close()

    # -- in

    def _take(self, message: Any) -> None:
        if isinstance(message, Scan):
            if self.gate.admit(message, self._now_ns):
                self._look(message)
        elif isinstance(message, CraftMotion):
            self._follow(message)
        elif isinstance(message, LinkOrder):
            self._obey(message)
        else:
            self.unread += 1

    def _follow(self, motion: CraftMotion) -> None:
        """How the craft moves now, and what is looked for because of it."""
        self._now_ns = max(self._now_ns, motion.now_ns)
        if self._motion is not None and motion.attitude_known and not self._motion.attitude_known:
            self._begin_anew(motion.now_ns)
        self._motion = motion
        known = Motion(motion.motion) if motion.motion in _MOTIONS else Motion.BOOT
        before = self.switch.mode
        mode = self.switch.step(known)
        level = EnergyLevel[motion.energy_level.upper()] if motion.energy_level.upper() in EnergyLevel.__members__ \
            else EnergyLevel.SHORT
        allowed = {Consumer(name): rate for name, rate in motion.rates_hz.items() if name in _CONSUMERS}
        chosen = plan(mode, known, level, allowed, lidar=self.sensing.alert)
        self.sensing.follow(chosen)
        self.science.follow(chosen)
        self._asked = tuple(sorted(consumer.value for consumer in chosen.asked))
        if mode is not before:
            self._tell(motion.now_ns, Code.PERCEPTION_MODE, Severity.INFO, f"{before} to {mode}")

    def _begin_anew(self, now_ns: int) -> None:
        """The axes have turned: what was seen lies nowhere any more."""
        self.sensing.begin()
        self.tracks = self.report = None
        self._tell(now_ns, Code.PERCEPTION_MODE, Severity.INFO, "attitude is known: tracks and grid begin anew")

    def _look(self, scan: Scan) -> None:
        motion = self._motion
        craft = CraftPose(
            scan.pose_ns, scan.position_m, scan.velocity_m_s, scan.quaternion, scan.rate_rad_s,
            # Drift of the own position is in all tracks alike and moves nothing relative to the craft. So is what is
            # not known of the attitude before the first fix.
            0.0, motion.sigma_attitude_rad if motion is not None and motion.attitude_known else 0.0,
        )
        if scan.transponder is not None:
            self._hear(scan, craft)
            return
        if scan.spectrum is not None or scan.magnetic is not None:
            ahead = self._ahead()
            for hit in self.science.add(scan, craft, ahead, motion is not None and motion.pulsing):
                self._tell(scan.ingest_ns, Code.SCIENCE_HIT, Severity.INFO, hit)
            return
        frame = self.sensing.observe(scan, craft, self._now_ns)
        if frame is not None:
            self._judge(frame, self._now_ns)

    def _hear(self, scan: Scan, craft: CraftPose) -> None:
        """What transponders said: an identity for the radar's next detections, and places to hold against it."""
        if self._join is None or scan.transponder is None:
            return
        self._join.hear(scan.transponder, scan.ingest_ns, craft)
        event_ns = scan.ingest_ns - scan.transponder.age_ns
        pose = mount_pose(craft, self._receiver, event_ns)
        for reply in scan.transponder.replies:
            if reply.range_m is not None:
                level = (reply.range_m * cos(reply.bearing_rad), reply.range_m * sin(reply.bearing_rad), 0.0)
                there = add(pose.position_m, rotate(pose.quaternion, level))
                self.verdicts.declare(reply.transponder_id, event_ns, there, reply.range_m)

    def _ahead(self) -> Vec3 | None:
        """Where the spectrometer looks: at what the approach's beam meets, unknown without."""
        motion = self._motion
        distance = self.sensing.beam_m
        if motion is None or distance is None:
            return None
        x, y, z = rotate(motion.quaternion, (distance, 0.0, 0.0))
        px, py, pz = motion.position_m
        return px + x, py + y, pz + z

    # -- judgement

    def _judge(self, frame: Frame, now_ns: int) -> None:
        """Track list, verdicts, risk and contacts after one frame."""
        motion = self._motion
        if motion is None:
            return
        # Two frames of one step are two moments to whoever counts frames: the second one is no late one.
        now_ns = self._judged_ns = max(now_ns, self._judged_ns + 1)
        named = frame.transponder_id >= 0
        if named.any():
            self.verdicts.long_range(frame.transponder_id[named & (frame.band == Band.LR)].tolist())
        self.sensing.grid.follow(now_ns, np.array(motion.position_m))
        tracks = self.verdicts.judge(
            self.sensing.tracks(now_ns), frame, self.sensing.number_of(frame),
            self.sensing.sigma_rad(frame.sensor_id),
        )
        own = self._own(motion, now_ns)
        report = self.risk.step(tracks, own, now_ns)
        self.tracks, self.report = tracks, report
        self.lists.append(tracks)
        worst = int(report.level.max()) if len(report) else 0
        self.sensing.alert = worst > 0
        for event in report.events:
            if event.name == "threat_high":
                severity = Severity.CRITICAL if event.level == max(_LEVELS) else Severity.WARNING
                self._tell(now_ns, Code.THREAT_HIGH, severity, event.text)
        self._keep_lists(tracks, report)
        contacts = contacts_of(tracks, report, _nearest(tracks, report))
        urgent = any(threat.kind is not ThreatKind.NONE for threat in report.threats)
        self._speak(now_ns, contacts, urgent)

    def _own(self, motion: CraftMotion, now_ns: int) -> OwnState:
        """The craft as risk sees it, carried on to now.

        Sigmas are 0: tracks hang on the same navigation, so its drift is in both and not between them.
        """
        ahead_s = (now_ns - motion.now_ns) * 1e-9
        x, y, z = (p + v * ahead_s for p, v in zip(motion.position_m, motion.velocity_m_s, strict=True))
        known = all(map(isfinite, (x, y, z)))
        self.own_m = (x, y, z) if known else NOWHERE
        return OwnState(
            self.own_m, motion.velocity_m_s if known else NOWHERE, 0.0, 0.0, motion.brake_m_s2,
            float("nan") if motion.mass_kg is None else motion.mass_kg, motion.tank_m_s, self._keep_out_m,
            braking=motion.motion == Motion.BRAKE,
        )

    # -- orders

    def _obey(self, order: LinkOrder) -> None:
        well, words = True, ""
        try:
            if order.name == "perception_mode":
                words = self._choose(str(order.arguments["mode"]))
            elif order.name == "perception_query":
                words = self._answers.ask(order.number, order.arguments, self.tracks, self.report, self.own_m)
            elif order.name == "threat_acknowledge":
                track_id = int(order.arguments["track_id"])
                well = self.risk.acknowledge(track_id, order.t_ns)
                words = "" if well else f"no track {track_id}"
            else:
                well, words = False, f"{order.name} is nothing that the perception does"
        except (ArithmeticError, KeyError, TypeError, ValueError) as error:
            well, words = False, f"{order.name}: {error}"[:200]
        self._finished.append((order.number, well, words))

    def _choose(self, name: str) -> str:
        mode = None if name == "auto" else PerceptionMode(name)
        return self.switch.choose(mode)

    # -- out

    def _quiet(self, now_ns: int) -> None:
        """Speak without a new frame: time has passed, tracks coast and end, and an old list is no list."""
        self.sensing.advance(now_ns)
        if self.tracks is not None and now_ns - self.tracks.t_ns > self._stale_ns:
            self.tracks = self.report = None
            self.sensing.alert = False
        self._speak(now_ns, (), False)

    def _speak(self, now_ns: int, contacts: tuple[Any, ...], urgent: bool) -> None:
        self._look_after(now_ns)
        events, self._events = tuple(self._events[:MOST_EVENTS]), self._events[MOST_EVENTS:]
        finished, self._finished = tuple(self._finished), []
        whole = now_ns - self._spoke_ns >= SPEAK_NS or bool(finished)
        if whole:
            self._spoke_ns = now_ns
        self._port.send(ContactFrame(
            now_ns, contacts, urgent, events, self.telemetry(now_ns) if whole else {}, finished, self._asked,
        ))

    def _look_after(self, now_ns: int) -> None:
        """What is told now and then: changes of the map, refusals."""
        update = self.sensing.grid.take_update(now_ns)
        if update is not None:
            self._tell(now_ns, Code.MAP_UPDATE, Severity.INFO,
                       f"{update.changed} cells changed, {update.occupied} are occupied")
        if self._record is not None and now_ns - self._grid_ns >= GRID_NS:
            self._grid_ns = now_ns
            self._keep_grid(now_ns)
        count, told_ns = self._told_refused
        if now_ns - told_ns >= REFUSED_NS and (refused := sum(self.refusals.values())) > count:
            self._told_refused = refused, now_ns
            words = ", ".join(f"{name} {number}" for name, number in self.refusals.items())
            self._tell(now_ns, Code.PERCEPTION_REFUSED, Severity.WARNING, words[:200])

    @property
    def refusals(self) -> dict[str, int]:
        """All that was not used since start, by reason, in alphabetical order; reasons that never were are left out."""
        reasons = dict(self.sensing.intake.counts)
        for name, count in self.gate.counts.items():
            reasons[name] = reasons.get(name, 0) + count
        reasons |= self.sensing.refusals
        reasons |= {f"spoof_{name}": count for name, count in self.verdicts.spoofed.items()}
        reasons |= {"unread": self.unread, "untold": self.untold, "declarations": self.verdicts.dropped}
        return {name: reasons[name] for name in sorted(reasons) if reasons[name]}

    def telemetry(self, now_ns: int) -> Mapping[str, Any]:
        """Values of the perception's channels; ``None`` is missing."""
        return self._answers.telemetry(now_ns, self)

    def _tell(self, t_ns: int, code: Code, severity: Severity, text: str) -> None:
        if len(self._events) < MOST_WAITING:
            self._events.append(EventNote(t_ns, code.value, severity.value, text))
        else:
            self.untold += 1
        if self._record is not None:
            self._record.event(t_ns, code.value, severity.value, text)

    # -- record

    def _keep(self, now_ns: int, messages: list[Any]) -> None:
        record = self._record
        if record is None:
            return
        for message in messages:
            record.add("/in", now_ns, CODEC.pack(message))
        record.add("/step", now_ns, len(messages).to_bytes(2, "little"))

    def _keep_lists(self, tracks: TrackSet, report: RiskReport) -> None:
        if self._record is not None:
            self._record.add("/tracks", tracks.t_ns, pack_tracks(tracks))
            self._record.add("/risk", tracks.t_ns, pack_columns(report.t_ns, report.columns()))

    def _keep_grid(self, now_ns: int) -> None:
        if self._record is None or self._motion is None:
            return
        region = self.sensing.grid.region(*self.sensing.grid_bounds)
        self._record.add("/grid", now_ns, pack_columns(now_ns, {
            "centre_m": region.centre_m, "probability": region.probability,
            "cell_m": np.full(len(region), self.sensing.grid.box.cell_m),
        }))


_MOTIONS = {motion.value for motion in Motion}
_CONSUMERS = {consumer.value for consumer in Consumer}
_LEVELS = (0, 1, 2)


def _nearest(tracks: TrackSet, report: RiskReport) -> NDArray[np.int64] | slice:
    """Rows of those that the guard gets: of too many the worst, then the nearest."""
    if len(tracks) <= MOST_CONTACTS:
        return slice(None)
    distance = np.where(np.isfinite(report.range_m), report.range_m, np.inf)
    lost = tracks.status == Status.LOST
    return np.sort(np.lexsort((tracks.track_id, distance, -report.level.astype(int), lost))[:MOST_CONTACTS])

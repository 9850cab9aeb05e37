"""Watches a craft's link: intrusion detection on metadata, and the audit log, with their bounds and their events."""

from __future__ import annotations

from comms.dictionary.messages import WireCommand
from comms.flight_port import CommandStage, EventNote
from comms.keys.faults import HandshakeFault
from comms.link.craft_ends import Frame
from comms.link.craft_ends import Outcome as EndOutcome
from comms.link.end import LinkEnd
from comms.records.faults import RecordFault
from comms.watch.audit import AuditLog
from comms.watch.audit_record import AuditClass, AuditEvent, AuditSeverity
from comms.watch.intrusion import IntrusionDetector
from comms.watch.meta import Alert, FrameMeta, Outcome
from fdir.codes import Code

__all__ = ["CraftWatch"]

OUTCOMES: dict[str, Outcome] = {
    EndOutcome.GOOD.value: Outcome.ACCEPTED, EndOutcome.HANDSHAKE.value: Outcome.HANDSHAKE,
    EndOutcome.NO_SESSION.value: Outcome.AUTH_FAILED, EndOutcome.LEFT_OUT.value: Outcome.HANDSHAKE_FAILED,
    RecordFault.FORGED.value: Outcome.AUTH_FAILED, RecordFault.KEY_SHUT.value: Outcome.AUTH_FAILED,
    RecordFault.REPLAYED.value: Outcome.REPLAYED, RecordFault.TOO_OLD.value: Outcome.REPLAYED,
    RecordFault.WRONG_EPOCH.value: Outcome.AUTH_FAILED,
    **{f"{EndOutcome.HANDSHAKE} {fault}": Outcome.HANDSHAKE_FAILED for fault in HandshakeFault},
}
"""What the detector is told of an outcome; what isn't listed is malformed."""
STAGES = {
    "requested": AuditClass.COMMAND_REQUEST, "rejected": AuditClass.COMMAND_REJECTED,
    "allowed": AuditClass.VALIDATION_RESULT, "published": AuditClass.PUBLISH, "ACK_accepted": AuditClass.ACK,
    "effect_confirmed": AuditClass.EFFECT_CONFIRMATION, "effect_partial": AuditClass.EFFECT_PARTIAL,
    "effect_timeout": AuditClass.EFFECT_TIMEOUT,
}
EVENTS = {
    "INTRUSION_ALERT": AuditClass.INTRUSION, "HANDSHAKE_REFUSED": AuditClass.HANDSHAKE,
    "LINK_UP": AuditClass.HANDSHAKE, "LINK_DOWN": AuditClass.HANDSHAKE, "KEY_RENEWED": AuditClass.KEY_CHANGE,
    "KEY_ROTATED": AuditClass.KEY_CHANGE, "KEY_REVOKED": AuditClass.KEY_CHANGE,
    "EMCON_ENTER": AuditClass.EMISSION, "EMCON_EXIT": AuditClass.EMISSION, "EMISSION_CHANGED": AuditClass.EMISSION,
    "NBL_PACKET_SENT": AuditClass.NBL_PACKET_ATTEMPT, "NBL_PACKET_FAILED": AuditClass.NBL_PACKET_ATTEMPT,
    "COMMS_UNAVAILABLE": AuditClass.COMMS_FAILURE, "SAFE_ORDERED": AuditClass.SAFE_INTERVENTION,
    "PDU_DENIED": AuditClass.PDU_DENIAL, "THERMAL_BLOCK": AuditClass.THERMAL_BLOCK,
}
"""Events that are audit records, and of which class."""
SEVERITIES = {severity.value: severity for severity in AuditSeverity}


class CraftWatch:
    """Owner of detector and log.

    Args:
        detector: on metadata alone.
        log: the audit log.
    """

    def __init__(self, detector: IntrusionDetector, log: AuditLog) -> None:
        self.detector = detector
        self.log = log

    def frame(self, frame: Frame) -> None:
        """A datagram came in; only a good one is told later, with what its content was."""
        if frame.outcome != EndOutcome.GOOD.value:
            outcome = OUTCOMES.get(frame.outcome, Outcome.MALFORMED)
            self._observe(frame, outcome)

    def good(self, frame: Frame, unknown: bool, denied: bool) -> None:
        """A good record, and what came of its content."""
        outcome = Outcome.UNKNOWN_COMMAND if unknown else Outcome.DENIED if denied else Outcome.ACCEPTED
        self._observe(frame, outcome)

    def step(self, now_ns: int) -> list[Alert]:
        """Let time pass; returns alerts that were raised."""
        self.log.step(now_ns)
        return self.detector.step(now_ns)

    def command(self, end: LinkEnd, command: WireCommand | None, codes: tuple[Code, ...], now_ns: int) -> None:
        """A peer has asked for something, or for what is no command; ``codes``: why the link did not pass it on."""
        kind = AuditClass.COMMAND_REJECTED if codes else AuditClass.COMMAND_REQUEST
        name = None if command is None else f"{end.peer.name}:{command.number}"
        self.log.append(AuditEvent(
            kind, now_ns, "link", command_id=name, codes=tuple(code.value for code in codes), operator=end.peer.name,
            severity=AuditSeverity.WARNING if codes else AuditSeverity.INFO,
            more={} if command is None else {"name": command.name},
        ), now_ns)

    def stage(self, stage: CommandStage, now_ns: int) -> None:
        """A command reached a stage."""
        kind = STAGES.get(stage.stage)
        if kind is None:
            return
        self.log.append(AuditEvent(
            kind, stage.t_ns, "flight", command_id=stage.command_id or str(stage.number), new=stage.stage,
            codes=stage.codes, operator=stage.sender, more={"name": stage.name},
        ), now_ns)

    def event(self, event: EventNote, now_ns: int) -> None:
        """An event of craft or link, if its kind belongs into the log."""
        kind = EVENTS.get(event.code)
        if kind is None and not event.code.startswith("SAFE_"):
            return
        self.log.append(AuditEvent(
            kind or AuditClass.SAFE_INTERVENTION, event.t_ns, "craft", codes=(event.code,),
            severity=SEVERITIES.get(event.severity, AuditSeverity.WARNING), more={"text": event.text[:96]},
        ), now_ns)

    def _observe(self, frame: Frame, outcome: Outcome) -> None:
        self.detector.observe(FrameMeta(
            frame.t_ns, f"{frame.line} {frame.source}", frame.size, outcome, frame.channel
        ))

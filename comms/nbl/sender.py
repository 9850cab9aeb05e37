"""Sends emergency packets one at a time, each only past every gate, with a granted token, and sealed at that moment.

A packet has three attempts. After each the next may follow 120, 240 and 480 s later; a sealed answer that names the
packet ends them. An attempt that is cut off counts as one. Thrusters go first: when they fire, the carrier goes off at
once, and the packet takes its next attempt after the gap. Source: CANON section 11.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from comms.emcon import EmconGate, EmconLevel, Traffic, Transmitter
from comms.nbl.gates import LIMITS, PAUSE_NS, PERMANENT, NblAsk, NblFacts, NblLimits, judge, standing, under_way_blocks
from comms.nbl.packet import (
    LONGEST_BYTES,
    PEAK_W,
    Confidence,
    Criticality,
    NblPacket,
    NblProfile,
    NblState,
    PayloadClass,
    air_time_ns,
    energy_j,
    expected_latency_s,
)
from comms.nbl.ports import EnergyAnswer, EnergyOutcome, EnergyPort, NblTransmitter, Seal
from comms.nbl.rate import RateBook
from comms.nbl.waiting import ATTEMPTS, GAPS_NS, NblNote, Waiting, WaitingPacket
from fdir.codes import Code
from hal.nonvolatile import Files

__all__ = ["OVERHEAD_BYTES", "NblSender"]

SECOND = 1_000_000_000
OVERHEAD_BYTES = 11
"""Record around the useful part while its counter is below 2^16."""
ENERGY_WAIT_NS = 30 * SECOND
"""Longest wait for an answer of the budget before the request is taken back and made anew."""
ASK_AGAIN_NS = SECOND


@dataclass(frozen=True, slots=True)
class _OnAir:
    """What is being sent. ``level``: of emission control when it began."""

    entry: WaitingPacket
    started_ns: int
    ends_ns: int
    joules: float
    level: EmconLevel


class NblSender:
    """The emergency channel of one craft.

    Args:
        transmitter: what sends a frame.
        energy: the budget that is asked before.
        seal: makes a useful part a sealed record.
        emcon: emission control.
        files: where the number of starts is kept over restarts; ``None``: nowhere.
        now_ns: flight time of this start.

    Attributes:
        limits: what ``set_nbl`` ordered.
        used_j: energy of all attempts since start.
    """

    def __init__(
        self, transmitter: NblTransmitter, energy: EnergyPort, seal: Seal, emcon: EmconGate,
        files: Files | None = None, now_ns: int = 0,
    ) -> None:
        self._transmitter = transmitter
        self._energy = energy
        self._seal = seal
        self._emcon = emcon
        self._rate = RateBook(files, now_ns)
        self._waiting = Waiting()
        self._asking: tuple[WaitingPacket, int] | None = None
        """The packet that energy was asked for, and since when."""
        self._ask_after_ns = now_ns
        self._on_air: _OnAir | None = None
        self._low_told = False
        self.limits: NblLimits = LIMITS
        self.used_j = 0.0

    # -- what others call

    def submit(
        self, payload: bytes, criticality: Criticality | None, payload_class: PayloadClass | None, now_ns: int,
        range_m: float | None = None, profile: NblProfile = NblProfile.PACKET,
    ) -> NblPacket:
        """Hand a packet in. Its state is ``packet_allowed`` if it was taken, else ``packet_rejected`` with the codes.

        Args:
            payload: useful part, at most 117 bytes: a layout of ``comms.nbl.layouts``.
            criticality: ``None`` for a word that nobody knows, as for the class.
            range_m: distance to who shall hear it, for the least latency.
        """
        size = len(payload) + OVERHEAD_BYTES
        packet = NblPacket(
            self._waiting.take_id(), criticality, payload_class, 8 * len(payload), now_ns, cap_cost_j=energy_j(size),
            expected_latency_s=expected_latency_s(range_m),
        )
        ask = NblAsk(criticality, payload_class, 8 * size if payload else 0, profile)
        codes = tuple(code for code in judge(ask, NblFacts(), self.limits) if code in PERMANENT)
        return self._waiting.reject(packet, codes, now_ns) if codes else self._waiting.add(packet, payload, now_ns)

    def confirm(self, packet_id: int, now_ns: int) -> bool:
        """A sealed answer of a peer names this packet: no attempt follows. ``False``: none such went out whole."""
        entry = self._waiting.find(packet_id)
        if entry is None:
            return self._waiting.answered_late(packet_id)
        if entry.packet.state is not NblState.PACKET_SENT:
            return False
        self._let_go(entry, now_ns)
        self._waiting.answered(entry, now_ns)
        return True

    def cancel(self, packet_id: int, now_ns: int) -> bool:
        """Give a packet up. ``False`` if it does not wait."""
        entry = self._waiting.find(packet_id)
        if entry is None:
            return False
        self._let_go(entry, now_ns)
        self._waiting.end(entry, entry.last_state, now_ns, "cancelled")
        return True

    def packets(self) -> tuple[NblPacket, ...]:
        """Those that wait, the next one first, then the last that have ended, oldest first."""
        return (*(entry.packet for entry in self._waiting.all()), *self._waiting.ended())

    def take_notes(self) -> tuple[NblNote, ...]:
        """What has happened since this was last asked, oldest first."""
        return self._waiting.take_notes()

    @property
    def refused(self) -> int:
        """Packets refused or pushed out since start."""
        return self._waiting.refused

    @property
    def dropped_notes(self) -> int:
        """Notes that nobody fetched in time."""
        return self._waiting.dropped_notes

    @property
    def on_air(self) -> int | None:
        """Id of the packet that is being sent."""
        return None if self._on_air is None else self._on_air.entry.packet.packet_id

    def standing(self, facts: NblFacts) -> NblState:
        """Who the channel lets through now."""
        return standing(replace(facts, emcon=self._emcon.level), self.limits)

    def in_last_hour(self, now_ns: int) -> int:
        """Packets started less than an hour ago."""
        return self._rate.in_last_hour(now_ns)

    def earliest_ns(self, now_ns: int) -> int:
        """When the rate allows the next start."""
        return self._rate.earliest_ns(now_ns, PAUSE_NS, self.limits.most_an_hour)

    # -- once a step

    def step(self, facts: NblFacts, now_ns: int) -> None:
        """Go on: end or cut what is on the air, give up what is over, ask for energy, start what may go.

        Of ``facts`` this fills in by itself what it and emission control know: level, release, rate, seal.
        """
        if not self._waiting:
            return
        facts = self._with_own(facts, now_ns)
        if self._on_air is not None:
            self._carry_on(self._on_air, facts, now_ns)
            if self.on_air is not None:
                return
            facts = self._with_own(facts, now_ns)
        for entry in self._waiting.over(now_ns):
            self._let_go(entry, now_ns)
            self._waiting.end(entry, entry.last_state, now_ns, "given up: no attempt or no time left")
        chosen = self._choose(facts, now_ns)
        if self._asking is not None and self._asking[0] is not chosen:
            self._let_go(self._asking[0], now_ns)
        if chosen is not None:
            self._go(chosen, now_ns)

    def _with_own(self, facts: NblFacts, now_ns: int) -> NblFacts:
        return replace(
            facts, emcon=self._emcon.level, released=self._emcon.released(now_ns), sealing=True,
            since_last_ns=self._rate.since_last_ns(now_ns), in_last_hour=self._rate.in_last_hour(now_ns),
        )

    def _choose(self, facts: NblFacts, now_ns: int) -> WaitingPacket | None:
        """The most critical packet that is due and stands before no closed gate; the others learn what stands there."""
        chosen: WaitingPacket | None = None
        for entry in self._waiting.all():
            if now_ns < entry.due_ns or entry.packet.transmit_attempts >= ATTEMPTS:
                continue
            size_bits = 8 * (len(entry.payload) + OVERHEAD_BYTES)
            ask = NblAsk(entry.packet.criticality, entry.packet.payload_class, size_bits)
            codes = judge(ask, facts, self.limits)
            if codes:
                entry.explain(codes)
            elif chosen is None:
                chosen = entry
        return chosen

    def _go(self, entry: WaitingPacket, now_ns: int) -> None:
        answer = self._energy_for(entry, now_ns)
        if answer is None:
            return
        if answer.outcome is EnergyOutcome.GRANTED:
            self._asking = None
            self._start(entry, now_ns)
            return
        entry.explain(answer.codes or (Code.NBL_PDU_DENIED,))
        if answer.outcome is not EnergyOutcome.WAITING:
            self._asking = None
            self._ask_after_ns = max(now_ns + ASK_AGAIN_NS, answer.when_ns or now_ns)

    def _energy_for(self, entry: WaitingPacket, now_ns: int) -> EnergyAnswer | None:
        """The budget's answer; ``None`` while it is too soon to ask again."""
        if self._asking is None:
            if now_ns < self._ask_after_ns:
                return None
            size = len(entry.payload) + OVERHEAD_BYTES
            self._asking = (entry, now_ns)
            return self._energy.ask(PEAK_W, energy_j(size), air_time_ns(size) / SECOND, now_ns)
        if now_ns - self._asking[1] > ENERGY_WAIT_NS:
            self._energy.give_back(0.0, now_ns)
            return EnergyAnswer(EnergyOutcome.REFUSED)
        return self._energy.standing(now_ns)

    def _start(self, entry: WaitingPacket, now_ns: int) -> None:
        """Seal and send; what fails before the carrier is on costs no attempt and no energy."""
        traffic = Traffic.NBL_CRITICAL if entry.packet.criticality is Criticality.CRITICAL else Traffic.NBL
        blocked = self._emcon.may(Transmitter.NBL, traffic, now_ns)
        if blocked is not None:
            self._not_started(entry, now_ns, blocked, "emission control")
            return
        frame = self._seal(entry.payload)
        if not isinstance(frame, bytes) or not frame:
            self._not_started(entry, now_ns, Code.COMMS_UNAVAILABLE, f"not sealed: {frame}")
            return
        if len(frame) > LONGEST_BYTES:
            self._not_started(entry, now_ns, Code.NBL_PAYLOAD_TOO_LARGE, f"sealed to {len(frame)} bytes")
            return
        self._rate.reserve(now_ns)
        if not self._transmitter.start(frame, now_ns):
            self._not_started(entry, now_ns, Code.COMMS_UNAVAILABLE, "the transmitter does not take it")
            return
        self._emcon.admit(Transmitter.NBL, traffic, len(frame), now_ns)
        self._rate.started(now_ns)
        attempt = entry.packet.transmit_attempts
        entry.packet = replace(entry.packet, transmit_attempts=attempt + 1, reason_codes=())
        entry.due_ns = now_ns + GAPS_NS[attempt]
        ends_ns = now_ns + air_time_ns(len(frame))
        self._on_air = _OnAir(entry, now_ns, ends_ns, energy_j(len(frame)), self._emcon.level)
        self._waiting.note(now_ns, Code.NBL_PACKET_SENT, entry.packet, f"attempt {attempt + 1} begun")
        self._warn_of_budget(now_ns)

    def _not_started(self, entry: WaitingPacket, now_ns: int, code: Code, text: str) -> None:
        self._energy.give_back(0.0, now_ns)
        self._ask_after_ns = now_ns + ASK_AGAIN_NS
        if entry.explain((code,)):
            self._waiting.note(now_ns, Code.NBL_PACKET_FAILED, entry.packet, text)

    def _carry_on(self, air: _OnAir, facts: NblFacts, now_ns: int) -> None:
        """Whole if its time is over before anything stood against it."""
        if now_ns >= air.ends_ns:
            self._on_air = None
            self._settle(air, air.joules, now_ns)
            entry = air.entry
            entry.packet = replace(
                entry.packet, state=NblState.PACKET_SENT, delivery_confidence=Confidence.LOW, reason_codes=(),
            )
            attempt = entry.packet.transmit_attempts
            self._waiting.note(now_ns, Code.NBL_PACKET_SENT, entry.packet, f"attempt {attempt} whole")
            return
        codes = self._against(air, facts, now_ns)
        if codes:
            self._cut(air, codes, now_ns)
        else:
            self._energy.used(_used(air, now_ns), now_ns)

    def _against(self, air: _OnAir, facts: NblFacts, now_ns: int) -> tuple[Code, ...]:
        codes = under_way_blocks(facts, self.limits)
        level = self._emcon.level
        if level >= EmconLevel.RECEIVE and level > air.level:
            codes += (Code.EMCON_BLOCK,)
        gone = self._energy.standing(now_ns).outcome is not EnergyOutcome.GRANTED
        return (*codes, Code.NBL_PDU_DENIED) if gone and Code.NBL_PDU_DENIED not in codes else codes

    def _cut(self, air: _OnAir, codes: tuple[Code, ...], now_ns: int) -> None:
        """Carrier off; the attempt is lost."""
        self._transmitter.stop(now_ns)
        self._on_air = None
        self._settle(air, _used(air, now_ns), now_ns)
        air.entry.explain(codes)
        self._waiting.note(now_ns, Code.NBL_PACKET_FAILED, air.entry.packet, "cut off on the air")

    def _settle(self, air: _OnAir, used_j: float, now_ns: int) -> None:
        self._energy.give_back(used_j, now_ns)
        self.used_j += used_j
        packet = air.entry.packet
        air.entry.packet = replace(packet, energy_used_j=packet.energy_used_j + used_j)

    def _let_go(self, entry: WaitingPacket, now_ns: int) -> None:
        """End what is under way for a packet: its carrier, or its request for energy."""
        if self._on_air is not None and self._on_air.entry is entry:
            self._cut(self._on_air, (), now_ns)
        if self._asking is not None and self._asking[0] is entry:
            self._energy.give_back(0.0, now_ns)
            self._asking = None

    def _warn_of_budget(self, now_ns: int) -> None:
        """Told once when at most one packet of the hour is left."""
        low = self._rate.in_last_hour(now_ns) >= self.limits.most_an_hour - 1
        if low and not self._low_told:
            self._waiting.note(now_ns, Code.NBL_BUDGET_LOW, None, "at most one packet is left in this hour")
        self._low_told = low


def _used(air: _OnAir, now_ns: int) -> float:
    """Energy of a packet that is on the air, up to now."""
    share = (now_ns - air.started_ns) / (air.ends_ns - air.started_ns)
    return air.joules * min(1.0, max(0.0, share))

"""The emergency channel of a craft: layouts filled from the newest state, energy asked of the flight loop."""

from __future__ import annotations

from collections.abc import Mapping
from math import degrees, isfinite, sqrt
from typing import Any

from comms.dictionary import COMMANDS
from comms.emcon import EmconGate
from comms.flight_port import CommandStage, CraftState, EnergyAsk, EnergyVerdict, Port, Snapshot
from comms.nbl.gates import NblFacts, NblLimits
from comms.nbl.layouts import HEATERS, LAYOUTS, LOADS, NODES, SAFE_REASONS
from comms.nbl.packet import NblPacket, NblState, PayloadClass, criticality_of, payload_class_of
from comms.nbl.ports import EnergyAnswer, EnergyOutcome, NblTransmitter, Seal
from comms.nbl.sender import NblSender
from fdir.codes import Code
from hal.nonvolatile import Files

__all__ = ["Emergency", "PortEnergy", "packet_values"]

NS = 1_000_000_000
CONSUMER = "nbl"
ENDED = frozenset({NblState.PACKET_SENT, NblState.PACKET_FAILED, NblState.PACKET_REJECTED, NblState.DELIVERY_UNKNOWN})
ON = frozenset({"load_allowed", "load_allowed_limited", "load_degraded"})
CAUSES = {
    Code.SAFE_POWER_LOW: "power", Code.SAFE_CAP_LOW: "power", Code.SAFE_PDU_FAULT: "power",
    Code.SAFE_THERMAL_CRITICAL: "heat", Code.SAFE_ORIENTATION_LOST: "attitude", Code.SAFE_BAYONET_UNSAFE: "docking",
    Code.SAFE_DAMAGE_CRITICAL: "damage", Code.SAFE_COMMS_LOSS: "link", Code.SAFE_ORDERED: "ordered",
    Code.BOOT_LOOP: "computer", Code.RCS_UNAVAILABLE: "propulsion", Code.RADAR_ALERT_UNKNOWN_CLOSE: "collision",
}
"""One word for a reason of SAFE."""


class PortEnergy:
    """The energy budget behind the flight port: an ``EnergyPort``. A question is answered when the flight loop has."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._last = EnergyAnswer(EnergyOutcome.GONE)
        self._granted = False
        self._asked = False
        """Whether a question stands, answered or not."""

    def hear(self, verdict: EnergyVerdict) -> None:
        """What the flight loop says; nothing, if it is for somebody else or comes after the question was taken back."""
        if verdict.consumer != CONSUMER or not self._asked:
            return
        codes = tuple(Code(code) for code in verdict.codes if code in Code.__members__)
        if verdict.granted:
            self._granted = True
            self._last = EnergyAnswer(EnergyOutcome.GRANTED, codes, verdict.when_ns)
        else:
            outcome = EnergyOutcome.GONE if self._granted else EnergyOutcome.REFUSED
            self._granted = False
            self._last = EnergyAnswer(outcome, codes, verdict.when_ns)

    def ask(self, watts: float, joules: float, seconds: float, now_ns: int) -> EnergyAnswer:
        """See EnergyPort."""
        self._granted = False
        asked = self._asked = self._port.send(EnergyAsk(CONSUMER, watts, joules, seconds))
        outcome = EnergyOutcome.WAITING if asked else EnergyOutcome.REFUSED
        self._last = EnergyAnswer(outcome, () if asked else (Code.COMMS_UNAVAILABLE,), None if asked else now_ns + NS)
        return self._last

    def standing(self, now_ns: int) -> EnergyAnswer:  # noqa: ARG002 - answers don't age here
        """See EnergyPort."""
        return self._last

    def used(self, used_j: float, now_ns: int) -> None:
        """See EnergyPort. Told with the end alone: the flight loop measures what is drawn."""

    def give_back(self, used_j: float, now_ns: int) -> None:  # noqa: ARG002
        """See EnergyPort."""
        self._granted = self._asked = False
        self._last = EnergyAnswer(EnergyOutcome.GONE)
        self._port.send(EnergyAsk(CONSUMER, 0.0, 0.0, 0.0, used_j))


class Emergency:
    """Owner of the craft's emergency channel.

    Args:
        transmitter, seal, emcon, files: see NblSender.
        port: of the flight loop.
        now_ns: flight time of this start.
    """

    def __init__(
        self, transmitter: NblTransmitter, seal: Seal, emcon: EmconGate, port: Port, files: Files | None, now_ns: int,
    ) -> None:
        self.energy = PortEnergy(port)
        self.sender = NblSender(transmitter, self.energy, seal, emcon, files, now_ns)
        self._orders: dict[int, int] = {}
        """By id of a packet: number of the order that asked for it."""
        self._next_id = 1

    def submit(
        self, payload_class: str, criticality: str, state: CraftState, snapshot: Snapshot | None,
        uplink_ns: int | None, now_ns: int, order: int | None = None, stage: CommandStage | None = None,
    ) -> NblPacket:
        """Hand a packet of this class in, filled with what is known now."""
        kind, critical = payload_class_of(payload_class), criticality_of(criticality)
        payload = b""
        if kind is not None:
            values = packet_values(kind, state, snapshot, uplink_ns, now_ns, stage)
            values["packet"] = self._next_id
            layout = LAYOUTS[kind]
            payload = layout.pack({name: value for name, value in values.items() if name in layout.names}).payload
        packet = self.sender.submit(payload, critical, kind, now_ns)
        self._next_id = packet.packet_id + 1
        if order is not None and packet.state is not NblState.PACKET_REJECTED:
            self._orders[packet.packet_id] = order
        return packet

    def set(self, enabled: bool, max_w: float | None) -> None:
        """Switch the channel, and bound its mean power: 20 W are six packets an hour."""
        limits = self.sender.limits
        most = limits.most_an_hour if max_w is None else max(0, min(6, int(max_w * 3600.0 / 2400.0)))
        self.sender.limits = NblLimits(enabled, limits.critical_only, most)

    def step(self, state: CraftState, now_ns: int) -> list[tuple[int, bool, str]]:
        """Go on; returns orders that have ended: number, whether well, words."""
        self.sender.step(NblFacts(
            state.soc_supercap, state.soc_battery, state.core_c, state.core_tripped, state.pdu_tripped, state.nbl_load,
            state.firing,
        ), now_ns)
        ended: list[tuple[int, bool, str]] = []
        if self._orders:
            for packet in self.sender.packets():
                order = self._orders.get(packet.packet_id)
                if order is None or packet.state not in ENDED:
                    continue
                if packet.transmit_attempts and packet.state is not NblState.PACKET_FAILED:
                    ended.append((order, True, packet.state.value))
                else:
                    codes = ", ".join(code.value for code in packet.reason_codes)
                    ended.append((order, False, f"{packet.state.value} {codes}".strip()))
                del self._orders[packet.packet_id]
        return ended

    def table(self) -> dict[str, Any]:
        """For telemetry."""
        sender = self.sender
        packets = sender.packets()
        return {
            "waiting": sum(packet.state not in ENDED for packet in packets),
            "sent": sum(packet.state is NblState.PACKET_SENT for packet in packets),
            "refused": sender.refused, "used_j": sender.used_j,
        }


def packet_values(
    kind: PayloadClass, state: CraftState, snapshot: Snapshot | None, uplink_ns: int | None, now_ns: int,
    stage: CommandStage | None = None,
) -> dict[str, Any]:
    """Values of a packet's fields by name, those of all layouts together; ``None`` is missing."""
    given: Mapping[str, Any] = {} if snapshot is None else snapshot.values
    heat: Mapping[str, Any] = given.get("temperature_c") or {}
    faults, masked = given.get("faults"), given.get("masked_nozzles")
    commands: Mapping[str, Any] = given.get("commands") or {}
    devices, loads = given.get("devices"), given.get("loads")
    reasons = [reason if reason in SAFE_REASONS else "other" for reason in state.safe_reasons]
    rate = given.get("rate_rad_s")
    values: dict[str, Any] = {
        "start": state.start, "t_s": now_ns / NS, "motion": state.motion, "emission": state.emission.value,
        "emcon": None if given.get("emcon_level") is None else str(int(given["emcon_level"])),
        "safe_reasons": sorted(set(reasons), key=reasons.index), "in_safe": "yes" if state.motion == "SAFE" else "no",
        "soc_battery": state.soc_battery, "soc_supercap": state.soc_supercap,
        "time_to_empty_s": given.get("time_to_empty_s"), "core_c": state.core_c, "battery_c": heat.get("battery"),
        "rate_deg_s": None if rate is None else degrees(sqrt(sum(x * x for x in rate))),
        "propellant_kg": given.get("propellant_kg"), "faults": None if faults is None else len(faults),
        "sigma_position_m": given.get("sigma_position_m"),
        "uplink_age_s": None if uplink_ns is None else (now_ns - uplink_ns) / NS,
        "armed": _flag(given.get("armed")), "attitude_known": _flag(given.get("attitude_known")),
        "estimate_consistent": _flag(given.get("estimate_consistent")),
        "sigma_attitude_deg": _degrees(given.get("sigma_attitude_rad")),
        "bus_voltage_v": given.get("bus_voltage_v"), "bus_current_a": given.get("bus_current_a"),
        "battery_current_a": given.get("battery_current_a"), "panel_power_w": given.get("panel_power_w"),
        "peak_level": given.get("peak_level"),
        "loads_on": None if loads is None else [name for name in LOADS if loads.get(name) in ON],
        "heaters": None if given.get("heaters") is None else [
            name for name in HEATERS if name in given["heaters"] or f"heater_{name}" in given["heaters"]
        ],
        "computer_c": given.get("computer_c"),
        "masked_nozzles": None if masked is None else [f"{n + 1:02d}" for n in masked if 0 <= n < 16],
        "devices_not_ok": None if devices is None else len(devices), "bus_failures": given.get("bus_failures"),
        "gate_vetoes": given.get("gate_vetoes"), "commands": commands.get("given"),
    }
    for name in NODES:
        values[f"{name}_c"] = state.core_c if name == "core" else heat.get(name)
    for field, channel, axes in (
        ("position", "position_m", "xyz"), ("velocity", "velocity_m_s", "xyz"),
        ("relative", "relative_position_m", "xyz"), ("quaternion", "quaternion", "wxyz"),
    ):
        vector = given.get(channel)
        values.update({f"{field}_{a}": None if vector is None else vector[i] for i, a in enumerate(axes)})
    for field, channel in (("rate", "rate_rad_s"), ("gyro_bias", "gyro_bias_rad_s")):
        vector = given.get(channel)
        values.update({f"{field}_{a}": None if vector is None else degrees(vector[i]) for i, a in enumerate("xyz")})
    first = next((Code(reason) for reason in state.safe_reasons if reason in Code.__members__), None)
    if kind is PayloadClass.DISTRESS:
        values["code"] = first
        values["cause"] = None if first is None else CAUSES.get(first, "other")
    if kind is PayloadClass.COMMAND_ACK and stage is not None:
        command = COMMANDS.get(stage.name)
        codes = [Code(code) for code in stage.codes if code in Code.__members__]
        number = stage.command_id.rpartition(":")[2]
        values.update({
            "sequence": int(number) if number.isdigit() else None,
            "command": None if command is None else command.id, "stage": stage.stage,
            "code_1": codes[0] if codes else None, "code_2": codes[1] if len(codes) > 1 else None,
        })
    return {name: _finite(value) for name, value in values.items()}


def _flag(value: Any) -> str | None:
    return None if value is None else "yes" if value else "no"


def _degrees(value: Any) -> float | None:
    return None if value is None else degrees(value)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value



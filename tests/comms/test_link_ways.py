"""Which session of a peer carries what: the wire before the radio, the radio when the wire falls silent."""

from __future__ import annotations

from types import SimpleNamespace

from comms.channel_plan import QosClass
from comms.emcon import EmconGate, Transmitter
from comms.link.ways import Ways
from fdir.modes import Emission

NS = 1_000_000_000


def session(name: str, transmitter: Transmitter, bit_rate: float, joules: float = 0.0, peer: str = "ann"):
    transport = SimpleNamespace(name=name, bit_rate=bit_rate)
    wired = transmitter in (Transmitter.CABLE, Transmitter.BRIDGE)
    line = SimpleNamespace(transport=transport, transmitter=transmitter, joules_per_byte=joules, wired=wired)
    return SimpleNamespace(peer=SimpleNamespace(name=peer), line=line, source="there", heard_ns=0)


def gate(emission: Emission = Emission.OPEN) -> EmconGate:
    emcon = EmconGate()
    emcon.follow(emission, 0)
    return emcon


def test_one_session_carries_everything() -> None:
    ways = Ways(gate())
    radio = session("radio", Transmitter.RADIO, 9600.0, 0.0037)
    ways.step([radio], 0)
    assert all(ways.carries(radio, qos) for qos in QosClass)


def test_of_two_the_wire_carries_and_each_class_has_one_way() -> None:
    ways = Ways(gate())
    radio = session("radio", Transmitter.RADIO, 9600.0, 0.0037)
    dock = session("dock", Transmitter.BRIDGE, 500_000.0)
    other = session("radio", Transmitter.RADIO, 9600.0, peer="bob")
    ways.step([radio, dock, other], 0)
    for qos in QosClass:
        assert (ways.carries(radio, qos), ways.carries(dock, qos), ways.carries(other, qos)) == (False, True, True)


def test_a_session_that_falls_silent_loses_its_classes_and_gets_them_back_when_it_has_been_better_for_a_while() -> None:
    ways = Ways(gate())
    radio = session("radio", Transmitter.RADIO, 9600.0, 0.0037)
    dock = session("dock", Transmitter.BRIDGE, 500_000.0)
    ways.step([radio, dock], 0)
    radio.heard_ns = 19 * NS
    ways.step([radio, dock], 20 * NS)
    assert ways.carries(radio, QosClass.TELEMETRY)
    assert not ways.carries(dock, QosClass.TELEMETRY)
    dock.heard_ns = 20 * NS
    ways.step([radio, dock], 20 * NS + NS // 4)
    assert ways.carries(radio, QosClass.TELEMETRY), "not at once: a line that comes and goes would make it flutter"
    ways.step([radio, dock], 23 * NS)
    assert ways.carries(dock, QosClass.TELEMETRY)
    assert ways.changes >= 3


def test_emission_control_takes_bulk_from_the_radio_and_leaves_it_the_wire() -> None:
    emcon = gate(Emission.RESTRICTED)
    ways = Ways(emcon)
    radio = session("radio", Transmitter.RADIO, 1e9)
    cable = session("cable", Transmitter.CABLE, 1200.0)
    ways.step([radio, cable], 0)
    assert ways.carries(cable, QosClass.BULK)


def test_with_every_way_shut_it_waits_where_the_peer_was_heard_last() -> None:
    ways = Ways(gate(Emission.SILENT))
    first, second = (session(name, Transmitter.RADIO, 9600.0) for name in ("uhf", "lora"))
    second.heard_ns = 1
    ways.step([first, second], NS)
    assert ways.carries(second, QosClass.CONTROL)
    assert not ways.carries(first, QosClass.CONTROL)


def test_it_is_looked_at_again_at_once_when_a_session_has_gone() -> None:
    ways = Ways(gate())
    radio = session("radio", Transmitter.RADIO, 9600.0)
    dock = session("dock", Transmitter.BRIDGE, 500_000.0)
    ways.step([radio, dock], 0)
    ways.step([radio], 1)
    assert ways.carries(radio, QosClass.BULK)

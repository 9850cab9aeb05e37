"""The CCSDS view: spacepackets builds what we read and reads what we build, and XTCE describes every byte of it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacepackets.ecss.pus_1_verification import ManagedParamsVerification, Service1Tm
from spacepackets.ecss.req_id import RequestId
from spacepackets.ecss.tc import PusTc
from spacepackets.ecss.tm import ManagedParams, PusTm

from comms.ccsds import CcsdsGateway, GroundPartMissing, PacketRefusal, PacketStream
from comms.ccsds.craft_time import TIME_BYTES, craft_ns, craft_time
from comms.ccsds.packets import LONGEST_PACKET
from comms.dictionary import LAYOUTS, CommandRefused, validate
from comms.dictionary.events import EVENT_IDS
from comms.dictionary.fixed import APID, TELEMETRY_CONTAINERS, decode_telemetry, encode_arguments
from comms.dictionary.frames import Frame
from comms.dictionary.messages import Hello, Notice, ParameterListing, Pong
from comms.dictionary.xtce import xtce
from comms.flight_port import CommandStage, EventNote
from comms.parameters import SCHEMA
from tests.comms.xtce_reader import XtceReader

S, MS = 1_000_000_000, 1_000_000
VECTORS = Path(__file__).parents[1] / "data" / "vectors"
READER = XtceReader(xtce("test"))
CHECKED = ManagedParams(timestamp_len=TIME_BYTES, has_checksum=True, verify_checksum=True)


class FakeLink:
    """A link that keeps what it is asked, and gives numbers from 100 on."""

    def __init__(self) -> None:
        self.up = True
        self.orders: list[tuple[str, dict[str, Any], bool, int | None]] = []
        self.pings: list[int] = []
        self.asked: list[int] = []

    def order(self, name: str, arguments: Mapping[str, Any], confirmed: bool, not_before_ms: int | None) -> int | None:
        validate(name, arguments)
        if not self.up:
            return None
        self.orders.append((name, dict(arguments), confirmed, not_before_ms))
        return 99 + len(self.orders)

    def ping(self, number: int) -> bool:
        self.pings.append(number)
        return self.up

    def ask_parameters(self, first: int) -> bool:
        self.asked.append(first)
        return self.up


class Desk:
    """A gateway with a link, and the ground system's side of it."""

    def __init__(self, apid: int = APID, sender: str = "") -> None:
        self.link = FakeLink()
        self.gateway = CcsdsGateway(self.link, apid=apid, sender=sender)
        self.apid = apid
        self.sequence = 0

    def send(self, service: int, subservice: int, data: bytes = b"", acks: int = 0b1111) -> PusTc:
        self.sequence += 1
        command = PusTc(service=service, message_subtype=subservice, apid=self.apid, app_data=data,
                        seq_count=self.sequence, ack_flags=acks)
        self.gateway.telecommand(bytes(command.pack()))
        return command

    def function(self, name: str, arguments: dict[str, Any] | None = None, confirmed: bool = False,
                 acks: int = 0b1111) -> PusTc:
        return self.send(8, 1, encode_arguments(name, arguments or {}, confirmed), acks)

    def stage(self, number: int, stage: str, *codes: str, sender: str = "op") -> None:
        self.gateway.message(CommandStage(5 * S, 1, f"{sender}:{number}", sender, "idle", stage, codes))

    def packets(self) -> list[PusTm]:
        return [PusTm.unpack(packet, TIME_BYTES) for packet in self.gateway.take(1000)]

    def kinds(self) -> list[tuple[int, int]]:
        return [(packet.service, packet.message_subtype) for packet in self.packets()]

    def reports(self) -> list[tuple[RequestId, int, int | None]]:
        """Request, subservice, code of all reports of service 1."""
        found = []
        for packet in self.gateway.take(1000):
            if packet[7] == 1:
                report = Service1Tm.unpack(packet, CHECKED, ManagedParamsVerification(bytes_err_code=2))
                notice = report.failure_notice
                found.append((report.tc_req_id, report.message_subtype, None if notice is None else notice.code.val))
        return found


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- packets


def test_the_published_ping_is_understood() -> None:
    packet = bytes.fromhex((VECTORS / "pus_ping.txt").read_text().split(": ")[1].strip())
    desk = Desk(apid=2)
    desk.gateway.telecommand(packet)
    assert desk.link.pings == [1]
    desk.gateway.message(Pong(1, 1500))
    out = desk.gateway.take()
    assert [(packet[7], packet[8]) for packet in out] == [(1, 1), (1, 3), (17, 2), (1, 7)]
    # By hand from CCSDS 133.0-B-2 4.1 and ECSS-E-ST-70-41C 7.4.3: version 0, telemetry with secondary header, APID 2,
    # not segmented, third packet, 22 bytes; PUS-C, TM[17,2], first of its kind, destination 0; 1.5 s.
    assert out[2][:-2].hex() == "0802" "c002" "000f" "20" "1102" "0000" "0000" "2e00000001" "8000"


@pytest.mark.parametrize(("change", "why"), [
    (lambda p: p[:-1], PacketRefusal.LENGTH),
    (lambda p: p + b"\0", PacketRefusal.LENGTH),
    (lambda p: b"", PacketRefusal.LENGTH),
    (lambda p: bytes((p[0] | 0x20,)) + p[1:], PacketRefusal.VERSION),
    (lambda p: p[:-1] + bytes((p[-1] ^ 1,)), PacketRefusal.CHECKSUM),
    (lambda p: p[:9] + b"\xff" + p[10:], PacketRefusal.CHECKSUM),
])
def test_what_is_no_telecommand_is_counted_and_gets_no_answer(desk: Desk, change: Any, why: PacketRefusal) -> None:
    good = bytes(PusTc(service=17, message_subtype=1, apid=APID).pack())
    desk.gateway.telecommand(change(good))
    assert desk.gateway.counts.refused == {why: 1}
    assert desk.gateway.take() == []
    assert desk.link.pings == []


def test_telecommands_for_others_and_telemetry_are_counted(desk: Desk) -> None:
    desk.gateway.telecommand(bytes(PusTc(service=17, message_subtype=1, apid=7).pack()))
    desk.gateway.telecommand(bytes(PusTm(apid=APID, service=17, message_subtype=2, timestamp=craft_time(0)).pack()))
    desk.gateway.telecommand(bytes(PusTc(service=17, message_subtype=1, apid=APID, has_checksum=False).pack()))
    assert desk.gateway.counts.refused[PacketRefusal.APID] == 1
    assert sum(desk.gateway.counts.refused.values()) == 3


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.tuples(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=80))))
def test_whatever_comes_in_nothing_is_raised(data: Any) -> None:
    desk = Desk()
    if isinstance(data, bytes):
        desk.gateway.telecommand(data)
    else:
        desk.send(*data)
    for packet in desk.gateway.take(1000):
        READER.read(packet)


def test_counts_go_up_and_come_round(desk: Desk) -> None:
    for _ in range(3):
        desk.gateway.message(EventNote(0, "BAT_LOW", "warning", "x"))
    packets = desk.packets()
    assert [packet.seq_count for packet in packets] == [0, 1, 2]
    assert [packet.pus_tm_sec_header.message_counter for packet in packets] == [0, 1, 2]
    for _ in range(0x4000):
        desk.gateway.message(EventNote(0, "BAT_LOW", "warning", "x"))
    assert PusTm.unpack(desk.gateway.take(5000)[-1], TIME_BYTES).seq_count == 2
    assert desk.gateway.dropped == 0x4000 - 2048


def test_a_stream_is_cut_into_packets_wherever_it_is_split() -> None:
    packets = [bytes(PusTc(service=8, message_subtype=1, apid=APID, app_data=bytes(n)).pack()) for n in range(0, 90, 7)]
    stream, whole = PacketStream(), b"".join(packets)
    got = [packet for at in range(0, len(whole), 11) for packet in stream.feed(whole[at : at + 11])]
    assert got == packets
    assert not stream.broken


def test_a_stream_with_a_length_that_cannot_be_is_broken_for_good() -> None:
    stream = PacketStream()
    assert stream.feed(bytes(4) + (LONGEST_PACKET).to_bytes(2, "big")) == []
    assert stream.broken
    assert stream.feed(bytes(PusTc(service=17, message_subtype=1, apid=APID).pack())) == []


@given(st.integers(0, 2**32 * S - 1))
def test_times_of_the_craft_come_back(t_ns: int) -> None:
    back = craft_ns(craft_time(t_ns))
    assert back is not None
    assert 0 <= t_ns - back + 1 <= S / 65536 + 1


@pytest.mark.parametrize("data", [b"", bytes(7), b"\x2e" + bytes(7), b"\x1e" + bytes(6)])
def test_bytes_that_are_no_time_are_none(data: bytes) -> None:
    assert craft_ns(data) is None


# -- service 17 and 1


def test_a_ping_is_answered_by_the_craft_and_not_by_the_gateway(desk: Desk) -> None:
    desk.send(17, 1)
    assert desk.packets() == []
    desk.gateway.message(Pong(desk.link.pings[0], 1234))
    assert desk.kinds() == [(1, 1), (1, 3), (17, 2), (1, 7)]


def test_a_command_is_followed_through_its_life(desk: Desk) -> None:
    command = desk.function("hold")
    assert desk.link.orders == [("hold", {}, False, None)]
    request = RequestId.from_pus_tc(command)
    assert desk.reports() == []
    desk.stage(100, "allowed")
    assert desk.reports() == [(request, 1, None)]
    desk.stage(100, "published")
    assert desk.reports() == []
    desk.stage(100, "ACK_accepted")
    assert desk.reports() == [(request, 3, None)]
    desk.stage(100, "effect_confirmed")
    assert desk.reports() == [(request, 7, None)]
    desk.stage(100, "audited")
    desk.stage(100, "effect_confirmed")
    assert desk.reports() == []
    assert desk.gateway.waiting == 0


def test_a_stage_that_was_lost_on_the_way_is_told_when_a_later_one_implies_it(desk: Desk) -> None:
    desk.function("hold")
    desk.stage(100, "effect_confirmed")
    assert [kind for _, kind, _ in desk.reports()] == [1, 3, 7]


@pytest.mark.parametrize(("stages", "codes", "reports"), [
    (["rejected"], ("CAP_LOW", "RCS_CLUSTER_HOT"), [(2, "CAP_LOW")]),
    (["rejected"], (), [(2, "CMD_REJECTED")]),
    (["rejected"], ("SOMETHING_NEW",), [(2, "CMD_REJECTED")]),
    (["allowed", "ACK_timeout"], (), [(1, None), (4, "ACK_TIMEOUT")]),
    (["ACK_rejected"], (), [(1, None), (4, "CMD_REJECTED")]),
    (["ACK_accepted", "effect_timeout"], (), [(1, None), (3, None), (8, "EFFECT_TIMEOUT")]),
    (["ACK_accepted", "effect_partial"], (), [(1, None), (3, None), (8, "EFFECT_PARTIAL")]),
    (["allowed", "aborted"], ("SAFE_LOCKED",), [(1, None), (4, "SAFE_LOCKED")]),
    (["effect_pending", "aborted"], (), [(1, None), (3, None), (8, "CMD_REJECTED")]),
])
def test_failures_name_the_phase_and_the_code(
    desk: Desk, stages: list[str], codes: tuple[str, ...], reports: list[tuple[int, str | None]]
) -> None:
    desk.function("hold")
    for stage in stages[:-1]:
        desk.stage(100, stage)
    desk.stage(100, stages[-1], *codes)
    assert [(kind, code) for _, kind, code in desk.reports()] == [
        (kind, None if word is None else EVENT_IDS[word]) for kind, word in reports
    ]
    assert desk.gateway.waiting == 0


def test_successes_are_told_only_where_they_were_asked_for_and_failures_always(desk: Desk) -> None:
    desk.function("hold", acks=0b0001)
    desk.stage(100, "effect_confirmed")
    assert [kind for _, kind, _ in desk.reports()] == [7]
    desk.function("hold", acks=0)
    desk.stage(101, "ACK_accepted")
    desk.stage(101, "effect_timeout")
    assert [kind for _, kind, _ in desk.reports()] == [8]


def test_an_acknowledgement_is_no_effect(desk: Desk) -> None:
    desk.function("hold")
    for stage in ("requested", "validation_pending", "allowed", "publish_pending", "published", "ACK_accepted",
                  "effect_pending"):
        desk.stage(100, stage)
    assert 7 not in [kind for _, kind, _ in desk.reports()]


def test_a_refusal_by_the_craft_s_link_is_a_failed_acceptance(desk: Desk) -> None:
    desk.function("hold")
    desk.gateway.message(Notice(100, "CMD_UNAUTHORIZED", "role"))
    assert [(kind, code) for _, kind, code in desk.reports()] == [(2, EVENT_IDS["CMD_UNAUTHORIZED"])]


def test_commands_of_others_are_left_alone() -> None:
    desk = Desk(sender="op")
    desk.function("hold")
    desk.stage(100, "allowed", sender="somebody")
    desk.stage(999, "allowed")
    desk.gateway.message(CommandStage(0, 1, "", "", "idle", "allowed"))
    assert desk.reports() == []
    desk.stage(100, "allowed")
    assert [kind for _, kind, _ in desk.reports()] == [1]


def test_silence_is_told_as_an_event_and_not_as_a_failure(desk: Desk) -> None:
    command = desk.function("hold")
    desk.gateway.expired(100)
    desk.gateway.expired(100_000)
    (packet,) = desk.gateway.take()
    name, values = READER.read(packet)
    assert name == "event_warning"
    assert str(command.seq_count) in values["event_text"]
    assert desk.gateway.waiting == 1


def test_an_unconnected_link_is_told_at_once(desk: Desk) -> None:
    desk.link.up = False
    desk.function("hold")
    desk.send(17, 1)
    desk.send(20, 1, b"\x01" + SCHEMA.parameters[0].id.to_bytes(2, "big"))
    assert {code for _, _, code in desk.reports()} == {EVENT_IDS["COMMS_UNAVAILABLE"]}
    assert desk.gateway.counts.declined == {"COMMS_UNAVAILABLE": 3}


def test_telecommands_without_an_end_are_bounded(desk: Desk) -> None:
    for _ in range(400):
        desk.function("hold")
    assert desk.gateway.waiting == 256


# -- service 8


@pytest.mark.parametrize(("name", "arguments"), [
    ("hold", {}), ("slew", {"axis": (0.0, 0.0, 1.0), "angle_deg": 30.0}), ("emission", {"level": "silent"}),
    ("load", {"name": "radar", "enabled": False}), ("param_set", {"name": "a", "value": "1"}),
    ("burn", {"duration_s": 1.0, "level_pct": 50.0, "direction": (1.0, 0.0, 0.0)}),
])
def test_functions_are_the_commands_of_the_dictionary(desk: Desk, name: str, arguments: dict[str, Any]) -> None:
    desk.function(name, arguments, confirmed=True)
    assert desk.link.orders == [(name, validate(name, arguments)[1], True, None)]


@pytest.mark.parametrize("data", [b"", b"\0\1", b"\xff\xff\0", encode_arguments("hold", {}) + b"\0",
                                  encode_arguments("hold", {})[:2] + b"\x80"])
def test_a_function_that_is_none_fails_acceptance(desk: Desk, data: bytes) -> None:
    desk.send(8, 1, data)
    assert [(kind, code) for _, kind, code in desk.reports()] == [(2, EVENT_IDS["CMD_VALIDATION_FAILED"])]
    assert desk.link.orders == []


@pytest.mark.parametrize(("service", "subservice"), [(2, 1), (3, 5), (8, 2), (11, 1), (17, 3), (20, 2), (255, 255)])
def test_a_service_that_is_not_there_fails_acceptance(desk: Desk, service: int, subservice: int) -> None:
    desk.send(service, subservice)
    assert [(kind, code) for _, kind, code in desk.reports()] == [(2, EVENT_IDS["NOT_IMPLEMENTED"])]


def test_what_the_link_refuses_fails_acceptance(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object) -> int:
        raise CommandRefused("no")

    monkeypatch.setattr(desk.link, "order", refusing)
    desk.function("hold")
    assert [(kind, code) for _, kind, code in desk.reports()] == [(2, EVENT_IDS["CMD_VALIDATION_FAILED"])]


# -- service 11


def activity(t_ns: int, data: bytes, sequence: int, service: int = 8) -> bytes:
    inner = PusTc(service=service, message_subtype=1, apid=APID, app_data=data, seq_count=sequence)
    return craft_time(t_ns) + bytes(inner.pack())


def test_activities_are_released_at_their_time_and_followed_under_their_own_name(desk: Desk) -> None:
    data = activity(3600 * S, encode_arguments("hold", {}), 700) + activity(7200 * S, encode_arguments("idle", {}), 701)
    desk.send(11, 4, b"\x02" + data)
    assert desk.link.orders == [("hold", {}, False, 3_600_000), ("idle", {}, False, 7_200_000)]
    assert [(r.tc_psc.seq_count, kind) for r, kind, _ in desk.reports()] == [(1, 1), (1, 7)]
    desk.stage(101, "effect_confirmed")
    assert [(r.tc_psc.seq_count, kind) for r, kind, _ in desk.reports()] == [(701, 1), (701, 3), (701, 7)]


@pytest.mark.parametrize("data", [
    b"", b"\0", b"\x01", b"\x21" + bytes(600), b"\x01" + bytes(7),
    b"\x01" + activity(0, b"\xff\xff\0", 1), b"\x01" + activity(0, b"", 1, service=17),
    b"\x02" + activity(0, encode_arguments("hold", {}), 1),
    b"\x01" + activity(0, encode_arguments("hold", {}), 1) + b"\0",
    b"\x01" + activity(0, encode_arguments("hold", {}), 1)[:-1] + b"\0",
])
def test_a_schedule_is_taken_whole_or_not_at_all(desk: Desk, data: bytes) -> None:
    desk.send(11, 4, data)
    assert desk.link.orders == []
    assert [kind for _, kind, _ in desk.reports()] == [2]


# -- service 20


def listing(ids: list[int]) -> ParameterListing:
    values = tuple((identity, SCHEMA.by_id[identity].default) for identity in ids)
    return ParameterListing(3, bytes(8), len(SCHEMA.parameters), values)


def test_parameters_are_shown_as_the_craft_has_them(desk: Desk) -> None:
    ids = sorted(SCHEMA.by_id)
    asked = [ids[2], ids[0]]
    desk.send(20, 1, bytes((2,)) + b"".join(identity.to_bytes(2, "big") for identity in asked))
    assert desk.link.asked == [ids[0]]
    desk.gateway.message(listing(ids))
    packets = desk.gateway.take()
    assert [(packet[7], packet[8]) for packet in packets] == [(1, 1), (1, 3), (20, 2), (20, 2), (1, 7)]
    shown = [READER.read(packet)[1] for packet in packets[2:4]]
    assert [row["parameter_id"] for row in shown] == asked
    for row in shown:
        parameter = SCHEMA.by_id[row["parameter_id"]]
        assert SCHEMA.read(parameter.name, row["parameter_text"]) == parameter.default


def test_a_long_list_is_asked_for_piece_by_piece(desk: Desk) -> None:
    ids = sorted(SCHEMA.by_id)
    desk.send(20, 1, bytes((2,)) + ids[0].to_bytes(2, "big") + ids[-1].to_bytes(2, "big"))
    desk.gateway.message(listing(ids[:4]))
    assert desk.link.asked == [ids[0], ids[-1]]
    desk.gateway.message(listing(ids[-1:]))
    assert desk.kinds() == [(1, 1), (1, 3), (20, 2), (20, 2), (1, 7)]


def test_a_parameter_that_the_craft_does_not_have_fails(desk: Desk) -> None:
    ids = sorted(SCHEMA.by_id)
    desk.send(20, 1, bytes((1,)) + ids[1].to_bytes(2, "big"))
    desk.gateway.message(listing([ids[0], ids[2]]))
    assert [kind for _, kind, _ in desk.reports()] == [2]


def test_setting_stages_the_values_and_is_done_when_all_are(desk: Desk) -> None:
    ids = sorted(SCHEMA.by_id)[:2]
    rows = [(SCHEMA.by_id[i], SCHEMA.by_id[i].default) for i in ids]
    data = b"".join(p.id.to_bytes(2, "big") + str(v).lower().encode().ljust(64, b"\0") for p, v in rows)
    desk.send(20, 3, bytes((2,)) + data)
    assert [(name, arguments["name"]) for name, arguments, _, _ in desk.link.orders] == [
        ("param_set", SCHEMA.by_id[i].name) for i in ids
    ]
    desk.stage(100, "effect_confirmed")
    assert desk.reports() == []
    desk.stage(101, "allowed")
    assert [kind for _, kind, _ in desk.reports()] == [1]
    desk.stage(101, "effect_confirmed")
    assert [kind for _, kind, _ in desk.reports()] == [3, 7]


def test_one_refused_value_fails_the_whole(desk: Desk) -> None:
    ids = sorted(SCHEMA.by_id)[:2]
    desk.send(20, 3, bytes((2,)) + b"".join(i.to_bytes(2, "big") + b"1".ljust(64, b"\0") for i in ids))
    desk.stage(100, "effect_confirmed")
    desk.stage(101, "rejected", "CMD_VALIDATION_FAILED")
    assert [(kind, code) for _, kind, code in desk.reports()] == [(2, EVENT_IDS["CMD_VALIDATION_FAILED"])]
    desk.stage(100, "audited")
    assert desk.reports() == []


@pytest.mark.parametrize(("subservice", "data"), [
    (1, b""), (1, b"\0"), (1, b"\x01\xff\xff"), (1, b"\x02\0\1"), (3, b"\x01\0\1"), (3, b"\x01\xff\xff" + bytes(64)),
    (3, b"\x01" + SCHEMA.parameters[0].id.to_bytes(2, "big") + b"\xff" * 64),
])
def test_a_parameter_request_that_is_none_fails_acceptance(desk: Desk, subservice: int, data: bytes) -> None:
    desk.send(20, subservice, data)
    assert [kind for _, kind, _ in desk.reports()] == [2]


# -- services 3 and 5


@pytest.mark.parametrize(("severity", "subservice"), [("info", 1), ("warning", 2), ("critical", 4), ("odd", 4)])
def test_events_go_out_by_their_severity(desk: Desk, severity: str, subservice: int) -> None:
    desk.gateway.message(EventNote(1500 * MS, "BAT_LOW", severity, "battery at 14 %"))
    (packet,) = desk.gateway.take()
    _, values = READER.read(packet)
    assert (packet[7], packet[8]) == (5, subservice)
    assert (values["event_id"], values["event_text"]) == (EVENT_IDS["BAT_LOW"], "battery at 14 %")
    assert values["time_coarse_s"] + values["time_fine"] / 65536 == 1.5


def test_an_event_without_an_id_keeps_its_name(desk: Desk) -> None:
    desk.gateway.message(EventNote(0, "NEW_CODE", "info", "words"))
    _, values = READER.read(desk.gateway.take()[0])
    assert (values["event_id"], values["event_text"]) == (0, "NEW_CODE: words")


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_group_goes_out_as_xtce_describes_it(desk: Desk, name: str) -> None:
    layout = LAYOUTS[name]
    desk.gateway.message(Frame(layout, 2 * S, dict.fromkeys(layout.names)))
    (packet,) = desk.gateway.take()
    read, values = READER.read(packet)
    assert read == name
    assert values["structure_id"] == layout.id
    assert all(values[f"{channel}_known"] == "false" for channel in layout.names)
    assert len(packet) == 22 + TELEMETRY_CONTAINERS[name].size_bytes
    assert len(packet) <= 1500  # what Yamcs takes of a datagram


def test_values_arrive_and_missing_ones_are_missing(desk: Desk) -> None:
    layout = LAYOUTS["power"]
    given = {**dict.fromkeys(layout.names), "bus_voltage_v": 28.25, "flows_w": {"panel": 10.5}}
    desk.gateway.message(Frame(layout, 2 * S, given))
    packet = desk.gateway.take()[0]
    _, values = READER.read(packet)
    assert values["bus_voltage_v"] == 28.25
    assert values["bus_voltage_v_known"] == "true"
    assert values["bus_current_a_known"] == "false"
    back = decode_telemetry(bytes(PusTm.unpack(packet, TIME_BYTES).source_data))
    assert isinstance(back, tuple)
    assert back[1]["bus_voltage_v"] == 28.25
    assert back[1]["bus_current_a"] is None


def test_parts_of_one_moment_become_one_report(desk: Desk) -> None:
    layout = LAYOUTS["motion"]
    half = len(layout.names) // 2
    first = dict.fromkeys(layout.names[:half])
    rest = dict.fromkeys(layout.names[half:])
    desk.gateway.message(Frame(layout, 1 * S, first))
    assert desk.packets() == []
    desk.gateway.message(Frame(layout, 1 * S, rest, half))
    assert len(desk.packets()) == 1
    desk.gateway.message(Frame(layout, 2 * S, {**first, "quaternion": (1.0, 0.0, 0.0, 0.0)}))
    desk.gateway.message(Frame(layout, 3 * S, rest, half))  # the other half of 2 s was lost
    (packet,) = desk.gateway.take()
    _, values = READER.read(packet)
    assert values["time_coarse_s"] == 2
    assert values["quaternion_w"] == 1.0


def test_what_no_packet_shows_is_counted(desk: Desk) -> None:
    desk.gateway.message(Hello(bytes(8), 1, "0.1"))
    assert desk.packets() == []
    assert desk.gateway.counts.unused == 1


# -- what is missing


def test_without_the_library_the_next_step_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "spacepackets"]:
        monkeypatch.delitem(sys.modules, name)
    real = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("spacepackets"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.setattr("comms.ccsds.packets.import_module", without)
    with pytest.raises(GroundPartMissing, match=r"pip install 'qiki-flight\[ground\]'"):
        CcsdsGateway(FakeLink())


def test_an_application_process_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="apid"):
        CcsdsGateway(FakeLink(), apid=0x7FF)

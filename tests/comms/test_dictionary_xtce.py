"""XTCE and bytes are one: packets are read and commands written here from the XML alone, and must agree with ours.

The interpreter below knows XTCE 1.2 and nothing of the dictionary. Headers come from ``spacepackets``.
"""

from __future__ import annotations

import binascii
import math
import struct
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacepackets.ecss.tc import PusTc
from spacepackets.ecss.tm import PusTm

from comms.dictionary import COMMANDS, LAYOUTS, CommandRefused, Form, Kind, validate
from comms.dictionary.fixed import (
    APID,
    REPORTS,
    TELEMETRY_CONTAINERS,
    decode_arguments,
    decode_report,
    decode_telemetry,
    encode_arguments,
    encode_report,
    encode_telemetry,
)
from comms.dictionary.fixed_fields import line_of
from comms.dictionary.strict_cbor import Reason, Refusal
from comms.dictionary.xtce import NAMESPACE, xtce
from tests.comms.test_dictionary_wire import allowed

TIME = bytes([0x2E, 0, 0, 0, 5, 0x80, 0])
ROOT = ElementTree.fromstring(xtce("1"))
NS = {"x": NAMESPACE}
pytestmark = pytest.mark.filterwarnings("ignore:.*subservice.*:DeprecationWarning")


def named(path: str) -> dict[str, ElementTree.Element]:
    return {node.attrib["name"]: node for node in ROOT.findall(path, NS)}


TYPES = named("x:TelemetryMetaData/x:ParameterTypeSet/*")
PARAMETERS = named("x:TelemetryMetaData/x:ParameterSet/x:Parameter")
CONTAINERS = named("x:TelemetryMetaData/x:ContainerSet/x:SequenceContainer")
ARGUMENT_TYPES = named("x:CommandMetaData/x:ArgumentTypeSet/*")
META_COMMANDS = named("x:CommandMetaData/x:MetaCommandSet/x:MetaCommand")


def tag(node: ElementTree.Element) -> str:
    return node.tag.partition("}")[2]


def width(kind: ElementTree.Element) -> int:
    fixed = kind.find("x:StringDataEncoding/x:SizeInBits/x:Fixed/x:FixedValue", NS)
    if fixed is not None:
        return int(fixed.text or "")
    (encoding,) = [node for node in kind if tag(node).endswith("DataEncoding")]
    return int(encoding.attrib["sizeInBits"])


def read_value(kind: ElementTree.Element, raw: int) -> Any:
    """A value from its bits, by its XTCE type."""
    bits, what = width(kind), tag(kind)
    if what.startswith("String"):
        return raw.to_bytes(bits // 8).partition(b"\0")[0].decode()
    if what.startswith("Float"):
        return struct.unpack({32: ">f", 64: ">d"}[bits], raw.to_bytes(bits // 8))[0]
    if what.startswith("Boolean"):
        return kind.attrib["oneStringValue" if raw else "zeroStringValue"]
    labels = {int(n.attrib["value"]): n.attrib["label"] for n in kind.findall("x:EnumerationList/x:Enumeration", NS)}
    return labels[raw] if what.startswith("Enumerated") else raw


class Bits:
    """Bits of a packet, most significant first."""

    def __init__(self, data: bytes) -> None:
        self.left = len(data) * 8
        self.number = int.from_bytes(data)

    def take(self, count: int) -> int:
        self.left -= count
        assert self.left >= 0, "the packet is shorter than its container"
        return self.number >> self.left & ((1 << count) - 1)


def read_packet(data: bytes) -> tuple[str, dict[str, Any]]:
    """The innermost container that a packet is, and its parameters."""
    bits, found = Bits(data), dict[str, Any]()
    current = "CCSDSPacket"
    while True:
        for entry in CONTAINERS[current].findall("x:EntryList/x:ParameterRefEntry", NS):
            name = entry.attrib["parameterRef"]
            kind = TYPES[PARAMETERS[name].attrib["parameterTypeRef"]]
            found[name] = read_value(kind, bits.take(width(kind)))
        heirs = [name for name, node in CONTAINERS.items() if fits(node, current, found)]
        if not heirs:
            break
        (current,) = heirs
    assert bits.left == 0, "the packet is longer than its container"
    assert CONTAINERS[current].attrib.get("abstract") != "true"
    return current, found


def fits(node: ElementTree.Element, base: str, found: dict[str, Any]) -> bool:
    inherited = node.find("x:BaseContainer", NS)
    if inherited is None or inherited.attrib["containerRef"] != base:
        return False
    comparisons = inherited.findall("x:RestrictionCriteria/x:ComparisonList/x:Comparison", NS)
    return all(str(found[c.attrib["parameterRef"]]) == c.attrib["value"] for c in comparisons)


def packet(service: int, subservice: int, body: bytes) -> bytes:
    return bytes(PusTm(service, subservice, TIME, source_data=body, apid=APID, seq_count=77).pack())


# -- telemetry

NUMBERS = st.floats(-1e6, 1e6, width=32)
TEXTS = st.text("abc é", max_size=16).map(str.strip)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.NUMBER: NUMBERS, Kind.VECTOR3: st.tuples(*[NUMBERS] * 3), Kind.QUATERNION: st.tuples(*[NUMBERS] * 4),
    Kind.TEXT: TEXTS, Kind.FLAG: st.booleans(), Kind.TABLE: st.dictionaries(TEXTS, st.integers(0, 9), max_size=3),
    Kind.LIST: st.lists(TEXTS, max_size=3),
}
SNAPSHOTS = {
    name: st.fixed_dictionaries({
        c.name: st.none() | (st.integers(0, 2**32 - 1) if c.form is Form.COUNT else VALUES[c.kind])
        for c in layout.channels
    })
    for name, layout in LAYOUTS.items()
}


@pytest.mark.parametrize("name", list(LAYOUTS))
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_a_group_s_packet_read_by_the_xml_gives_the_values_back(name: str, data: st.DataObject) -> None:
    values = data.draw(SNAPSHOTS[name])
    body = encode_telemetry(name, values)
    raw = packet(3, 25, body)
    container, found = read_packet(raw)
    assert container == name
    assert found["ccsds_apid"] == APID
    assert (found["ccsds_sequence_count"], found["ccsds_length"]) == (77, len(raw) - 7)
    assert [found[key] for key in ("pus_version", "time_p_field", "time_coarse_s", "time_fine")] == [2, 0x2E, 5, 32768]
    assert binascii.crc_hqx(raw, 0xFFFF) == 0
    for channel in LAYOUTS[name].channels:
        value = values[channel.name]
        assert found[f"{channel.name}_known"] == ("false" if value is None else "true")
        if channel.kind in (Kind.VECTOR3, Kind.QUATERNION):
            ends = "xyz" if channel.kind is Kind.VECTOR3 else "wxyz"
            got = tuple(found[f"{channel.name}_{end}"] for end in ends)
            assert got == (value or (0.0,) * len(ends))
        elif channel.kind is Kind.FLAG:
            assert found[channel.name] == ("true" if value else "false")
        elif channel.kind in (Kind.TABLE, Kind.LIST):
            assert found[channel.name] == ("" if value is None else line_of(value, 160))
        elif value is not None:
            assert found[channel.name] == value
    decoded = decode_telemetry(body)
    assert not isinstance(decoded, Refusal)
    assert decoded[0] == name
    plain = {c.name for c in LAYOUTS[name].channels if c.kind not in (Kind.TABLE, Kind.LIST)}
    assert {key: decoded[1][key] for key in plain} == {key: values[key] for key in plain}


REPORTED: dict[str, tuple[int | str, ...]] = {
    **dict.fromkeys(("acceptance_success", "start_success", "completion_success"), (0x182A, 0xC005)),
    **dict.fromkeys(("acceptance_failure", "start_failure", "completion_failure"), (0x182A, 0xC005, 601)),
    **dict.fromkeys(("event_info", "event_warning", "event_critical"), (601, "battery at 14 %")),
    "connection_test": (), "parameter_value": (1, 3, "0.5"),
}


@pytest.mark.parametrize("name", list(REPORTS))
def test_a_report_s_packet_read_by_the_xml_gives_its_fields_back(name: str) -> None:
    report, items = REPORTS[name], REPORTED[name]
    body = encode_report(name, *items)
    container, found = read_packet(packet(report.service, report.subservice, body))
    assert container == name
    assert tuple(found[field.name] for field in report.head) == items
    assert decode_report(report.service, report.subservice, body) == (name, list(items))
    refused = decode_report(report.service, report.subservice, body + b"\0")
    assert isinstance(refused, Refusal)


def test_wrong_items_of_a_report_are_an_error_of_the_program() -> None:
    with pytest.raises(ValueError, match="acceptance_failure"):
        encode_report("acceptance_failure", 1, 2, 70_000)
    assert isinstance(decode_report(9, 9, b""), Refusal)


# -- commands


def write_command(name: str, given_values: dict[str, Any]) -> bytes:
    """Bytes of a telecommand by the XML alone; values of arguments by their names."""
    chain: list[ElementTree.Element] = []
    current: str | None = name
    assigned = dict(given_values)
    while current is not None:
        node = META_COMMANDS[current]
        chain.insert(0, node)
        for row in node.findall("x:BaseMetaCommand/x:ArgumentAssignmentList/x:ArgumentAssignment", NS):
            assigned[row.attrib["argumentName"]] = int(row.attrib["argumentValue"])
        base = node.find("x:BaseMetaCommand", NS)
        current = None if base is None else base.attrib["metaCommandRef"]
    number = bits = 0
    for node in chain:
        rows = node.findall("x:ArgumentList/x:Argument", NS)
        kinds = {row.attrib["name"]: row.attrib["argumentTypeRef"] for row in rows}
        for entry in node.findall("x:CommandContainer/x:EntryList/*", NS):
            if tag(entry) == "FixedValueEntry":
                size = int(entry.attrib["sizeInBits"])
                raw = int(entry.attrib["binaryValue"], 16) & ((1 << size) - 1)
            else:
                argument = entry.attrib["argumentRef"]
                kind = ARGUMENT_TYPES[kinds[argument]]
                size, raw = width(kind), raw_value(kind, assigned[argument])
            number, bits = number << size | raw, bits + size
    assert bits % 8 == 0
    return number.to_bytes(bits // 8)


def raw_value(kind: ElementTree.Element, value: Any) -> int:
    bits, what = width(kind), tag(kind)
    if what.startswith("String"):
        return int.from_bytes(value.encode().ljust(bits // 8, b"\0"))
    if what.startswith("Float"):
        return int.from_bytes(struct.pack({32: ">f", 64: ">d"}[bits], value))
    if what.startswith("Enumerated"):
        rows = kind.findall("x:EnumerationList/x:Enumeration", NS)
        return {row.attrib["label"]: int(row.attrib["value"]) for row in rows}[value]
    return int(value)


def by_xml_names(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Arguments as a ground system's form has them: one number a field, words for flags, zero where not given."""
    fields: dict[str, Any] = {}
    for node in META_COMMANDS[name].findall("x:ArgumentList/x:Argument", NS):
        fields[node.attrib["name"]] = {"String": "", "Enumer": None}.get(
            tag(ARGUMENT_TYPES[node.attrib["argumentTypeRef"]])[:6], 0)
        if fields[node.attrib["name"]] is None:
            first = ARGUMENT_TYPES[node.attrib["argumentTypeRef"]].find("x:EnumerationList/x:Enumeration", NS)
            assert first is not None
            fields[node.attrib["name"]] = first.attrib["label"]
    for key, value in values.items():
        fields[f"{key}_given"] = 1
        if isinstance(value, tuple):
            ends = {3: "xyz", 4: "wxyz", 6: ("fx", "fy", "fz", "tx", "ty", "tz")}[len(value)]
            fields.update({f"{key}_{end}": number for end, number in zip(ends, value, strict=True)})
        else:
            fields[key] = ("true" if value else "false") if isinstance(value, bool) else value
    return fields


def fixed_arguments(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """What the dictionary allows and has a fixed size."""
    short = {a.name: int(a.high or 64) for a in COMMANDS[name].arguments if a.kind is Kind.TEXT}
    return allowed(COMMANDS[name]).filter(lambda given_values: "segments" not in given_values and all(
        len(given_values[key].encode()) <= most for key, most in short.items() if key in given_values))


@pytest.mark.parametrize("name", list(COMMANDS))
@given(data=st.data(), confirmed=st.booleans())
@settings(max_examples=10, deadline=None)
def test_a_telecommand_written_by_the_xml_is_the_command(name: str, data: st.DataObject, confirmed: bool) -> None:
    values = validate(name, data.draw(fixed_arguments(name)))[1]
    body = encode_arguments(name, values, confirmed)
    raw = write_command(name, {**by_xml_names(name, values), "options": int(confirmed)})
    ours = bytearray(PusTc(8, 1, apid=APID, app_data=body, ack_flags=15).pack())
    # The ground system fills in length and checksum.
    ours[4:6], ours[-2:] = b"\0\0", b"\0\0"
    assert raw == bytes(ours)
    got = decode_arguments(raw[11:-2])
    assert not isinstance(got, Refusal)
    assert (got.name, got.confirmed) == (name, confirmed)
    assert got.arguments.keys() == values.keys()
    for key, value in values.items():
        if isinstance(value, tuple):
            assert got.arguments[key] == pytest.approx(value, rel=1e-12, abs=1e-300)
        else:
            assert got.arguments[key] == value


def test_a_connection_test_is_seventeen_one() -> None:
    raw = write_command("connection_test_request", {})
    assert (raw[7], raw[8], len(raw)) == (17, 1, 13)


@pytest.mark.parametrize(("body", "reason"), [
    (b"", Reason.UNKNOWN_COMMAND), (b"\xff\xff\x00", Reason.UNKNOWN_COMMAND), (b"\x00\x01", Reason.UNKNOWN_COMMAND),
    (b"\x00\x01\x00\x00", Reason.WRONG_SHAPE), (b"\x00\x01\x02", Reason.OUT_OF_RANGE),
    (b"\x00\x1f\x00\x80\x00\x00\x00\x04", Reason.ARGUMENT), (b"\x00\x1f\x00\x00\x00\x00\x00\x00", Reason.ARGUMENT),
    (b"\x00\x1f\x00\xc0\x00\x00\x00\x00", Reason.WRONG_SHAPE),
    (encode_arguments("emission", {"level": "open"})[:-1] + b"\x09", Reason.OUT_OF_RANGE),
    (encode_arguments("override_fire", {"wrench": [0] * 6, "duration_s": 1})[:-8] + struct.pack(">d", math.nan),
     Reason.NOT_FINITE),
])
def test_a_body_that_is_no_command_is_refused_by_name(body: bytes, reason: Reason) -> None:
    refusal = decode_arguments(body)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason


@given(st.binary(max_size=140))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_decoded_or_refused(noise: bytes) -> None:
    for head in (b"", b"\x00\x06\x00", b"\x00\x20\x00", LAYOUTS["state"].id.to_bytes(2)):
        for answer in (decode_arguments(head + noise), decode_telemetry(head + noise)):
            assert answer is not None


def test_what_has_no_fixed_size_is_refused_and_not_cut() -> None:
    segment = {"duration_s": 1, "level_pct": 5, "direction": "+x"}
    with pytest.raises(CommandRefused, match="segments does not fit"):
        encode_arguments("burn", {"segments": [segment]})
    with pytest.raises(CommandRefused, match="name does not fit"):
        encode_arguments("load", {"name": "x" * 65, "enabled": True})


def test_a_long_table_is_cut_between_its_entries_and_says_so() -> None:
    line = line_of({f"sensor_{index}": 20.123456789 for index in range(50)}, 160)
    assert line.endswith("; ...")
    assert line.startswith("sensor_0=20.1235; sensor_1=20.1235; ")
    assert len(line) <= 160
    assert line_of({"a": None, "b": True, "c": [1, 2]}, 160) == "a=-; b=true; c=1,2"
    assert line_of(["x" * 200], 160) == "..."


# -- the document itself


def test_every_name_that_is_referred_to_is_there_once() -> None:
    for path in (
        "x:TelemetryMetaData/x:ParameterTypeSet/*", "x:TelemetryMetaData/x:ParameterSet/*",
        "x:TelemetryMetaData/x:ContainerSet/*", "x:CommandMetaData/x:ArgumentTypeSet/*",
        "x:CommandMetaData/x:MetaCommandSet/*",
    ):
        names = [node.attrib["name"] for node in ROOT.findall(path, NS)]
        assert len(names) == len(set(names))
        assert not any(set(name) & set("./:[] ") for name in names)
    assert {node.attrib["parameterTypeRef"] for node in PARAMETERS.values()} <= set(TYPES)
    refs = {node.attrib["parameterRef"] for node in ROOT.iter(f"{{{NAMESPACE}}}ParameterRefEntry")}
    assert refs == set(PARAMETERS)
    assert {node.attrib["argumentTypeRef"] for node in ROOT.iter(f"{{{NAMESPACE}}}Argument")} == set(ARGUMENT_TYPES)
    assert set(META_COMMANDS) == {"Telecommand", "Function", "connection_test_request", *COMMANDS}
    assert set(TELEMETRY_CONTAINERS) | set(REPORTS) <= set(CONTAINERS)


def test_the_document_holds_no_time_and_is_the_same_every_time() -> None:
    assert xtce("1") == xtce("1")
    assert [tag(node) for node in ROOT] == ["Header", "TelemetryMetaData", "CommandMetaData"]
    assert "date" not in ROOT[0].attrib


def test_another_s_xtce_reader_finds_the_same_values() -> None:
    reader = pytest.importorskip("space_packet_parser")
    definition = reader.XtcePacketDefinition.from_xtce(BytesIO(xtce("1").encode()))
    values = {"audit_records": 7, "link_used_j": 12.5, "nbl": {"sent": 1}}
    found = definition.parse_bytes(packet(3, 25, encode_telemetry("link", values)))
    assert (found["audit_records"], found["link_used_j"], found["nbl"]) == (7, 12.5, "sent=1")

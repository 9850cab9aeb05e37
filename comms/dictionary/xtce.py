"""The CCSDS view as XTCE 1.2, so that Yamcs, OpenC3 and others read and write exactly the packets of ``fixed``.

Telemetry: ``CCSDSPacket`` (CCSDS 133.0-B primary header) is extended by ``PUSTelemetry`` (secondary header of
ECSS-E-ST-70-41C, time as CUC of the craft's own clock: P-field 0x2E, 4 bytes of seconds, 2 of fractions), and that by
one container a group or report, told apart by service, subservice and structure id. Behind the head of a group stands
one bit a channel, ``<channel>_known``. The last two bytes are the packet's checksum (CRC-16/IBM-3740).

Commands: ``Telecommand`` is extended by ``Function``, TC(8,1), and that by one command each. Sequence count, length
and checksum are left zero for the ground system to fill in. An argument that may be left out has a flag
``<argument>_given``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from comms.dictionary.commands import COMMANDS
from comms.dictionary.fixed import APID, COMMAND_CONTAINERS, REPORTS, TELEMETRY_CONTAINERS
from comms.dictionary.fixed_fields import FLAG_WORDS, Container, FieldCode, FixedField
from comms.dictionary.types import Argument, Command

__all__ = ["NAMESPACE", "xtce"]

NAMESPACE = "http://www.omg.org/spec/XTCE/20180204"
_PRIMARY = (
    ("ccsds_version", 3), ("ccsds_type", 1), ("ccsds_secondary_header", 1), ("ccsds_apid", 11),
    ("ccsds_sequence_flags", 2), ("ccsds_sequence_count", 14), ("ccsds_length", 16),
)
_SECONDARY = (
    ("pus_version", 4), ("pus_time_status", 4), ("pus_service", 8), ("pus_subservice", 8), ("pus_message_count", 16),
    ("pus_destination", 16), ("time_p_field", 8), ("time_coarse_s", 32), ("time_fine", 16),
)
_CHECKSUM = "packet_error_control"
# Version 0, telecommand, with secondary header; unsegmented; PUS-C with all acknowledgements asked for.
_PACKET_ID, _SEQUENCE, _VERSION_ACK = f"{0x1800 | APID:04X}", "C000", "2F"


def xtce(version: str) -> str:
    """The XML document. ``version``: of the dictionary, as the header shows it."""
    root = Element("SpaceSystem", {"xmlns": NAMESPACE, "name": "QIKI"})
    SubElement(root, "Header", {"version": version, "validationStatus": "Working"})
    _telemetry(SubElement(root, "TelemetryMetaData"))
    _commands(SubElement(root, "CommandMetaData"))
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


# -- telemetry


def _telemetry(parent: Element) -> None:
    types, parameters, containers = (
        SubElement(parent, name) for name in ("ParameterTypeSet", "ParameterSet", "ContainerSet")
    )
    fields: dict[str, FixedField] = {}
    bits = dict((*_PRIMARY, *_SECONDARY, (_CHECKSUM, 16)))
    concrete = (*TELEMETRY_CONTAINERS.values(), *REPORTS.values())
    for container in concrete:
        fields.update({field.name: field for field in (*container.head, *container.fields)})
        if spare := _spare(container):
            bits[f"{container.name}_spare"] = spare
    for name, size in bits.items():
        _integer(types, f"{name}_type", size)
        SubElement(parameters, "Parameter", {"name": name, "parameterTypeRef": f"{name}_type"})
    _boolean(types, "known_type", "Parameter")
    for source in [name for container in concrete for name in container.sources]:
        SubElement(parameters, "Parameter", {"name": f"{source}_known", "parameterTypeRef": "known_type"})
    for field in fields.values():
        _type(types, f"{field.name}_type", field, "Parameter")
        _described(parameters, "Parameter", field.name, field.text, parameterTypeRef=f"{field.name}_type")
    _container(containers, "CCSDSPacket", "", [name for name, _ in _PRIMARY], None, {})
    _container(containers, "PUSTelemetry", "", [name for name, _ in _SECONDARY], "CCSDSPacket",
               {"ccsds_type": 0, "ccsds_secondary_header": 1, "ccsds_apid": APID})
    for container in concrete:
        entries = [field.name for field in container.head]
        entries += [f"{source}_known" for source in container.sources]
        entries += [f"{container.name}_spare"] if _spare(container) else []
        entries += [field.name for field in container.fields]
        criteria = {"pus_service": container.service, "pus_subservice": container.subservice}
        if container.id:
            # What tells the groups apart must be read before: it stands in a container between.
            _container(containers, container.name, container.text, [*entries[1:], _CHECKSUM], "Housekeeping",
                       {"structure_id": container.id})
        else:
            _container(containers, container.name, container.text, [*entries, _CHECKSUM], "PUSTelemetry", criteria)
    _container(containers, "Housekeeping", "", ["structure_id"], "PUSTelemetry",
               {"pus_service": 3, "pus_subservice": 25})


def _spare(container: Container) -> int:
    return container.presence_bytes * 8 - len(container.sources)


def _container(
    parent: Element, name: str, text: str, entries: Iterable[str], base: str | None, criteria: dict[str, int]
) -> None:
    attributes = {} if base is not None and name not in ("PUSTelemetry", "Housekeeping") else {"abstract": "true"}
    node = _described(parent, "SequenceContainer", name, text, **attributes)
    listed = SubElement(node, "EntryList")
    for entry in entries:
        SubElement(listed, "ParameterRefEntry", {"parameterRef": entry})
    if base is not None:
        inherited = SubElement(node, "BaseContainer", {"containerRef": base})
        comparisons = SubElement(SubElement(inherited, "RestrictionCriteria"), "ComparisonList")
        for parameter, value in criteria.items():
            SubElement(comparisons, "Comparison", {"parameterRef": parameter, "value": str(value)})


# -- commands


def _commands(parent: Element) -> None:
    types, commands = (SubElement(parent, name) for name in ("ArgumentTypeSet", "MetaCommandSet"))
    for name, size in (("u8_type", 8), ("u16_type", 16)):
        _integer(types, name, size, "Argument")
    _boolean(types, "given_type", "Argument")
    node = SubElement(commands, "MetaCommand", {"name": "Telecommand", "abstract": "true"})
    _arguments(node, (("pus_service", "u8_type"), ("pus_subservice", "u8_type")))
    entries = _command_container(node, "Telecommand", None)
    for name, value in (("packet_id", _PACKET_ID), ("sequence", _SEQUENCE), ("length", "0000"),
                        ("version_ack", _VERSION_ACK)):
        _constant(entries, name, value)
    for name in ("pus_service", "pus_subservice"):
        SubElement(entries, "ArgumentRefEntry", {"argumentRef": name})
    _constant(entries, "source_id", "0000")
    node = SubElement(commands, "MetaCommand", {"name": "Function", "abstract": "true"})
    _base(node, "Telecommand", {"pus_service": 8, "pus_subservice": 1})
    _arguments(node, (("function_id", "u16_type"), ("options", "u8_type")))
    entries = _command_container(node, "Function", "Telecommand")
    for name in ("function_id", "options"):
        SubElement(entries, "ArgumentRefEntry", {"argumentRef": name})
    for name, command in COMMANDS.items():
        _command(commands, types, command, COMMAND_CONTAINERS[name])
    node = SubElement(commands, "MetaCommand", {"name": "connection_test_request"})
    _base(node, "Telecommand", {"pus_service": 17, "pus_subservice": 1})
    _constant(_command_container(node, "connection_test_request", "Telecommand"), "checksum", "0000")


def _command(parent: Element, types: Element, command: Command, container: Container) -> None:
    node = _described(parent, "MetaCommand", command.name, command.text)
    _base(node, "Function", {"function_id": command.id})
    declared = {argument.name: argument for argument in command.arguments}
    optional = [source for source in container.sources if not declared[source].required]
    for field in container.fields:
        _type(types, f"{command.name}_{field.name}_type", field, "Argument", declared[field.source])
    if container.sources:
        _arguments(node, (
            *((f"{source}_given", "given_type") for source in optional),
            *((field.name, f"{command.name}_{field.name}_type") for field in container.fields),
        ))
    entries = _command_container(node, command.name, "Function")
    for source in container.sources:
        if source in optional:
            SubElement(entries, "ArgumentRefEntry", {"argumentRef": f"{source}_given"})
        else:
            _constant(entries, f"{source}_given", "01", 1)
    if spare := _spare(container):
        _constant(entries, "spare", "00", spare)
    for field in container.fields:
        SubElement(entries, "ArgumentRefEntry", {"argumentRef": field.name})
    _constant(entries, "checksum", "0000")


def _base(node: Element, name: str, assigned: dict[str, int]) -> None:
    base = SubElement(node, "BaseMetaCommand", {"metaCommandRef": name})
    listed = SubElement(base, "ArgumentAssignmentList")
    for argument, value in assigned.items():
        SubElement(listed, "ArgumentAssignment", {"argumentName": argument, "argumentValue": str(value)})


def _arguments(node: Element, arguments: Sequence[tuple[str, str]]) -> None:
    listed = SubElement(node, "ArgumentList")
    for name, kind in arguments:
        SubElement(listed, "Argument", {"name": name, "argumentTypeRef": kind})


def _command_container(node: Element, name: str, base: str | None) -> Element:
    container = SubElement(node, "CommandContainer", {"name": name})
    entries = SubElement(container, "EntryList")
    if base is not None:
        SubElement(container, "BaseContainer", {"containerRef": base})
    return entries


def _constant(entries: Element, name: str, value: str, bits: int | None = None) -> None:
    size = len(value) * 4 if bits is None else bits
    SubElement(entries, "FixedValueEntry", {"name": name, "binaryValue": value, "sizeInBits": str(size)})


# -- types


def _described(parent: Element, tag: str, name: str, text: str, **attributes: str) -> Element:
    said = {"shortDescription": text} if text else {}
    return SubElement(parent, tag, {"name": name, **said, **attributes})


def _integer(parent: Element, name: str, bits: int, what: str = "Parameter") -> None:
    node = SubElement(parent, f"Integer{what}Type", {"name": name, "signed": "false", "sizeInBits": str(bits)})
    SubElement(node, "UnitSet")
    SubElement(node, "IntegerDataEncoding", {"encoding": "unsigned", "sizeInBits": str(bits)})


def _boolean(parent: Element, name: str, what: str) -> None:
    words = {"zeroStringValue": FLAG_WORDS[0], "oneStringValue": FLAG_WORDS[1]}
    node = SubElement(parent, f"Boolean{what}Type", {"name": name, **words})
    SubElement(node, "UnitSet")
    SubElement(node, "IntegerDataEncoding", {"encoding": "unsigned", "sizeInBits": "1"})


def _type(parent: Element, name: str, field: FixedField, what: str, argument: Argument | None = None) -> None:
    if field.words:
        node = SubElement(parent, f"Enumerated{what}Type", {"name": name})
        SubElement(node, "UnitSet")
        SubElement(node, "IntegerDataEncoding", {"encoding": "unsigned", "sizeInBits": str(field.bits)})
        listed = SubElement(node, "EnumerationList")
        for value, word in enumerate(field.words):
            SubElement(listed, "Enumeration", {"value": str(value), "label": word})
        return
    if field.code is FieldCode.TEXT:
        node = SubElement(parent, f"String{what}Type", {"name": name})
        SubElement(node, "UnitSet")
        size = SubElement(SubElement(node, "StringDataEncoding", {"encoding": "UTF-8"}), "SizeInBits")
        SubElement(SubElement(size, "Fixed"), "FixedValue").text = str(field.bits)
        SubElement(size, "TerminationChar").text = "00"
        return
    real = field.code in (FieldCode.F32, FieldCode.F64)
    signed = {} if real else {"signed": "false"}
    kind = "Float" if real else "Integer"
    node = SubElement(parent, f"{kind}{what}Type", {"name": name, **signed, "sizeInBits": str(field.bits)})
    units = SubElement(node, "UnitSet")
    if field.unit not in ("-", "1"):
        SubElement(units, "Unit").text = field.unit
    encoding = "IEEE754_1985" if real else "unsigned"
    SubElement(node, f"{kind}DataEncoding", {"encoding": encoding, "sizeInBits": str(field.bits)})
    if argument is not None and (argument.low is not None or argument.high is not None):
        bounds = {"minInclusive": argument.low, "maxInclusive": argument.high}
        SubElement(SubElement(node, "ValidRangeSet"), "ValidRange", {
            key: f"{value:.17g}" for key, value in bounds.items() if value is not None
        })

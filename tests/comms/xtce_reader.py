"""Reads packets by an XTCE document alone, as a ground system does; knows nothing of how they were made."""

from __future__ import annotations

import struct
from typing import Any
from xml.etree import ElementTree

NS = {"x": "http://www.omg.org/spec/XTCE/20180204"}


class XtceReader:
    """Telemetry side of one document."""

    def __init__(self, text: str) -> None:
        meta = ElementTree.fromstring(text).find("x:TelemetryMetaData", NS)
        assert meta is not None
        self._types = {node.get("name"): node for node in meta.iterfind("x:ParameterTypeSet/*", NS)}
        self._parameters = {n.get("name"): n.get("parameterTypeRef") for n in meta.iterfind("x:ParameterSet/*", NS)}
        self._containers = {node.get("name"): node for node in meta.iterfind("x:ContainerSet/*", NS)}

    def read(self, packet: bytes) -> tuple[str, dict[str, Any]]:
        """Name of the innermost container that fits, and all parameters. Every bit must be used."""
        values: dict[str, Any] = {}
        at, name = 0, "CCSDSPacket"
        while True:
            for entry in self._containers[name].findall("x:EntryList/x:ParameterRefEntry", NS):
                parameter = entry.get("parameterRef")
                at, values[parameter] = self._value(packet, at, self._types[self._parameters[parameter]])
            inner = [child for child in self._containers if self._fits(child, name, values)]
            if not inner:
                break
            (name,) = inner
        assert at == 8 * len(packet), f"{name}: {at} of {8 * len(packet)} bits read"
        return name, values

    def _fits(self, child: str | None, base: str, values: dict[str, Any]) -> bool:
        node = self._containers[child].find("x:BaseContainer", NS)
        if node is None or node.get("containerRef") != base:
            return False
        return all(values[c.get("parameterRef")] == int(c.get("value") or "")
                   for c in node.findall(".//x:Comparison", NS))

    def _value(self, packet: bytes, at: int, kind: ElementTree.Element) -> tuple[int, Any]:
        tag = kind.tag.partition("}")[2]
        fixed = kind.find(".//x:FixedValue", NS)
        encoding = next((node for node in kind if node.tag.endswith("Encoding")), kind)
        size = int(fixed.text or "") if fixed is not None else int(encoding.get("sizeInBits") or "")
        bits = int.from_bytes(packet) >> (8 * len(packet) - at - size) & (1 << size) - 1
        raw = bits.to_bytes((size + 7) // 8)
        value: Any = bits
        if tag == "FloatParameterType":
            value = struct.unpack(">f" if size == 32 else ">d", raw)[0]
        elif tag == "StringParameterType":
            value = raw.partition(b"\0")[0].decode()
        elif tag == "BooleanParameterType":
            value = kind.get("oneStringValue") if bits else kind.get("zeroStringValue")
        elif tag == "EnumeratedParameterType":
            value = next(n.get("label") for n in kind.findall(".//x:Enumeration", NS) if n.get("value") == str(bits))
        return at + size, value

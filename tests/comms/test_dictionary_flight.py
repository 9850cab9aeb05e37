"""What a real flight hands over goes over a link whole: no value of the snapshot is lost for its type or its length."""

from __future__ import annotations

from typing import Any

from comms.dictionary import CHANNELS, LAYOUTS, Form
from comms.dictionary.fixed import decode_telemetry, encode_telemetry
from comms.dictionary.frames import Frame, decode_frame, encode_frame, encode_parts
from comms.dictionary.strict_cbor import Refusal
from tests.firmware_py.rig_craft import Craft

RADIO_BYTES = 228
"""What a record of 247 bytes leaves, the shortest radio's."""


def same(name: str, sent: Any, got: Any) -> bool:
    if isinstance(sent, dict):
        return sent.keys() == got.keys() and all(same(name, value, got[key]) for key, value in sent.items())
    if isinstance(sent, list | tuple):
        return len(sent) == len(got) and all(same(name, a, b) for a, b in zip(sent, got, strict=True))
    if isinstance(sent, float):
        return abs(sent - got) <= (0.0 if CHANNELS[name].form is Form.FLOAT64 else 6e-8 * abs(sent) + 1e-40)
    return bool(sent == got)


def test_a_flight_s_snapshot_arrives_as_it_was_sent() -> None:
    craft = Craft()
    craft.boot()
    craft.order("hold")
    craft.run(2.0)
    now_ns = craft.clock.now_ns()
    row = craft.software.snapshot(now_ns)
    arrived: dict[str, Any] = {}
    for layout in LAYOUTS.values():
        frame = decode_frame(encode_frame(layout, now_ns, row))
        assert isinstance(frame, Frame)
        arrived.update(frame.values)
        parts = encode_parts(layout, now_ns, row, RADIO_BYTES)
        joined = [decode_frame(part) for part in parts.frames]
        assert parts.left_out == ()
        assert {name for part in joined if isinstance(part, Frame) for name in part.values} == set(layout.names)
        fixed = decode_telemetry(encode_telemetry(layout.name, row))
        assert not isinstance(fixed, Refusal)
        assert {k for k, v in fixed[1].items() if v is None} == {k for k in layout.names if row.get(k) is None}
    for name, value in row.items():
        assert same(name, value, arrived[name]), (name, value, arrived[name])

"""Commands and telemetry, declared once, and what follows from the declaration.

``wire`` holds the messages of a link, ``frames`` telemetry by position, ``strict_cbor`` what is decoded and what is
not; ``export``, ``json_schema``, ``xtce`` and ``markdown`` print the tables for others, ``compare`` says whether two
of them get along.
"""

from comms.dictionary.commands import (
    AXES,
    BURN_LEVELS,
    COMMANDS,
    COMMANDS_BY_ID,
    MOST_SEGMENTS,
    SEGMENT_FIELDS,
)
from comms.dictionary.events import EVENT_IDS, EVENT_NAMES
from comms.dictionary.layouts import LAYOUTS, Layout
from comms.dictionary.telemetry import CHANNELS, TELEMETRY
from comms.dictionary.types import Argument, Authority, Channel, Command, CommandRefused, Form, Kind
from comms.dictionary.validate import validate

__all__ = [
    "AXES",
    "BURN_LEVELS",
    "CHANNELS",
    "COMMANDS",
    "COMMANDS_BY_ID",
    "EVENT_IDS",
    "EVENT_NAMES",
    "LAYOUTS",
    "MOST_SEGMENTS",
    "SEGMENT_FIELDS",
    "TELEMETRY",
    "Argument",
    "Authority",
    "Channel",
    "Command",
    "CommandRefused",
    "Form",
    "Kind",
    "Layout",
    "validate",
]

"""The whole dictionary as plain data, and its hash: two ends whose hashes are equal mean the same by every number.

The hash covers what numbers on the wire mean, not the texts for people: SHA-256 of canonical JSON (keys sorted, no
spaces, UTF-8) of everything but ``text``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Any

from comms.dictionary.arguments import PREFIX_DIGESTS
from comms.dictionary.commands import COMMANDS
from comms.dictionary.events import EVENT_IDS, SEVERITY_IDS, STAGE_IDS
from comms.dictionary.layouts import LAYOUTS
from comms.dictionary.messages import MESSAGES
from comms.dictionary.telemetry import TELEMETRY
from comms.dictionary.types import Argument
from comms.parameters import PARAMETERS

__all__ = ["FORMAT", "canonical", "dictionary", "dictionary_hash", "hash_of", "without_texts"]

FORMAT = 1
"""Layout of the exported dictionary."""
_TEXTS = frozenset({"text", "hash"})


def dictionary(event_texts: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The dictionary with texts and its hash under ``hash``. ``event_texts``: meaning of every code, where known."""
    texts = {} if event_texts is None else event_texts
    tables = {
        "format": FORMAT,
        "commands": [
            {"id": c.id, "name": c.name, "class": c.command_class.value, "authority": c.authority.value,
             "arguments": [_argument(a) for a in c.arguments], "one_of": [list(names) for names in c.one_of],
             "digests": list(PREFIX_DIGESTS[c.name]), "text": c.text}
            for c in COMMANDS.values()
        ],
        "telemetry": [
            {"id": c.id, "name": c.name, "kind": c.kind.value, "unit": c.unit, "form": c.form.value, "text": c.text}
            for c in TELEMETRY
        ],
        "layouts": [
            {"id": layout.id, "name": layout.name, "channels": list(layout.names), "rate_hz": layout.rate_hz,
             "text": layout.text}
            for layout in LAYOUTS.values()
        ],
        "events": [{"id": i, "name": name, "text": texts.get(name, "")} for name, i in EVENT_IDS.items()],
        "severities": dict(SEVERITY_IDS),
        "stages": dict(STAGE_IDS),
        "parameters": [
            {"id": p.id, "name": p.name, "kind": p.kind.value, "unit": p.unit, "default": p.default,
             "authority": p.authority.value, "effect": p.effect.value, "low": p.low, "high": p.high,
             "choices": list(p.choices), "text": p.text}
            for p in PARAMETERS
        ],
        "messages": [
            {"id": m.id, "name": m.name, "fields": [{"name": name, "type": kind} for name, kind in m.fields]}
            for m in MESSAGES.values()
        ],
    }
    return {**tables, "hash": hash_of(tables).hex()}


def _argument(argument: Argument) -> dict[str, Any]:
    return {
        "name": argument.name, "kind": argument.kind.value, "unit": argument.unit, "low": argument.low,
        "high": argument.high, "choices": [str(choice) for choice in argument.choices],
        "required": argument.required, "fields": [_argument(field) for field in argument.fields], "text": argument.text,
    }


def without_texts(value: Any) -> Any:
    """The same data without what is for people alone."""
    if isinstance(value, dict):
        return {key: without_texts(item) for key, item in value.items() if key not in _TEXTS}
    return [without_texts(item) for item in value] if isinstance(value, list) else value


def canonical(value: Any) -> bytes:
    """Canonical JSON: keys sorted, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def hash_of(tables: Mapping[str, Any]) -> bytes:
    """SHA-256 of a dictionary's meaning."""
    return sha256(canonical(without_texts(dict(tables)))).digest()


@cache
def dictionary_hash() -> bytes:
    """SHA-256 of this software's dictionary, 32 bytes; the first 8 go over the link."""
    return bytes.fromhex(dictionary()["hash"])

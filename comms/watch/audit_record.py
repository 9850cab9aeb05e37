"""Records of the audit log: the fields of CANON section 17 in one canonical form of bytes, chained and signed.

A log is a sequence of CBOR items (RFC 8742). Each is an entry ``[record, check, signature]`` of three byte strings; the
record is the deterministic encoding (RFC 8949 section 4.2) of ``[number, digest of the record before, fields]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from hashlib import sha256
from io import BytesIO
from typing import Any

import cbor2

__all__ = [
    "LONGEST_ENTRY", "SIGN_EVERY", "AuditClass", "AuditEvent", "AuditSeverity", "Entry", "Head", "digest_of",
    "entry_bytes", "genesis", "head_message", "read_entry", "record_bytes", "sign_message",
]

SIGN_EVERY = 64
"""Every 64th record is signed (CANON section 17)."""
DIGEST_BYTES, SIGNATURE_BYTES, CHECK_BYTES = 32, 64, 4
LONGEST_ENTRY = 8192
LONGEST_TEXT = 96
"""Bytes of UTF-8."""
MOST_CODES = 8
MOST_MORE = 24
"""Enough for a count of every class."""
DEPTH = 6
FIELDS = 15
LABEL = b"qiki audit 1"
_DECODE_ERRORS = (cbor2.CBORError, ValueError, TypeError, OverflowError, EOFError, RecursionError, LookupError)


@unique
class AuditClass(StrEnum):
    """What a record is about: the classes of CANON section 17, and those of the link and of the log itself."""

    COMMAND_REQUEST = "command_request"
    VALIDATION_RESULT = "validation_result"
    COMMAND_REJECTED = "command_rejected"
    PUBLISH = "publish"
    ACK = "ACK"
    EFFECT_CONFIRMATION = "effect_confirmation"
    EFFECT_PARTIAL = "effect_partial"
    EFFECT_TIMEOUT = "effect_timeout"
    SAFE_INTERVENTION = "SAFE_intervention"
    MODULE_ATTACH = "module_attach"
    MODULE_DETACH = "module_detach"
    PASSPORT_VALIDATION = "passport_validation"
    BAYONET_STATE_TRANSITION = "bayonet_state_transition"
    PDU_DENIAL = "PDU_denial"
    THERMAL_BLOCK = "thermal_block"
    SENSOR_CONFLICT = "sensor_conflict"
    COMMS_FAILURE = "comms_failure"
    NBL_PACKET_ATTEMPT = "NBL_packet_attempt"
    INTRUSION = "intrusion"
    HANDSHAKE = "handshake"
    KEY_CHANGE = "key_change"
    EMISSION = "emission"
    FILE_BEGUN = "file_begun"
    """A file of the log begins; made by the log."""
    LOG_RESUMED = "log_resumed"
    """The log goes on in a file that was there, after a start or after the medium refused; made by the log."""
    RECORDS_LEFT_OUT = "records_left_out"
    """How many records of which class were left out; made by the log."""

    @property
    def from_outside(self) -> bool:
        """Whether a stranger without any key can cause such records."""
        return self in (AuditClass.COMMS_FAILURE, AuditClass.INTRUSION, AuditClass.HANDSHAKE,
                        AuditClass.RECORDS_LEFT_OUT)


@unique
class AuditSeverity(StrEnum):
    """How much it matters. What is critical goes to the medium at once."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event. Its id is the number of its record. ``None`` is not known or not concerned.

    Attributes:
        kind: CANON's type.
        t_ns: flight time.
        source: what part of the craft tells it.
        utc_ns: calendar time, where one is known.
        operator: the peer whose key vouches for it.
        effect: state of the effect of a command.
        blackbox: whether it belongs into the black box.
        more: further whole numbers or texts by name.

    Texts longer than 96 bytes, more than 8 codes or 24 further values are cut when the record is made.
    """

    kind: AuditClass
    t_ns: int
    source: str
    utc_ns: int | None = None
    command_id: str | None = None
    previous: str | None = None
    new: str | None = None
    codes: tuple[str, ...] = ()
    operator: str | None = None
    module: str | None = None
    bayonet: str | None = None
    effect: str | None = None
    severity: AuditSeverity = AuditSeverity.INFO
    blackbox: bool = False
    more: Mapping[str, int | str] = field(default_factory=dict)

    def fields(self) -> list[Any]:
        """The event as it stands in a record."""
        more = {_cut(name): int(value) if isinstance(value, int) else _cut(value)
                for name, value in sorted(self.more.items())[:MOST_MORE]}
        return [
            self.kind.value, self.t_ns, self.utc_ns, _cut(self.source), _cut(self.command_id), _cut(self.previous),
            _cut(self.new), [_cut(code) for code in self.codes[:MOST_CODES]], _cut(self.operator), _cut(self.module),
            _cut(self.bayonet), _cut(self.effect), self.severity.value, self.blackbox, more,
        ]

    @classmethod
    def from_fields(cls, items: Any) -> AuditEvent | None:
        """The event of a record, ``None`` if it is none."""
        if type(items) is not list or len(items) != FIELDS:
            return None
        kind, t_ns, utc_ns, source, command, previous, new, codes, operator, module, bayonet, effect = items[:12]
        severity, blackbox, more = items[12:]
        texts = (command, previous, new, operator, module, bayonet, effect)
        good = (
            type(t_ns) is int and (utc_ns is None or type(utc_ns) is int) and type(source) is str
            and all(text is None or type(text) is str for text in texts)
            and type(codes) is list and all(type(code) is str for code in codes)
            and type(blackbox) is bool and isinstance(more, dict)
            and all(type(name) is str and type(value) in (int, str) for name, value in more.items())
        )
        try:
            return cls(AuditClass(kind), t_ns, source, utc_ns, command, previous, new, tuple(codes), operator, module,
                       bayonet, effect, AuditSeverity(severity), blackbox, more) if good else None
        except (ValueError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Head:
    """A signed statement that the log had reached this record: whoever keeps it can tell a cut or a rewrite later."""

    number: int
    digest: bytes
    signature: bytes

    def encode(self) -> bytes:
        """Canonical CBOR ``[number, digest, signature]``, at most 109 bytes."""
        return cbor2.dumps([self.number, self.digest, self.signature], canonical=True)

    @classmethod
    def decode(cls, data: bytes) -> Head | None:
        """The head of these bytes, ``None`` if they are none."""
        try:
            items = cbor2.loads(data, max_depth=2, allow_indefinite=False)
        except _DECODE_ERRORS:
            return None
        if type(items) is not list or len(items) != 3 or type(items[0]) is not int or items[0] < -1:
            return None
        if not all(type(part) is bytes for part in items[1:]) or len(items[1]) != DIGEST_BYTES:
            return None
        return cls(*items) if len(items[2]) == SIGNATURE_BYTES else None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it was read. ``event`` is ``None`` for a record whose fields are not understood."""

    number: int
    before: bytes
    digest: bytes
    signature: bytes
    event: AuditEvent | None
    size: int


def genesis(public_key: bytes) -> bytes:
    """What the first record of a log has for the digest before it: a log belongs to a key."""
    return sha256(LABEL + b" begins" + public_key).digest()


def record_bytes(number: int, before: bytes, fields: list[Any]) -> bytes:
    """Canonical bytes of a record."""
    return cbor2.dumps([number, before, fields], canonical=True)


def digest_of(record: bytes) -> bytes:
    """SHA-256 of a record."""
    return sha256(record).digest()


def sign_message(digest: bytes) -> bytes:
    """What the signature of a record is over."""
    return LABEL + b" record" + digest


def head_message(number: int, digest: bytes) -> bytes:
    """What the signature of a head is over. -1 is a log without records."""
    return LABEL + b" head" + number.to_bytes(9, "big", signed=True) + digest


def entry_bytes(record: bytes, signature: bytes) -> bytes:
    """An entry: the record, the first bytes of its digest (a torn one is told from a whole one), its signature."""
    return cbor2.dumps([record, digest_of(record)[:CHECK_BYTES], signature], canonical=True)


def read_entry(data: bytes, at: int) -> Entry | None:
    """The whole entry that begins at an offset; ``None`` for anything else. Never raises."""
    stream = BytesIO(data[at : at + LONGEST_ENTRY])
    try:
        decoder = cbor2.CBORDecoder(stream, max_depth=DEPTH, allow_indefinite=False, allow_duplicate_keys=False)
        items = decoder.decode()
        size = stream.tell()
        if type(items) is not list or len(items) != 3 or not all(type(part) is bytes for part in items):
            return None
        record, check, signature = items
        digest = digest_of(record)
        if check != digest[:CHECK_BYTES] or len(signature) not in (0, SIGNATURE_BYTES):
            return None
        if entry_bytes(record, signature) != data[at : at + size]:
            return None
        body = cbor2.loads(record, max_depth=DEPTH, allow_indefinite=False, allow_duplicate_keys=False)
        if type(body) is not list or len(body) != 3 or cbor2.dumps(body, canonical=True) != record:
            return None
    except _DECODE_ERRORS:
        return None
    number, before, fields = body
    if type(number) is not int or number < 0 or type(before) is not bytes or len(before) != DIGEST_BYTES:
        return None
    return Entry(number, before, digest, signature, AuditEvent.from_fields(fields), size)


def _cut(text: str | None) -> Any:
    if text is None:
        return None
    data = text.encode("utf-8", "replace")
    if len(data) <= LONGEST_TEXT:
        return data.decode()
    return data[: LONGEST_TEXT - 3].decode("utf-8", "ignore") + "…"

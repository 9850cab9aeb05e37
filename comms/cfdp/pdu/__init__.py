"""CFDP's protocol data units, exactly as CCSDS 727.0-B-5 chapter 5 lays them out, both ways."""

from comms.cfdp.pdu.decode import decode
from comms.cfdp.pdu.encode import FileDataEncoder, encode, header_bytes, nak_requests
from comms.cfdp.pdu.values import (
    METADATA_REQUEST,
    Ack,
    AckStatus,
    Body,
    Condition,
    Delivery,
    Directive,
    Eof,
    FaultOverride,
    FileData,
    FileStatus,
    FilestoreRequest,
    Finished,
    FlowLabel,
    Handler,
    Header,
    KeepAlive,
    Metadata,
    Mode,
    Nak,
    Option,
    Pdu,
    PduRefusal,
    Prompt,
    Response,
    SegmentMetadata,
    UserMessage,
)

__all__ = [
    "METADATA_REQUEST", "Ack", "AckStatus", "Body", "Condition", "Delivery", "Directive", "Eof", "FaultOverride",
    "FileData", "FileDataEncoder", "FileStatus", "FilestoreRequest", "Finished", "FlowLabel", "Handler", "Header",
    "KeepAlive", "Metadata", "Mode", "Nak", "Option", "Pdu", "PduRefusal", "Prompt", "Response", "SegmentMetadata",
    "UserMessage", "decode", "encode", "header_bytes", "nak_requests",
]

"""File transfer by CFDP (CCSDS 727.0-B-5), class 1 and 2, on a handed-in clock and a power-safe store."""

from comms.cfdp.checksum import ChecksumKind
from comms.cfdp.config import EntityConfig, PeerConfig
from comms.cfdp.entity import CfdpEntity
from comms.cfdp.indications import (
    EntityRefusal,
    EntityStatus,
    Indication,
    IndicationKind,
    PutRefusal,
    State,
    TransactionId,
    TransactionView,
)
from comms.cfdp.medium import FolderMedium, Medium, MemoryMedium
from comms.cfdp.pdu import Condition, FaultOverride, Handler, Mode, PduRefusal, Response
from comms.cfdp.store import FileStore, FolderStore, MemoryStore, StoreLimits, StoreRefusal

__all__ = [
    "CfdpEntity", "ChecksumKind", "Condition", "EntityConfig", "EntityRefusal", "EntityStatus", "FaultOverride",
    "FileStore", "FolderMedium", "FolderStore", "Handler", "Indication", "IndicationKind", "Medium", "MemoryMedium",
    "MemoryStore", "Mode", "PduRefusal", "PeerConfig", "PutRefusal", "Response", "State", "StoreLimits", "StoreRefusal",
    "TransactionId", "TransactionView",
]

"""Keys of a craft and its operators: handshakes, pinned peers, sealed files, renewal of pre-shared keys."""

from comms.keys.faults import HandshakeFault, KeyFault, KeyringError, RenewalFault
from comms.keys.handshake import MessageType, PeerIdentity, SessionSecrets, is_handshake
from comms.keys.initiator import Initiator, InitiatorState, RetryPlan
from comms.keys.keyring import KeyStore, new_craft, new_operator
from comms.keys.pairing import Card, accept, card_of, invite, pair, read_card, renew_at_bench, write_card
from comms.keys.renewal import CraftRenewal, OperatorRenewal, RenewalResult, RenewalState
from comms.keys.responder import Answer, Responder
from comms.keys.ring import Peer, PeerState, Ring, RingKind, SlotState
from comms.keys.vault import Lock, RandomBytes, ScryptCost, SecretFolder

__all__ = [
    "Answer", "Card", "CraftRenewal", "HandshakeFault", "Initiator", "InitiatorState", "KeyFault", "KeyStore",
    "KeyringError", "Lock", "MessageType", "OperatorRenewal", "Peer", "PeerIdentity", "PeerState", "RandomBytes",
    "RenewalFault", "RenewalResult", "RenewalState", "Responder", "RetryPlan", "Ring", "RingKind", "ScryptCost",
    "SecretFolder", "SessionSecrets", "SlotState", "accept", "card_of", "invite", "is_handshake", "new_craft",
    "new_operator", "pair", "read_card", "renew_at_bench", "write_card",
]

"""Store and forward: bundles of version 7 (RFC 9171) with sealed payloads. The relay holds no key and imports none."""

from comms.bundles.block import Block, BlockFlag, BlockKind
from comms.bundles.bundle import Bundle, BundleFlag, Malformed, Primary, decode, encode
from comms.bundles.checks import CrcKind
from comms.bundles.eid import NULL, Eid
from comms.bundles.endpoint import BundleEndpoint, Opened
from comms.bundles.node import BundleNode
from comms.bundles.passing import Delivery, Neighbour, Outgoing
from comms.bundles.settings import DropReason, NodeSettings

__all__ = [
    "NULL", "Block", "BlockFlag", "BlockKind", "Bundle", "BundleEndpoint", "BundleFlag", "BundleNode", "CrcKind",
    "Delivery", "DropReason", "Eid", "Malformed", "Neighbour", "NodeSettings", "Opened", "Outgoing", "Primary",
    "decode", "encode",
]

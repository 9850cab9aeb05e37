"""The craft as existing ground systems know it: space packets and PUS services, on the ground only."""

from comms.ccsds.gateway import CcsdsGateway, CraftLink, GatewayCounts
from comms.ccsds.packets import GroundPartMissing, PacketRefusal, PacketStream

__all__ = ["CcsdsGateway", "CraftLink", "GatewayCounts", "GroundPartMissing", "PacketRefusal", "PacketStream"]

"""Ways from one end of a link to the other: datagrams in, datagrams out, nothing waited for."""

from comms.transports.memory import MemoryPair, MemoryPipe, MemoryTransport, Pipe, memory_pair
from comms.transports.modem import ModemProfile, load_modems
from comms.transports.opening import ABOARD, ON_GROUND, open_over_pipe, open_transport
from comms.transports.paced import PacedTransport
from comms.transports.port import Datagram, Transport, TransportCounts

__all__ = ["ABOARD", "ON_GROUND", "Datagram", "MemoryPair", "MemoryPipe", "MemoryTransport", "ModemProfile",
           "PacedTransport", "Pipe", "Transport", "TransportCounts", "load_modems", "memory_pair", "open_over_pipe",
           "open_transport"]

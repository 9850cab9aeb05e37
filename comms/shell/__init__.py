"""The debug shell: look at a live craft and order it about, with nothing that could hold it up."""

from comms.shell.channel import ChannelShell, ChunkPipe
from comms.shell.server import ByteStream, Limits, ShellCounts, ShellServer
from comms.shell.session import MARK, Mode, ShellSession
from comms.shell.stream import FdStream, SerialDoor, SocketDoor, serial_opener
from comms.shell.view import Craft, CraftView

__all__ = [
    "MARK", "ByteStream", "ChannelShell", "ChunkPipe", "Craft", "CraftView", "FdStream", "Limits", "Mode", "SerialDoor",
    "ShellCounts", "ShellServer", "ShellSession", "SocketDoor", "serial_opener",
]

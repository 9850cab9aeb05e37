"""Joins the parts of a craft's link: keys, lines, files, emergency channel, watch; alike on rig and board."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from comms.bundles.eid import Eid
from comms.bundles.node import BundleNode
from comms.bundles.settings import NodeSettings
from comms.cfdp import FileStore
from comms.channel_plan import NBL_CHANNEL, PLAN, ChannelSpec, Direction
from comms.emcon import EmconGate
from comms.flight_port import Port
from comms.keys.keyring import KeyStore
from comms.link.craft import CraftLink, CraftParts
from comms.link.craft_watch import CraftWatch
from comms.link.emergency import Emergency
from comms.link.end import Line
from comms.nbl.ports import NblTransmitter
from comms.records.faults import RecordFault
from comms.records.kept import KeptSender
from comms.records.reservation import CounterStore
from comms.shell.view import Craft, CraftView
from comms.watch.audit import AuditLog
from comms.watch.intrusion import IntrusionDetector
from comms.watch.signing import AuditSigner
from firmware_py import __version__
from firmware_py.reference_codes import CODE_TEXT
from hal.nonvolatile import Files

__all__ = ["NBL_CONTEXT", "KeptSeal", "LinkFiles", "make_link", "provision"]

NBL_CONTEXT = "nbl"
NBL_SPEC: ChannelSpec = next(spec for spec in PLAN if spec.id == NBL_CHANNEL)


@dataclass(slots=True)
class LinkFiles:
    """Folders of a link, one for each owner, and the store of files. ``None`` keeps that in memory alone."""

    store: FileStore
    counters: Files
    emcon: Files | None = None
    nbl: Files | None = None
    audit: Files | None = None
    bundles: Files | None = None


def provision(counters: Files) -> None:
    """Make the reservation of counters for a new root key. Call it once, when the keys are made."""
    CounterStore(counters, 0).provision(NBL_CONTEXT)


class KeptSeal:
    """Seals emergency packets once the number of this start is known; refuses where its counters are not certain.

    Args:
        keys: of the craft.
        counters: their folder.
        start: number of this start; ``None`` while it is not known.
    """

    def __init__(self, keys: KeyStore, counters: Files, start: Callable[[], int | None]) -> None:
        self._keys = keys
        self._counters = counters
        self._start = start
        self._sender: KeptSender | None = None

    def __call__(self, plaintext: bytes) -> bytes | StrEnum:
        """One sealed record, or why not."""
        if self._sender is None:
            start, root = self._start(), self._keys.ring.nbl_root
            if start is None or root is None:
                return RecordFault.NOT_USABLE
            store = CounterStore(self._counters, start)
            label = b"qiki nbl " + self._keys.ring.name.encode()
            self._sender = KeptSender(root, label, Direction.DOWN, NBL_SPEC, store, NBL_CONTEXT)
        return self._sender.seal(plaintext)


def make_link(
    keys: KeyStore, lines: Mapping[str, Line], port: Port, files: LinkFiles, random_bytes: Callable[[int], bytes],
    now_ns: int, start: int | None = None, transmitter: NblTransmitter | None = None, craft: str = "",
    faults: tuple[str, ...] = (), neighbours: Mapping[int, Line] | None = None,
) -> CraftLink:
    """The link of a craft.

    Args:
        keys: of the craft.
        lines: ways to peers by name.
        port: the link's end of the port to the flight loop.
        files: what outlives a restart.
        random_bytes: source of randomness.
        now_ns: flight time of its start.
        start: number of this start of the craft, if it is known already.
        transmitter: of the emergency channel; ``None``: the craft has none.
        craft: name of the body, for people.
        faults: names of the fault table, for the shell.
        neighbours: lines to docked neighbours by node number.
    """
    emcon = EmconGate(files.emcon)
    seed = keys.ring.audit_seed
    if seed is None:
        raise ValueError("these are the keys of an operator; a craft's are needed")
    log = AuditLog(files.audit, AuditSigner(seed), start, now_ns)
    link: CraftLink | None = None
    emergency = None
    if transmitter is not None:
        seal = KeptSeal(keys, files.counters, lambda: start if link is None else link.start)
        emergency = Emergency(transmitter, seal, emcon, port, files.nbl, now_ns)
    node = None
    if neighbours:
        number = int.from_bytes(keys.identity.public[:4], "big")
        settings = NodeSettings(Eid.ipn(number, 0), gateways=tuple(neighbours))
        node = BundleNode(settings, start or 0, now_ns, files.bundles)
    known = [f"{name} peer" for name, line in lines.items() if line.wired]
    link = CraftLink(CraftParts(
        keys, lines, port, files.store, emcon, CraftWatch(IntrusionDetector(known=known), log), random_bytes, emergency,
        node, dict(neighbours or {}), CraftView(Craft(craft, faults, CODE_TEXT)), __version__,
    ), now_ns, start)
    return link

"""Keys as people and programs see them: names, roles, states, fingerprints; nothing secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from comms.keys.keyring import KeyStore
from comms.keys.pairing import card_of
from comms.keys.ring import Peer, PeerState, RingKind, SlotState, fingerprint

__all__ = ["as_object", "show_ring"]

STYLES = {PeerState.ACTIVE: "green", PeerState.REVOKED: "red"}


def as_object(keys: KeyStore, folder: Path) -> dict[str, Any]:
    """One object for ``--json``."""
    card = card_of(keys)
    return {
        "folder": str(folder), "kind": card.kind.value, "name": card.name,
        "role": None if card.role is None else card.role.value, "fingerprint": card.fingerprint,
        "public_key": card.public_key.hex(),
        "audit_public_key": None if card.audit_public is None else card.audit_public.hex(),
        "counters_lost": keys.counters.lost, "peers": [_peer_object(peer) for peer in keys.ring.peers],
    }


def _peer_object(peer: Peer) -> dict[str, Any]:
    return {
        "name": peer.name, "kind": peer.kind.value, "role": peer.role.value, "state": peer.state.value,
        "fingerprint": fingerprint(peer.card_digest), "public_key": peer.public_key.hex(),
        "last_start": peer.last_start, "note": peer.note,
        "audit_public_key": None if peer.audit_public is None else peer.audit_public.hex(),
        "shared_keys": [{"id": slot.id.hex(), "state": slot.state.value} for slot in peer.slots],
    }


def show_ring(keys: KeyStore, folder: Path) -> None:
    """Print whose keys these are and who is pinned, within 80 columns."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    card = card_of(keys)
    role = "" if card.role is None else f", asks for {card.role.value}"
    typer.echo(f"{card.kind.value} {card.name}{role}, in {folder}\nfingerprint {card.fingerprint}\n")
    if keys.counters.lost:
        typer.secho("handshake counters could not be read: they begin anew with the next handshake",
                    fg=typer.colors.YELLOW, err=True)
    other = "operator" if card.kind is RingKind.CRAFT else "craft"
    if not keys.ring.peers:
        typer.echo(f"no {other} is pinned; next: qiki keys pair CRAFT OPERATOR")
        return
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, show_edge=False)
    for name in (other, "role", "state", "shared key", "fingerprint"):
        table.add_column(name, overflow="fold", no_wrap=name == "fingerprint")
    for peer in keys.ring.peers:
        table.add_row(
            Text(peer.name), peer.role.value, Text(_state(peer), STYLES[peer.state]), _shared(peer),
            fingerprint(peer.card_digest),
        )
    Console().print(table)
    for peer in keys.ring.peers:
        if peer.note:
            typer.echo(f"{peer.name}: {peer.note}")


def _state(peer: Peer) -> str:
    if peer.last_start is None or peer.state is PeerState.REVOKED:
        return peer.state.value
    return f"to start {peer.last_start}"


def _shared(peer: Peer) -> str:
    """Ids of the keys that are there; one that is staged waits for the next handshake."""
    return "\n".join(
        slot.id.hex()[:8] + ("" if slot.state is SlotState.ACTIVE else f" {slot.state.value}")
        for slot in peer.slots if slot.state is not SlotState.RETIRED
    ) or "none"

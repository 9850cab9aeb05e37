"""The hardware profile hash: one digest that names a body and a board together."""

from __future__ import annotations

import hashlib
import json

import msgspec

from hal.profile.board import BoardConfig
from hal.profile.body import BodyConfig

__all__ = ["hardware_profile_hash"]


def hardware_profile_hash(body: BodyConfig, board: BoardConfig) -> str:
    """``sha256:`` and 64 hex digits over canonical JSON of {hardware_profile: body, hardware_manifest: board}.

    Canonical: keys sorted, no spaces, UTF-8. Two files that mean the same hash the same.
    """
    manifest = msgspec.to_builtins(board)
    if manifest["watchdog"] is None:
        # A key that came later: boards without it keep the hash that missions were made for.
        del manifest["watchdog"]
    record = {"hardware_profile": msgspec.to_builtins(body), "hardware_manifest": manifest}
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

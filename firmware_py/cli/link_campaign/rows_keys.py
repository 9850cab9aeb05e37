"""Rows about keys: power loss while one is changed, floods of handshakes, keys that must never give a session."""

from __future__ import annotations

from firmware_py.cli.link_campaign.row import Row
from firmware_py.cli.link_campaign.rows_keys_bad import BAD_KEYS_ROW
from firmware_py.cli.link_campaign.rows_keys_flood import FLOOD_ROW
from firmware_py.cli.link_campaign.rows_keys_power import POWER_ROW

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (POWER_ROW, FLOOD_ROW, BAD_KEYS_ROW)

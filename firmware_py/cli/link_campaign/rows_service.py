"""Rows about the link as a whole, craft and ground joined: replay, flood, clocks, rights, lost contact, silence."""

from __future__ import annotations

from firmware_py.cli.link_campaign.row import Row
from firmware_py.cli.link_campaign.rows_service_clock import CLOCK_ROW
from firmware_py.cli.link_campaign.rows_service_emcon import SERVICE_EMCON_ROW
from firmware_py.cli.link_campaign.rows_service_flood import FLOOD_ROW
from firmware_py.cli.link_campaign.rows_service_loss import LOSS_ROW
from firmware_py.cli.link_campaign.rows_service_replay import REPLAY_ROW
from firmware_py.cli.link_campaign.rows_service_roles import SERVICE_ROLES_ROW
from firmware_py.cli.link_campaign.rows_service_sockets import SOCKETS_ROW

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (
    REPLAY_ROW, FLOOD_ROW, SOCKETS_ROW, CLOCK_ROW, SERVICE_ROLES_ROW, LOSS_ROW, SERVICE_EMCON_ROW,
)
"""Rows of this module."""

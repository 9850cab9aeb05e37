"""Rows 17 (its queues), 20 and 21: what waits stays within bounds, silence is kept, nobody gets more than is his."""

from __future__ import annotations

from firmware_py.cli.link_campaign.row import Row
from firmware_py.cli.link_campaign.rows_emcon import EMCON_ROW
from firmware_py.cli.link_campaign.rows_qos import QOS_ROW
from firmware_py.cli.link_campaign.rows_queues import QUEUES_ROW

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (QUEUES_ROW, EMCON_ROW, QOS_ROW)

"""Rows of the plan that records answer for: 1 to 5, 7, 11, 15 and 16."""

from __future__ import annotations

from firmware_py.cli.link_campaign._records_order import borders, disorder, replays, rotations
from firmware_py.cli.link_campaign._records_power import power_losses
from firmware_py.cli.link_campaign._records_tampering import downgrades, false_tags, flips, splices
from firmware_py.cli.link_campaign.row import Row

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (
    Row(1, "bit flips", "every bit of 1,000 records and 10^6 random changes of several: 0 opened, header bits included",
        1000, 60, flips),
    Row(2, "truncation, extension, splice",
        "every beginning of 1,000 records, 1 to 64 bytes more, 10^5 splices: 0 opened, 0 exceptions", 1000, 120,
        splices),
    Row(3, "replay",
        "10^5 records again: at once, late, on another channel, at the sender, in another session, after a rotation, "
        "after a restart: 0 opened", 100_000, 10_000, replays),
    Row(4, "reordering", "WireGuard's list exactly, 10^6 operations against a set: all equal", 1_000_000, 200_000,
        disorder),
    Row(5, "nonce reuse after power loss",
        "10,000 cuts, 1,000 roll-backs, 100 losses of the storage: 0 nonces twice under a key, at most 256 counters "
        "skipped", 11_100, 444, power_losses),
    Row(7, "rotation in a burst",
        "at 200 positions, loss 0, 10 and 30 %, disorder 32: 0 records lost to it, none opens in two epochs, the old "
        "one shut after 1,024", 600, 60, rotations),
    Row(11, "downgrade", "other suite, version, epoch, class or direction, unsealed: 0 opened", 5000, 400, downgrades),
    Row(15, "end of the counter",
        "borders of its length, 2^40 - 1, 2^16 of a channel, the sum of an epoch: no wrap, refused by name", 6000, 600,
        borders),
    Row(16, "false tags", "2^14 on one key: shut, an alert, both ways in the next epoch", 50, 4, false_tags),
)
"""The rows."""

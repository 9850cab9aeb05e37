"""Channels of a link: their queues, who may send next, over which way, and with how much power."""

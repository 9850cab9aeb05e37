"""The emergency channel: short sealed packets, each with its price in joules and every gate that stands before it."""

"""Simulated chips, each written from its data sheet alone: registers, reset values and faults, behind a bus twin."""

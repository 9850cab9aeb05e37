"""The trusted core: mode machine, command gating, monitors, brake override and the final pulse gate.

Small, table-driven, without dynamic features. Everything above may ask; this room vetoes with reason codes.
"""

"""Installs the software on a board: two slots, one atomic switch, and a way back from every step."""

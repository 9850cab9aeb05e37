"""Command and telemetry dictionary; later the link, channels and debug shell stand here too."""

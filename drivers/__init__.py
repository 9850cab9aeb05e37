"""One file a chip: a codec (pure bytes to SI values) and a device (register sequence on a bus)."""

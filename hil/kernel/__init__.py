"""Evidence from a real Linux kernel: its drivers as oracles for our codecs, its device nodes for our transports."""

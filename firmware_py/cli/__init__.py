"""The command line ``qiki``: flies, judges, replays, exports and inspects; the one place that joins program and rig."""

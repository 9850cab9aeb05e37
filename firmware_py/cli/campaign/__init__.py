"""The deterministic fault campaign: every fault of the rig alone, in pairs and by chance, judged by invariants."""

"""Bus protocols that drivers speak and that real transports and simulated twins implement alike."""

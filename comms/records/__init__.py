"""Records: what goes over the air between two ends, sealed, each counter once, opened once or refused by name.

``session`` is the door for a live link; ``kept`` for contexts that outlive a restart (NBL, sealed bundles).
"""

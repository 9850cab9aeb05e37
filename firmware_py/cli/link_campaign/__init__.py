"""``qiki link campaign``: the faults and attacks that a link must survive, row by row."""

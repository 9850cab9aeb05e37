"""What is around the craft: tracks, maps, and the risk that comes from them."""

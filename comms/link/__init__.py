"""The link of a craft: sessions with peers, channels, and what goes over them."""

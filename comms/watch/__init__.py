"""Watching the link: intrusion detection on metadata alone, and an audit log that shows what was done to it."""

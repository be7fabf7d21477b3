"""A whole cluster on one machine, without containers."""
